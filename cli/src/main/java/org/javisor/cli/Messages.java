package org.javisor.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.javisor.accelerator.TraceCategory;
import org.javisor.machine.MachineListener;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.json.JsonFactory;

/**
 * What the program says beside its answer: lines for a person, or JSON objects, one a line. May be
 * called from any thread; a line is written whole.
 */
final class Messages implements MachineListener {
  private final PrintWriter out;
  private final boolean json;

  Messages(PrintWriter out, boolean json) {
    this.out = out;
    this.json = json;
  }

  void error(ExitCode code, String message) {
    String line =
        message == null ? "unknown error" : message.strip().replaceAll("\\s*\\R\\s*", " ");
    if (json) {
      event("error", fields("message", line, "exitCode", code.code()));
    } else {
      line("javisor: " + line);
    }
  }

  @Override
  public void message(String line) {
    if (json) {
      event("message", Map.of("message", line));
    } else {
      line("javisor: " + line);
    }
  }

  @Override
  public void trace(TraceCategory category, String line) {
    if (json) {
      event("trace", fields("category", category.label(), "message", line));
    } else {
      line(category.label() + ": " + line);
    }
  }

  /** A machine runs in the background. */
  void started(String name, long pid, Path log) {
    if (json) {
      event("started", fields("name", name, "pid", pid, "log", log.toString()));
    } else {
      line("javisor: " + name + " runs, process " + pid + "; what it says is in " + log);
    }
  }

  /** A machine was saved. */
  void saved(String name, Path file, long size) {
    if (json) {
      event("saved", fields("name", name, "file", file.toString(), "size", size));
    } else {
      line(
          String.format(
              Locale.ROOT, "javisor: %s is saved in %s, %.1f MB", name, file, size / 1e6));
    }
  }

  /** A disk was added to a machine. */
  void attached(String name, String id) {
    if (json) {
      event("attached", fields("name", name, "id", id));
    } else {
      line("javisor: " + name + " has the disk " + id);
    }
  }

  /** What another process of this program has said. */
  void verbatim(String text) {
    line(text.stripTrailing());
  }

  /** The end of a guest. In words only if there is something to say. */
  void ended(String outcome, String words, ExitCode code, int exitCode, long instructions) {
    if (json) {
      Map<String, Object> fields =
          fields(
              "outcome", outcome,
              "exitCode", exitCode,
              "meaning", code.name().toLowerCase(Locale.ROOT));
      if (instructions >= 0) {
        fields.put("instructions", instructions);
      }
      if (!words.isEmpty()) {
        fields.put("report", words);
      }
      event("ended", fields);
    } else if (!words.isEmpty()) {
      line(words);
    }
  }

  /** Names and values in turn, in the order given. */
  private static Map<String, Object> fields(Object... namesAndValues) {
    Map<String, Object> fields = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      fields.put((String) namesAndValues[i], namesAndValues[i + 1]);
    }
    return fields;
  }

  /** Writes nested maps, lists and strings as one line of JSON. */
  static String json(Map<String, ?> structure) {
    StringWriter text = new StringWriter();
    try (JsonGenerator generator = JsonFactory.builder().build().createGenerator(text)) {
      write(generator, structure);
    }
    return text.toString();
  }

  private static void write(JsonGenerator generator, Object value) {
    switch (value) {
      case null -> generator.writeNull();
      case Map<?, ?> map -> {
        generator.writeStartObject();
        map.forEach(
            (name, part) -> {
              generator.writeName(String.valueOf(name));
              write(generator, part);
            });
        generator.writeEndObject();
      }
      case Iterable<?> list -> {
        generator.writeStartArray();
        list.forEach(part -> write(generator, part));
        generator.writeEndArray();
      }
      case Boolean b -> generator.writeBoolean(b);
      case Integer i -> generator.writeNumber(i);
      case Long l -> generator.writeNumber(l);
      case Double d -> generator.writeNumber(d);
      default -> generator.writeString(value.toString());
    }
  }

  private void event(String name, Map<String, ?> fields) {
    Map<String, Object> event = new LinkedHashMap<>();
    event.put("event", name);
    event.putAll(fields);
    line(json(event));
  }

  private synchronized void line(String text) {
    out.println(text);
    out.flush();
  }
}

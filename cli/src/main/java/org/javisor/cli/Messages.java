package org.javisor.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Locale;
import java.util.function.Consumer;
import org.javisor.machine.MachineListener;
import org.javisor.machine.TraceCategory;
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
      event(
          "error",
          fields -> {
            fields.writeStringProperty("message", line);
            fields.writeNumberProperty("exitCode", code.code());
          });
    } else {
      line("javisor: " + line);
    }
  }

  @Override
  public void message(String line) {
    if (json) {
      event("message", fields -> fields.writeStringProperty("message", line));
    } else {
      line("javisor: " + line);
    }
  }

  @Override
  public void trace(TraceCategory category, String line) {
    if (json) {
      event(
          "trace",
          fields -> {
            fields.writeStringProperty("category", category.label());
            fields.writeStringProperty("message", line);
          });
    } else {
      line(category.label() + ": " + line);
    }
  }

  /** The end of a guest. In words only if it did not simply power off. */
  void ended(String outcome, String words, ExitCode code, int exitCode, long instructions) {
    if (json) {
      event(
          "ended",
          fields -> {
            fields.writeStringProperty("outcome", outcome);
            fields.writeNumberProperty("exitCode", exitCode);
            fields.writeStringProperty("meaning", code.name().toLowerCase(Locale.ROOT));
            if (instructions >= 0) {
              fields.writeNumberProperty("instructions", instructions);
            }
            if (!words.isEmpty()) {
              fields.writeStringProperty("report", words);
            }
          });
    } else if (!words.isEmpty()) {
      line(words);
    }
  }

  private void event(String name, Consumer<JsonGenerator> fields) {
    StringWriter text = new StringWriter();
    try (JsonGenerator generator = JsonFactory.builder().build().createGenerator(text)) {
      generator.writeStartObject();
      generator.writeStringProperty("event", name);
      fields.accept(generator);
      generator.writeEndObject();
    }
    line(text.toString());
  }

  private synchronized void line(String text) {
    out.println(text);
    out.flush();
  }
}

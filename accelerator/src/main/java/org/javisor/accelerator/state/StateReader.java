package org.javisor.accelerator.state;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** The sections that a {@link StateWriter} collected, each to be taken once. */
public final class StateReader {
  private record Section(String kind, int version, int shape, byte[] payload) {}

  private final Map<String, Section> sections = new LinkedHashMap<>();

  /**
   * Reads all sections and checks their checksums.
   *
   * @throws StateException if this is not a complete sequence of sections
   */
  public StateReader(byte[] bytes) throws StateException {
    Bytes.In in = new Bytes.In(bytes);
    String last = "";
    try {
      while (true) {
        int start = in.position();
        String name = in.getString();
        if (name.isEmpty()) {
          break;
        }
        last = name;
        Section section =
            new Section(in.getString(), in.getInt(), in.getInt(), in.getBytes(in.getLength(1)));
        int end = in.position();
        if (in.getInt() != StateWriter.crc(bytes, start, end)) {
          throw new StateException("the state of '" + name + "' is damaged: wrong checksum");
        }
        if (sections.put(name, section) != null) {
          throw new StateException("the state of '" + name + "' is there twice");
        }
      }
      if (in.getInt() != sections.size() || in.remaining() != 0) {
        throw new StateException("the saved state is damaged: wrong number of parts");
      }
    } catch (StateException e) {
      if (e.getMessage().startsWith("the ")) {
        throw e;
      }
      String where = last.isEmpty() ? "at its beginning" : "at or after '" + last + "'";
      throw new StateException("the saved state is damaged " + where + ": " + e.getMessage(), e);
    }
  }

  /** Whether there is such a section and nobody took it. */
  public boolean has(String name) {
    return sections.containsKey(name);
  }

  /**
   * Takes a section and gives it to its part.
   *
   * @throws StateException if it is missing, of another version, damaged, or the part refuses it
   */
  public <R extends Record> void restore(String name, Snapshottable<R> part)
      throws StateException {
    R state = take(name, part.stateFormat());
    try {
      part.restoreState(state);
    } catch (StateException e) {
      throw refused(name, e);
    }
  }

  /** Takes a section. */
  public <R extends Record> R take(String name, StateFormat<R> format) throws StateException {
    Section section = sections.remove(name);
    if (section == null) {
      throw new StateException("the state of '" + name + "' is missing");
    }
    if (!section.kind.equals(format.kind())) {
      throw new StateException(
          "the state of '" + name + "' is of a " + section.kind + ", a " + format.kind()
              + " was expected");
    }
    if (section.version != format.version() || section.shape != format.shape()) {
      throw new StateException(
          "the state of '" + name + "' has version " + section.version + " (" + hex(section.shape)
              + "), this program reads " + format.version() + " (" + hex(format.shape()) + ")");
    }
    try {
      return format.fromBytes(section.payload);
    } catch (StateException e) {
      throw refused(name, e);
    }
  }

  private static String hex(int shape) {
    return String.format("%08x", shape);
  }

  private static StateException refused(String name, StateException e) {
    return new StateException("the state of '" + name + "' is not valid: " + e.getMessage(), e);
  }

  /**
   * To be called when everything is taken.
   *
   * @throws StateException if there is a section that nobody knows
   */
  public void requireAllTaken() throws StateException {
    Optional<String> left = sections.keySet().stream().findFirst();
    if (left.isPresent()) {
      throw new StateException(
          "the saved state has a '" + left.get() + "', which this machine has not");
    }
  }
}

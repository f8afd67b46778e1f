package org.javisor.accelerator.state;

import java.util.HashSet;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * Collects the sections of a saved state. A section is: name, kind (strings), version, shape (ints),
 * payload (length, bytes), and a CRC32C of all that. An empty name and the number of sections end the
 * sequence.
 */
public final class StateWriter {
  private final Bytes.Out out = new Bytes.Out();
  private final Set<String> names = new HashSet<>();

  /** Adds the present state of a part of the machine. */
  public <R extends Record> void section(String name, Snapshottable<R> part) {
    section(name, part.stateFormat(), part.saveState());
  }

  /** Adds a state that is at hand. */
  public <R extends Record> void section(String name, StateFormat<R> format, R state) {
    if (name.isEmpty() || !names.add(name)) {
      throw new IllegalArgumentException("section '" + name + "': a new name expected");
    }
    Bytes.Out section = new Bytes.Out();
    section.putString(name);
    section.putString(format.kind());
    section.putInt(format.version());
    section.putInt(format.shape());
    byte[] payload = format.toBytes(state);
    section.putInt(payload.length);
    section.putBytes(payload);
    byte[] bytes = section.toByteArray();
    out.putBytes(bytes);
    out.putInt(crc(bytes, 0, bytes.length));
  }

  /** Ends the sequence and returns all of it. */
  public byte[] finish() {
    out.putString("");
    out.putInt(names.size());
    return out.toByteArray();
  }

  static int crc(byte[] bytes, int from, int to) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, to - from);
    return (int) crc.getValue();
  }
}

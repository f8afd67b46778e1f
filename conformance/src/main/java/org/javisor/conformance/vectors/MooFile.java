package org.javisor.conformance.vectors;

import java.io.IOException;
import java.io.InputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.GZIPInputStream;

/**
 * Reads the format MOO of the SingleStepTests: chunks of a tag, a length and contents, in which
 * others may be nested. Source: the repository dbalsom/moo.
 */
final class MooFile {
  /** Registers in the order of a state's bit mask. */
  static final List<String> REGISTERS =
      List.of(
          "ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags");

  private static final int HASH_BYTES = 20;

  private MooFile() {}

  /**
   * Registers and memory before or after an instruction; after it only what has changed.
   *
   * @param memory bytes by address
   */
  record State(Map<String, Integer> registers, Map<Integer, Integer> memory) {}

  /**
   * One recorded instruction.
   *
   * @param exception its vector, or -1
   */
  record Test(
      String name, byte[] code, State before, State after, int exception,
      String hash) {}

  static List<Test> read(Path file) throws IOException {
    byte[] bytes;
    try (InputStream in = Files.newInputStream(file);
        InputStream unpacked = file.toString().endsWith(".gz") ? new GZIPInputStream(in) : in) {
      bytes = unpacked.readAllBytes();
    }
    ByteBuffer all = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    List<Test> tests = new ArrayList<>();
    try {
      boolean first = true;
      while (all.hasRemaining()) {
        String tag = tag(all);
        ByteBuffer contents = contents(all);
        if (first && !tag.equals("MOO ")) {
          throw new IOException(file + " is no MOO file");
        }
        first = false;
        if (tag.equals("TEST")) {
          tests.add(test(contents));
        }
      }
    } catch (BufferUnderflowException | IllegalArgumentException e) {
      throw new IOException(file + " is damaged", e);
    }
    return tests;
  }

  private static String tag(ByteBuffer in) {
    byte[] tag = new byte[4];
    in.get(tag);
    return new String(tag, StandardCharsets.US_ASCII);
  }

  private static ByteBuffer contents(ByteBuffer in) {
    int length = in.getInt();
    ByteBuffer contents = in.slice(in.position(), length).order(ByteOrder.LITTLE_ENDIAN);
    in.position(in.position() + length);
    return contents;
  }

  private static byte[] counted(ByteBuffer in) {
    byte[] bytes = new byte[Math.min(in.getInt(), in.remaining())];
    in.get(bytes);
    return bytes;
  }

  private static Test test(ByteBuffer in) {
    in.getInt(); // its number in the file
    String name = "";
    byte[] code = {};
    State before = null;
    State after = null;
    int exception = -1;
    String hash = "";
    while (in.hasRemaining()) {
      String tag = tag(in);
      ByteBuffer contents = contents(in);
      switch (tag) {
        case "NAME" -> name = new String(counted(contents), StandardCharsets.US_ASCII);
        case "BYTS" -> code = counted(contents);
        case "INIT" -> before = state(contents);
        case "FINA" -> after = state(contents);
        case "EXCP" -> exception = contents.get() & 0xff; // and where it pushed the flags
        case "HASH" -> {
          byte[] digest = new byte[Math.min(HASH_BYTES, contents.remaining())];
          contents.get(digest);
          hash = java.util.HexFormat.of().formatHex(digest);
        }
        default -> {} // bus cycles
      }
    }
    return new Test(name, code, before, after, exception, hash);
  }

  private static State state(ByteBuffer in) {
    Map<String, Integer> registers = new TreeMap<>();
    Map<Integer, Integer> memory = new TreeMap<>();
    while (in.hasRemaining()) {
      String tag = tag(in);
      ByteBuffer contents = contents(in);
      if (tag.equals("REGS")) {
        int mask = contents.getShort();
        for (int i = 0; i < REGISTERS.size(); i++) {
          if ((mask >> i & 1) != 0) {
            registers.put(REGISTERS.get(i), contents.getShort() & 0xffff);
          }
        }
      } else if (tag.equals("RAM ")) {
        int count = contents.getInt();
        for (int i = 0; i < count; i++) {
          int address = contents.getInt();
          memory.put(address, contents.get() & 0xff);
        }
      }
    }
    return new State(registers, memory);
  }
}

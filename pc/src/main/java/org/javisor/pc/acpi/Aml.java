package org.javisor.pc.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Writes ACPI machine language: each method returns the encoding of one term, to be put into others
 * (ACPI specification 6.5, chapter 20). Only what the machine's tables need.
 */
final class Aml {
  private Aml() {}

  static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  private static byte[] bytes(int... values) {
    byte[] out = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      out[i] = (byte) values[i];
    }
    return out;
  }

  /** {@code size} bytes of a number, lowest first. */
  static byte[] little(long value, int size) {
    byte[] out = new byte[size];
    for (int i = 0; i < size; i++) {
      out[i] = (byte) (value >> 8 * i);
    }
    return out;
  }

  // ---- Names and values -------------------------------------------------------------------

  /** A name string such as {@code \_SB.PCI0} or {@code PICF}; segments are padded to four. */
  static byte[] path(String name) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int at = 0;
    while (at < name.length() && (name.charAt(at) == '\\' || name.charAt(at) == '^')) {
      out.write(name.charAt(at++));
    }
    String rest = name.substring(at);
    if (rest.isEmpty()) {
      out.write(0);
      return out.toByteArray();
    }
    String[] segments = rest.split("\\.");
    if (segments.length == 2) {
      out.write(0x2e);
    } else if (segments.length > 2) {
      out.write(0x2f);
      out.write(segments.length);
    }
    for (String segment : segments) {
      if (!segment.matches("[A-Z_][A-Z0-9_]{0,3}")) {
        throw new IllegalArgumentException("not an ACPI name: " + name);
      }
      out.writeBytes((segment + "___").substring(0, 4).getBytes(StandardCharsets.US_ASCII));
    }
    return out.toByteArray();
  }

  static byte[] integer(long value) {
    if (value == 0 || value == 1) {
      return bytes((int) value);
    }
    if (value == -1) {
      return bytes(0xff);
    }
    if (value >>> 8 == 0) {
      return concat(bytes(0x0a), little(value, 1));
    }
    if (value >>> 16 == 0) {
      return concat(bytes(0x0b), little(value, 2));
    }
    if (value >>> 32 == 0) {
      return concat(bytes(0x0c), little(value, 4));
    }
    return concat(bytes(0x0e), little(value, 8));
  }

  static byte[] string(String text) {
    return concat(bytes(0x0d), text.getBytes(StandardCharsets.US_ASCII), bytes(0));
  }

  /** A compressed EISA identifier such as PNP0A03 (6.1.5). */
  static byte[] eisaId(String id) {
    int letters =
        (id.charAt(0) - '@') << 10 | (id.charAt(1) - '@') << 5 | (id.charAt(2) - '@');
    int digits = Integer.parseInt(id.substring(3), 16);
    return concat(
        bytes(0x0c), bytes(letters >> 8, letters & 0xff, digits >> 8 & 0xff, digits & 0xff));
  }

  static byte[] argument(int number) {
    return bytes(0x68 + number);
  }

  /** A package length: one to four bytes that count themselves too (20.2.4). */
  private static byte[] sized(byte[] content) {
    if (content.length + 1 < 0x40) {
      return concat(bytes(content.length + 1), content);
    }
    int more = content.length + 2 < 1 << 12 ? 1 : content.length + 3 < 1 << 20 ? 2 : 3;
    long length = content.length + 1L + more;
    return concat(bytes((int) (length & 15) | more << 6), little(length >> 4, more), content);
  }

  static byte[] buffer(byte[] content) {
    return concat(bytes(0x11), sized(concat(integer(content.length), content)));
  }

  /** A package of at most 255 elements. */
  static byte[] pack(byte[]... elements) {
    return concat(bytes(0x12), sized(concat(bytes(elements.length), concat(elements))));
  }

  // ---- Named objects ----------------------------------------------------------------------

  static byte[] scope(String name, byte[]... terms) {
    return concat(bytes(0x10), sized(concat(path(name), concat(terms))));
  }

  static byte[] device(String name, byte[]... terms) {
    return concat(bytes(0x5b, 0x82), sized(concat(path(name), concat(terms))));
  }

  static byte[] name(String name, byte[] value) {
    return concat(bytes(0x08), path(name), value);
  }

  static byte[] method(String name, int arguments, byte[]... terms) {
    return concat(bytes(0x14), sized(concat(path(name), bytes(arguments), concat(terms))));
  }

  /** A range of ports that fields are in. */
  static byte[] portRegion(String name, int first, int count) {
    return concat(bytes(0x5b, 0x80), path(name), bytes(1), integer(first), integer(count));
  }

  /** Fields of 32 bits each, one after the other, in a region. */
  static byte[] words(String region, String... names) {
    byte[] fields = new byte[0];
    for (String name : names) {
      fields = concat(fields, path(name), bytes(32));
    }
    return concat(bytes(0x5b, 0x81), sized(concat(path(region), bytes(3), fields)));
  }

  // ---- Statements -------------------------------------------------------------------------

  static byte[] store(byte[] value, byte[] target) {
    return concat(bytes(0x70), value, target);
  }

  static byte[] local(int number) {
    return bytes(0x60 + number);
  }

  static byte[] and(byte[] one, byte[] other) {
    return concat(bytes(0x7b), one, other, bytes(0));
  }

  static byte[] notify(String object, int value) {
    return concat(bytes(0x86), path(object), integer(value));
  }

  static byte[] call(String method) {
    return path(method);
  }

  static byte[] ret(byte[] value) {
    return concat(bytes(0xa4), value);
  }

  static byte[] when(byte[] condition, byte[]... terms) {
    return concat(bytes(0xa0), sized(concat(condition, concat(terms))));
  }

  // ---- Resources (6.4) --------------------------------------------------------------------

  /** A resource template: descriptors and the end tag. */
  static byte[] resources(byte[]... descriptors) {
    return buffer(concat(concat(descriptors), bytes(0x79, 0)));
  }

  /** Fixed ports, all 16 address bits decoded. */
  static byte[] ports(int first, int count) {
    return concat(bytes(0x47, 1), little(first, 2), little(first, 2), bytes(1, count));
  }

  /** An edge-triggered, active-high ISA interrupt. */
  static byte[] irq(int number) {
    return concat(bytes(0x22), little(1L << number, 2));
  }

  static byte[] fixedMemory(long first, long size, boolean writable) {
    return concat(bytes(0x86, 9, 0, writable ? 1 : 0), little(first, 4), little(size, 4));
  }

  private static final int MEMORY = 0;
  private static final int IO = 1;
  private static final int BUS = 2;

  /** Producer, positive decode, both ends fixed. */
  private static byte[] window(int tag, int width, int type, int flags, long first, long last) {
    return concat(
        bytes(tag),
        little(3 + 5L * width, 2),
        bytes(type, 0x0c, flags),
        little(0, width),
        little(first, width),
        little(last, width),
        little(0, width),
        little(last - first + 1, width));
  }

  static byte[] busNumbers(int first, int last) {
    return window(0x88, 2, BUS, 0, first, last);
  }

  static byte[] portWindow(int first, int last) {
    return window(0x88, 2, IO, 3, first, last); // ISA and non-ISA addresses
  }

  static byte[] memoryWindow(long first, long last) {
    return window(0x87, 4, MEMORY, 1, first, last); // read-write, not cached
  }

  static byte[] memoryWindow64(long first, long last) {
    return window(0x8a, 8, MEMORY, 1, first, last);
  }
}

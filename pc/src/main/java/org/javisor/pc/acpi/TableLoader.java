package org.javisor.pc.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The commands of the table loader, a file of the firmware configuration device: firmware carries
 * them out in their order to place ACPI tables where it has room (QEMU's public source, {@code
 * bios-linker-loader}). A command has 128 bytes; what is behind its fields is zero.
 */
final class TableLoader {
  /** Places for a file: anywhere high, or in the BIOS segment, where the root pointer is sought. */
  static final int HIGH = 1;

  static final int BIOS_SEGMENT = 2;

  private static final int SIZE = 128;
  private static final int NAME = 56;
  private static final int ALLOCATE = 1;
  private static final int ADD_POINTER = 2;
  private static final int ADD_CHECKSUM = 3;

  private final ByteArrayOutputStream commands = new ByteArrayOutputStream();

  /** Loads a file into memory of its own. */
  void allocate(String file, int alignment, int zone) {
    ByteBuffer command = command(ALLOCATE, file);
    command.putInt(alignment).put((byte) zone);
    finish(command);
  }

  /** Adds the address of file {@code to} to a field of file {@code in}. */
  void pointer(String in, String to, int offset, int size) {
    ByteBuffer command = command(ADD_POINTER, in);
    name(command, to);
    command.putInt(offset).put((byte) size);
    finish(command);
  }

  /** Sets the byte at {@code at} so that {@code length} bytes from {@code start} sum up to 0. */
  void checksum(String file, int at, int start, int length) {
    ByteBuffer command = command(ADD_CHECKSUM, file);
    command.putInt(at).putInt(start).putInt(length);
    finish(command);
  }

  byte[] bytes() {
    return commands.toByteArray();
  }

  private static ByteBuffer command(int code, String file) {
    ByteBuffer command = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
    command.putInt(code);
    name(command, file);
    return command;
  }

  private static void name(ByteBuffer command, String file) {
    int end = command.position() + NAME;
    command.put(file.getBytes(StandardCharsets.US_ASCII)).position(end);
  }

  private void finish(ByteBuffer command) {
    commands.writeBytes(command.array());
  }
}

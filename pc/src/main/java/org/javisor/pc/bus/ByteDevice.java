package org.javisor.pc.bus;

/**
 * A device with 8-bit registers only, as most of the ISA bus: the bus splits wider accesses into
 * bytes at consecutive offsets, lowest first, as the ISA bridge does.
 */
public interface ByteDevice extends PortDevice {
  /** Reads a register: 0 to 255. */
  int read(int offset);

  /** Writes a register; {@code value} is 0 to 255. */
  void write(int offset, int value);

  @Override
  default int read(int offset, int size) {
    int value = 0;
    for (int i = 0; i < size; i++) {
      value |= (read(offset + i) & 0xff) << 8 * i;
    }
    return value;
  }

  @Override
  default void write(int offset, int size, int value) {
    for (int i = 0; i < size; i++) {
      write(offset + i, value >>> 8 * i & 0xff);
    }
  }
}

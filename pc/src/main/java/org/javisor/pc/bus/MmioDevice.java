package org.javisor.pc.bus;

/**
 * A device in the memory space. It sees offsets into the range it was given, never addresses. Sizes
 * are 1, 2, 4 or 8 bytes, offsets may be unaligned, and an access never reaches outside the range.
 * Called on vCPU threads, several at a time; must not block.
 */
public interface MmioDevice {
  long read(long offset, int size);

  void write(long offset, int size, long value);
}

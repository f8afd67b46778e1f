package org.javisor.pc.bus;

/**
 * A device on the port bus. It sees offsets into the range it was given, never port numbers. Sizes
 * are 1, 2 or 4 bytes and an access never reaches outside the range. Called on vCPU threads,
 * several at a time; must not block.
 */
public interface PortDevice {
  int read(int offset, int size);

  void write(int offset, int size, int value);
}

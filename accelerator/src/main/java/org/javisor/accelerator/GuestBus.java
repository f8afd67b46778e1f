package org.javisor.accelerator;

/**
 * Where the guest's port and memory-mapped I/O goes. Called on vCPU threads, several at a time;
 * implementations do not block, but within {@link Vcpu#waitOutside}. Sizes are in bytes; values are
 * zero extended.
 */
public interface GuestBus {
  /** Reads 1, 2 or 4 bytes from a port; ports nobody answers read as all ones. */
  int readPort(int port, int size);

  /** Writes 1, 2 or 4 bytes to a port. */
  void writePort(int port, int size, int value);

  /** Reads 1, 2, 4 or 8 bytes of device memory; what nobody answers reads as all ones. */
  long readMmio(long gpa, int size);

  /** Writes 1, 2, 4 or 8 bytes of device memory. */
  void writeMmio(long gpa, int size, long value);
}

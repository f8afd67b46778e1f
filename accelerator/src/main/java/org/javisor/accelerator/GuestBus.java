package org.javisor.accelerator;

/**
 * Where the guest's port and memory-mapped I/O goes. Called on vCPU threads, several at a time;
 * implementations do not block, but within {@link Vcpu#waitOutside}. Sizes are in bytes; values are
 * zero extended.
 */
public interface GuestBus {
  /** Reads 1, 2 or 4 bytes from a port; ports nobody answers read as all ones. */
  int readPort(int port, int size);

  /**
   * Has a device that can fill memory with what repeated reads of a port give do that.
   *
   * @param gpa where the first element goes; all are in one page of RAM
   * @return how many elements are there now; 0 if the reads are to be made one by one
   */
  default int readPort(int port, int size, int count, long gpa) {
    return 0;
  }

  /** Writes 1, 2 or 4 bytes to a port. */
  void writePort(int port, int size, int value);

  /** Reads 1, 2, 4 or 8 bytes of device memory; what nobody answers reads as all ones. */
  long readMmio(long gpa, int size);

  /** Writes 1, 2, 4 or 8 bytes of device memory. */
  void writeMmio(long gpa, int size, long value);
}

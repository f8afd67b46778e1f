package org.javisor.pc.bus;

/**
 * A device on the port bus. It sees offsets into the range it was given, never port numbers. Sizes
 * are 1, 2 or 4 bytes and an access never reaches outside the range. Called on vCPU threads,
 * several at a time; must not block.
 */
public interface PortDevice {
  int read(int offset, int size);

  /**
   * Fills memory with what repeated reads give.
   *
   * @param gpa where the first element goes; all are in one page of RAM
   * @return how many elements are there now; 0 if the reads are to be made one by one
   */
  default int read(int offset, int size, int count, long gpa) {
    return 0;
  }

  void write(int offset, int size, int value);
}

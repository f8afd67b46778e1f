package org.javisor.accelerator;

/** A bus with nothing on it, for vCPUs that are run alone; whoever wants a device overrides. */
public interface EmptyBus extends GuestBus {
  @Override
  default int readPort(int port, int size) {
    return -1;
  }

  @Override
  default void writePort(int port, int size, int value) {}

  @Override
  default long readMmio(long gpa, int size) {
    return -1;
  }

  @Override
  default void writeMmio(long gpa, int size, long value) {}
}

package org.javisor.pc.bus;

/**
 * Guest writes that need no answer taken off the vCPU that makes them, where an accelerator can do
 * that: the vCPU goes on at once, and the device does its work on another thread. A doorbell is an
 * offer; the device answers the same write on the bus, where the others come. Any thread.
 */
public interface Doorbells {
  /** For accelerators that cannot: all writes come by the bus. */
  Doorbells NONE =
      new Doorbells() {
        @Override
        public Bell memory(long gpa, Runnable ring) {
          return () -> {};
        }

        @Override
        public Bell port(int port, int size, int value, Runnable ring) {
          return () -> {};
        }
      };

  /** A doorbell that hangs. */
  @FunctionalInterface
  interface Bell {
    /** Takes it off. It may ring once more, for a write from before. */
    void remove();
  }

  /**
   * Hangs one for writes of any value to device memory.
   *
   * @param ring called after one write or more; does not block
   */
  Bell memory(long gpa, Runnable ring);

  /** Hangs one for writes of one value, of {@code size} bytes, to a port. */
  Bell port(int port, int size, int value, Runnable ring);
}

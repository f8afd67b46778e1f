package org.javisor.machine.console;

/** The device's end of a serial line. May be called from any thread. */
public interface ConsolePort {
  /**
   * Offers input to the guest.
   *
   * @return how many bytes were taken; the rest is to be offered again after {@link
   *     Console#inputReady}
   */
  int receive(byte[] source, int offset, int length);

  /** The console takes output again after it refused a byte. */
  void outputReady();

  /** Puts a break condition on the line: SysRq for a Linux console. */
  default void receiveBreak() {}
}

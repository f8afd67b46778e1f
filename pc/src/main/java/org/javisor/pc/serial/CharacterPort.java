package org.javisor.pc.serial;

/** The device's end of a serial line. May be called from any thread. */
public interface CharacterPort {
  /**
   * Offers input to the guest.
   *
   * @return how many bytes were taken; the rest is to be offered again after {@link
   *     CharacterBackend#inputReady}
   */
  int receive(byte[] source, int offset, int length);

  /** The back end takes output again after it refused a byte. */
  void outputReady();

  /** Puts a break condition on the line: SysRq for a Linux console. */
  default void receiveBreak() {}
}

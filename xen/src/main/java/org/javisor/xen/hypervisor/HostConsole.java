package org.javisor.xen.hypervisor;

import java.util.function.Consumer;

/**
 * The terminal of the host: what the privileged domain writes goes there as it is, and what is typed
 * there waits until that domain reads it.
 */
public final class HostConsole {
  private static final int CAPACITY = 4096;

  private final byte[] typed = new byte[CAPACITY];
  private int first;
  private int count;
  private boolean refused;
  private volatile Runnable room = () -> {};
  private volatile Consumer<byte[]> output = bytes -> {};
  private volatile Runnable inputWaits = () -> {};

  HostConsole() {}

  /** Has output shown; called on vCPU threads, one at a time for each vCPU. */
  public void show(Consumer<byte[]> to) {
    output = to;
  }

  void onInput(Runnable listener) {
    inputWaits = listener;
  }

  /** Has something run when there is room again for what was typed and not taken. */
  public void onRoom(Runnable listener) {
    room = listener;
  }

  /**
   * Types.
   *
   * @return how many bytes were taken; for the rest there is no room
   */
  public int type(byte[] bytes) {
    int taken;
    synchronized (this) {
      taken = Math.min(bytes.length, CAPACITY - count);
      refused = taken < bytes.length;
      for (int i = 0; i < taken; i++) {
        typed[(first + count + i) % CAPACITY] = bytes[i];
      }
      count += taken;
    }
    inputWaits.run();
    return taken;
  }

  /** Takes what was typed, up to so many bytes. */
  byte[] read(int most) {
    byte[] bytes;
    boolean tell;
    synchronized (this) {
      bytes = new byte[Math.min(most, count)];
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] = typed[(first + i) % CAPACITY];
      }
      first = (first + bytes.length) % CAPACITY;
      count -= bytes.length;
      tell = refused && bytes.length > 0;
      refused &= !tell;
    }
    if (tell) {
      room.run();
    }
    return bytes;
  }

  void write(byte[] bytes) {
    output.accept(bytes);
  }
}

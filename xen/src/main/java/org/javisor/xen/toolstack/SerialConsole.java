package org.javisor.xen.toolstack;

import java.util.Arrays;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.serial.CharacterPort;
import org.javisor.xen.backend.BackendLoop;

/** The far end of an HVM domain's first serial line: a console like the PV one. */
final class SerialConsole implements CharacterBackend {
  private static final int OUTPUT = 16 << 10;

  /** Typed bytes that wait for the guest; more are lost. */
  private static final int MOST_TYPED = 16 << 10;

  private final DomainConsole console;
  private final Runnable flush;
  private final Runnable feed;

  // Under this object's lock.
  private final byte[] output = new byte[OUTPUT];
  private int waiting;
  private boolean refused;
  private byte[] typed = {};
  private volatile CharacterPort port;

  SerialConsole(DomainConsole console, BackendLoop loop) {
    this.console = console;
    flush = loop.doorbell(this::flush);
    feed = loop.doorbell(this::feed);
    console.connect(this::type);
  }

  @Override
  public void attach(CharacterPort device) {
    port = device;
  }

  @Override
  public boolean write(int value) {
    synchronized (this) {
      if (waiting == OUTPUT) {
        refused = true;
        return false;
      }
      output[waiting++] = (byte) value;
    }
    flush.run();
    return true;
  }

  private void flush() {
    byte[] bytes;
    boolean again;
    synchronized (this) {
      bytes = Arrays.copyOf(output, waiting);
      waiting = 0;
      again = refused;
      refused = false;
    }
    if (bytes.length > 0) {
      console.write(bytes, bytes.length);
    }
    if (again) {
      port.outputReady();
    }
  }

  private void type(byte[] more) {
    synchronized (this) {
      int taken = Math.min(more.length, MOST_TYPED - typed.length);
      byte[] all = Arrays.copyOf(typed, typed.length + taken);
      System.arraycopy(more, 0, all, typed.length, taken);
      typed = all;
    }
    feed.run();
  }

  @Override
  public void inputReady() {
    feed.run();
  }

  /** On the back ends' thread alone, so that bytes stay in their order. */
  private void feed() {
    byte[] bytes;
    synchronized (this) {
      bytes = typed;
    }
    if (bytes.length == 0) {
      return;
    }
    int taken = port.receive(bytes, 0, bytes.length);
    synchronized (this) {
      typed = Arrays.copyOfRange(typed, taken, typed.length);
    }
  }
}

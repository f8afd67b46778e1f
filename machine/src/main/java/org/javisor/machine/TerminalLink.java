package org.javisor.machine;

import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsolePort;

/**
 * What is between a console and the terminal of a host with a domain 0, whichever runs: domain 0 may
 * start again and find the same console.
 */
public final class TerminalLink implements ConsolePort {
  /** What a domain 0 may write ahead of a slow console; more than that is lost. */
  private static final int MOST_WAITING = 1 << 20;

  private final Console console;
  private Dom0Machine machine;

  // A ring of what waits; under this object's lock.
  private final byte[] waiting = new byte[MOST_WAITING];
  private int first;
  private int count;

  /** Attaches to a console, which its owner closes. */
  public TerminalLink(Console console) {
    this.console = console;
    console.attach(this);
  }

  /** Has what is typed go to a host. */
  public void connect(Dom0Machine host) {
    synchronized (this) {
      machine = host;
    }
    host.hypervisor().terminal().onRoom(console::inputReady);
    console.inputReady();
  }

  /** Shows output. */
  public synchronized void show(byte[] bytes) {
    for (int i = 0; i < bytes.length && count < MOST_WAITING; i++) {
      waiting[(first + count++) % MOST_WAITING] = bytes[i];
    }
    drain();
  }

  private void drain() {
    while (count > 0 && console.write(waiting[first] & 0xff)) {
      first = (first + 1) % MOST_WAITING;
      count--;
    }
  }

  @Override
  public synchronized void outputReady() {
    drain();
  }

  @Override
  public int receive(byte[] source, int offset, int length) {
    Dom0Machine host;
    synchronized (this) {
      host = machine;
    }
    if (host == null) {
      return 0;
    }
    byte[] typed = new byte[length];
    System.arraycopy(source, offset, typed, 0, length);
    return host.type(typed);
  }
}

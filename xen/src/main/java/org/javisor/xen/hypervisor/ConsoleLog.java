package org.javisor.xen.hypervisor;

import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/** The hypervisor's console: a ring of what it and the domains have said, as {@code xl dmesg} shows. */
public final class ConsoleLog {
  private static final int CAPACITY = 64 << 10;

  private final StringBuilder ring = new StringBuilder();
  private long dropped;
  private Consumer<String> listener = line -> {};

  ConsoleLog() {
    log("(XEN) Javisor's hypervisor, version " + Hypervisor.VERSION_MAJOR + "."
        + Hypervisor.VERSION_MINOR + Hypervisor.VERSION_EXTRA);
  }

  /** Has each line told as it comes; one that is slow slows a vCPU. */
  public synchronized void listen(Consumer<String> to) {
    listener = to;
  }

  /** Adds a line. */
  public synchronized void log(String line) {
    ring.append(line).append('\n');
    if (ring.length() > CAPACITY) {
      int end = ring.indexOf("\n", ring.length() - CAPACITY) + 1;
      ring.delete(0, end);
      dropped += end;
    }
    listener.accept(line);
  }

  /** Adds what a domain wrote, line by line; what a terminal might obey is taken out. */
  void fromDomain(Domain domain, byte[] text, int length) {
    String all = new String(text, 0, length, StandardCharsets.ISO_8859_1);
    all.lines()
        .map(l -> l.replaceAll("\\p{Cntrl}", ""))
        .filter(l -> !l.isEmpty())
        .forEach(l -> log("(d" + domain.id() + ") " + l));
  }

  /** All that is still there. */
  public synchronized String text() {
    return ring.toString();
  }

  /** How many characters there were that are not there any more. */
  public synchronized long dropped() {
    return dropped;
  }

  public synchronized void clear() {
    dropped += ring.length();
    ring.setLength(0);
  }
}

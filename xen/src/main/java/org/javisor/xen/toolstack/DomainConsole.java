package org.javisor.xen.toolstack;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * What a domain's console shows, and who looks at it. Output that nobody has seen yet is kept, up to
 * a bound; who comes first sees it. What is typed goes to the domain that has the console now.
 */
final class DomainConsole {
  private static final int UNSEEN = 64 << 10;

  private final List<Consumer<byte[]>> viewers = new ArrayList<>();
  private byte[] unseen = {};
  private volatile Consumer<byte[]> keyboard = typed -> {};

  /** Has a domain take what is typed, instead of the one before. It must not block. */
  void connect(Consumer<byte[]> typed) {
    keyboard = typed;
  }

  void type(byte[] typed) {
    keyboard.accept(typed);
  }

  /** Takes all of it. A viewer must not block. */
  synchronized int write(byte[] source, int length) {
    byte[] bytes = Arrays.copyOf(source, length);
    if (viewers.isEmpty()) {
      byte[] all = Arrays.copyOf(unseen, unseen.length + length);
      System.arraycopy(bytes, 0, all, unseen.length, length);
      unseen =
          all.length > UNSEEN ? Arrays.copyOfRange(all, all.length - UNSEEN, all.length) : all;
    } else {
      viewers.forEach(v -> v.accept(bytes));
    }
    return length;
  }

  synchronized void attach(Consumer<byte[]> viewer) {
    if (unseen.length > 0) {
      viewer.accept(unseen);
      unseen = new byte[0];
    }
    viewers.add(viewer);
  }

  synchronized void detach(Consumer<byte[]> viewer) {
    viewers.remove(viewer);
  }
}

package org.javisor.xen.backend;

import java.util.ArrayDeque;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.GrantMapping;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.hypervisor.HostChannel;

/** A domain's console: two rings of bytes in a page (public/io/console.h). */
public final class ConsoleBackend implements AutoCloseable {
  private static final int IN = 0;
  private static final int IN_SIZE = 1024;
  private static final int OUT = IN_SIZE;
  private static final int OUT_SIZE = 2048;
  private static final int IN_CONS = IN_SIZE + OUT_SIZE;
  private static final int IN_PROD = IN_CONS + 4;
  private static final int OUT_CONS = IN_CONS + 8;
  private static final int OUT_PROD = IN_CONS + 12;

  /** Typed bytes that wait for the guest; more are lost, as on a serial line. */
  private static final int MOST_TYPED = 16 << 10;

  /** Where a console's output goes. Called on the back ends' thread; does not block. */
  @FunctionalInterface
  public interface Output {
    /** Takes bytes; those it does not take are offered again after {@link ConsoleBackend#ready}. */
    int write(byte[] source, int length);
  }

  private final GrantMapping page;
  private final Output output;
  private final Runnable doorbell;
  private final HostChannel channel;
  private final ArrayDeque<Byte> typed = new ArrayDeque<>();
  private boolean closed;

  /**
   * Connects a domain's console.
   *
   * @throws GrantTable.Refused if there is no such page
   */
  public ConsoleBackend(Domain domain, int reference, int port, Output output, BackendLoop loop)
      throws GrantTable.Refused {
    page = domain.grants().map(reference, true);
    this.output = output;
    doorbell = loop.doorbell(this::work);
    channel = domain.events().bindHost(port, doorbell);
    if (channel == null) {
      page.close();
      throw new IllegalArgumentException("port " + port + " does not wait for domain 0");
    }
  }

  /** The output takes bytes again. From any thread. */
  public void ready() {
    doorbell.run();
  }

  /** Types something. From any thread. */
  public void type(byte[] source, int length) {
    synchronized (typed) {
      for (int i = 0; i < length && typed.size() < MOST_TYPED; i++) {
        typed.add(source[i]);
      }
    }
    doorbell.run();
  }

  private void work() {
    if (!closed && (takeOutput() | giveInput())) {
      channel.notifyGuest();
    }
  }

  private boolean takeOutput() {
    boolean moved = false;
    while (true) {
      int producer = page.getIndex(OUT_PROD);
      int consumer = page.get32(OUT_CONS);
      int available = producer - consumer;
      if (available <= 0 || available > OUT_SIZE) {
        return moved;
      }
      int at = consumer & OUT_SIZE - 1;
      byte[] bytes = new byte[Math.min(available, OUT_SIZE - at)];
      page.read(OUT + at, bytes, 0, bytes.length);
      int taken = output.write(bytes, bytes.length);
      if (taken == 0) {
        return moved;
      }
      page.putIndex(OUT_CONS, consumer + taken);
      moved = true;
    }
  }

  private boolean giveInput() {
    boolean moved = false;
    int producer = page.get32(IN_PROD);
    int room = IN_SIZE - (producer - page.getIndex(IN_CONS));
    synchronized (typed) {
      while (room > 0 && room <= IN_SIZE && !typed.isEmpty()) {
        page.put8(IN + (producer & IN_SIZE - 1), typed.poll());
        producer++;
        room--;
        moved = true;
      }
    }
    if (moved) {
      page.putIndex(IN_PROD, producer);
    }
    return moved;
  }

  /** On the back ends' thread. */
  @Override
  public void close() {
    if (!closed) {
      takeOutput();
      closed = true;
      channel.close();
      page.close();
    }
  }
}

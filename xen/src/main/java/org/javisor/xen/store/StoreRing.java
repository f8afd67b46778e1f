package org.javisor.xen.store;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Set;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.GrantMapping;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.hypervisor.HostChannel;

/**
 * A domain's connection: a ring of requests and one of answers in a shared page ({@code struct
 * xenstore_domain_interface}).
 *
 * <p>The guest may write anything into it, at any time: indices are read once and checked, and what
 * is queued for a guest that does not read is bounded.
 */
public final class StoreRing implements AutoCloseable {
  private static final int RING = 1024;
  private static final int RESPONSES = RING;
  private static final int REQ_CONS = 2 * RING;
  private static final int REQ_PROD = REQ_CONS + 4;
  private static final int RSP_CONS = REQ_CONS + 8;
  private static final int RSP_PROD = REQ_CONS + 12;
  private static final int CONNECTION = REQ_CONS + 20;

  /** While so many bytes wait for the guest, its requests wait, too. */
  private static final int MANY_BYTES = 16 << 10;

  /** Watch events that wait; more are forgotten, by a guest that does not read. */
  private static final int MOST_EVENTS = 1024;

  private final GrantMapping page;
  private final StoreSession session;
  private final HostChannel channel;
  private final Runnable doorbell;

  private final byte[] in = new byte[Message.HEADER + Message.LONGEST];
  private int inLength;
  private boolean broken;

  // What is to be sent; under this lock, which is taken after the store's.
  private final Object outLock = new Object();
  private final ArrayDeque<byte[]> out = new ArrayDeque<>();
  private final Set<String> eventsWaiting = new LinkedHashSet<>();
  private int outBytes;
  private int outOffset;

  /**
   * Connects a domain.
   *
   * @param reference the grant of its page
   * @param port the event channel it waits at
   * @param doorbell has {@link #work} called soon, on one thread
   * @throws GrantTable.Refused if there is no such page
   */
  public StoreRing(Store store, Domain domain, int reference, int port, Runnable doorbell)
      throws GrantTable.Refused {
    page = domain.grants().map(reference, true);
    this.doorbell = doorbell;
    session = new StoreSession(store, domain.id(), this::send);
    channel = domain.events().bindHost(port, doorbell);
    if (channel == null) {
      page.close();
      throw new IllegalArgumentException("port " + port + " does not wait for domain 0");
    }
    page.put32(CONNECTION, 0);
  }

  private void send(Message message) {
    byte[] bytes = message.encode();
    synchronized (outLock) {
      if (message.type() == Message.WATCH_EVENT) {
        // An event that waits already says the same.
        String key = Arrays.toString(message.payload());
        if (eventsWaiting.size() >= MOST_EVENTS || !eventsWaiting.add(key)) {
          return;
        }
      }
      out.add(bytes);
      outBytes += bytes.length;
    }
    doorbell.run();
  }

  /** Moves bytes in both directions and serves requests. On one thread at a time. */
  public void work() {
    if (broken) {
      return;
    }
    boolean moved = drain();
    for (int n = 0; n < 64 && !crowded(); n++) {
      Message request = receive();
      if (request == null) {
        break;
      }
      moved = true;
      session.handle(request);
      moved |= drain();
    }
    if (moved) {
      channel.notifyGuest();
      doorbell.run(); // There may be more; it ends when nothing moves.
    }
  }

  private boolean crowded() {
    synchronized (outLock) {
      return outBytes > MANY_BYTES;
    }
  }

  /** Takes the next whole request out of the ring, or null if there is none yet. */
  private Message receive() {
    while (true) {
      if (inLength >= Message.HEADER) {
        long length = Message.payloadLength(in);
        if (length > Message.LONGEST) {
          broken = true; // It has lost its way in its own stream; nothing after it makes sense.
          return null;
        }
        if (inLength == Message.HEADER + length) {
          inLength = 0;
          return Message.of(
              in, Arrays.copyOfRange(in, Message.HEADER, Message.HEADER + (int) length));
        }
      }
      int want =
          inLength < Message.HEADER
              ? Message.HEADER - inLength
              : Message.HEADER + (int) Message.payloadLength(in) - inLength;
      int got = take(want);
      if (got == 0) {
        return null;
      }
      inLength += got;
    }
  }

  private int take(int want) {
    int producer = page.getIndex(REQ_PROD);
    int consumer = page.get32(REQ_CONS);
    int available = producer - consumer;
    if (available <= 0 || available > RING) {
      return 0;
    }
    int at = consumer & RING - 1;
    int count = Math.min(Math.min(want, available), RING - at);
    page.read(at, in, inLength, count);
    page.putIndex(REQ_CONS, consumer + count);
    return count;
  }

  private boolean drain() {
    boolean moved = false;
    synchronized (outLock) {
      while (!out.isEmpty()) {
        int producer = page.get32(RSP_PROD);
        int room = RING - (producer - page.getIndex(RSP_CONS));
        if (room <= 0 || room > RING) {
          break;
        }
        byte[] bytes = out.peek();
        int at = producer & RING - 1;
        int count = Math.min(Math.min(room, RING - at), bytes.length - outOffset);
        page.write(RESPONSES + at, bytes, outOffset, count);
        page.putIndex(RSP_PROD, producer + count);
        moved = true;
        outOffset += count;
        outBytes -= count;
        if (outOffset == bytes.length) {
          outOffset = 0;
          out.poll();
          if (bytes[0] == Message.WATCH_EVENT) {
            eventsWaiting.remove(
                Arrays.toString(Arrays.copyOfRange(bytes, Message.HEADER, bytes.length)));
          }
        }
      }
    }
    return moved;
  }

  @Override
  public void close() {
    broken = true;
    session.close();
    channel.close();
    page.close();
  }
}

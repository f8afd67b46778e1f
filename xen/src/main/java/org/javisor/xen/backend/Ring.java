package org.javisor.xen.backend;

import org.javisor.xen.hypervisor.GrantMapping;

/**
 * The back end's half of a ring of requests and responses in one shared page (public/io/ring.h):
 * four indices, then the slots, each of which holds a request or a response.
 *
 * <p>Not safe for several threads; who shares it, locks.
 */
final class Ring implements AutoCloseable {
  private static final int REQ_PROD = 0;
  private static final int REQ_EVENT = 4;
  private static final int RSP_PROD = 8;
  private static final int RSP_EVENT = 12;
  private static final int SLOTS = 64;

  private final GrantMapping page;
  private final int slotSize;
  private final int size;
  private int consumed;
  private int produced;

  Ring(GrantMapping page, int slotSize) {
    this.page = page;
    this.slotSize = slotSize;
    size = Integer.highestOneBit((GrantMapping.SIZE - SLOTS) / slotSize);
    // A front end that connects anew begins at zero; one that was here before goes on.
    consumed = page.get32(RSP_PROD);
    produced = consumed;
  }

  int size() {
    return size;
  }

  /** How many of its slots hold requests that have not been answered, for a person: racy. */
  String occupancy() {
    return page.getIndex(REQ_PROD) - produced + "/" + size;
  }

  private int slot(int index) {
    return SLOTS + (index & size - 1) * slotSize;
  }

  /** Requests that are there; never more than the ring holds, whatever the guest says. */
  int available() {
    int there = page.getIndex(REQ_PROD) - consumed;
    // What it has not been answered, it cannot have filled again.
    int room = size - (consumed - produced);
    return there < 0 || there > size ? 0 : Math.min(there, Math.max(room, 0));
  }

  /** Copies a request that is {@link #available}, the first at 0, without taking it. */
  void peek(int ahead, byte[] target) {
    page.read(slot(consumed + ahead), target, 0, slotSize);
  }

  /** Takes requests off the ring. */
  void consume(int count) {
    consumed += count;
  }

  /** Asks to be told when there are {@code more} requests beyond those taken. */
  void askForEvent(int more) {
    page.putIndex(REQ_EVENT, consumed + more);
  }

  /** Writes the next response, at once unseen by the guest. */
  void respond(byte[] response) {
    page.write(slot(produced), response, 0, response.length);
    produced++;
  }

  /** Shows the guest what has been written; returns whether it wants to be told. */
  boolean push() {
    int old = page.get32(RSP_PROD);
    page.putIndex(RSP_PROD, produced);
    int event = page.getIndex(RSP_EVENT);
    return Integer.compareUnsigned(produced - event, produced - old) < 0;
  }

  @Override
  public void close() {
    page.close();
  }
}

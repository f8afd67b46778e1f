package org.javisor.virtio.net;

import static org.javisor.virtio.net.NetLayout.*;

import org.javisor.memory.GuestMemory;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/**
 * Carries out what the driver asks on the control queue (VirtIO 1.2, section 5.1.6.5). On the
 * network's thread.
 */
final class ControlQueue {
  /** Bytes of the longest command: more addresses than this nobody has. */
  private static final int MAX_TABLE = 4096;

  private final VirtioNet card;
  private final Chain chain;

  ControlQueue(VirtioNet card, GuestMemory memory) {
    this.card = card;
    chain = new Chain(memory);
  }

  void serve(Session session, Virtqueue queue) throws DriverFault {
    boolean done = false;
    do {
      queue.suppress();
      while (queue.pop(chain)) {
        if (chain.writableBytes() < 1) {
          throw new DriverFault("a command without room for its answer");
        }
        chain.write8(0, command(session) ? OK : ERR);
        queue.push(chain.head(), 1);
        done = true;
      }
    } while (queue.rearm());
    if (done) {
      session.publish(queue);
    }
  }

  private boolean command(Session session) throws DriverFault {
    if (chain.readableBytes() < 3) {
      return false;
    }
    int command = chain.read8(1);
    return switch (chain.read8(0)) {
      case CTRL_RX -> receive(session, command, chain.read8(2) != 0);
      case CTRL_MAC -> mac(session, command);
      case CTRL_VLAN -> vlan(session, command);
      case CTRL_GUEST_OFFLOADS -> offloads(session, command);
      default -> false;
    };
  }

  private boolean receive(Session session, int command, boolean on) {
    ReceiveFilter filter = card.filter();
    boolean extra = command > CTRL_RX_ALLMULTI;
    if (!session.has(extra ? F_CTRL_RX_EXTRA : F_CTRL_RX)) {
      return false;
    }
    switch (command) {
      case CTRL_RX_PROMISC -> filter.promiscuous = on;
      case CTRL_RX_ALLMULTI -> filter.allMulticast = on;
      case CTRL_RX_ALLUNI -> filter.allUnicast = on;
      case CTRL_RX_NOMULTI -> filter.noMulticast = on;
      case CTRL_RX_NOUNI -> filter.noUnicast = on;
      case CTRL_RX_NOBCAST -> filter.noBroadcast = on;
      default -> {
        return false;
      }
    }
    return true;
  }

  private boolean mac(Session session, int command) throws DriverFault {
    if (command == CTRL_MAC_ADDR_SET && session.has(F_CTRL_MAC_ADDR)) {
      if (chain.readableBytes() != 2 + 6) {
        return false;
      }
      card.setMac(address(2));
      return true;
    }
    if (command == CTRL_MAC_TABLE_SET && session.has(F_CTRL_RX)) {
      long next = table(2, false);
      return next > 0 && table(next, true) == chain.readableBytes();
    }
    return false;
  }

  /** Reads {@code struct virtio_net_ctrl_mac}; returns where it ends, or -1. */
  private long table(long at, boolean multicast) throws DriverFault {
    if (at + 4 > chain.readableBytes()) {
      return -1;
    }
    long entries = chain.read32(at) & 0xffff_ffffL;
    long end = at + 4 + 6 * entries;
    if (entries > MAX_TABLE || end > chain.readableBytes()) {
      return -1;
    }
    ReceiveFilter filter = card.filter();
    filter.clearTable(multicast);
    for (long entry = at + 4; entry < end; entry += 6) {
      filter.add(multicast, address(entry));
    }
    return end;
  }

  private long address(long at) throws DriverFault {
    long address = 0;
    for (int i = 0; i < 6; i++) {
      address = address << 8 | chain.read8(at + i);
    }
    return address;
  }

  private boolean vlan(Session session, int command) throws DriverFault {
    if (!session.has(F_CTRL_VLAN) || command > CTRL_VLAN_DEL || chain.readableBytes() != 4) {
      return false;
    }
    card.filter().vlan(chain.read16(2), command == CTRL_VLAN_ADD);
    return true;
  }

  private boolean offloads(Session session, int command) throws DriverFault {
    if (!session.has(F_CTRL_GUEST_OFFLOADS) || command != CTRL_GUEST_OFFLOADS_SET
        || chain.readableBytes() != 2 + 8) {
      return false;
    }
    return card.setGuestOffloads(session, chain.read64(2));
  }
}

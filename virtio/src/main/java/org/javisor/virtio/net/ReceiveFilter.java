package org.javisor.virtio.net;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.BitSet;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.network.MacAddress;

/**
 * Which frames a card takes (VirtIO 1.2, section 5.1.6.5). A driver that says nothing gets
 * everything that arrives. Belongs to the network's thread.
 */
final class ReceiveFilter {
  /** Addresses in each table; a driver that gives more gets all of that kind. */
  static final int MAX_ADDRESSES = 64;

  private static final int VLAN_TYPE = 0x8100;

  private final long[] unicast = new long[MAX_ADDRESSES];
  private final long[] multicast = new long[MAX_ADDRESSES];
  private int unicasts;
  private int multicasts;
  private final BitSet vlans = new BitSet(4096);
  private boolean filtersVlans;
  private long own;
  boolean promiscuous;
  boolean allMulticast;
  boolean allUnicast;
  boolean noMulticast;
  boolean noUnicast;
  boolean noBroadcast;

  /** As at first: everything is taken. */
  void reset(MacAddress address) {
    own = address.bits();
    unicasts = 0;
    multicasts = 0;
    vlans.clear();
    filtersVlans = false;
    promiscuous = true;
    allMulticast = false;
    allUnicast = false;
    noMulticast = false;
    noUnicast = false;
    noBroadcast = false;
  }

  /**
   * The saved state.
   *
   * @param flags promiscuous, all multicast, all unicast, no multicast, no unicast, no broadcast, all
   *     multicast and all unicast for want of room, VLANs are filtered
   * @param vlans a bit each
   */
  record State(long own, long[] unicast, long[] multicast, boolean[] flags, long[] vlans) {
    State {
      StateCheck.range("the unicast addresses", unicast.length, 0, MAX_ADDRESSES);
      StateCheck.range("the multicast addresses", multicast.length, 0, MAX_ADDRESSES);
      StateCheck.length("filter flags", flags.length, 9);
      StateCheck.range("the length of the VLAN table", vlans.length, 0, 4096 / 64);
    }
  }

  State save() {
    return new State(
        own, Arrays.copyOf(unicast, unicasts), Arrays.copyOf(multicast, multicasts),
        new boolean[] {
          promiscuous, allMulticast, allUnicast, noMulticast, noUnicast, noBroadcast,
          allMulticastByTable, allUnicastByTable, filtersVlans
        },
        vlans.toLongArray());
  }

  void restore(State s) {
    own = s.own;
    unicasts = s.unicast.length;
    System.arraycopy(s.unicast, 0, unicast, 0, unicasts);
    multicasts = s.multicast.length;
    System.arraycopy(s.multicast, 0, multicast, 0, multicasts);
    promiscuous = s.flags[0];
    allMulticast = s.flags[1];
    allUnicast = s.flags[2];
    noMulticast = s.flags[3];
    noUnicast = s.flags[4];
    noBroadcast = s.flags[5];
    allMulticastByTable = s.flags[6];
    allUnicastByTable = s.flags[7];
    filtersVlans = s.flags[8];
    vlans.clear();
    vlans.or(BitSet.valueOf(s.vlans));
  }

  void setOwn(long address) {
    own = address;
  }

  /** Frames with a VLAN tag are taken only if their VLAN was {@link #vlan added}. */
  void filterVlans() {
    filtersVlans = true;
  }

  void vlan(int id, boolean on) {
    vlans.set(id & 0xfff, on);
  }

  void clearTable(boolean ofMulticast) {
    if (ofMulticast) {
      multicasts = 0;
      allMulticastByTable = false;
    } else {
      unicasts = 0;
      allUnicastByTable = false;
    }
  }

  private boolean allUnicastByTable;
  private boolean allMulticastByTable;

  void add(boolean toMulticast, long address) {
    if (toMulticast) {
      if (multicasts == MAX_ADDRESSES) {
        allMulticastByTable = true;
      } else {
        multicast[multicasts++] = address;
      }
    } else if (unicasts == MAX_ADDRESSES) {
      allUnicastByTable = true;
    } else {
      unicast[unicasts++] = address;
    }
  }

  boolean takes(ByteBuffer frame) {
    int at = frame.position();
    if (filtersVlans && frame.remaining() >= 16 && be16(frame, at + 12) == VLAN_TYPE
        && !vlans.get(be16(frame, at + 14) & 0xfff)) {
      return false;
    }
    if (promiscuous) {
      return true;
    }
    long to = 0;
    for (int i = 0; i < 6; i++) {
      to = to << 8 | frame.get(at + i) & 0xff;
    }
    if (to == MacAddress.BROADCAST.bits()) {
      return !noBroadcast;
    }
    if (MacAddress.isMulticast(to)) {
      return !noMulticast
          && (allMulticast || allMulticastByTable || holds(multicast, multicasts, to));
    }
    return !noUnicast
        && (to == own || allUnicast || allUnicastByTable || holds(unicast, unicasts, to));
  }

  private static int be16(ByteBuffer frame, int at) {
    return (frame.get(at) & 0xff) << 8 | frame.get(at + 1) & 0xff;
  }

  private static boolean holds(long[] table, int count, long address) {
    for (int i = 0; i < count; i++) {
      if (table[i] == address) {
        return true;
      }
    }
    return false;
  }
}

package org.javisor.pc.net;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.memory.GuestMemory;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadCache;

/**
 * The transmit ring (3.3): legacy descriptors, and context and data descriptors with checksums and
 * TCP segmentation. {@link #run} works it off on the network's thread, with the card's lock held
 * but while a frame is sent.
 */
final class E1000Transmit extends E1000Ring {
  private static final int ENABLE = 2;

  /** Descriptors worked off without the lock being given up. */
  private static final int MAX_RING = 1 << 16;

  // Of a descriptor's second word, upper half and lower half (3.3.3, 3.3.6, 3.3.7).
  private static final int EOP = 1 << 24;
  private static final int INSERT_CHECKSUM = 1 << 26;
  private static final int SEGMENT = 1 << 26;
  private static final int REPORT = 1 << 27;
  private static final int EXTENDED = 1 << 29;
  private static final int VLAN = 1 << 30;
  private static final int DATA = 1 << 20;
  private static final int CONTEXT_TCP = 1 << 24;
  private static final int CONTEXT_IPV4 = 1 << 25;
  private static final long DONE = 1L << 32;
  private static final int OPTION_IP = 1;
  private static final int OPTION_TRANSPORT = 2;

  private static final int MIN_FRAME = 60;
  private static final int ADDRESSES = 12;
  private static final int VLAN_TAG = 4;

  // Statistics (13.7).
  private static final int PACKETS = 0x40d4;
  private static final int GOOD_PACKETS = 0x4080;
  private static final int GOOD_OCTETS = 0x4090;
  private static final int OCTETS = 0x40c8;

  private final E1000 card;
  private final GuestMemory memory;
  private final NetworkPort port;
  private final OffloadCache offloads = new OffloadCache();
  private final byte[] frame = new byte[NetworkPort.MAX_FRAME + VLAN_TAG];
  private final ByteBuffer buffer = ByteBuffer.wrap(frame);

  /** A descriptor was taken and is not written back. */
  private volatile boolean sending;

  /** Counts resets: one between two locked sections makes the frame under way void. */
  private int generation;

  // The frame under way.
  private int filled;
  private boolean tooLong;
  private boolean began;
  private int options;
  private boolean segment;
  private boolean tagged;
  private int tag;
  private boolean legacyChecksum;
  private int legacyStart;
  private int legacyOffset;

  // The context (3.3.6).
  private int ipStart;
  private int ipOffset;
  private int ipEnd;
  private int transportStart;
  private int transportOffset;
  private int transportEnd;
  private int contextFlags;
  private int headerLength;
  private int segmentSize;

  E1000Transmit(E1000 card, GuestMemory memory, NetworkPort port) {
    this.card = card;
    this.memory = memory;
    this.port = port;
  }

  void reset() {
    resetRing();
    generation++;
    startFrame();
    contextFlags = 0;
  }

  /**
   * The saved state.
   *
   * @param frame what was gathered of the frame under way
   * @param began its first descriptor was taken
   * @param context what the last context descriptor said, as its three words
   */
  record State(
      RingState ring, byte[] frame, boolean tooLong, boolean began, int options,
      boolean segment, boolean legacyChecksum, int legacyStart, int legacyOffset,
      Context context) {
    State {
      StateCheck.range("the frame", frame.length, 0, NetworkPort.MAX_FRAME);
      StateCheck.bits("the places of a checksum", legacyStart | legacyOffset, 0xff);
    }
  }

  /** A context descriptor (3.3.6). */
  record Context(long first, int low, int upper) {}

  State save() {
    return new State(
        saveRing(), Arrays.copyOf(frame, filled), tooLong, began, options, segment,
        legacyChecksum, legacyStart, legacyOffset,
        new Context(
            ipStart | ipOffset << 8 | (long) ipEnd << 16
                | (long) transportStart << 32 | (long) transportOffset << 40
                | (long) transportEnd << 48,
            contextFlags,
            headerLength << 8 | segmentSize << 16));
  }

  void restore(State state) {
    restoreRing(state.ring);
    filled = state.frame.length;
    System.arraycopy(state.frame, 0, frame, 0, filled);
    tooLong = state.tooLong;
    began = state.began;
    options = state.options;
    segment = state.segment;
    tagged = false;
    legacyChecksum = state.legacyChecksum;
    legacyStart = state.legacyStart;
    legacyOffset = state.legacyOffset;
    context(state.context.first, state.context.low, state.context.upper);
  }

  /** Returns when no frame is being sent; the card is paused, so none will be. */
  void awaitSent() {
    while (sending) {
      Thread.onSpinWait();
    }
  }

  // ---- The network's thread ---------------------------------------------------------------

  /** Sends all the frames there are. */
  void run() {
    try {
      work();
    } finally {
      sending = false;
    }
  }

  private void work() {
    int causes = 0;
    for (int i = 0; i < MAX_RING; i++) {
      boolean complete;
      int began;
      synchronized (card) {
        if ((control & ENABLE) == 0 || head == tail || head >= length / DESCRIPTOR
            || !card.mayMaster() || card.paused()) {
          if (causes != 0) {
            card.interrupt(causes | E1000.TRANSMIT_EMPTY);
          }
          return;
        }
        sending = true;
        began = generation;
        try {
          complete = fetch(base + (long) head * DESCRIPTOR);
        } catch (GuestMemory.BadAddress e) {
          // A ring or a buffer that is not memory: the bus would abort. The frame is lost.
          startFrame();
          complete = false;
        }
      }
      if (complete) {
        send();
      }
      synchronized (card) {
        if (began != generation) {
          continue;
        }
        if (complete) {
          startFrame();
        }
        causes |= writeBack(base + (long) head * DESCRIPTOR);
        head = head + 1 >= length / DESCRIPTOR ? 0 : head + 1;
      }
    }
    synchronized (card) {
      card.interrupt(causes);
    }
  }

  private int writeBack(long at) {
    try {
      long word = memory.read64(at + 8);
      if ((word & REPORT) == 0) {
        return 0;
      }
      memory.write64(at + 8, word | DONE);
      return E1000.TRANSMIT_DONE;
    } catch (GuestMemory.BadAddress e) {
      return 0;
    }
  }

  private void startFrame() {
    filled = 0;
    tooLong = false;
    began = false;
    segment = false;
    options = 0;
    tagged = false;
    legacyChecksum = false;
  }

  /** Takes a descriptor; returns whether a frame is complete. */
  private boolean fetch(long at) {
    long first = memory.read64(at);
    long second = memory.read64(at + 8);
    int low = (int) second;
    int upper = (int) (second >> 32);
    if ((low & EXTENDED) == 0) {
      append(first, low & 0xffff);
      if ((low & INSERT_CHECKSUM) != 0) {
        legacyChecksum = true;
        legacyOffset = low >> 16 & 0xff;
        legacyStart = upper >> 8 & 0xff;
      }
    } else if ((low & DATA) == 0) {
      context(first, low, upper);
      return false;
    } else {
      if (!began) {
        // Options count in a frame's first descriptor (3.3.7.2).
        options = upper >> 8 & 0xff;
        segment = (low & SEGMENT) != 0;
      }
      append(first, low & 0xf_ffff);
    }
    began = true;
    if ((low & EOP) != 0) {
      tagged = (low & VLAN) != 0 && (card.control() & E1000.CTRL_VLAN_MODE) != 0;
      tag = upper >>> 16;
      return true;
    }
    return false;
  }

  private void append(long address, int count) {
    if (count > NetworkPort.MAX_FRAME - filled) {
      tooLong = true;
    }
    if (!tooLong && count > 0) {
      memory.read(address, frame, filled, count);
      filled += count;
    }
  }

  private void context(long first, int low, int upper) {
    ipStart = (int) first & 0xff;
    ipOffset = (int) (first >> 8) & 0xff;
    ipEnd = (int) (first >> 16) & 0xffff;
    transportStart = (int) (first >> 32) & 0xff;
    transportOffset = (int) (first >> 40) & 0xff;
    transportEnd = (int) (first >> 48) & 0xffff;
    contextFlags = low;
    headerLength = upper >> 8 & 0xff;
    segmentSize = upper >>> 16;
  }

  /** Sends what was gathered; the lock is not held, and nobody else touches the frame. */
  private void send() {
    if (tooLong || filled < 14) {
      return;
    }
    Offload offload = legacyChecksum ? legacy() : offloaded();
    int size = filled;
    if (tagged) {
      System.arraycopy(frame, ADDRESSES, frame, ADDRESSES + VLAN_TAG, size - ADDRESSES);
      put16(ADDRESSES, card.vlanType());
      put16(ADDRESSES + 2, tag);
      size += VLAN_TAG;
      if (!offload.equals(Offload.NONE)) {
        offload =
            offloads.get(
                offload.checksumNeeded(),
                offload.checksumStart() + VLAN_TAG,
                offload.checksumOffset(),
                offload.segmentation(),
                offload.segmentSize());
      }
    }
    if (size < MIN_FRAME) {
      Arrays.fill(frame, size, MIN_FRAME, (byte) 0);
      size = MIN_FRAME;
    }
    buffer.clear().limit(Math.min(size, NetworkPort.MAX_FRAME));
    port.send(buffer, offload);
    synchronized (card) {
      card.count(PACKETS, 1);
      card.count(GOOD_PACKETS, 1);
      card.count64(GOOD_OCTETS, size + 4L);
      card.count64(OCTETS, size + 4L);
    }
  }

  private void put16(int at, int value) {
    frame[at] = (byte) (value >> 8);
    frame[at + 1] = (byte) value;
  }

  private int get16(int at) {
    return (frame[at] & 0xff) << 8 | frame[at + 1] & 0xff;
  }

  /** One checksum over the rest of the frame, of whatever kind (3.3.5). */
  private Offload legacy() {
    if (legacyStart < filled && legacyOffset + 2 <= filled) {
      put16(legacyOffset, 0);
      put16(legacyOffset, complement(sum(legacyStart, filled)));
    }
    return Offload.NONE;
  }

  private Offload offloaded() {
    boolean cut = segment && segmentSize > 0 && headerLength >= 14 && headerLength < filled;
    boolean ipv4 = (contextFlags & CONTEXT_IPV4) != 0;
    if (cut) {
      lengths(ipv4);
    }
    if (((options & OPTION_IP) != 0 || cut && ipv4) && ipOffset + 2 <= filled) {
      int end = ipEnd == 0 ? filled : Math.min(ipEnd + 1, filled);
      put16(ipOffset, 0);
      put16(ipOffset, complement(sum(ipStart, end)));
    }
    boolean transport = (options & OPTION_TRANSPORT) != 0 || cut;
    if (!transport || transportOffset < transportStart || transportOffset + 2 > filled) {
      return Offload.NONE;
    }
    if (transportEnd != 0 && transportEnd + 1 < filled) {
      // Only a part of the frame: nobody behind us knows how to do that.
      put16(transportOffset, complement(sum(transportStart, transportEnd + 1)));
      return Offload.NONE;
    }
    boolean whole = filled - headerLength <= segmentSize || (contextFlags & CONTEXT_TCP) == 0;
    Segmentation kind =
        !cut || whole
            ? Segmentation.NONE
            : ipv4 ? Segmentation.TCP_V4 : Segmentation.TCP_V6;
    return offloads.get(
        true,
        transportStart,
        transportOffset - transportStart,
        kind,
        kind == Segmentation.NONE ? 0 : segmentSize);
  }

  /** Lengths that the card fills in for each segment (3.5.6); here for all of them together. */
  private void lengths(boolean ipv4) {
    int payload = filled - transportStart;
    if (ipv4 && ipStart + 4 <= filled) {
      put16(ipStart + 2, filled - ipStart);
    } else if (!ipv4 && ipStart + 6 <= filled) {
      put16(ipStart + 4, filled - ipStart - 40);
    }
    if (transportOffset + 2 <= filled && payload > 0) {
      // The pseudo header is summed without its length.
      put16(transportOffset, fold(get16(transportOffset) + payload));
    }
  }

  private int sum(int from, int end) {
    int sum = 0;
    int at = from;
    for (; at + 1 < end; at += 2) {
      sum += get16(at);
    }
    if (at < end) {
      sum += (frame[at] & 0xff) << 8;
    }
    return fold(sum);
  }

  private static int fold(int sum) {
    int folded = (sum & 0xffff) + (sum >>> 16);
    return (folded & 0xffff) + (folded >>> 16);
  }

  private static int complement(int sum) {
    return ~sum & 0xffff;
  }
}

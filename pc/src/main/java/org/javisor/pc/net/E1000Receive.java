package org.javisor.pc.net;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.memory.GuestMemory;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;

/**
 * The receive ring (3.2) and the filters that decide what comes into it (13.5). Called on the
 * network's thread; frames come complete, with their checksums.
 */
final class E1000Receive extends E1000Ring implements FrameReceiver {
  // RCTL (13.4.22).
  private static final int ENABLE = 1 << 1;
  private static final int ALL_UNICAST = 1 << 3;
  private static final int ALL_MULTICAST = 1 << 4;
  private static final int LONG_FRAMES = 1 << 5;
  private static final int BROADCAST = 1 << 15;
  private static final int VLAN_FILTER = 1 << 18;
  private static final int SIZE_TIMES_16 = 1 << 25;
  private static final int STRIP_CRC = 1 << 26;

  // Filters, by their registers' offsets.
  private static final int RXCSUM = 0x5000;
  private static final int MTA = 0x5200;
  private static final int RAL = 0x5400;
  private static final int VFTA = 0x5600;
  private static final int ADDRESSES = 16;
  private static final int ADDRESS_VALID = 1 << 31;

  // Of a descriptor's status (3.2.3.1).
  private static final long DONE = 1;
  private static final long END_OF_PACKET = 2;
  private static final long NO_CHECKSUMS = 4;
  private static final long VLAN = 8;

  /** How far the address is shifted, by RCTL's multicast offset. */
  private static final int[] HASH_SHIFT = {4, 3, 2, 0};

  private static final int MIN_FRAME = 60;
  private static final int MAX_STANDARD = 1518;
  private static final int CRC = 4;
  private static final int VLAN_TAG = 4;
  private static final int TYPE_AT = 12;
  private static final long ALL_ONES = MacAddress.BROADCAST.bits();

  // Statistics (13.7).
  private static final int MISSED = 0x4010;
  private static final int GOOD_PACKETS = 0x4074;
  private static final int GOOD_OCTETS = 0x4088;
  private static final int NO_BUFFERS = 0x40a0;
  private static final int OCTETS = 0x40c0;
  private static final int PACKETS = 0x40d0;

  private final E1000 card;
  private final GuestMemory memory;
  private final byte[] frame = new byte[NetworkPort.MAX_FRAME + CRC];
  private final CRC32 crc = new CRC32();
  private final int[] filters = new int[(VFTA + 0x200 - MTA) / 4];
  private int checksumControl;

  private boolean delivered;

  E1000Receive(E1000 card, GuestMemory memory) {
    this.card = card;
    this.memory = memory;
  }

  void reset(MacAddress mac) {
    resetRing();
    checksumControl = 0;
    Arrays.fill(filters, 0);
    long bits = Long.reverseBytes(mac.bits() << 16);
    filters[(RAL - MTA) / 4] = (int) bits;
    filters[(RAL - MTA) / 4 + 1] = (int) (bits >> 32) & 0xffff | ADDRESS_VALID;
  }

  /** The saved state: the ring, and the registers of filters from the multicast table on. */
  record State(RingState ring, int[] filters, int checksumControl) {
    State {
      StateCheck.length("filter registers", filters.length, (VFTA + 0x200 - MTA) / 4);
    }
  }

  State save() {
    return new State(saveRing(), filters.clone(), checksumControl);
  }

  void restore(State state) {
    restoreRing(state.ring);
    System.arraycopy(state.filters, 0, filters, 0, filters.length);
    checksumControl = state.checksumControl;
  }

  int readFilter(int register) {
    return register == RXCSUM ? checksumControl : filters[(register - MTA) / 4];
  }

  void writeFilter(int register, int value) {
    if (register == RXCSUM) {
      checksumControl = value;
    } else {
      filters[(register - MTA) / 4] = value;
    }
  }

  // ---- The network's thread ---------------------------------------------------------------

  @Override
  public boolean receive(ByteBuffer source, Offload offload) {
    synchronized (card) {
      if (card.paused()) {
        return false;
      }
      if ((control & ENABLE) == 0 || !card.mayMaster()) {
        return true; // As on a wire whose far end does not listen.
      }
      int size = source.remaining();
      if (size > MAX_STANDARD - CRC + VLAN_TAG && (control & LONG_FRAMES) == 0
          || size > NetworkPort.MAX_FRAME
          || !accepts(source)) {
        return true;
      }
      int tag = -1;
      source.get(source.position(), frame, 0, size);
      if ((card.control() & E1000.CTRL_VLAN_MODE) != 0
          && size >= TYPE_AT + VLAN_TAG
          && type() == card.vlanType()) {
        tag = (frame[TYPE_AT + 2] & 0xff) << 8 | frame[TYPE_AT + 3] & 0xff;
        System.arraycopy(
            frame, TYPE_AT + VLAN_TAG, frame, TYPE_AT, size - TYPE_AT - VLAN_TAG);
        size -= VLAN_TAG;
      }
      if (size < MIN_FRAME) {
        Arrays.fill(frame, size, MIN_FRAME, (byte) 0);
        size = MIN_FRAME;
      }
      return deliver(size, tag);
    }
  }

  private int type() {
    return (frame[TYPE_AT] & 0xff) << 8 | frame[TYPE_AT + 1] & 0xff;
  }

  private int bufferSize() {
    int size = 2048 >> (control >> 16 & 3);
    return (control & SIZE_TIMES_16) != 0 ? size * 16 : size;
  }

  private int free() {
    int descriptors = length / DESCRIPTOR;
    if (head >= descriptors || tail > descriptors) {
      return 0;
    }
    return tail >= head ? tail - head : tail + descriptors - head;
  }

  private boolean deliver(int size, int tag) {
    int total = size;
    if ((control & STRIP_CRC) == 0) {
      crc.reset();
      crc.update(frame, 0, size);
      int check = (int) crc.getValue();
      for (int i = 0; i < CRC; i++) {
        frame[size + i] = (byte) (check >> 8 * i);
      }
      total += CRC;
    }
    int buffer = bufferSize();
    if (free() < (total + buffer - 1) / buffer) {
      card.count(NO_BUFFERS, 1);
      card.interrupt(E1000.RECEIVE_OVERRUN);
      return false;
    }
    try {
      for (int done = 0; done < total;) {
        int part = Math.min(buffer, total - done);
        long at = base + (long) head * DESCRIPTOR;
        long address = memory.read64(at);
        memory.write(address, frame, done, part);
        done += part;
        long status = DONE | NO_CHECKSUMS;
        if (done == total) {
          status |= END_OF_PACKET | (tag >= 0 ? VLAN : 0);
        }
        memory.write64(
            at + 8,
            part | status << 32 | (done == total && tag >= 0 ? (long) tag << 48 : 0));
        head = head + 1 >= length / DESCRIPTOR ? 0 : head + 1;
      }
    } catch (GuestMemory.BadAddress e) {
      // A ring or a buffer that is not memory: the frame is lost.
      card.count(MISSED, 1);
      return true;
    }
    card.count(PACKETS, 1);
    card.count(GOOD_PACKETS, 1);
    card.count64(GOOD_OCTETS, size + (long) CRC);
    card.count64(OCTETS, size + (long) CRC);
    delivered = true;
    return true;
  }

  @Override
  public void endOfBurst() {
    synchronized (card) {
      if (delivered) {
        delivered = false;
        int low = length / DESCRIPTOR >> (control >> 8 & 3) + 1;
        card.interrupt(E1000.RECEIVED | (free() <= low ? E1000.RECEIVE_LOW : 0));
      }
    }
  }

  // ---- Filters ----------------------------------------------------------------------------

  private boolean accepts(ByteBuffer source) {
    int at = source.position();
    if ((control & VLAN_FILTER) != 0
        && source.remaining() >= TYPE_AT + VLAN_TAG
        && E1000.field16(source, at + TYPE_AT) == card.vlanType()) {
      int vlan = E1000.field16(source, at + TYPE_AT + 2) & 0xfff;
      if ((filters[(VFTA - MTA) / 4 + (vlan >> 5)] >> (vlan & 31) & 1) == 0) {
        return false;
      }
    }
    long target =
        (long) E1000.field16(source, at) << 32
            | (long) E1000.field16(source, at + 2) << 16
            | E1000.field16(source, at + 4);
    if (target == ALL_ONES) {
      return (control & (BROADCAST | ALL_MULTICAST)) != 0;
    }
    boolean multicast = MacAddress.isMulticast(target);
    if ((control & (multicast ? ALL_MULTICAST : ALL_UNICAST)) != 0) {
      return true;
    }
    long wanted = Long.reverseBytes(target << 16);
    for (int i = 0; i < ADDRESSES; i++) {
      int low = filters[(RAL - MTA) / 4 + 2 * i];
      int high = filters[(RAL - MTA) / 4 + 2 * i + 1];
      if ((high & ADDRESS_VALID) != 0
          && (low & 0xffff_ffffL | (high & 0xffffL) << 32) == wanted) {
        return true;
      }
    }
    if (!multicast) {
      return false;
    }
    // Twelve bits of the address, of its last two bytes, choose a bit of the table.
    int last = (int) (wanted >> 32) & 0xffff;
    int hash = last >> HASH_SHIFT[control >> 12 & 3] & 0xfff;
    return (filters[hash >> 5] >> (hash & 31) & 1) != 0;
  }
}

package org.javisor.jit;

import java.util.HashMap;
import java.util.Map;
import org.javisor.memory.RawMemory;

/**
 * What the jump cache held of address spaces that are not in use, so that a process does not start
 * cold each time its turn comes. Keyed by PCID; valid for as long as the guest says that it kept the
 * mappings.
 */
final class AddressSpaces {
  /** More are forgotten: a kernel uses a handful of PCIDs. */
  private static final int MOST = 64;

  /** Entries of the jump cache, as they were. */
  record Space(int epoch, int[] slots, long[] addresses, long[] code) {
    void restore(SlotList jumps, long block) {
      for (int i = 0; i < slots.length; i++) {
        RawMemory.put64(block + Layout.jumpTag(slots[i]), addresses[i]);
        RawMemory.put64(block + Layout.jumpTarget(slots[i]), code[i]);
        jumps.add(slots[i]);
      }
    }
  }

  private final Map<Integer, Space> spaces = new HashMap<>();

  void save(int pcid, int epoch, SlotList jumps, long block) {
    if (spaces.size() >= MOST) {
      spaces.clear();
    }
    int count = jumps.size();
    int[] slots = new int[count];
    long[] addresses = new long[count];
    long[] code = new long[count];
    for (int i = 0; i < count; i++) {
      slots[i] = jumps.get(i);
      addresses[i] = RawMemory.get64(block + Layout.jumpTag(slots[i]));
      code[i] = RawMemory.get64(block + Layout.jumpTarget(slots[i]));
    }
    spaces.put(pcid, new Space(epoch, slots, addresses, code));
  }

  Space find(int pcid) {
    return spaces.get(pcid);
  }

  void remove(int pcid) {
    spaces.remove(pcid);
  }

  void clear() {
    spaces.clear();
  }
}

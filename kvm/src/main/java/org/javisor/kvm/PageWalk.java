package org.javisor.kvm;

import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;

/**
 * A walk of the guest's page tables as a debugger does it: nothing is marked as accessed, and
 * protection does not matter (Intel SDM volume 3, chapter 4). KVM_TRANSLATE marks pages, so it is
 * not used.
 */
final class PageWalk {
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PSE = 1 << 4;
  private static final long CR4_PAE = 1 << 5;
  private static final long CR4_LA57 = 1 << 12;
  private static final long EFER_LMA = 1 << 10;
  private static final long PRESENT = 1;
  private static final long LARGE = 1 << 7;
  private static final long ADDRESS = 0x000f_ffff_ffff_f000L;

  private PageWalk() {}

  /** The guest-physical address behind a linear one, or -1 where nothing is mapped. */
  static long translate(GuestMemory memory, CpuState s, long linear) {
    if ((s.cr0 & CR0_PG) == 0) {
      return linear & 0xffff_ffffL;
    }
    try {
      if ((s.efer & EFER_LMA) != 0) {
        return walk(memory, s.cr3 & ADDRESS, linear, (s.cr4 & CR4_LA57) != 0 ? 48 : 39);
      }
      if ((s.cr4 & CR4_PAE) != 0) {
        long entry = memory.read64((s.cr3 & 0xffff_ffe0L) + (linear >>> 30 & 3) * 8);
        return (entry & PRESENT) == 0 ? -1 : walk(memory, entry & ADDRESS, linear, 21);
      }
      return walk32(memory, s, linear & 0xffff_ffffL);
    } catch (GuestMemory.BadAddress e) {
      return -1; // A table is where no memory is.
    }
  }

  /** Tables of 512 entries, from the level whose index begins at bit {@code shift} down. */
  private static long walk(GuestMemory memory, long table, long linear, int shift) {
    long at = table;
    for (int s = shift;; s -= 9) {
      long entry = memory.read64(at + (linear >>> s & 511) * 8);
      if ((entry & PRESENT) == 0) {
        return -1;
      }
      boolean last = s == 12 || s <= 30 && (entry & LARGE) != 0;
      if (last) {
        long offset = (1L << s) - 1;
        return entry & ADDRESS & ~offset | linear & offset;
      }
      at = entry & ADDRESS;
    }
  }

  private static long walk32(GuestMemory memory, CpuState s, long linear) {
    int entry = memory.read32((s.cr3 & 0xffff_f000L) + (linear >>> 22) * 4);
    if ((entry & PRESENT) == 0) {
      return -1;
    }
    if ((entry & LARGE) != 0 && (s.cr4 & CR4_PSE) != 0) {
      long high = (long) (entry >>> 13 & 0xff) << 32; // PSE-36
      return high | entry & 0xffc0_0000L | linear & 0x3f_ffff;
    }
    int page = memory.read32((entry & 0xffff_f000L) + (linear >>> 12 & 1023) * 4);
    return (page & PRESENT) == 0 ? -1 : page & 0xffff_f000L | linear & 0xfff;
  }
}

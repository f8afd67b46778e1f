package org.javisor.interp;

/**
 * DR0 to DR7: the guest's own breakpoints. Source: Intel SDM volume 3, chapter 18.2.
 *
 * <p>They cost nothing while none is enabled. A page that a data breakpoint watches never enters the
 * software TLB, so every access to it comes by here; and while one is enabled, blocks hold a single
 * instruction, since the trap follows the instruction that made the access.
 */
final class DebugRegisters {
  private static final int EXECUTE = 0;
  private static final int WRITE = 1;
  private static final int PORT = 2;

  /** DR6.BD and DR7.GD have the same place: an access to these registers was, or is to be, caught. */
  private static final int GENERAL_DETECT = 1 << 13;

  private static final int SINGLE_STEP = 1 << 14;

  /** DR6.BT. */
  private static final int TASK_SWITCH = 1 << 15;

  /** DR7.L0 to L3, and LE. */
  private static final long LOCAL_ENABLES = 0x155;

  private static final long DR6_ONES = 0xffff_0ff0L;
  private static final int[] LENGTHS = {1, 2, 8, 4};

  private final Cpu c;
  private final long[] dr = new long[8];

  /** Whether any instruction, or data, breakpoint is enabled. */
  private boolean code;

  private boolean data;

  /** Bits of DR6 for what the current instruction has touched. */
  private int pending;

  DebugRegisters(Cpu c) {
    this.c = c;
  }

  void reset() {
    java.util.Arrays.fill(dr, 0, 4, 0);
    dr[6] = DR6_ONES;
    dr[7] = 0x400;
    changed();
  }

  long get(int n) {
    return dr[n];
  }

  /** Copies all eight out. */
  void copyTo(long[] target) {
    System.arraycopy(dr, 0, target, 0, 8);
  }

  void copyFrom(long[] source) {
    System.arraycopy(source, 0, dr, 0, 8);
    dr[6] |= DR6_ONES;
    dr[7] |= 0x400;
    changed();
  }

  /** MOV to a debug register, its number and privilege checked. */
  void write(int n, long value) {
    dr[n] =
        switch (n) {
          case 6 -> value & 0x1_e00fL | DR6_ONES;
          case 7 -> value & 0xffff_2bffL | 0x400;
          default -> value;
        };
    if (n != 6) {
      changed();
    }
    c.flags(c.flags() & ~Cpu.RF); // followed only while a breakpoint could meet it
  }

  /** With DR7.GD a MOV to or from these registers is caught. */
  void checkAccess() {
    if ((dr[7] & GENERAL_DETECT) != 0) {
      dr[6] |= GENERAL_DETECT;
      throw c.fault(GuestFault.DB);
    }
  }

  /** #DB is delivered: its handler may use the registers. */
  void delivering() {
    dr[7] &= ~(long) GENERAL_DETECT;
  }

  /**
   * A task was switched to: what was enabled for the old one alone is off, and if the new one asks
   * for it, its first instruction is preceded by a trap.
   */
  void taskSwitched(boolean trap) {
    if ((dr[7] & LOCAL_ENABLES) != 0) {
      dr[7] &= ~LOCAL_ENABLES;
      changed();
    }
    if (trap) {
      pending |= TASK_SWITCH;
      c.vcpu.attend();
    }
  }

  /** An instruction has run with TF set. */
  void stepped() {
    pending |= SINGLE_STEP;
  }

  /** SYSCALL and SYSRET trap, or do not, by the TF that they load. */
  void steppedByNewFlags() {
    c.stepDecided = true;
    if ((c.flags() & Cpu.TF) != 0) {
      stepped();
      c.vcpu.attend();
    }
  }

  private boolean enabled(int i) {
    return (dr[7] >>> 2 * i & 3) != 0;
  }

  private int kind(int i) {
    return (int) (dr[7] >>> 16 + 4 * i) & 3;
  }

  private int length(int i) {
    return LENGTHS[(int) (dr[7] >>> 18 + 4 * i) & 3];
  }

  private void changed() {
    boolean before = code || data;
    code = false;
    data = false;
    for (int i = 0; i < 4; i++) {
      if (enabled(i)) {
        code |= kind(i) == EXECUTE;
        data |= kind(i) != EXECUTE;
      }
    }
    if (before || code || data) {
      c.mmu.flushAll();
      c.vcpu.forgetBlocks();
    }
  }

  /** Whether RF matters: an instruction breakpoint is enabled. */
  boolean watchesCode() {
    return code;
  }

  /** Whether blocks must hold a single instruction. */
  boolean watchesData() {
    return data;
  }

  /** Whether an address is in a page that must stay out of the software TLB. */
  boolean watchesPage(long va) {
    if (data) {
      for (int i = 0; i < 4; i++) {
        if (enabled(i) && kind(i) != EXECUTE && (dr[i] ^ va) >>> 12 == 0) {
          return true;
        }
      }
    }
    return false;
  }

  /** An access to memory that did not fault. */
  void accessed(long va, int size, boolean write) {
    touched(va, size, write ? WRITE : 3);
  }

  /** An access to a port; caught with CR4.DE. */
  void portAccessed(int port, int size) {
    if (data && (c.cr4 & Cpu.CR4_DE) != 0) {
      touched(port, size, PORT);
    }
  }

  private void touched(long address, int size, int how) {
    if (!data) {
      return;
    }
    for (int i = 0; i < 4; i++) {
      int kind = kind(i);
      boolean meant = how == PORT ? kind == PORT : kind == 3 || kind == WRITE && how == WRITE;
      if (enabled(i) && meant) {
        int length = length(i);
        long from = dr[i] & -length;
        if (address < from + length && address + size > from) {
          pending |= 1 << i;
          c.vcpu.attend();
        }
      }
    }
  }

  /** Of DR6 only the bits of the breakpoints say what is now; the others collect. */
  private void hit(int bits) {
    dr[6] = dr[6] & ~0xfL | bits;
  }

  /** Between two instructions: raises the trap for what the last one touched. */
  void raisePending() {
    if (pending != 0) {
      hit(pending);
      pending = 0;
      throw c.fault(GuestFault.DB);
    }
  }

  /** INT1 raises #DB itself: a trap that a load of SS has put off comes with it. */
  void joinPending() {
    if (pending != 0) {
      hit(pending);
      pending = 0;
    }
  }

  /** An instruction that faulted has touched nothing. */
  void forgetPending() {
    pending = 0;
  }

  /** Whether an enabled instruction breakpoint is at a linear address. */
  boolean stopsAt(long linear) {
    return hits(linear) != 0;
  }

  private int hits(long linear) {
    int hits = 0;
    if (code) {
      for (int i = 0; i < 4; i++) {
        if (enabled(i) && kind(i) == EXECUTE && dr[i] == linear) {
          hits |= 1 << i;
        }
      }
    }
    return hits;
  }

  /** Raises #DB before an instruction with a breakpoint, unless RF says that it has been. */
  void raiseAt(long linear) {
    int hits = hits(linear);
    if (hits == 0) {
      return;
    }
    if ((c.flags() & Cpu.RF) == 0) {
      hit(hits);
      throw c.fault(GuestFault.DB);
    }
    c.flags(c.flags() & ~Cpu.RF);
  }
}

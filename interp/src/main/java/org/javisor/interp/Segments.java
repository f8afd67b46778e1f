package org.javisor.interp;

import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/**
 * Segment registers with their hidden parts, descriptor tables, and the checks of segmentation.
 *
 * <p>Attributes are kept as in a descriptor's high word shifted right by 8 (type 0–3, S 4, DPL 5–6,
 * P 7, AVL 12, L 13, D/B 14, G 15). Source: Intel SDM volume 3, chapters 3 and 5.
 */
final class Segments {
  static final int LDTR = 6;
  static final int TR = 7;

  // Bits of the attributes.
  static final int TYPE = 15;
  static final int ACCESSED = 1;
  static final int WRITABLE = 2; // of data; of code: readable
  static final int EXPAND_DOWN = 4; // of data; of code: conforming
  static final int CODE = 8;
  static final int S = 1 << 4;
  static final int PRESENT = 1 << 7;
  static final int L = 1 << 13;
  static final int DB = 1 << 14;
  static final int G = 1 << 15;

  /** Attributes of an unusable (null) segment register. */
  static final int UNUSABLE = 0;

  private final Cpu c;
  private final long[] base = new long[8];
  private final long[] limit = new long[8];
  private final int[] attributes = new int[8];

  /** Segments that linear() need not check: base 0, limit 4 GiB, present, writable data. */
  private final boolean[] flat = new boolean[8];

  long gdtBase;
  int gdtLimit;
  long idtBase;
  int idtLimit;

  Segments(Cpu c) {
    this.c = c;
  }

  /** Takes over the hidden parts; the selectors are in the block. */
  void copyFrom(Segments other) {
    System.arraycopy(other.base, 0, base, 0, base.length);
    System.arraycopy(other.limit, 0, limit, 0, limit.length);
    System.arraycopy(other.attributes, 0, attributes, 0, attributes.length);
    System.arraycopy(other.flat, 0, flat, 0, flat.length);
  }

  int selector(int segment) {
    return RawMemory.get32(c.block + VcpuBlock.SELECTORS + 4L * segment);
  }

  private void setSelector(int segment, int value) {
    RawMemory.put32(c.block + VcpuBlock.SELECTORS + 4L * segment, value);
  }

  long base(int segment) {
    return segment == Instruction.FS
        ? c.fsBase()
        : segment == Instruction.GS ? c.gsBase() : base[segment];
  }

  long limit(int segment) {
    return limit[segment];
  }

  int attributes(int segment) {
    return attributes[segment];
  }

  boolean flat(int segment) {
    return flat[segment];
  }

  boolean csLong() {
    return (attributes[Instruction.CS] & L) != 0;
  }

  boolean csDefault32() {
    return (attributes[Instruction.CS] & DB) != 0;
  }

  boolean ssDefault32() {
    return (attributes[Instruction.SS] & DB) != 0;
  }

  long csLimit() {
    return limit[Instruction.CS];
  }

  static int dpl(int attributes) {
    return attributes >> 5 & 3;
  }

  /** Sets a register whole, as loaders, debuggers and far transfers do; no checks. */
  void set(int segment, int sel, long newBase, long newLimit, int newAttributes) {
    setSelector(segment, sel & 0xffff);
    limit[segment] = newLimit & 0xffff_ffffL;
    attributes[segment] = newAttributes;
    setBase(segment, newBase);
  }

  void setBase(int segment, long newBase) {
    base[segment] = newBase;
    if (segment == Instruction.FS) {
      RawMemory.put64(c.block + VcpuBlock.FS_BASE, newBase);
    } else if (segment == Instruction.GS) {
      RawMemory.put64(c.block + VcpuBlock.GS_BASE, newBase);
    }
    int a = attributes[segment];
    flat[segment] =
        newBase == 0
            && limit[segment] == 0xffff_ffffL
            && (a & (PRESENT | S | CODE | WRITABLE | EXPAND_DOWN)) == (PRESENT | S | WRITABLE);
  }

  /** The base as the address computation of the current mode uses it. */
  long effectiveBase(int segment) {
    return c.codeSize == 64 && segment < Instruction.FS ? 0 : base(segment);
  }

  /**
   * Turns segment and offset into a linear address for an access of {@code size} bytes.
   *
   * @throws GuestFault #GP(0), or #SS(0) through SS, where limit or rights forbid it
   */
  long linear(int segment, long offset, int size, boolean write) {
    if (c.codeSize == 64) {
      return segment == Instruction.FS
          ? offset + c.fsBase()
          : segment == Instruction.GS ? offset + c.gsBase() : offset;
    }
    if (!flat[segment]) {
      check(segment, offset, size, write);
    } else if (offset + (size - 1) > 0xffff_ffffL) {
      throw refuse(segment);
    }
    return base(segment) + offset & 0xffff_ffffL;
  }

  private void check(int segment, long offset, int size, boolean write) {
    int a = attributes[segment];
    long last = offset + (size - 1);
    if (c.protectedMode() && !c.virtual8086()) {
      if ((a & PRESENT) == 0) {
        throw refuse(segment);
      }
      if ((a & CODE) != 0 ? write || (a & WRITABLE) == 0 : write && (a & WRITABLE) == 0) {
        throw refuse(segment);
      }
      if ((a & (CODE | EXPAND_DOWN)) == EXPAND_DOWN) {
        long top = (a & DB) != 0 ? 0xffff_ffffL : 0xffff;
        if (offset <= limit[segment] || last > top) {
          throw refuse(segment);
        }
        return;
      }
    }
    if (last > limit[segment]) {
      throw refuse(segment);
    }
  }

  private GuestFault refuse(int segment) {
    return c.fault.with(segment == Instruction.SS ? GuestFault.SS : GuestFault.GP, 0);
  }

  // ---- descriptors ------------------------------------------------------------------------

  /**
   * Reads the descriptor of a selector.
   *
   * @throws GuestFault {@code vector} with the selector as error code beyond the table's limit
   */
  long descriptor(int sel, int vector) {
    long tableBase;
    long tableLimit;
    if ((sel & 4) != 0) {
      if ((attributes[LDTR] & PRESENT) == 0) {
        throw c.fault(vector, sel & ~3);
      }
      tableBase = base[LDTR];
      tableLimit = limit[LDTR];
    } else {
      tableBase = gdtBase;
      tableLimit = gdtLimit;
    }
    if ((sel | 7) > tableLimit) {
      throw c.fault(vector, sel & ~3);
    }
    return c.mmu.loadSystem(tableBase + (sel & ~7), 8);
  }

  /** Whether a selector lies within its table (LAR, LSL, VERR, VERW ask without a fault). */
  boolean withinTable(int sel) {
    if ((sel & ~3) == 0) {
      return false;
    }
    if ((sel & 4) != 0) {
      return (attributes[LDTR] & PRESENT) != 0 && (sel | 7) <= limit[LDTR];
    }
    return (sel | 7) <= gdtLimit;
  }

  /** High half of the base in a 16-byte system descriptor of long mode. */
  long descriptorHigh(int sel, int vector) {
    long tableLimit = (sel & 4) != 0 ? limit[LDTR] : gdtLimit;
    if ((sel | 7) + 8 > tableLimit) {
      throw c.fault(vector, sel & ~3);
    }
    long tableBase = (sel & 4) != 0 ? base[LDTR] : gdtBase;
    return c.mmu.loadSystem(tableBase + (sel & ~7) + 8, 8);
  }

  static long descriptorBase(long d) {
    return d >>> 16 & 0xff_ffff | d >>> 56 << 24;
  }

  static int descriptorAttributes(long d) {
    return (int) (d >>> 40) & 0xf0ff;
  }

  static long descriptorLimit(long d) {
    long raw = d & 0xffff | d >>> 32 & 0xf_0000;
    return (d & 1L << 55) != 0 ? raw << 12 | 0xfff : raw;
  }

  /** Sets a descriptor's accessed bit in memory. */
  void markAccessed(int sel, long d) {
    if ((d & 1L << 40) == 0) {
      long tableBase = (sel & 4) != 0 ? base[LDTR] : gdtBase;
      long at = tableBase + (sel & ~7) + 5;
      c.mmu.storeSystem(at, 1, d >>> 40 & 0xff | ACCESSED);
    }
  }

  void setFromDescriptor(int segment, int sel, long d) {
    set(segment, sel, descriptorBase(d), descriptorLimit(d), descriptorAttributes(d));
  }

  // ---- loading ----------------------------------------------------------------------------

  /** MOV, POP, LxS to a segment register: ES, SS, DS, FS, GS. */
  void load(int segment, int sel) {
    sel &= 0xffff;
    if (c.realOrVirtual8086()) {
      loadReal(segment, sel);
    } else if (segment == Instruction.SS) {
      loadStack(sel, c.cpl);
      c.updateMode();
    } else {
      loadData(segment, sel);
      if (!c.is64()) {
        c.updateMode();
      }
    }
  }

  void loadReal(int segment, int sel) {
    if (c.virtual8086()) {
      set(segment, sel, (long) sel << 4, 0xffff, PRESENT | S | WRITABLE | ACCESSED | 3 << 5);
    } else {
      // Real mode keeps limit and attributes ("unreal mode"), but what it loads can be written.
      int a = attributes[segment];
      long l = limit[segment];
      if ((a & PRESENT) == 0) {
        a = PRESENT | S | WRITABLE | ACCESSED;
        l = 0xffff;
      }
      if (segment == Instruction.CS) {
        a = PRESENT | S | CODE | WRITABLE | ACCESSED | a & DB;
      }
      set(segment, sel, (long) sel << 4, l, a);
    }
    c.updateMode();
  }

  private void loadData(int segment, int sel) {
    if ((sel & ~3) == 0) {
      // The base is cleared, as CPUID says: AMD's did not before their third generation of Zen.
      set(segment, sel, 0, 0, UNUSABLE);
      return;
    }
    long d = descriptor(sel, GuestFault.GP);
    int a = descriptorAttributes(d);
    boolean code = (a & CODE) != 0;
    boolean conforming = code && (a & EXPAND_DOWN) != 0;
    if ((a & S) == 0
        || code && (a & WRITABLE) == 0
        || !conforming && (dpl(a) < (sel & 3) || dpl(a) < c.cpl)) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    markAccessed(sel, d);
    setFromDescriptor(segment, sel, d | 1L << 40);
  }

  /** Loads SS for code that will run at {@code newCpl}. */
  void loadStack(int sel, int newCpl) {
    if ((sel & ~3) == 0) {
      if (c.is64() && newCpl != 3 && (sel & 3) == newCpl) {
        setNullStack(sel);
        return;
      }
      throw c.gp0();
    }
    long d = stackDescriptor(sel, newCpl, GuestFault.GP);
    markAccessed(sel, d);
    setFromDescriptor(Instruction.SS, sel, d | 1L << 40);
  }

  /** A null SS, legal in 64-bit mode below CPL 3; its DPL is the CPL. */
  void setNullStack(int sel) {
    set(Instruction.SS, sel, 0, 0xffff_ffffL, S | WRITABLE | ACCESSED | (sel & 3) << 5 | DB | G);
  }

  /** Checks a stack selector for code at {@code newCpl} and returns its descriptor. */
  long stackDescriptor(int sel, int newCpl, int vector) {
    long d = descriptor(sel, vector);
    int a = descriptorAttributes(d);
    if ((sel & 3) != newCpl
        || dpl(a) != newCpl
        || (a & (S | CODE | WRITABLE)) != (S | WRITABLE)) {
      throw c.fault(vector, sel & ~3);
    }
    if ((a & PRESENT) == 0) {
      throw c.fault(GuestFault.SS, sel & ~3);
    }
    return d;
  }

  /** Installs CS from a checked descriptor with the given privilege level. */
  void setCode(int sel, long d, int newCpl) {
    if ((d & 1L << 40) == 0) {
      markAccessed(sel, d);
    }
    setFromDescriptor(Instruction.CS, sel & ~3 | newCpl, d | 1L << 40);
    c.cpl = newCpl;
    c.updateMode();
  }

  /** Returning to an outer level: data segments the new level may not use become null. */
  void dropPrivileged() {
    for (int s : new int[] {Instruction.ES, Instruction.DS, Instruction.FS, Instruction.GS}) {
      int a = attributes[s];
      boolean conforming = (a & (CODE | EXPAND_DOWN)) == (CODE | EXPAND_DOWN);
      if ((a & S) != 0 && !conforming && dpl(a) < c.cpl || (a & PRESENT) == 0 && selector(s) != 0) {
        set(s, 0, 0, 0, UNUSABLE);
      }
    }
  }

  void loadLdt(int sel) {
    if ((sel & ~3) == 0) {
      set(LDTR, sel, 0, 0, UNUSABLE);
      return;
    }
    if ((sel & 4) != 0) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    long d = descriptor(sel, GuestFault.GP);
    int a = descriptorAttributes(d);
    if ((a & (S | TYPE)) != 2) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    long high = c.longMode() ? descriptorHigh(sel, GuestFault.GP) << 32 : 0;
    set(LDTR, sel, descriptorBase(d) | high, descriptorLimit(d), a);
  }

  void loadTask(int sel) {
    if ((sel & ~3) == 0) {
      throw c.gp0();
    }
    if ((sel & 4) != 0) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    long d = descriptor(sel, GuestFault.GP);
    int a = descriptorAttributes(d);
    int type = a & (S | TYPE);
    if (type != 9 && (type != 1 || c.longMode())) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    long high = c.longMode() ? descriptorHigh(sel, GuestFault.GP) << 32 : 0;
    c.mmu.storeSystem(gdtBase + (sel & ~7) + 5, 1, d >>> 40 & 0xff | 2);
    set(TR, sel, descriptorBase(d) | high, descriptorLimit(d), a | 2);
  }
}

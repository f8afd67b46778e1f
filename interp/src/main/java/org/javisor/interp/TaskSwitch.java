package org.javisor.interp;

import org.javisor.isa.Instruction;

/** Hardware task switches (Intel SDM volume 3, chapter 8), outside long mode. */
final class TaskSwitch {
  /** What causes a switch decides about NT, busy bits and the back link. */
  enum Cause {
    JUMP,
    CALL,
    INTERRUPT,
    IRET
  }

  /** The byte of a 32-bit TSS that holds its debug trap bit. */
  private static final int TRAP = 0x64;

  private final Cpu c;

  TaskSwitch(Cpu c) {
    this.c = c;
  }

  /**
   * Switches to the task whose TSS {@code sel} names. What is wrong with the TSS is a fault of the
   * instruction that names it; what is wrong with its contents, of the new task.
   *
   * @param returnRip where the old task goes on when it comes back
   * @param extraFlags flags that are set in what is saved of it, and nowhere else
   */
  void bySelector(int sel, Cause cause, long returnRip, int extraFlags) {
    Segments s = c.segments;
    int vector = cause == Cause.IRET ? GuestFault.TS : GuestFault.GP;
    if ((sel & 4) != 0 || (sel & ~3) == 0) {
      throw c.fault(vector, sel & ~3);
    }
    long d = s.descriptor(sel, vector);
    int a = Segments.descriptorAttributes(d);
    int wanted = cause == Cause.IRET ? 2 : 0;
    if ((a & Segments.S) != 0 || (a & 5) != 1 || (a & 2) != wanted) {
      throw c.fault(vector, sel & ~3);
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    boolean new32 = (a & 8) != 0;
    long newBase = Segments.descriptorBase(d);
    if (Segments.descriptorLimit(d) < (new32 ? 0x67 : 0x2b)) {
      throw c.fault(GuestFault.TS, sel & ~3);
    }
    boolean old32 = (s.attributes(Segments.TR) & 8) != 0;
    long oldBase = s.base(Segments.TR);
    int oldSelector = s.selector(Segments.TR);
    int flags = c.rflags() | extraFlags;
    if (cause == Cause.IRET) {
      flags &= ~Cpu.NT;
    }

    // Read the whole new state before anything of it is installed.
    int word = new32 ? 4 : 2;
    long[] gpr = new long[8];
    long cr3 = new32 ? c.mmu.loadSystem(newBase + 0x1c, 4) & 0xffff_ffffL : c.cr3;
    long at = newBase + (new32 ? 0x20 : 0x0e);
    long rip = read(at, word);
    int newFlags = (int) read(at + word, word);
    for (int i = 0; i < 8; i++) {
      gpr[i] = read(at + (2L + i) * word, word);
    }
    at += 10L * word;
    int[] selectors = new int[6];
    int segments = new32 ? 6 : 4;
    for (int i = 0; i < segments; i++) {
      selectors[i] = (int) read(at + (long) i * word, 2);
    }
    int ldt = (int) read(at + (long) segments * word, 2);
    boolean trap = new32 && (c.mmu.loadSystem(newBase + TRAP, 1) & 1) != 0;

    if (cr3 != c.cr3 && c.system.pae()) {
      c.mmu.checkPdptes(cr3);
    }

    save(oldBase, old32, returnRip, flags);
    if (cause == Cause.JUMP || cause == Cause.IRET) {
      setBusy(oldSelector, false);
    }
    if (cause == Cause.CALL || cause == Cause.INTERRUPT) {
      c.mmu.storeSystem(newBase, 2, oldSelector);
      newFlags |= Cpu.NT;
    }
    if (cause != Cause.IRET) {
      setBusy(sel, true);
    }
    s.set(Segments.TR, sel, newBase, Segments.descriptorLimit(d), a | 2);
    c.cr0 |= Cpu.CR0_TS;
    c.debug.taskSwitched(trap);
    if (new32 && cr3 != c.cr3 && (c.cr0 & Cpu.CR0_PG) != 0) {
      c.system.setCr3(cr3);
    }
    c.rip = rip;
    c.setRflags(new32 ? newFlags & 0x3f_7fd7 : newFlags & 0x7fd7);
    for (int i = 0; i < 8; i++) {
      // A 16-bit task finds ones in the upper halves.
      c.put(i << 3, 4, new32 ? gpr[i] : gpr[i] | 0xffff_0000L);
    }
    if ((newFlags & Cpu.VM) != 0 && new32) {
      c.cpl = 3;
      s.loadLdt(ldt);
      for (int i = 0; i < 6; i++) {
        s.loadReal(i, selectors[i]);
      }
      c.updateMode();
      return;
    }
    try {
      s.loadLdt(ldt);
      int cs = selectors[Instruction.CS];
      if ((cs & ~3) == 0) {
        throw c.fault(GuestFault.TS, 0);
      }
      long cd = s.descriptor(cs, GuestFault.TS);
      int ca = Segments.descriptorAttributes(cd);
      if ((ca & (Segments.S | Segments.CODE)) != (Segments.S | Segments.CODE)) {
        throw c.fault(GuestFault.TS, cs & ~3);
      }
      if ((ca & Segments.PRESENT) == 0) {
        throw c.fault(GuestFault.NP, cs & ~3);
      }
      s.setCode(cs, cd, cs & 3);
      s.loadStack(selectors[Instruction.SS], c.cpl);
      c.updateMode();
      for (int seg : new int[] {Instruction.ES, Instruction.DS, Instruction.FS, Instruction.GS}) {
        s.load(seg, selectors[seg]);
      }
    } catch (GuestFault f) {
      if (f.vector == GuestFault.GP) {
        f.vector = GuestFault.TS;
      }
      throw f;
    }
    if (rip > s.csLimit()) {
      throw c.gp0();
    }
  }

  private long read(long at, int size) {
    return Cpu.zeroExtend(c.mmu.loadSystem(at, size), size);
  }

  private void setBusy(int sel, boolean busy) {
    long at = c.segments.gdtBase + (sel & ~7) + 5;
    long type = c.mmu.loadSystem(at, 1);
    c.mmu.storeSystem(at, 1, busy ? type | 2 : type & ~2);
  }

  private void save(long base, boolean wide, long rip, int flags) {
    int word = wide ? 4 : 2;
    long at = base + (wide ? 0x20 : 0x0e);
    c.mmu.storeSystem(at, word, rip);
    c.mmu.storeSystem(at + word, word, flags);
    for (int i = 0; i < 8; i++) {
      c.mmu.storeSystem(at + (2L + i) * word, word, c.reg(i));
    }
    at += 10L * word;
    for (int i = 0; i < (wide ? 6 : 4); i++) {
      c.mmu.storeSystem(at + (long) i * word, 2, c.segments.selector(i));
    }
  }
}

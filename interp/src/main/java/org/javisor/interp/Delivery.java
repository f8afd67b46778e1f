package org.javisor.interp;

import java.util.HexFormat;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.TrapHandler;
import org.javisor.isa.Instruction;

/**
 * Delivery of exceptions and interrupts, IRET, and far transfers of control.
 *
 * <p>Source: Intel SDM volume 3, chapters 6 and 7 and the operation sections of INT, IRET, CALL, RET
 * and JMP in volume 2; AMD APM volume 2, chapter 8.
 */
final class Delivery {
  /** Of an error code: the fault is of the delivery of an event, and not of an INT instruction. */
  private static final int EXTERNAL = 1;

  /** An exception's handling may raise so many others before the guest has crashed. */
  private static final int MOST_TRAPS = 8;

  private static final int GATE_TASK = 5;
  private static final int GATE_CALL16 = 4;
  private static final int GATE_INT16 = 6;
  private static final int GATE_TRAP16 = 7;
  private static final int GATE_CALL32 = 12;
  private static final int GATE_INT32 = 14;
  private static final int GATE_TRAP32 = 15;

  private final Cpu c;
  private final Trace trace;

  /** NMIs stay blocked from one's delivery to the next IRET. */
  boolean nmiBlocked;

  /** What the last exception was before its delivery raised others; for the crash report. */
  private int firstVector;

  private int firstErrorCode;

  /** The current access goes through SS: decides #SS or #GP for a non-canonical address. */
  private boolean stackAccess;

  private final org.javisor.isa.Instruction scratch = new org.javisor.isa.Instruction();

  Delivery(Cpu c, Trace trace) {
    this.c = c;
    this.trace = trace;
  }

  /**
   * Whether the access under way goes through SS. Asked only when an address turned out not to be
   * canonical, so the instruction at RIP is simply decoded again.
   */
  boolean usesStackSegment() {
    return stackAccess || c.vcpu.instructionUsesStack(c.rip, scratch);
  }

  // ---- exceptions and interrupts ----------------------------------------------------------

  /**
   * Delivers an exception raised by the instruction at {@link Cpu#rip}, and what delivering it
   * raises in turn.
   *
   * @return false when that ends in a triple fault
   */
  boolean exception(int vector, int errorCode) {
    firstVector = vector;
    firstErrorCode = errorCode;
    if (c.traps != null) {
      return trap(vector, errorCode);
    }
    while (true) {
      try {
        event(vector, errorCode, false, false, c.rip);
        return true;
      } catch (GuestFault f) {
        int second = f.vector;
        if (vector == GuestFault.DF) {
          return false;
        }
        boolean doubles =
            GuestFault.contributory(vector) && GuestFault.contributory(second)
                || vector == GuestFault.PF
                    && (second == GuestFault.PF || GuestFault.contributory(second));
        if (doubles) {
          vector = GuestFault.DF;
          errorCode = 0;
        } else {
          vector = second;
          errorCode = f.errorCode;
        }
      }
    }
  }

  /** Hands an exception to who stands in for ring 0, and what comes of that in turn. */
  private boolean trap(int vector, int errorCode) {
    for (int i = 0; i < MOST_TRAPS; i++) {
      try {
        c.stepDecided = true;
        trace(vector, errorCode, c.rip);
        if (vector == GuestFault.DB) {
          c.debug.delivering();
        }
        int code = errorCode == GuestFault.NO_ERROR_CODE ? TrapHandler.NO_ERROR_CODE : errorCode;
        return c.traps.exception(c.trapped, vector, code, false);
      } catch (GuestFault f) {
        vector = f.vector;
        errorCode = f.errorCode;
      }
    }
    return false;
  }

  /** Delivers an external interrupt, NMI or software interrupt; may throw a fault of delivery. */
  void interrupt(int vector, boolean software, long returnRip) {
    if (c.traps != null) {
      c.stepDecided = true;
      c.rip = returnRip;
      if (vector == GuestFault.NMI || software) {
        if (!c.traps.exception(c.trapped, vector, TrapHandler.NO_ERROR_CODE, software)) {
          throw c.fault(GuestFault.DF, 0);
        }
      } else {
        c.traps.interrupt(c.trapped);
      }
      return;
    }
    event(vector, GuestFault.NO_ERROR_CODE, true, software, returnRip);
  }

  private static boolean pushesError(int vector) {
    return switch (vector) {
      case 8, 10, 11, 12, 13, 14, 17, 21 -> true;
      default -> false;
    };
  }

  private void event(
      int vector, int errorCode, boolean interrupt, boolean software, long returnRip) {
    c.stepDecided = true; // the handler begins with TF clear
    if (!interrupt) {
      trace(vector, errorCode, returnRip);
    }
    if (vector == GuestFault.DB) {
      c.debug.delivering();
    }
    if (!c.protectedMode()) {
      eventReal(vector, returnRip);
      return;
    }
    try {
      if (c.longMode()) {
        eventLong(vector, errorCode, interrupt, software, returnRip);
      } else {
        eventProtected(vector, errorCode, interrupt, software, returnRip);
      }
    } catch (GuestFault f) {
      if (!software && f.namesSelector()) {
        f.errorCode |= EXTERNAL;
      }
      throw f;
    }
  }

  /** The exception whose delivery ended in a triple fault. */
  String undelivered() {
    return "exception " + firstVector
        + (firstErrorCode == GuestFault.NO_ERROR_CODE
            ? ""
            : ", error code %#x,".formatted(firstErrorCode));
  }

  private void trace(int vector, int errorCode, long rip) {
    if (vector == GuestFault.UD && trace.wants(TraceCategory.UNKNOWN)) {
      trace.line(
          TraceCategory.UNKNOWN,
          "vcpu %d opcode at %#x: %s", c.id, rip,
          HexFormat.ofDelimiter(" ").formatHex(CrashReport.code(c, 15)));
    }
    if (!trace.wants(TraceCategory.EXCEPTIONS)) {
      return;
    }
    String error =
        errorCode == GuestFault.NO_ERROR_CODE ? "" : " error %#x".formatted(errorCode);
    String address = vector == GuestFault.PF ? " cr2 %#x".formatted(c.cr2) : "";
    trace.line(
        TraceCategory.EXCEPTIONS,
        "vcpu %d cpl %d vector %d%s%s at %#x", c.id, c.cpl, vector, error, address, rip);
  }

  private void eventReal(int vector, long returnRip) {
    if (vector * 4 + 3 > c.segments.idtLimit) {
      throw c.fault(GuestFault.GP);
    }
    long entry = c.load(c.segments.idtBase + vector * 4L & 0xffff_ffffL, 4);
    long sp = c.stackPointer();
    c.store(c.stackAddress(sp - 2, 2, true), 2, c.rflags());
    c.store(c.stackAddress(sp - 4, 2, true), 2, c.segments.selector(Instruction.CS));
    c.store(c.stackAddress(sp - 6, 2, true), 2, returnRip);
    c.setStackPointer(sp - 6);
    c.segments.loadReal(Instruction.CS, (int) (entry >>> 16) & 0xffff);
    c.rip = entry & 0xffff;
    c.setSystemFlags(Cpu.IF | Cpu.TF | Cpu.AC | Cpu.RF, 0);
  }

  /** The error code of a fault that names an IDT entry. */
  private static int idtError(int vector) {
    return vector << 3 | 2;
  }

  private void eventLong(
      int vector, int errorCode, boolean interrupt, boolean software, long returnRip) {
    Segments s = c.segments;
    if (vector * 16 + 15 > s.idtLimit) {
      throw c.fault(GuestFault.GP, idtError(vector));
    }
    long low = c.mmu.loadSystem(s.idtBase + vector * 16L, 8);
    long high = c.mmu.loadSystem(s.idtBase + vector * 16L + 8, 8);
    int a = (int) (low >>> 40) & 0xff;
    int type = a & 31;
    if (type != GATE_INT32 && type != GATE_TRAP32) {
      throw c.fault(GuestFault.GP, idtError(vector));
    }
    if (software && Segments.dpl(a) < c.cpl) {
      throw c.fault(GuestFault.GP, idtError(vector));
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, idtError(vector));
    }
    int sel = (int) (low >>> 16) & 0xffff;
    long target = low & 0xffff | low >>> 32 & 0xffff_0000L | high << 32;
    int ist = (int) (low >>> 32) & 7;
    if ((sel & ~3) == 0) {
      throw c.gp0();
    }
    long d = codeDescriptor(sel);
    int ca = Segments.descriptorAttributes(d);
    if ((ca & Segments.L) == 0 || (ca & Segments.DB) != 0) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    boolean conforming = (ca & Segments.EXPAND_DOWN) != 0;
    int newCpl = conforming ? c.cpl : Segments.dpl(ca);
    if (newCpl > c.cpl) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((ca & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    if (target << 16 >> 16 != target) {
      throw c.gp0();
    }
    int oldCpl = c.cpl;
    long oldSp = c.reg(Cpu.RSP);
    long sp;
    if (ist != 0) {
      sp = tss64(36 + 8 * (ist - 1));
    } else if (newCpl != oldCpl) {
      sp = tss64(4 + 8 * newCpl);
    } else {
      sp = oldSp;
    }
    if (sp << 16 >> 16 != sp) {
      throw c.fault(GuestFault.SS, 0);
    }
    sp &= ~15L;
    int oldSs = s.selector(Instruction.SS);
    long frame = sp - 40;
    boolean error = errorCode != GuestFault.NO_ERROR_CODE && pushesError(vector);
    // RF is saved set for faults, so that the instruction restarts without its breakpoint.
    int saved = c.rflags() | (!interrupt && vector != GuestFault.DB ? Cpu.RF : 0);
    boolean user = newCpl == 3;
    pushStack(sp - 8, oldSs, user);
    pushStack(sp - 16, oldSp, user);
    pushStack(sp - 24, saved, user);
    pushStack(sp - 32, s.selector(Instruction.CS), user);
    pushStack(sp - 40, returnRip, user);
    if (error) {
      frame -= 8;
      pushStack(frame, errorCode, user);
    }
    s.setCode(sel, d, newCpl);
    if (newCpl != oldCpl) {
      s.setNullStack(newCpl);
      c.updateMode();
    }
    c.setReg(Cpu.RSP, frame);
    int clear = Cpu.TF | Cpu.NT | Cpu.RF | Cpu.VM;
    c.setSystemFlags(type == GATE_INT32 ? clear | Cpu.IF : clear, 0);
    c.rip = target;
  }

  private void pushStack(long at, long value, boolean user) {
    if (at << 16 >> 16 != at) {
      throw c.fault(GuestFault.SS, 0);
    }
    if (user) {
      c.store(at, 8, value);
    } else {
      c.mmu.storeSystem(at, 8, value);
    }
  }

  private long tss64(int offset) {
    if (offset + 7 > c.segments.limit(Segments.TR)) {
      throw c.fault(GuestFault.TS, c.segments.selector(Segments.TR) & ~3);
    }
    return c.mmu.loadSystem(c.segments.base(Segments.TR) + offset, 8);
  }

  /** Reads and checks the descriptor of a code segment named by a gate. */
  private long codeDescriptor(int sel) {
    long d = c.segments.descriptor(sel, GuestFault.GP);
    int a = Segments.descriptorAttributes(d);
    if ((a & (Segments.S | Segments.CODE)) != (Segments.S | Segments.CODE)) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    return d;
  }

  private void eventProtected(
      int vector, int errorCode, boolean interrupt, boolean software, long returnRip) {
    Segments s = c.segments;
    if (vector * 8 + 7 > s.idtLimit) {
      throw c.fault(GuestFault.GP, idtError(vector));
    }
    long gate = c.mmu.loadSystem(s.idtBase + vector * 8L, 8);
    int a = (int) (gate >>> 40) & 0xff;
    int type = a & 31;
    boolean known =
        type == GATE_TASK
            || type == GATE_INT16
            || type == GATE_TRAP16
            || type == GATE_INT32
            || type == GATE_TRAP32;
    if (!known || software && Segments.dpl(a) < c.cpl) {
      throw c.fault(GuestFault.GP, idtError(vector));
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, idtError(vector));
    }
    boolean error = errorCode != GuestFault.NO_ERROR_CODE && pushesError(vector);
    if (type == GATE_TASK) {
      int restart = !interrupt && vector != GuestFault.DB ? Cpu.RF : 0;
      new TaskSwitch(c)
          .bySelector(
              (int) (gate >>> 16) & 0xffff, TaskSwitch.Cause.INTERRUPT, returnRip, restart);
      if (error) {
        c.push((c.segments.attributes(Segments.TR) & 8) != 0 ? 4 : 2, errorCode);
      }
      return;
    }
    boolean wide = (type & 8) != 0;
    int size = wide ? 4 : 2;
    int sel = (int) (gate >>> 16) & 0xffff;
    long target = wide ? gate & 0xffff | gate >>> 32 & 0xffff_0000L : gate & 0xffff;
    if ((sel & ~3) == 0) {
      throw c.gp0();
    }
    long d = codeDescriptor(sel);
    int ca = Segments.descriptorAttributes(d);
    boolean conforming = (ca & Segments.EXPAND_DOWN) != 0;
    int newCpl = conforming ? c.cpl : Segments.dpl(ca);
    if (newCpl > c.cpl) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((ca & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    if (target > Segments.descriptorLimit(d)) {
      throw c.gp0();
    }
    boolean fromV86 = c.virtual8086();
    int oldFlags = c.rflags() | (!interrupt && vector != GuestFault.DB ? Cpu.RF : 0);
    int oldCs = s.selector(Instruction.CS);
    int oldSs = s.selector(Instruction.SS);
    if (newCpl < c.cpl || fromV86) {
      if (fromV86 && newCpl != 0) {
        throw c.fault(GuestFault.GP, sel & ~3);
      }
      long oldSp = c.reg(Cpu.RSP) & 0xffff_ffffL;
      long stack = innerStack(newCpl);
      int newSs = (int) (stack >>> 32);
      long sp = stack & 0xffff_ffffL;
      if ((newSs & ~3) == 0) {
        throw c.fault(GuestFault.TS, 0);
      }
      long sd = s.stackDescriptor(newSs, newCpl, GuestFault.TS);
      int[] data = null;
      if (fromV86) {
        data =
            new int[] {
              s.selector(Instruction.GS),
              s.selector(Instruction.FS),
              s.selector(Instruction.DS),
              s.selector(Instruction.ES)
            };
      }
      int words = 5 + (error ? 1 : 0) + (fromV86 ? 4 : 0);
      boolean stack32 = (Segments.descriptorAttributes(sd) & Segments.DB) != 0;
      long stackBase = Segments.descriptorBase(sd);
      long mask = stack32 ? 0xffff_ffffL : 0xffff;
      checkInnerStack(sd, sp - words * (long) size & mask, words * size, newSs);
      long at = sp;
      if (fromV86) {
        for (int x : data) {
          at -= size;
          c.mmu.storeSystem(stackBase + (at & mask), size, x);
        }
      }
      at -= size;
      c.mmu.storeSystem(stackBase + (at & mask), size, oldSs);
      at -= size;
      c.mmu.storeSystem(stackBase + (at & mask), size, oldSp);
      at -= size;
      c.mmu.storeSystem(stackBase + (at & mask), size, oldFlags);
      at -= size;
      c.mmu.storeSystem(stackBase + (at & mask), size, oldCs);
      at -= size;
      c.mmu.storeSystem(stackBase + (at & mask), size, returnRip);
      if (error) {
        at -= size;
        c.mmu.storeSystem(stackBase + (at & mask), size, errorCode);
      }
      if (fromV86) {
        c.setSystemFlags(Cpu.VM, 0);
        for (int seg : new int[] {Instruction.GS, Instruction.FS, Instruction.DS, Instruction.ES}) {
          s.set(seg, 0, 0, 0, Segments.UNUSABLE);
        }
      }
      s.setCode(sel, d, newCpl);
      s.markAccessed(newSs, sd);
      s.setFromDescriptor(Instruction.SS, newSs, sd | 1L << 40);
      c.updateMode();
      c.put(Cpu.RSP << 3, stack32 ? 4 : 2, at);
    } else {
      long sp = c.stackPointer();
      long at = sp - size;
      c.store(c.stackAddress(at, size, true), size, oldFlags);
      at -= size;
      c.store(c.stackAddress(at, size, true), size, oldCs);
      at -= size;
      c.store(c.stackAddress(at, size, true), size, returnRip);
      if (error) {
        at -= size;
        c.store(c.stackAddress(at, size, true), size, errorCode);
      }
      c.setStackPointer(at);
      s.setCode(sel, d, newCpl);
    }
    int clear = Cpu.TF | Cpu.NT | Cpu.RF | Cpu.VM;
    boolean interruptGate = type == GATE_INT16 || type == GATE_INT32;
    c.setSystemFlags(interruptGate ? clear | Cpu.IF : clear, 0);
    c.rip = target;
  }

  private void checkInnerStack(long sd, long low, int bytes, int sel) {
    int a = Segments.descriptorAttributes(sd);
    long limit = Segments.descriptorLimit(sd);
    long last = low + bytes - 1;
    boolean bad =
        (a & Segments.EXPAND_DOWN) != 0
            ? low <= limit || last > ((a & Segments.DB) != 0 ? 0xffff_ffffL : 0xffff)
            : last > limit;
    if (bad) {
      throw c.fault(GuestFault.SS, sel & ~3);
    }
  }

  /** SS and ESP for an inner level from the TSS: selector in the high half. */
  private long innerStack(int cpl) {
    Segments s = c.segments;
    boolean tss32 = (s.attributes(Segments.TR) & 8) != 0;
    int offset = tss32 ? 4 + 8 * cpl : 2 + 4 * cpl;
    if (offset + (tss32 ? 5 : 3) > s.limit(Segments.TR)) {
      throw c.fault(GuestFault.TS, s.selector(Segments.TR) & ~3);
    }
    long at = s.base(Segments.TR) + offset;
    long sp = tss32 ? c.mmu.loadSystem(at, 4) & 0xffff_ffffL : c.mmu.loadSystem(at, 2) & 0xffff;
    long ss = c.mmu.loadSystem(at + (tss32 ? 4 : 2), 2) & 0xffff;
    return ss << 32 | sp;
  }

  // ---- IRET -------------------------------------------------------------------------------

  void iret(Instruction in) {
    int size = in.operandSize;
    if (!c.protectedMode()) {
      iretReal(size);
    } else if (c.virtual8086()) {
      if (c.iopl() < 3) {
        c.virtualInterrupts.returnVirtual(size);
      } else {
        iretReal(size);
      }
    } else if (c.longMode()) {
      iretLong(size);
    } else {
      iretProtected(size);
    }
    nmiBlocked = false;
  }

  private static long mask(int size) {
    return size == 2 ? 0xffff : size == 4 ? 0xffff_ffffL : -1L;
  }

  private void iretReal(int size) {
    long newRip = c.peek(0, size) & mask(size);
    int cs = (int) c.peek(size, size) & 0xffff;
    int f = (int) c.peek(2 * size, size);
    if (newRip > 0xffff) {
      throw c.gp0();
    }
    c.setStackPointer(c.stackPointer() + 3L * size);
    int keep = c.virtual8086() ? Cpu.IOPL | Cpu.VM : Cpu.VM;
    keep |= Cpu.VIF | Cpu.VIP;
    if (size == 2) {
      keep |= 0xffff_0000;
    }
    int old = c.rflags();
    c.segments.loadReal(Instruction.CS, cs);
    c.rip = newRip;
    c.setRflags(old & keep | f & ~keep & 0x27_7fd7);
  }

  /** Merges popped flags as CPL and IOPL of the returning code allow. */
  private int returnFlags(int popped, int size, int oldCpl) {
    int change = Cpu.ARITHMETIC | Cpu.TF | Cpu.DF | Cpu.NT;
    if (size > 2) {
      change |= Cpu.RF | Cpu.AC | Cpu.ID;
    }
    if (oldCpl <= c.iopl()) {
      change |= Cpu.IF;
    }
    if (oldCpl == 0) {
      change |= Cpu.IOPL;
      if (size > 2) {
        change |= Cpu.VIF | Cpu.VIP;
      }
    }
    return c.rflags() & ~change | popped & change;
  }

  private void iretLong(int size) {
    if ((c.flags() & Cpu.NT) != 0) {
      throw c.gp0();
    }
    Segments s = c.segments;
    stackAccess = true;
    long newRip;
    int cs;
    int f;
    try {
      newRip = c.peek(0, size) & mask(size);
      cs = (int) c.peek(size, size) & 0xffff;
      f = (int) c.peek(2 * size, size);
      if (c.is64()) {
        // The whole frame is read, and may fault, before any of it is checked.
        c.peek(3 * size, size);
        c.peek(4 * size, size);
      }
    } finally {
      stackAccess = false;
    }
    int newCpl = cs & 3;
    if ((cs & ~3) == 0) {
      throw c.gp0();
    }
    long d = returnCode(cs, newCpl);
    boolean to64 = (d & 1L << 53) != 0;
    boolean outer = newCpl > c.cpl;
    if (c.is64() || outer) {
      long newSp = c.peek(3 * size, size) & mask(size);
      int ss = (int) c.peek(4 * size, size) & 0xffff;
      long sd = 0;
      boolean nullSs = (ss & ~3) == 0;
      if (nullSs) {
        if (!to64 || newCpl == 3 || (ss & 3) != newCpl) {
          throw c.gp0();
        }
      } else {
        sd = s.stackDescriptor(ss, newCpl, GuestFault.GP);
      }
      checkTarget(newRip, d, to64);
      int merged = returnFlags(f, size, c.cpl);
      s.setCode(cs, d, newCpl);
      if (nullSs) {
        s.setNullStack(ss);
      } else {
        s.markAccessed(ss, sd);
        s.setFromDescriptor(Instruction.SS, ss, sd | 1L << 40);
      }
      c.updateMode();
      c.put(Cpu.RSP << 3, c.stackSize == 8 ? 8 : c.stackSize, newSp);
      if (outer) {
        s.dropPrivileged();
      }
      c.rip = newRip;
      c.setRflags(merged);
    } else {
      checkTarget(newRip, d, to64);
      int merged = returnFlags(f, size, c.cpl);
      c.setStackPointer(c.stackPointer() + 3L * size);
      s.setCode(cs, d, newCpl);
      c.rip = newRip;
      c.setRflags(merged);
    }
  }

  /** Faults where an address lies outside of the code segment that is to be entered at it. */
  private void checkTarget(long newRip, long d, boolean to64) {
    if (to64 ? newRip << 16 >> 16 != newRip : newRip > Segments.descriptorLimit(d)) {
      throw c.gp0();
    }
  }

  /** Checks the code segment a return or IRET goes to, and returns its descriptor. */
  private long returnCode(int cs, int newCpl) {
    long d = c.segments.descriptor(cs, GuestFault.GP);
    int a = Segments.descriptorAttributes(d);
    boolean conforming = (a & Segments.EXPAND_DOWN) != 0;
    if ((a & (Segments.S | Segments.CODE)) != (Segments.S | Segments.CODE)
        || newCpl < c.cpl
        || (conforming ? Segments.dpl(a) > newCpl : Segments.dpl(a) != newCpl)
        || c.longMode() && (a & (Segments.L | Segments.DB)) == (Segments.L | Segments.DB)) {
      throw c.fault(GuestFault.GP, cs & ~3);
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, cs & ~3);
    }
    return d;
  }

  private void iretProtected(int size) {
    Segments s = c.segments;
    if ((c.flags() & Cpu.NT) != 0) {
      int link = (int) c.mmu.loadSystem(s.base(Segments.TR), 2) & 0xffff;
      long next = c.rip + c.vcpu.lengthAt(c.rip, scratch);
      new TaskSwitch(c).bySelector(link, TaskSwitch.Cause.IRET, next, 0);
      return;
    }
    long newRip = c.peek(0, size) & mask(size);
    int cs = (int) c.peek(size, size) & 0xffff;
    int f = (int) c.peek(2 * size, size);
    if (size == 4 && (f & Cpu.VM) != 0 && c.cpl == 0) {
      toVirtual8086(newRip, cs, f);
      return;
    }
    if ((cs & ~3) == 0) {
      throw c.gp0();
    }
    int newCpl = cs & 3;
    long d = returnCode(cs, newCpl);
    if (newCpl > c.cpl) {
      long newSp = c.peek(3 * size, size) & mask(size);
      int ss = (int) c.peek(4 * size, size) & 0xffff;
      if ((ss & ~3) == 0) {
        throw c.gp0();
      }
      long sd = s.stackDescriptor(ss, newCpl, GuestFault.GP);
      checkTarget(newRip, d, false);
      int merged = returnFlags(f, size, c.cpl);
      s.setCode(cs, d, newCpl);
      s.markAccessed(ss, sd);
      s.setFromDescriptor(Instruction.SS, ss, sd | 1L << 40);
      c.updateMode();
      c.put(Cpu.RSP << 3, c.stackSize, newSp);
      s.dropPrivileged();
      c.rip = newRip;
      c.setRflags(merged);
    } else {
      checkTarget(newRip, d, false);
      int merged = returnFlags(f, size, c.cpl);
      c.setStackPointer(c.stackPointer() + 3L * size);
      s.setCode(cs, d, newCpl);
      c.rip = newRip;
      c.setRflags(merged);
    }
  }

  private void toVirtual8086(long newRip, int cs, int f) {
    long sp = c.peek(12, 4) & 0xffff_ffffL;
    int ss = (int) c.peek(16, 4) & 0xffff;
    int es = (int) c.peek(20, 4) & 0xffff;
    int ds = (int) c.peek(24, 4) & 0xffff;
    int fs = (int) c.peek(28, 4) & 0xffff;
    int gs = (int) c.peek(32, 4) & 0xffff;
    Segments s = c.segments;
    c.setRflags(f & 0x3f_7fd7);
    c.cpl = 3;
    int[] order = {
      Instruction.CS, Instruction.SS, Instruction.ES, Instruction.DS, Instruction.FS, Instruction.GS
    };
    int[] selectors = {cs, ss, es, ds, fs, gs};
    for (int i = 0; i < 6; i++) {
      int code = order[i] == Instruction.CS ? Segments.CODE : 0;
      s.set(
          order[i],
          selectors[i],
          (long) selectors[i] << 4,
          0xffff,
          Segments.PRESENT | Segments.S | code | Segments.WRITABLE | Segments.ACCESSED | 3 << 5);
    }
    c.setReg(Cpu.RSP, sp);
    c.rip = newRip & 0xffff;
    c.updateMode();
  }

  // ---- far transfers ----------------------------------------------------------------------

  void jumpFar(int sel, long offset, int size) {
    if (c.realOrVirtual8086()) {
      if (offset > 0xffff) {
        throw c.gp0();
      }
      c.segments.loadReal(Instruction.CS, sel);
      c.rip = offset;
      return;
    }
    if ((sel & ~3) == 0) {
      throw c.gp0();
    }
    Segments s = c.segments;
    long d = s.descriptor(sel, GuestFault.GP);
    int a = Segments.descriptorAttributes(d);
    if ((a & Segments.S) == 0) {
      switch (a & Segments.TYPE) {
        case GATE_CALL16, GATE_CALL32 -> {
          checkGate(a, sel);
          int target = (int) (d >>> 16) & 0xffff;
          long to = gateOffset(d, a, sel);
          long td = gateCode(target, false);
          checkTarget(to, td, c.longMode());
          s.setCode(target, td, c.cpl);
          c.rip = to;
        }
        case GATE_TASK, 1, 9 -> taskTransfer(d, a, sel, TaskSwitch.Cause.JUMP);
        default -> throw c.fault(GuestFault.GP, sel & ~3);
      }
      return;
    }
    checkDirectCode(a, sel);
    boolean to64 = c.longMode() && (a & Segments.L) != 0;
    if (to64 ? offset << 16 >> 16 != offset : offset > Segments.descriptorLimit(d)) {
      throw c.gp0();
    }
    s.setCode(sel, d, c.cpl);
    c.rip = to64 ? offset : offset & 0xffff_ffffL;
  }

  private void checkDirectCode(int a, int sel) {
    boolean conforming = (a & Segments.EXPAND_DOWN) != 0;
    if ((a & Segments.CODE) == 0
        || (conforming ? Segments.dpl(a) > c.cpl : (sel & 3) > c.cpl || Segments.dpl(a) != c.cpl)
        || c.longMode() && (a & (Segments.L | Segments.DB)) == (Segments.L | Segments.DB)) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
  }

  private void checkGate(int a, int sel) {
    if (Segments.dpl(a) < c.cpl
        || Segments.dpl(a) < (sel & 3)
        || c.longMode() && (a & Segments.TYPE) != GATE_CALL32) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
  }

  private long gateOffset(long d, int a, int sel) {
    if (c.longMode()) {
      long high = c.segments.descriptorHigh(sel, GuestFault.GP);
      if ((high >>> 40 & 31) != 0) {
        throw c.fault(GuestFault.GP, sel & ~3);
      }
      return d & 0xffff | d >>> 32 & 0xffff_0000L | high << 32;
    }
    return (a & 8) != 0 ? d & 0xffff | d >>> 32 & 0xffff_0000L : d & 0xffff;
  }

  private long gateCode(int target, boolean call) {
    if ((target & ~3) == 0) {
      throw c.gp0();
    }
    long td = codeDescriptor(target);
    int ta = Segments.descriptorAttributes(td);
    boolean conforming = (ta & Segments.EXPAND_DOWN) != 0;
    boolean bad =
        call || conforming ? Segments.dpl(ta) > c.cpl : Segments.dpl(ta) != c.cpl;
    if (bad || c.longMode() && (ta & (Segments.L | Segments.DB)) != Segments.L) {
      throw c.fault(GuestFault.GP, target & ~3);
    }
    if ((ta & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, target & ~3);
    }
    return td;
  }

  private void taskTransfer(long d, int a, int sel, TaskSwitch.Cause cause) {
    if (c.longMode() || Segments.dpl(a) < c.cpl || Segments.dpl(a) < (sel & 3)) {
      throw c.fault(GuestFault.GP, sel & ~3);
    }
    if ((a & Segments.PRESENT) == 0) {
      throw c.fault(GuestFault.NP, sel & ~3);
    }
    int target = (a & Segments.TYPE) == GATE_TASK ? (int) (d >>> 16) & 0xffff : sel;
    long next = c.rip + c.vcpu.lengthAt(c.rip, scratch);
    new TaskSwitch(c).bySelector(target, cause, next, 0);
  }

  void callFar(int sel, long offset, int size, long returnRip) {
    Segments s = c.segments;
    int oldCs = s.selector(Instruction.CS);
    if (c.realOrVirtual8086()) {
      if (offset > 0xffff) {
        throw c.gp0();
      }
      long sp = c.stackPointer();
      c.store(c.stackAddress(sp - size, size, true), size, oldCs);
      c.store(c.stackAddress(sp - 2L * size, size, true), size, returnRip);
      c.setStackPointer(sp - 2L * size);
      s.loadReal(Instruction.CS, sel);
      c.rip = offset;
      return;
    }
    if ((sel & ~3) == 0) {
      throw c.gp0();
    }
    long d = s.descriptor(sel, GuestFault.GP);
    int a = Segments.descriptorAttributes(d);
    if ((a & Segments.S) == 0) {
      switch (a & Segments.TYPE) {
        case GATE_CALL16, GATE_CALL32 -> callGate(d, a, sel, returnRip);
        case GATE_TASK, 1, 9 -> taskTransfer(d, a, sel, TaskSwitch.Cause.CALL);
        default -> throw c.fault(GuestFault.GP, sel & ~3);
      }
      return;
    }
    checkDirectCode(a, sel);
    boolean to64 = c.longMode() && (a & Segments.L) != 0;
    if (to64 ? offset << 16 >> 16 != offset : offset > Segments.descriptorLimit(d)) {
      throw c.gp0();
    }
    long sp = c.stackPointer();
    c.store(c.stackAddress(sp - size, size, true), size, oldCs);
    c.store(c.stackAddress(sp - 2L * size, size, true), size, returnRip);
    c.setStackPointer(sp - 2L * size);
    s.setCode(sel, d, c.cpl);
    c.rip = to64 ? offset : offset & 0xffff_ffffL;
  }

  private void callGate(long d, int a, int sel, long returnRip) {
    checkGate(a, sel);
    Segments s = c.segments;
    int target = (int) (d >>> 16) & 0xffff;
    long to = gateOffset(d, a, sel);
    long td = gateCode(target, true);
    checkTarget(to, td, c.longMode());
    int ta = Segments.descriptorAttributes(td);
    boolean conforming = (ta & Segments.EXPAND_DOWN) != 0;
    int size = c.longMode() ? 8 : (a & 8) != 0 ? 4 : 2;
    int oldCs = s.selector(Instruction.CS);
    int oldSs = s.selector(Instruction.SS);
    if (!conforming && Segments.dpl(ta) < c.cpl) {
      int newCpl = Segments.dpl(ta);
      long oldSp = c.stackPointer();
      if (c.longMode()) {
        long sp = tss64(4 + 8 * newCpl);
        pushStack(sp - 8, oldSs, false);
        pushStack(sp - 16, c.reg(Cpu.RSP), false);
        pushStack(sp - 24, oldCs, false);
        pushStack(sp - 32, returnRip, false);
        s.setCode(target, td, newCpl);
        s.setNullStack(newCpl);
        c.updateMode();
        c.setReg(Cpu.RSP, sp - 32);
      } else {
        long stack = innerStack(newCpl);
        int newSs = (int) (stack >>> 32);
        long sp = stack & 0xffff_ffffL;
        if ((newSs & ~3) == 0) {
          throw c.fault(GuestFault.TS, 0);
        }
        long sd = s.stackDescriptor(newSs, newCpl, GuestFault.TS);
        int words = (int) (d >>> 32) & 31;
        long[] arguments = new long[words];
        for (int i = 0; i < words; i++) {
          arguments[i] = c.peek(i * size, size);
        }
        boolean stack32 = (Segments.descriptorAttributes(sd) & Segments.DB) != 0;
        long stackMask = stack32 ? 0xffff_ffffL : 0xffff;
        long stackBase = Segments.descriptorBase(sd);
        checkInnerStack(
            sd, sp - (words + 4L) * size & stackMask, (words + 4) * size, newSs);
        long at = sp - size;
        c.mmu.storeSystem(stackBase + (at & stackMask), size, oldSs);
        at -= size;
        c.mmu.storeSystem(stackBase + (at & stackMask), size, oldSp);
        for (int i = words - 1; i >= 0; i--) {
          at -= size;
          c.mmu.storeSystem(stackBase + (at & stackMask), size, arguments[i]);
        }
        at -= size;
        c.mmu.storeSystem(stackBase + (at & stackMask), size, oldCs);
        at -= size;
        c.mmu.storeSystem(stackBase + (at & stackMask), size, returnRip);
        s.setCode(target, td, newCpl);
        s.markAccessed(newSs, sd);
        s.setFromDescriptor(Instruction.SS, newSs, sd | 1L << 40);
        c.updateMode();
        c.put(Cpu.RSP << 3, stack32 ? 4 : 2, at);
      }
    } else {
      long sp = c.stackPointer();
      c.store(c.stackAddress(sp - size, size, true), size, oldCs);
      c.store(c.stackAddress(sp - 2L * size, size, true), size, returnRip);
      c.setStackPointer(sp - 2L * size);
      s.setCode(target, td, c.cpl);
    }
    c.rip = to;
  }

  void returnFar(int size, int release) {
    Segments s = c.segments;
    long newRip = c.peek(0, size) & mask(size);
    int cs = (int) c.peek(size, size) & 0xffff;
    if (c.realOrVirtual8086()) {
      if (newRip > 0xffff) {
        throw c.gp0();
      }
      c.setStackPointer(c.stackPointer() + 2L * size + release);
      s.loadReal(Instruction.CS, cs);
      c.rip = newRip;
      return;
    }
    if ((cs & ~3) == 0) {
      throw c.gp0();
    }
    int newCpl = cs & 3;
    long d = returnCode(cs, newCpl);
    boolean to64 = c.longMode() && (d & 1L << 53) != 0;
    checkTarget(newRip, d, to64);
    if (newCpl > c.cpl) {
      long newSp = c.peek(2 * size + release, size) & mask(size);
      int ss = (int) c.peek(3 * size + release, size) & 0xffff;
      boolean nullSs = (ss & ~3) == 0;
      long sd = 0;
      if (nullSs) {
        if (!to64 || newCpl == 3 || (ss & 3) != newCpl) {
          throw c.gp0();
        }
      } else {
        sd = s.stackDescriptor(ss, newCpl, GuestFault.GP);
      }
      s.setCode(cs, d, newCpl);
      if (nullSs) {
        s.setNullStack(ss);
      } else {
        s.markAccessed(ss, sd);
        s.setFromDescriptor(Instruction.SS, ss, sd | 1L << 40);
      }
      c.updateMode();
      c.put(Cpu.RSP << 3, c.stackSize, newSp + release);
      s.dropPrivileged();
    } else {
      c.setStackPointer(c.stackPointer() + 2L * size + release);
      s.setCode(cs, d, newCpl);
    }
    c.rip = newRip;
  }
}

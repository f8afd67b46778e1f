package org.javisor.interp;

import org.javisor.isa.Instruction;

/**
 * Instructions that IOPL guards, and what becomes of them under the extensions of virtual-8086 mode
 * (CR4.VME) and protected-mode virtual interrupts (CR4.PVI): a program that may not touch IF has VIF
 * instead, and its software interrupts may stay its own.
 *
 * <p>Source: Intel SDM volume 3, sections 20.3 and 20.4, and the operation sections of CLI, STI,
 * PUSHF, POPF, IRET and INT in volume 2.
 */
final class VirtualInterrupts {
  /** A TSS holds its I/O map's offset at its end; the redirection map lies before the I/O map. */
  private static final int SMALLEST_LIMIT = 103;

  private static final int MAP_OFFSET = 102;
  private static final int REDIRECTION_BYTES = 32;

  private final Cpu c;

  VirtualInterrupts(Cpu c) {
    this.c = c;
  }

  private boolean iopl() {
    return !c.protectedMode() || c.cpl <= c.iopl();
  }

  /** Faults unless VIF stands in for IF here. */
  private void requireVirtual() {
    boolean virtual =
        c.virtual8086()
            ? (c.cr4 & Cpu.CR4_VME) != 0
            : c.cpl == 3 && (c.cr4 & Cpu.CR4_PVI) != 0;
    if (!virtual) {
      throw c.gp0();
    }
  }

  /** The same for what only 16-bit forms in virtual-8086 mode have. */
  private void requireVirtual(int operandSize) {
    if (operandSize != 2 || (c.cr4 & Cpu.CR4_VME) == 0) {
      throw c.gp0();
    }
  }

  void clear() {
    if (iopl()) {
      c.flags(c.flags() & ~Cpu.IF);
    } else {
      requireVirtual();
      c.flags(c.flags() & ~Cpu.VIF);
    }
  }

  void set() {
    if (!iopl()) {
      requireVirtual();
      if ((c.flags() & Cpu.VIP) != 0) {
        throw c.gp0();
      }
      c.flags(c.flags() | Cpu.VIF);
    } else if ((c.flags() & Cpu.IF) == 0) {
      c.setSystemFlags(Cpu.IF, Cpu.IF);
      c.shadow = true;
    }
  }

  private boolean guarded() {
    return c.virtual8086() && c.iopl() < 3;
  }

  /** The flags as PUSHF and a redirected interrupt show them: VIF as IF, at IOPL 3. */
  private int image() {
    int shown = c.rflags() & ~Cpu.IF | Cpu.IOPL;
    return (c.flags() & Cpu.VIF) != 0 ? shown | Cpu.IF : shown;
  }

  void pushFlags(int operandSize) {
    int image = c.rflags();
    if (guarded()) {
      requireVirtual(operandSize);
      image = image();
    }
    c.push(operandSize, image & ~(Cpu.VM | Cpu.RF));
  }

  void popFlags(int operandSize) {
    if (guarded()) {
      requireVirtual(operandSize);
      int popped = (int) c.peek(0, 2);
      checkPopped(popped);
      c.setStackPointer(c.stackPointer() + 2);
      take(popped);
      return;
    }
    int f = (int) c.pop(operandSize);
    int change = Cpu.ARITHMETIC | Cpu.TF | Cpu.DF | Cpu.NT;
    if (operandSize > 2) {
      change |= Cpu.AC | Cpu.ID;
    }
    if (!c.protectedMode() || c.cpl == 0) {
      change |= Cpu.IOPL;
    }
    if (iopl()) {
      change |= Cpu.IF;
    }
    c.setRflags((c.rflags() & ~change | f & change) & ~Cpu.RF | c.flags() & Cpu.VM);
  }

  private void checkPopped(int popped) {
    boolean enables = (popped & Cpu.IF) != 0 && (c.flags() & Cpu.VIP) != 0;
    if (enables || (popped & Cpu.TF) != 0) {
      throw c.gp0();
    }
  }

  /** Takes flags that a guest of virtual-8086 mode popped, its IF as VIF. */
  private void take(int popped) {
    int change = Cpu.ARITHMETIC | Cpu.TF | Cpu.DF | Cpu.NT;
    int virtual = (popped & Cpu.IF) != 0 ? Cpu.VIF : 0;
    c.setRflags(c.rflags() & ~(change | Cpu.VIF | Cpu.RF) | popped & change | virtual);
  }

  /** IRET in virtual-8086 mode below IOPL 3. */
  void returnVirtual(int operandSize) {
    requireVirtual(operandSize);
    long ip = c.peek(0, 2) & 0xffff;
    int cs = (int) c.peek(2, 2) & 0xffff;
    int popped = (int) c.peek(4, 2);
    checkPopped(popped);
    c.setStackPointer(c.stackPointer() + 6);
    c.segments.loadReal(Instruction.CS, cs);
    c.rip = ip;
    take(popped);
  }

  /** INT n. */
  void software(int vector, long returnRip) {
    if (c.virtual8086()) {
      if ((c.cr4 & Cpu.CR4_VME) != 0 && !redirected(vector)) {
        throughOwnTable(vector, returnRip);
        return;
      }
      if (c.iopl() < 3) {
        throw c.gp0();
      }
    }
    c.delivery.interrupt(vector, true, returnRip);
  }

  /** Whether the TSS has an interrupt of virtual-8086 mode handled by protected mode. */
  private boolean redirected(int vector) {
    Segments s = c.segments;
    if (s.limit(Segments.TR) < SMALLEST_LIMIT) {
      throw c.gp0();
    }
    long tss = s.base(Segments.TR);
    int map = (int) c.mmu.loadSystem(tss + MAP_OFFSET, 2) & 0xffff;
    int at = map - REDIRECTION_BYTES + (vector >> 3);
    if (at < 0 || at > s.limit(Segments.TR)) {
      throw c.gp0();
    }
    return (c.mmu.loadSystem(tss + at, 1) >>> (vector & 7) & 1) != 0;
  }

  /** As an 8086: through the table at address 0. */
  private void throughOwnTable(int vector, long returnRip) {
    boolean own = c.iopl() < 3;
    int entry = (int) c.load(4L * vector, 4);
    long sp = c.stackPointer();
    int image = own ? image() : c.rflags();
    c.store(c.stackAddress(sp - 2, 2, true), 2, image);
    c.store(c.stackAddress(sp - 4, 2, true), 2, c.segments.selector(Instruction.CS));
    c.store(c.stackAddress(sp - 6, 2, true), 2, returnRip);
    c.setStackPointer(sp - 6);
    c.segments.loadReal(Instruction.CS, entry >>> 16);
    c.rip = entry & 0xffff;
    c.setSystemFlags(Cpu.TF | Cpu.RF | (own ? Cpu.VIF : Cpu.IF), 0);
    c.stepDecided = true; // the handler begins with TF clear
  }
}

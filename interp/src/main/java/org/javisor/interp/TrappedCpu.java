package org.javisor.interp;

import org.javisor.accelerator.TrapRegisters;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/** A vCPU as who stands in for ring 0 sees it in the middle of a trap. */
final class TrappedCpu implements TrapRegisters {
  private static final int NOT_OF_THE_GUEST = Cpu.VM | Cpu.VIF | Cpu.VIP | Cpu.IOPL;

  private final Cpu c;

  TrappedCpu(Cpu c) {
    this.c = c;
  }

  @Override
  public long get(int register) {
    return c.reg(register);
  }

  @Override
  public void set(int register, long value) {
    c.setReg(register, value);
  }

  @Override
  public boolean is64Bit() {
    return c.is64();
  }

  @Override
  public int privilegeLevel() {
    return c.cpl;
  }

  @Override
  public long rip() {
    return c.rip;
  }

  @Override
  public void setRip(long rip) {
    c.rip = rip;
  }

  @Override
  public long flags() {
    return c.rflags();
  }

  /** Interrupts of the CPU stay on: that the guest wants none is known elsewhere. */
  @Override
  public void setFlags(long flags) {
    c.setRflags((int) flags & ~NOT_OF_THE_GUEST | Cpu.IF | 2);
  }

  @Override
  public long cr2() {
    return c.cr2;
  }

  @Override
  public int selector(int segment) {
    return c.segments.selector(segment);
  }

  @Override
  public long base(int segment) {
    return c.segments.base(segment);
  }

  @Override
  public void setBase(int segment, long base) {
    c.segments.setBase(segment, base);
  }

  @Override
  public void setFlat(int cs, int ss) {
    c.system.flat(cs, ss);
  }

  @Override
  public boolean setCodeAndStack(int cs, int ss) {
    try {
      long code = c.segments.descriptor(cs, GuestFault.GP);
      long stack = c.segments.stackDescriptor(ss, 3, GuestFault.GP);
      int a = Segments.descriptorAttributes(code);
      int wanted = Segments.S | Segments.CODE | Segments.PRESENT;
      boolean both = (a & Segments.L) != 0 && (a & Segments.DB) != 0;
      if ((a & wanted) != wanted || Segments.dpl(a) != 3 || both) {
        return false;
      }
      c.segments.setCode(cs, code | 1L << 40, 3);
      c.segments.setFromDescriptor(Instruction.SS, ss, stack | 1L << 40);
      c.updateMode();
      return true;
    } catch (GuestFault f) {
      return false;
    }
  }

  @Override
  public boolean loadSegment(int segment, int selector) {
    try {
      c.segments.load(segment, selector);
      return true;
    } catch (GuestFault f) {
      return false;
    }
  }

  @Override
  public void setDescriptorTables(long gdt, int gdtLimit, long ldt, int ldtBytes) {
    c.segments.gdtBase = gdt;
    c.segments.gdtLimit = gdtLimit;
    if (ldtBytes == 0) {
      c.segments.set(Segments.LDTR, 0, 0, 0, Segments.UNUSABLE);
    } else {
      c.segments.set(Segments.LDTR, 8, ldt, ldtBytes - 1, Segments.PRESENT | 2);
    }
  }

  @Override
  public void enter(boolean kernel, long cr3) {
    c.deprivilegedKernel = kernel;
    c.system.useTables(cr3);
    c.updateMode();
  }

  @Override
  public boolean isKernel() {
    return c.deprivilegedKernel;
  }

  @Override
  public void flush() {
    c.mmu.flushAll();
    c.vcpu.flushCode();
  }

  /** All mappings of the upper half count as global; see {@link Mmu}. */
  @Override
  public void switchLowerHalf(int space, boolean keep) {
    c.mmu.flushNonGlobal();
    c.vcpu.switchAddressSpace(space, keep);
  }

  @Override
  public void flushPage(long linear) {
    c.vcpu.flushCodePage(linear, c.mmu.flushPage(linear));
  }

  @Override
  public long load(long linear) throws Fault {
    try {
      return c.load(linear, 8);
    } catch (GuestFault f) {
      throw Fault.INSTANCE;
    }
  }

  @Override
  public void store(long linear, long value) throws Fault {
    try {
      c.store(linear, 8, value);
    } catch (GuestFault f) {
      throw Fault.INSTANCE;
    }
  }

  @Override
  public int fetch(long linear, byte[] code) {
    for (int n = 0; n < code.length; n++) {
      long host;
      try {
        host = c.mmu.hostAddress(c.mmu.fetch(linear + n));
      } catch (GuestFault f) {
        return n;
      }
      if (host == -1) {
        return n;
      }
      code[n] = (byte) RawMemory.get8(host);
    }
    return code.length;
  }

  @Override
  public void executeWriting(long linear) {
    c.mmu.writtenAnyway = linear & -4096L;
    try {
      c.vcpu.runAlone();
    } catch (Restart again) {
      c.vcpu.endedAlone(); // It has not done all of its work, and traps again.
    } finally {
      c.mmu.writtenAnyway = 1;
      c.mmu.flushPage(linear);
    }
  }

  @Override
  public long cr4() {
    return c.cr4;
  }

  @Override
  public boolean setCr4(long value) {
    try {
      c.system.setCr4(value);
      return true;
    } catch (GuestFault f) {
      return false;
    }
  }

  @Override
  public boolean taskSwitched() {
    return (c.cr0 & Cpu.CR0_TS) != 0;
  }

  @Override
  public void setTaskSwitched(boolean on) {
    long ts = on ? Cpu.CR0_TS : 0;
    c.cr0 = c.cr0 & ~(long) Cpu.CR0_TS | ts;
    c.updateMode();
  }

  @Override
  public long debugRegister(int number) {
    return number >= 0 && number < 8 ? c.debug.get(number) : 0;
  }

  @Override
  public boolean setDebugRegister(int number, long value) {
    if (number < 0 || number > 7 || number == 4 || number == 5 || value >>> 32 != 0 && number > 5) {
      return false;
    }
    c.debug.write(number, value);
    return true;
  }

  @Override
  public boolean setXcr0(long value) {
    if ((c.cr4 & Cpu.CR4_OSXSAVE) == 0) {
      return false;
    }
    try {
      c.fpu.setXcr0(value);
      return true;
    } catch (GuestFault f) {
      return false;
    }
  }
}

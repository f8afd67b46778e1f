package org.javisor.interp;

import org.javisor.accelerator.HypercallRegisters;

/** The general registers as the platform sees them in the middle of VMCALL or VMMCALL. */
final class CallRegisters implements HypercallRegisters {
  private final Cpu c;

  CallRegisters(Cpu c) {
    this.c = c;
  }

  @Override
  public long get(int register) {
    return c.is64() ? c.reg(register) : c.reg(register) & 0xffff_ffffL;
  }

  @Override
  public void set(int register, long value) {
    c.setReg(register, Cpu.zeroExtend(value, c.is64() ? 8 : 4));
  }

  @Override
  public boolean is64Bit() {
    return c.is64();
  }

  @Override
  public int privilegeLevel() {
    return c.cpl;
  }
}

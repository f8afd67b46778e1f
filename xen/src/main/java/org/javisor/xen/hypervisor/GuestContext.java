package org.javisor.xen.hypervisor;

import org.javisor.accelerator.CpuState;

/**
 * The layout of {@code struct vcpu_guest_context} (public/arch-x86/xen.h), in which guests describe
 * vCPUs that are to be brought up and toolstacks those of others; and what of it means the same for
 * every kind of domain.
 */
public final class GuestContext {
  public static final int SIZE = 5168;

  public static final int FLAGS = 512;
  public static final int FPU_VALID = 1;
  public static final int IN_KERNEL = 1 << 2;
  public static final int SYSCALL_MASKS_EVENTS = 1 << 4;
  public static final int ONLINE = 1 << 5;

  /** {@code struct cpu_user_regs}. */
  private static final int REGISTERS = 520;

  private static final int RIP = REGISTERS + 128;
  public static final int CS = REGISTERS + 136;
  private static final int RFLAGS = REGISTERS + 144;
  private static final int RSP = REGISTERS + 152;
  public static final int SS = REGISTERS + 160;
  public static final int ES = REGISTERS + 168;
  public static final int DS = REGISTERS + 176;
  public static final int FS = REGISTERS + 184;
  public static final int GS = REGISTERS + 192;

  public static final int TRAPS = 720;
  public static final int LDT_BASE = 4816;
  public static final int LDT_ENTRIES = 4824;
  public static final int GDT_FRAMES = 4832;
  public static final int GDT_ENTRIES = 4960;
  public static final int KERNEL_SS = 4968;
  public static final int KERNEL_SP = 4976;

  /** CR1 of a PV vCPU has the programs' page tables, and CR3 the kernel's. */
  public static final int CONTROL_REGISTERS = 4984;

  private static final int DEBUG_REGISTERS = 5048;
  public static final int EVENT_CALLBACK = 5112;
  public static final int FAILSAFE_CALLBACK = 5120;
  public static final int SYSCALL_CALLBACK = 5128;
  public static final int FS_BASE = 5144;
  public static final int KERNEL_GS_BASE = 5152;
  public static final int USER_GS_BASE = 5160;

  /** CF, PF, AF, ZF, SF, TF, DF, OF, NT, RF, AC, ID: what a context may set of the flags. */
  private static final long FLAGS_OF_GUEST = 0x25_4dd5;

  private static final long INTERRUPT_FLAG = 1 << 9;

  /** Which registers come first in {@code struct cpu_user_regs}, by their encoding. */
  private static final int[] ORDER = {15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7};

  private static final int RSP_NUMBER = 4;

  // What can be set of DR6 and DR7, and what always is (Intel SDM volume 3, section 18.2).
  private static final long DR6_BITS = 0xe00f;
  private static final long DR6_ONES = 0xffff_0ff0L;
  private static final long DR7_BITS = 0xffff_03ffL;
  private static final long DR7_ONES = 0x400;

  /** In an image of FXSAVE; its upper half is reserved. */
  private static final int MXCSR = 24;

  private GuestContext() {}

  /** Reads general registers, instruction pointer, flags and, where there are any, x87 and SSE. */
  public static void readRegisters(Structure s, CpuState state, boolean mayMaskInterrupts) {
    for (int i = 0; i < ORDER.length; i++) {
      state.gpr[ORDER[i]] = s.u64(REGISTERS + 8 * i);
    }
    state.gpr[RSP_NUMBER] = s.u64(RSP);
    state.rip = s.u64(RIP);
    long flags = s.u64(RFLAGS);
    state.rflags =
        flags & FLAGS_OF_GUEST | 2 | (mayMaskInterrupts ? flags & INTERRUPT_FLAG : INTERRUPT_FLAG);
    if ((s.u64(FLAGS) & FPU_VALID) != 0) {
      readFpu(s, 0, state);
    }
  }

  /** Reads an image of FXSAVE; what no MXCSR can have set would be a fault where it is loaded. */
  public static void readFpu(Structure s, int at, CpuState state) {
    System.arraycopy(s.bytes(), at, state.fxsave, 0, state.fxsave.length);
    state.fxsave[MXCSR + 2] = 0;
    state.fxsave[MXCSR + 3] = 0;
  }

  /** Writes the same. */
  public static void writeRegisters(Structure s, CpuState state) {
    for (int i = 0; i < ORDER.length; i++) {
      s.put64(REGISTERS + 8 * i, state.gpr[ORDER[i]]);
    }
    s.put64(RSP, state.gpr[RSP_NUMBER]);
    s.put64(RIP, state.rip);
    s.put64(RFLAGS, state.rflags);
    System.arraycopy(state.fxsave, 0, s.bytes(), 0, state.fxsave.length);
    s.put16(CS, state.cs.selector);
    s.put16(SS, state.ss.selector);
    s.put16(ES, state.es.selector);
    s.put16(DS, state.ds.selector);
    s.put16(FS, state.fs.selector);
    s.put16(GS, state.gs.selector);
    s.put64(FS_BASE, state.fs.base);
    for (int i = 0; i < 8; i++) {
      s.put64(DEBUG_REGISTERS + 8 * i, state.dr[i]);
    }
  }

  /** Reads DR0 to DR3, DR6 and DR7; of the latter what reserves the registers is not a guest's. */
  public static void readDebugRegisters(Structure s, CpuState state) {
    for (int i = 0; i < 4; i++) {
      state.dr[i] = s.u64(DEBUG_REGISTERS + 8 * i);
    }
    state.dr[6] = s.u64(DEBUG_REGISTERS + 48) & DR6_BITS | DR6_ONES;
    state.dr[7] = s.u64(DEBUG_REGISTERS + 56) & DR7_BITS | DR7_ONES;
  }
}

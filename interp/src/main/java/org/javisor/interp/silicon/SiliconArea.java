package org.javisor.interp.silicon;

import org.javisor.interp.VcpuBlock;

/** What the silicon unit keeps in the vCPU block from {@link VcpuBlock#STUB} on. */
public final class SiliconArea {
  /** MXCSR of the host while a stub runs with the guest's. */
  static final int HOST_MXCSR = VcpuBlock.STUB;

  /** MXCSR as a stub runs with it: exceptions masked, flags clear. */
  static final int RUN_MXCSR = VcpuBlock.STUB + 4;

  /**
   * Address and memory operand of the x87 instruction being executed; the caller sets them, since
   * the host's own last-instruction pointers name the stub. In real mode, linear addresses.
   */
  public static final int X87_IP = VcpuBlock.STUB + 8;

  public static final int X87_DP = VcpuBlock.STUB + 16;

  /**
   * Doubleword, nonzero in real-address and virtual-8086 mode: the format that FNSTENV, FLDENV,
   * FNSAVE and FRSTOR use (Intel SDM volume 1, figures 8-9 to 8-12). The caller keeps it.
   */
  public static final int X87_REAL_MODE = VcpuBlock.STUB + 24;

  /** Memory operand of FNSTENV, FLDENV, FNSAVE and FRSTOR: up to 108 bytes. */
  public static final int X87_STATE = 2304;

  /** FXSAVE image and high halves as they were before an instruction that may have to be undone. */
  static final int UNDO = 2560;

  private SiliconArea() {}
}

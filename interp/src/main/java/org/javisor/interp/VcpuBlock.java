package org.javisor.interp;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * The layout of a vCPU's block: the architectural registers in native memory, where both the
 * interpreter and emitted code find them. Offsets in bytes from the block's address.
 */
public final class VcpuBlock {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8–R15, 8 bytes each. */
  public static final int GPR = 0;

  /** A slot that always holds zero: the register of an absent base or index. */
  public static final int ZERO = 128;

  /** RFLAGS, where emitted code reads and leaves the arithmetic flags. */
  public static final int RFLAGS = 144;

  /** FXSAVE64 image, 16-byte aligned (Intel SDM volume 1, table 10-2). */
  public static final int FX = 512;

  public static final int FCW = FX;
  public static final int FSW = FX + 2;
  public static final int MXCSR = FX + 24;
  public static final int ST = FX + 32;
  public static final int XMM = FX + 160;

  /** XSAVE header, then the high halves of YMM0–15, as in the standard XSAVE format. */
  public static final int XSAVE_HEADER = FX + 512;

  public static final int YMM_HIGH = FX + 576;

  /** Memory operand of an instruction that runs on the host's units: 64 bytes, aligned. */
  public static final int SCRATCH = 2048;

  /** Room for emitted one-instruction stubs: saved host control words, results. */
  public static final int STUB = 2112;

  public static final int SIZE = 4096;

  private VcpuBlock() {}

  /** Allocates a zeroed block. */
  static long allocate() {
    return HostMemory.mapAnonymous(SIZE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  static void clear(long block) {
    RawMemory.fill(block, SIZE, 0);
  }
}

package org.javisor.interp.silicon;

import java.lang.ref.Reference;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Instruction;
import org.javisor.isa.Operand;
import org.javisor.memory.RawMemory;

/** An SSE or AVX instruction as a stub. */
final class VectorStub extends Prepared {
  private static final int UM = 1 << 11;
  private static final int UE = 1 << 4;
  private static final int FZ = 1 << 15;
  private static final int FLAGS = 0x3f;
  private static final int MASKS = 0x1f80;

  private final long code;

  /** Keeps the stub in memory. */
  private final CodeMemory.Code owner;

  private final boolean usesMxcsr;

  /** Element size of a floating-point result that can underflow, else 0; and its bytes. */
  private final int element;

  private final int resultBytes;

  /** Offset in the block of the destination: a vector register or the memory operand. */
  private final int destination;

  private final int destinationHigh;

  VectorStub(Instruction in, CodeMemory.Code owner) {
    super(in);
    this.owner = owner;
    this.code = owner.address();
    this.usesMxcsr = in.form.usesMxcsr();
    Operand first = in.form.operands().isEmpty() ? null : in.form.operand(0);
    boolean vector = first != null && first.kind() == Operand.Kind.XMM_REG;
    int size = usesMxcsr && vector ? Underflow.elementSize(in.form) : 0;
    this.element = size;
    boolean scalar = in.form.mnemonic().endsWith("ss") || in.form.mnemonic().endsWith("sd");
    this.resultBytes =
        scalar ? size : isWide(in) && !in.form.mnemonic().equals("vcvtpd2ps") ? 32 : 16;
    this.destination = VcpuBlock.XMM + 16 * in.reg;
    this.destinationHigh = VcpuBlock.YMM_HIGH + 16 * in.reg;
  }

  private int enter(long block) {
    int result = HostCode.enter(code, block);
    Reference.reachabilityFence(owner);
    return result;
  }

  @Override
  int run(long block) {
    if (!usesMxcsr) {
      enter(block);
      return SiliconUnit.OK;
    }
    if (element != 0 && (RawMemory.get32(block + VcpuBlock.MXCSR) & UM) == 0) {
      return runUnderflowUnmasked(block);
    }
    int raised = enter(block);
    return raised == 0 ? SiliconUnit.OK : simdException(block, raised);
  }

  /**
   * Records the flags of an unmasked exception. One found before the computation (IE, DE, ZE)
   * keeps the others (OE, UE, PE) from arising: Intel SDM volume 1, section 11.5.3.
   *
   * <p>Two things are not as silicon has them, both only with exceptions unmasked: PE beside an
   * unmasked OE or UE tells of the masked result; and DPPS and DPPD do not stop between their
   * multiplications and additions.
   */
  static int simdException(long block, int raised) {
    int mxcsr = RawMemory.get32(block + VcpuBlock.MXCSR);
    int unmasked = raised & ~(mxcsr >> 7);
    int flags = (unmasked & 7) != 0 ? raised & 7 : raised;
    RawMemory.put32(block + VcpuBlock.MXCSR, mxcsr | flags);
    return SiliconUnit.SIMD_EXCEPTION;
  }

  /**
   * Unmasked, underflow is raised by a tiny result even if it is exact; masked, as the stub runs,
   * only by an inexact one (SDM volume 1, section 4.9.1.5). An exact tiny result is a denormal. So
   * this runs with all masked, looks at the result, and undoes it if need be.
   */
  private int runUnderflowUnmasked(long block) {
    long low = block + destination;
    long high = block + destinationHigh;
    RawMemory.copy(low, block + SiliconArea.UNDO, 16);
    RawMemory.copy(high, block + SiliconArea.UNDO + 16, 16);
    int old = RawMemory.get32(block + VcpuBlock.MXCSR);
    RawMemory.put32(block + VcpuBlock.MXCSR, old & ~(FZ | FLAGS) | MASKS);
    enter(block);
    int raised = RawMemory.get32(block + VcpuBlock.MXCSR) & FLAGS;
    if (Underflow.anyDenormal(low, Math.min(resultBytes, 16), element)
        || resultBytes == 32 && Underflow.anyDenormal(high, 16, element)) {
      raised |= UE;
    }
    RawMemory.put32(block + VcpuBlock.MXCSR, old);
    if ((raised & ~(old >> 7)) != 0) {
      RawMemory.copy(block + SiliconArea.UNDO, low, 16);
      RawMemory.copy(block + SiliconArea.UNDO + 16, high, 16);
      return simdException(block, raised);
    }
    RawMemory.put32(block + VcpuBlock.MXCSR, old | raised);
    return SiliconUnit.OK;
  }

  @Override
  public boolean waits() {
    return false;
  }
}

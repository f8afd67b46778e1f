package org.javisor.interp.silicon;

import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * One x87, MMX, SSE or AVX instruction, ready to execute, and what its caller has to know to check
 * for exceptions and to move its memory operand.
 *
 * <p>Immutable and shared by all vCPUs: everything but the instruction's address and memory
 * operand's address is fixed in it.
 */
public abstract sealed class Prepared
    permits FastPath, MaskedMoves, VectorStub, X87Control, X87Stub {
  private final Form form;
  private final int memoryBytes;
  private final boolean readsMemory;
  private final boolean writesMemory;

  Prepared(Instruction in) {
    form = in.form;
    int memory = memoryOperand(in);
    boolean first = memory == 0;
    boolean perElement = form.op() == Op.VMASKMOV || form.op() == Op.VGATHER;
    memoryBytes = memory < 0 || perElement ? 0 : in.operandBytes(memory);
    writesMemory = memoryBytes != 0 && first && form.writesDestination();
    readsMemory = memoryBytes != 0 && (!writesMemory || form.readsDestination());
  }

  private static int memoryOperand(Instruction in) {
    for (int i = 0; i < in.form.operands().size(); i++) {
      Operand.Kind kind = in.form.operand(i).kind();
      boolean memory =
          switch (kind) {
            case MEMORY, VSIB -> true;
            case RM, XMM_RM, MMX_RM -> in.isMemory();
            default -> false;
          };
      if (memory) {
        return i;
      }
    }
    return -1;
  }

  /** Whether an instruction works on 256 bits; scalar forms ignore VEX.L. */
  static boolean isWide(Instruction in) {
    if (!in.form.vex()) {
      return false;
    }
    if (in.form.l() >= 0) {
      return in.form.l() == 1;
    }
    for (Operand operand : in.form.operands()) {
      if (operand.size() == Operand.Size.X || operand.memorySize() == Operand.Size.HALF_X) {
        return in.vexL;
      }
    }
    return false;
  }

  /**
   * Executes on the state in the block.
   *
   * @return one of the results in {@link SiliconUnit}
   */
  abstract int run(long block);

  public final Form form() {
    return form;
  }

  /** Size of the memory operand, 0 without one. */
  public final int memoryBytes() {
    return memoryBytes;
  }

  /** The caller copies the memory operand to {@link #memoryOffset} before execution. */
  public final boolean readsMemory() {
    return readsMemory;
  }

  /** The caller copies the memory operand from {@link #memoryOffset} after execution. */
  public final boolean writesMemory() {
    return writesMemory;
  }

  /** Where in the block the memory operand is. */
  public final int memoryOffset() {
    return memoryBytes > 64 || this instanceof X87Control
        ? SiliconArea.X87_STATE
        : VcpuBlock.SCRATCH;
  }

  /** A memory operand not aligned to its size is #GP(0). */
  public final boolean aligned() {
    return form.isAligned();
  }

  /** The flags must be in {@link VcpuBlock#RFLAGS} before it executes. */
  public final boolean usesFlags() {
    return form.flagsWritten() != 0 || form.flagsRead() != 0;
  }

  public final boolean writesFlags() {
    return form.flagsWritten() != 0;
  }

  /**
   * An x87 instruction that works on numbers, so that {@link SiliconArea#X87_IP} and {@link
   * SiliconArea#X87_DP} must be set before it.
   */
  public final boolean setsX87Pointers() {
    return this instanceof X87Stub && isX87();
  }

  /** CR0.EM or CR0.TS: #NM. */
  public final boolean isX87() {
    return form.op() == Op.X87;
  }

  /** CR0.EM: #UD; CR0.TS: #NM. */
  public final boolean isMmx() {
    return form.op() == Op.MMX || form.op() == Op.MASKMOV && form.prefix() == Form.NO_PREFIX;
  }

  /** Legacy SSE, which works on XMM: CR0.EM or no CR4.OSFXSR: #UD; CR0.TS: #NM. */
  public final boolean isSse() {
    if (form.vex() || isX87()) {
      return false;
    }
    for (Operand operand : form.operands()) {
      switch (operand.kind()) {
        case XMM_REG, XMM_RM, XMM_RM_REGISTER -> {
          return true;
        }
        default -> {}
      }
    }
    return false;
  }

  /** VEX encoded: real mode, no CR4.OSXSAVE, or no XCR0[2:1] = 11b: #UD; CR0.TS: #NM. */
  public final boolean isAvx() {
    return form.vex();
  }

  /**
   * Raises a pending unmasked x87 exception before it executes: #MF with CR0.NE. {@link
   * SiliconUnit#execute} tests it and answers {@link SiliconUnit#X87_EXCEPTION}.
   */
  public boolean waits() {
    return form.op() == Op.MMX || isX87() || isMmx();
  }
}

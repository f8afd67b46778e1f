package org.javisor.interp.silicon;

import java.lang.ref.Reference;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/** An x87 or MMX instruction as a stub that works on the FXSAVE image. */
final class X87Stub extends Prepared {
  private static final int IE = 1;
  private static final int OE = 8;
  private static final int UE = 16;
  private static final int ALL_MASKED = 0x1f80;

  private final long code;

  /** Keeps the stub in memory. */
  private final CodeMemory.Code owner;

  private final boolean usesMxcsr;
  private final boolean storesNumber;

  X87Stub(Instruction in, CodeMemory.Code owner) {
    super(in);
    this.owner = owner;
    this.code = owner.address();
    this.usesMxcsr = in.form.usesMxcsr();
    this.storesNumber = isX87() && writesMemory();
  }

  private int enter(long block) {
    int result = HostCode.enter(code, block);
    Reference.reachabilityFence(owner);
    return result;
  }

  @Override
  int run(long block) {
    if (SiliconUnit.x87Pending(block)) {
      return SiliconUnit.X87_EXCEPTION;
    }
    if (usesMxcsr) {
      return runMxcsr(block);
    }
    enter(block);
    if (storesNumber) {
      int raised =
          RawMemory.get16(block + VcpuBlock.FSW) & ~RawMemory.get16(block + VcpuBlock.FCW);
      if ((raised & (IE | OE | UE)) != 0) {
        return SiliconUnit.MEMORY_UNCHANGED;
      }
    }
    return SiliconUnit.OK;
  }

  /** Conversions between MMX registers and XMM. */
  private int runMxcsr(long block) {
    boolean masked = (~RawMemory.get32(block + VcpuBlock.MXCSR) & ALL_MASKED) == 0;
    if (!masked) {
      RawMemory.copy(block + VcpuBlock.FX, block + SiliconArea.UNDO, 512);
    }
    int raised = enter(block);
    if (raised == 0) {
      return SiliconUnit.OK;
    }
    // The registers stay, but silicon has gone over to MMX all the same.
    int top = RawMemory.get16(block + VcpuBlock.FSW) >> 11 & 7;
    int tags = RawMemory.get16(block + VcpuBlock.FX + 4);
    RawMemory.copy(block + SiliconArea.UNDO, block + VcpuBlock.FX, 512);
    X87Control.setTop(block, top);
    RawMemory.put16(block + VcpuBlock.FX + 4, tags);
    return VectorStub.simdException(block, raised);
  }
}

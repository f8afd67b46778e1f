package org.javisor.interp.silicon;

import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.memory.RawMemory;

/**
 * MASKMOVQ, MASKMOVDQU, VMASKMOV, VPMASKMOV and gathers: which elements of memory they touch
 * depends on a mask, and only those may fault. Source: Intel SDM volume 2, their pages.
 */
public final class MaskedMoves extends Prepared {
  private final Op op;
  private final int vectorBytes;
  private final int element;
  private final boolean load;
  private final int reg;
  private final int rm;
  private final int vvvv;
  private final boolean vex;
  private final boolean mmx;

  // The address of a gather's elements.
  private final int base;
  private final int index;
  private final int indexBytes;
  private final int scale;
  private final long displacement;
  private final int addressSize;

  MaskedMoves(Instruction in) {
    super(in);
    Form form = in.form;
    op = form.op();
    mmx = isMmx();
    vex = form.vex();
    vectorBytes = mmx ? 8 : in.vexL ? 32 : 16;
    String name = form.mnemonic();
    element =
        switch (op) {
          case MASKMOV -> 1;
          case VMASKMOV -> name.endsWith("ps") || name.endsWith("vd") ? 4 : 8;
          default -> form.operand(1) == Operand.MvsibQ ? 8 : 4;
        };
    load = op == Op.VGATHER || op == Op.VMASKMOV && form.operand(0) == Operand.Vx;
    reg = in.reg;
    rm = in.rm;
    vvvv = in.vvvv;
    base = in.base;
    index = in.index;
    indexBytes = (form.opcode() & 1) == 0 ? 4 : 8;
    scale = in.scale;
    displacement = in.displacement;
    addressSize = in.addressSize;
  }

  /** These need memory: {@link #run(long, long, ElementMemory)}. */
  @Override
  int run(long block) {
    throw new IllegalStateException(form() + " accesses memory by a mask");
  }

  private static long vector(long block, int register, int offset) {
    return offset < 16
        ? block + VcpuBlock.XMM + 16 * register + offset
        : block + VcpuBlock.YMM_HIGH + 16 * register + offset - 16;
  }

  private static long get(long address, int bytes) {
    return switch (bytes) {
      case 1 -> RawMemory.get8(address);
      case 4 -> RawMemory.get32(address) & 0xffff_ffffL;
      default -> RawMemory.get64(address);
    };
  }

  private static void put(long address, int bytes, long value) {
    if (bytes == 4) {
      RawMemory.put32(address, (int) value);
    } else {
      RawMemory.put64(address, value);
    }
  }

  private long wrap(long offset) {
    return switch (addressSize) {
      case 2 -> offset & 0xffff;
      case 4 -> offset & 0xffff_ffffL;
      default -> offset;
    };
  }

  /**
   * Executes.
   *
   * @param offset the effective address: of VMASKMOV's memory operand; rDI of MASKMOV; for a gather
   *     ignored but for RIP-relative addressing, which VSIB has not
   */
  int run(long block, long offset, ElementMemory memory) {
    switch (op) {
      case MASKMOV -> {
        if (mmx && SiliconUnit.x87Pending(block)) {
          return SiliconUnit.X87_EXCEPTION;
        }
        maskmov(block, offset, memory);
      }
      case VMASKMOV -> {
        if (load) {
          maskedLoad(block, offset, memory);
        } else {
          maskedStore(block, offset, memory);
        }
      }
      default -> gather(block, memory);
    }
    return SiliconUnit.OK;
  }

  private void maskmov(long block, long offset, ElementMemory memory) {
    if (mmx) {
      enterMmx(block); // even if a store faults
    }
    long data = mmx ? mmxRegister(block, reg) : vector(block, reg, 0);
    long mask = mmx ? mmxRegister(block, rm) : vector(block, rm, 0);
    for (int i = 0; i < vectorBytes; i++) {
      if ((RawMemory.get8(mask + i) & 0x80) != 0) {
        // Of a page the operand's first byte is told, selected or not.
        int back = (int) Math.min(i, offset + i & 4095);
        memory.checkStore(wrap(offset + i - back), 1);
      }
    }
    for (int i = 0; i < vectorBytes; i++) {
      if ((RawMemory.get8(mask + i) & 0x80) != 0) {
        memory.store(wrap(offset + i), 1, RawMemory.get8(data + i));
      }
    }
  }

  /** MMX registers are the physical x87 registers; the image holds those relative to TOP. */
  private static long mmxRegister(long block, int n) {
    int top = RawMemory.get16(block + VcpuBlock.FSW) >> 11 & 7;
    return block + VcpuBlock.ST + 16 * ((n & 7) - top & 7);
  }

  private static void enterMmx(long block) {
    X87Control.setTop(block, 0);
    RawMemory.put16(block + VcpuBlock.FX + 4, 0xff);
  }

  private boolean selected(long block, int maskRegister, int i) {
    return RawMemory.get8(vector(block, maskRegister, i) + element - 1) >= 0x80;
  }

  private void maskedLoad(long block, long offset, ElementMemory memory) {
    long[] values = new long[8];
    for (int i = 0; i < vectorBytes; i += element) {
      if (selected(block, vvvv, i)) {
        values[i / element] = memory.load(wrap(offset + i), element);
      }
    }
    for (int i = 0; i < vectorBytes; i += element) {
      put(vector(block, reg, i), element, values[i / element]);
    }
    zeroAbove(block, reg);
  }

  private void maskedStore(long block, long offset, ElementMemory memory) {
    for (int i = 0; i < vectorBytes; i += element) {
      if (selected(block, vvvv, i)) {
        memory.checkStore(wrap(offset + i), element);
      }
    }
    for (int i = 0; i < vectorBytes; i += element) {
      if (selected(block, vvvv, i)) {
        memory.store(wrap(offset + i), element, get(vector(block, reg, i), element));
      }
    }
  }

  private void zeroAbove(long block, int register) {
    if (vex && vectorBytes == 16) {
      RawMemory.fill(block + VcpuBlock.YMM_HIGH + 16 * register, 16, 0);
    }
  }

  /**
   * Gathers element by element. After a fault the elements done are in the destination and their
   * masks clear, so that the instruction can be resumed; the masks of the others are as they were.
   */
  private void gather(long block, ElementMemory memory) {
    int count = vectorBytes / Math.max(element, indexBytes);
    long origin = displacement + (base < 0 ? 0 : RawMemory.get64(block + VcpuBlock.GPR + 8 * base));
    for (int i = 0; i < count; i++) {
      if (selected(block, vvvv, i * element)) {
        long at = vector(block, index, i * indexBytes);
        long offset = indexBytes == 4 ? RawMemory.get32(at) : RawMemory.get64(at);
        long value = memory.load(wrap(origin + (offset << scale)), element);
        put(vector(block, reg, i * element), element, value);
      }
      put(vector(block, vvvv, i * element), element, 0);
    }
    // Above the elements both registers become zero.
    for (int i = count * element; i < 32; i += 8) {
      RawMemory.put64(vector(block, reg, i), 0);
      RawMemory.put64(vector(block, vvvv, i), 0);
    }
  }
}

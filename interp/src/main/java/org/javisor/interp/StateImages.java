package org.javisor.interp;

import org.javisor.interp.silicon.X87Control;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.memory.RawMemory;

/**
 * The state of x87, SSE and AVX as a whole, in memory: FXSAVE, FXRSTOR and the XSAVE family.
 *
 * <p>Source: Intel SDM volume 1, sections 10.5 and 13.4 to 13.10. Where the selectors of the last
 * x87 instruction and operand would stand, zeros are stored. Only what is not in its initial state
 * counts as in use, and the modified optimization is not made: both are an implementation's choice.
 */
final class StateImages {
  /** Where the high halves of YMM are, in both formats. */
  static final int AVX_OFFSET = 576;

  private static final int HEADER = 512;
  private static final int X87 = 1;
  private static final int SSE = 2;
  private static final int AVX = 4;
  private static final int MXCSR_RESET = 0x1f80;
  private static final long COMPACTED = Long.MIN_VALUE;

  private final Cpu c;
  private final FloatingPoint fpu;

  StateImages(Cpu c, FloatingPoint fpu) {
    this.c = c;
    this.fpu = fpu;
  }

  /** The bits of XCR0 that a CPU can have. */
  static long supported(boolean avx) {
    return avx ? X87 | SSE | AVX : X87 | SSE;
  }

  long supported() {
    return supported(c.system.has(CpuFeature.AVX));
  }

  /** Bytes of an XSAVE area for some state, in either format. */
  static int size(long state) {
    return (state & AVX) != 0 ? AVX_OFFSET + 256 : AVX_OFFSET;
  }

  void execute(Instruction in) {
    switch (in.form.op()) {
      case FXSAVE -> fxsave(in);
      case FXRSTOR -> fxrstor(in);
      case XRSTOR -> xrstor(in);
      default -> xsave(in);
    }
  }

  private long area(Instruction in, int alignment, int bytes, boolean write) {
    long va = c.address(in, bytes, write);
    if ((va & alignment - 1) != 0) {
      boolean checked = alignment == 16 && (va & 3) != 0 && c.checksAlignment();
      throw checked ? c.fault(GuestFault.AC, 0) : c.gp0();
    }
    return va;
  }

  /** Faults as a store to the whole area would. */
  private void probe(long va, int bytes) {
    c.probeWrite(va, 8);
    c.probeWrite(va + bytes - 1, 1);
  }

  private static boolean zero(long address, int bytes) {
    for (int i = 0; i < bytes; i += 8) {
      if (RawMemory.get64(address + i) != 0) {
        return false;
      }
    }
    return true;
  }

  /** Which state is not in its initial configuration; MXCSR is looked at apart. */
  long inUse() {
    long block = c.block;
    boolean x87 =
        RawMemory.get64(block + VcpuBlock.FCW) != 0x37f
            || RawMemory.get64(block + VcpuBlock.FX + 8) != 0
            || RawMemory.get64(block + VcpuBlock.FX + 16) != 0
            || !zero(block + VcpuBlock.ST, 128);
    return (x87 ? X87 : 0)
        | (zero(block + VcpuBlock.XMM, 256) ? 0 : SSE)
        | (zero(block + VcpuBlock.YMM_HIGH, 256) ? 0 : AVX);
  }

  // ---- FXSAVE, FXRSTOR --------------------------------------------------------------------

  private void fxsave(Instruction in) {
    fpu.needX87();
    long va = area(in, 16, 512, true);
    probe(va, 512);
    int bytes = (c.cr4 & Cpu.CR4_OSFXSR) == 0 ? 160 : 160 + vectorBytes();
    storeX87(in, va);
    c.store(va + 24, 8, RawMemory.get64(c.block + VcpuBlock.MXCSR));
    if (bytes > 160) {
      fpu.copyOut(c.block + VcpuBlock.XMM, va + 160, bytes - 160);
    }
  }

  private void fxrstor(Instruction in) {
    fpu.needX87();
    long va = area(in, 16, 512, false);
    c.load(va, 8);
    c.load(va + 504, 8);
    checkMxcsr(va);
    loadX87(in, va);
    if ((c.cr4 & Cpu.CR4_OSFXSR) != 0) {
      RawMemory.put32(c.block + VcpuBlock.MXCSR, (int) c.load(va + 24, 4));
      fpu.copyIn(va + 160, c.block + VcpuBlock.XMM, vectorBytes());
    }
  }

  /** XMM8–15 exist in 64-bit mode only. */
  private int vectorBytes() {
    return c.is64() ? 256 : 128;
  }

  private void checkMxcsr(long va) {
    if ((c.load(va + 24, 4) & 0xffff_0000L) != 0) {
      throw c.gp0();
    }
  }

  // ---- XSAVE, XSAVEOPT, XSAVEC, XRSTOR ----------------------------------------------------

  private long requested() {
    fpu.checkXsave();
    if ((c.cr0 & Cpu.CR0_TS) != 0) {
      throw c.fault(GuestFault.NM);
    }
    return fpu.xcr0 & (c.reg(Cpu.RDX) << 32 | c.reg(Cpu.RAX) & 0xffff_ffffL);
  }

  private void xsave(Instruction in) {
    long state = requested();
    Op op = in.form.op();
    boolean compact = op == Op.XSAVEC;
    int size = size(state);
    long va = area(in, 64, size, true);
    probe(va, size);
    long used = inUse() & state;
    if (compact && RawMemory.get32(c.block + VcpuBlock.MXCSR) != MXCSR_RESET) {
      used |= state & SSE;
    }
    long stored = op == Op.XSAVE ? state : used;
    if ((stored & X87) != 0) {
      storeX87(in, va);
    }
    if ((compact ? used & SSE : state & (SSE | AVX)) != 0) {
      c.store(va + 24, 8, RawMemory.get64(c.block + VcpuBlock.MXCSR));
    }
    if ((stored & SSE) != 0) {
      fpu.copyOut(c.block + VcpuBlock.XMM, va + 160, vectorBytes());
    }
    if ((stored & AVX) != 0) {
      fpu.copyOut(c.block + VcpuBlock.YMM_HIGH, va + AVX_OFFSET, vectorBytes());
    }
    if (compact) {
      c.store(va + HEADER, 8, used);
      c.store(va + HEADER + 8, 8, state | COMPACTED);
    } else {
      c.store(va + HEADER, 8, c.load(va + HEADER, 8) & ~state | used);
    }
  }

  private void xrstor(Instruction in) {
    long state = requested();
    long va = area(in, 64, AVX_OFFSET, false);
    c.load(va, 8);
    long present = c.load(va + HEADER, 8);
    long layout = c.load(va + HEADER + 8, 8);
    boolean compact = layout < 0;
    checkHeader(va, present, layout);
    touch(in, va, compact ? state & present : state);
    boolean loadsMxcsr =
        compact ? (state & present & SSE) != 0 : (state & (SSE | AVX)) != 0;
    if (loadsMxcsr) {
      checkMxcsr(va);
    }
    if ((state & X87) != 0) {
      if ((present & X87) != 0) {
        loadX87(in, va);
      } else {
        RawMemory.fill(c.block + VcpuBlock.FX, 24, 0);
        RawMemory.put16(c.block + VcpuBlock.FCW, 0x37f);
        RawMemory.fill(c.block + VcpuBlock.ST, 128, 0);
      }
    }
    if (loadsMxcsr) {
      RawMemory.put32(c.block + VcpuBlock.MXCSR, (int) c.load(va + 24, 4));
    } else if (compact && (state & SSE) != 0) {
      RawMemory.put32(c.block + VcpuBlock.MXCSR, MXCSR_RESET);
    }
    loadVectors((state & SSE) != 0, (present & SSE) != 0, va + 160, VcpuBlock.XMM);
    loadVectors((state & AVX) != 0, (present & AVX) != 0, va + AVX_OFFSET, VcpuBlock.YMM_HIGH);
  }

  /** Faults as loading some state would; {@code area} has seen to the first part. */
  private void touch(Instruction in, long va, long state) {
    if ((state & AVX) != 0) {
      c.segments.linear(in.segment, c.effectiveOffset(in), size(AVX), false);
      c.load(va + size(AVX) - 8, 8);
    }
  }

  private void loadVectors(boolean wanted, boolean present, long va, int offset) {
    if (wanted && present) {
      fpu.copyIn(va, c.block + offset, vectorBytes());
    } else if (wanted) {
      RawMemory.fill(c.block + offset, vectorBytes(), 0);
    }
  }

  /** Intel SDM volume 1, sections 13.8.1 and 13.8.2: what in the header is #GP(0). */
  private void checkHeader(long va, long present, long layout) {
    boolean compact = layout < 0;
    boolean bad = (present & ~fpu.xcr0) != 0;
    if (compact) {
      bad |= !c.system.has(CpuFeature.XSAVEC);
      bad |= (layout & ~COMPACTED & ~fpu.xcr0) != 0 || (present & ~layout) != 0;
    } else {
      bad |= layout != 0;
    }
    int end = compact ? 64 : 24;
    for (int i = 16; i < end; i += 8) {
      bad |= c.load(va + HEADER + i, 8) != 0;
    }
    if (bad) {
      throw c.gp0();
    }
  }

  // ---- x87 --------------------------------------------------------------------------------

  /** Whether the image has 64-bit instruction and data pointers. */
  private boolean wide(Instruction in) {
    return in.rexW && c.is64();
  }

  private void storeX87(Instruction in, long va) {
    long fx = c.block + VcpuBlock.FX;
    c.store(va, 8, RawMemory.get64(fx));
    boolean wide = wide(in);
    long ip = RawMemory.get64(fx + 8);
    long dp = RawMemory.get64(fx + 16);
    c.store(va + 8, 8, wide ? ip : ip & 0xffff_ffffL);
    c.store(va + 16, 8, wide ? dp : dp & 0xffff_ffffL);
    fpu.copyOut(c.block + VcpuBlock.ST, va + 32, 128);
  }

  private void loadX87(Instruction in, long va) {
    long fx = c.block + VcpuBlock.FX;
    fpu.copyIn(va, fx, 24);
    if (!wide(in)) {
      RawMemory.put32(fx + 12, 0);
      RawMemory.put32(fx + 20, 0);
    }
    fpu.copyIn(va + 32, c.block + VcpuBlock.ST, 128);
    // What is reserved is not kept, and ES and B follow from flags and masks.
    for (int i = 0; i < 8; i++) {
      RawMemory.put16(c.block + VcpuBlock.ST + 16 * i + 10, 0);
      RawMemory.put32(c.block + VcpuBlock.ST + 16 * i + 12, 0);
    }
    RawMemory.put8(fx + 5, 0);
    RawMemory.put16(fx + 6, RawMemory.get16(fx + 6) & 0x7ff);
    X87Control.loadControl(c.block, RawMemory.get16(fx));
  }
}

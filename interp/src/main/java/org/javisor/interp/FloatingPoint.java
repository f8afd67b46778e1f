package org.javisor.interp;

import org.javisor.interp.silicon.ElementMemory;
import org.javisor.interp.silicon.MaskedMoves;
import org.javisor.interp.silicon.Prepared;
import org.javisor.interp.silicon.SiliconArea;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.memory.RawMemory;

/**
 * The x87, MMX, SSE and AVX units as the rest of the CPU sees them: availability checks, memory
 * operands, exceptions, and saving and restoring their state. What they compute is {@link
 * SiliconUnit}'s business.
 */
final class FloatingPoint {
  /** Bytes from which on a run is copied at once. */
  private static final int BULK = 64;

  private final Cpu c;

  /** XCR0: which state XSAVE manages and which AVX needs enabled. */
  long xcr0 = 1;

  private final StateImages images;
  private final ElementMemory elements;
  private Instruction current;

  FloatingPoint(Cpu c) {
    this.c = c;
    this.images = new StateImages(c, this);
    this.elements =
        new ElementMemory() {
          @Override
          public long load(long offset, int bytes) {
            long va = c.segments.linear(current.segment, offset, bytes, false);
            return Cpu.zeroExtend(c.load(va, bytes), bytes);
          }

          @Override
          public void checkStore(long offset, int bytes) {
            c.probeWrite(c.segments.linear(current.segment, offset, bytes, true), bytes);
          }

          @Override
          public void store(long offset, int bytes, long value) {
            c.store(c.segments.linear(current.segment, offset, bytes, true), bytes, value);
          }
        };
  }

  /** State after reset and INIT (Intel SDM volume 3, table 10-1). */
  void reset() {
    RawMemory.fill(c.block + VcpuBlock.FX, 1024, 0);
    RawMemory.put16(c.block + VcpuBlock.FCW, 0x40);
    RawMemory.put32(c.block + VcpuBlock.MXCSR, 0x1f80);
    RawMemory.put32(c.block + VcpuBlock.MXCSR + 4, 0xffff);
    xcr0 = 1;
  }

  void checkXsave() {
    if ((c.cr4 & Cpu.CR4_OSXSAVE) == 0) {
      throw c.ud();
    }
  }

  /** XGETBV: XCR0, or with ECX = 1 the enabled state that is in use. */
  void getXcr() {
    checkXsave();
    int index = (int) c.reg(Cpu.RCX);
    if (index != 0 && !(index == 1 && c.system.has(CpuFeature.XGETBV1))) {
      throw c.gp0();
    }
    c.setReg(Cpu.RAX, index == 0 ? xcr0 : xcr0 & images.inUse());
    c.setReg(Cpu.RDX, 0);
  }

  void setXcr0() {
    checkXsave();
    if (c.cpl != 0 || c.virtual8086()) {
      throw c.gp0();
    }
    if ((int) c.reg(Cpu.RCX) != 0) {
      throw c.gp0();
    }
    setXcr0(c.reg(Cpu.RDX) << 32 | c.reg(Cpu.RAX) & 0xffff_ffffL);
  }

  void setXcr0(long v) {
    if ((v & 1) == 0 || (v & ~images.supported()) != 0 || (v & 6) == 4) {
      throw c.gp0();
    }
    xcr0 = v;
  }

  void needX87() {
    if ((c.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) != 0) {
      throw c.fault(GuestFault.NM);
    }
  }

  private void needSse() {
    if ((c.cr0 & Cpu.CR0_EM) != 0 || (c.cr4 & Cpu.CR4_OSFXSR) == 0) {
      throw c.ud();
    }
    if ((c.cr0 & Cpu.CR0_TS) != 0) {
      throw c.fault(GuestFault.NM);
    }
  }

  private void needMmx() {
    if ((c.cr0 & Cpu.CR0_EM) != 0) {
      throw c.ud();
    }
    if ((c.cr0 & Cpu.CR0_TS) != 0) {
      throw c.fault(GuestFault.NM);
    }
  }

  private void needAvx() {
    if (c.realOrVirtual8086() || (c.cr4 & Cpu.CR4_OSXSAVE) == 0 || (xcr0 & 6) != 6) {
      throw c.ud();
    }
    if ((c.cr0 & Cpu.CR0_TS) != 0) {
      throw c.fault(GuestFault.NM);
    }
  }

  void execute(Instruction in) {
    switch (in.form.op()) {
      case X87, MMX, SIMD, MASKMOV, VMASKMOV, VGATHER -> {
        Prepared p = SiliconUnit.get().prepare(in);
        if (p == null) {
          throw c.ud();
        }
        run(in, p);
      }
      case FWAIT -> {
        if ((c.cr0 & (Cpu.CR0_MP | Cpu.CR0_TS)) == (Cpu.CR0_MP | Cpu.CR0_TS)) {
          throw c.fault(GuestFault.NM);
        }
        if (SiliconUnit.x87Pending(c.block)) {
          throw x87Error();
        }
      }
      case LDMXCSR -> {
        needSse();
        int v = (int) c.readRm(in, 4);
        if ((v & ~0xffff) != 0) {
          throw c.gp0();
        }
        RawMemory.put32(c.block + VcpuBlock.MXCSR, v);
      }
      case STMXCSR -> {
        needSse();
        c.writeRm(in, 4, RawMemory.get32(c.block + VcpuBlock.MXCSR));
      }
      case FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR -> images.execute(in);
      default -> throw c.ud();
    }
  }

  private GuestFault x87Error() {
    // Without CR0.NE the error would go to IRQ 13; every kernel of this century sets it.
    return c.fault(GuestFault.MF);
  }

  /** Executes a prepared instruction on the vCPU's state. */
  void run(Instruction in, Prepared p) {
    if (p.isX87()) {
      needX87();
      checkPending(p);
    } else if (p.isAvx()) {
      needAvx();
    } else if (p.isSse()) {
      needSse();
      checkPending(p);
    } else {
      needMmx();
      checkPending(p);
    }
    if (!c.checksAlignment()) {
      compute(in, p, false);
      return;
    }
    // Operands are moved in pieces; what is checked is the whole.
    c.tlb = c.mmu.part(Mmu.USER);
    try {
      compute(in, p, true);
    } finally {
      c.updateTlb();
    }
  }

  /** What alignment an operand needs is the CPU's affair in part: this is AMD's choice. */
  private void checkAlignment(long va, int bytes) {
    int needed =
        switch (bytes) {
          case 10 -> 8;
          case 14, 94 -> 2;
          case 28, 108 -> 4;
          case 32 -> 16;
          default -> bytes;
        };
    if ((va & needed - 1) != 0) {
      throw c.fault(GuestFault.AC, 0);
    }
  }

  private void compute(Instruction in, Prepared p, boolean alignment) {
    if (p.usesFlags()) {
      RawMemory.put64(c.block + VcpuBlock.RFLAGS, c.rflags());
    }
    int result;
    if (p instanceof MaskedMoves moves) {
      current = in;
      long offset =
          in.form.op() == Op.MASKMOV
              ? Cpu.zeroExtend(c.reg(Cpu.RDI), in.addressSize)
              : c.effectiveOffset(in);
      if (alignment && in.form.op() == Op.MASKMOV) {
        checkAlignment(c.segments.linear(in.segment, offset, 1, true), 8);
      }
      result = SiliconUnit.get().execute(moves, c.block, offset, elements);
    } else {
      int bytes = p.memoryBytes();
      long va = 0;
      long offset = 0;
      if (bytes != 0) {
        offset = c.effectiveOffset(in);
        va = c.segments.linear(in.segment, offset, bytes, p.writesMemory());
        if (p.aligned() && (va & bytes - 1) != 0) {
          throw c.gp0();
        }
        if (alignment) {
          checkAlignment(va, bytes);
        }
        if (p.writesMemory()) {
          probe(va, bytes);
        }
        if (p.readsMemory()) {
          copyIn(va, c.block + p.memoryOffset(), bytes);
        }
      }
      if (p.setsX87Pointers()) {
        boolean real = c.realOrVirtual8086();
        RawMemory.put64(c.block + SiliconArea.X87_IP, real ? c.linearRip() : c.rip);
        RawMemory.put64(c.block + SiliconArea.X87_DP, real ? va : offset);
      }
      result = SiliconUnit.get().execute(p, c.block);
      if (p.writesMemory() && result == SiliconUnit.OK) {
        copyOut(c.block + p.memoryOffset(), va, bytes);
      }
    }
    if (result == SiliconUnit.SIMD_EXCEPTION) {
      throw (c.cr4 & Cpu.CR4_OSXMMEXCPT) != 0 ? c.fault(GuestFault.XM) : c.ud();
    }
    if (result == SiliconUnit.X87_EXCEPTION) {
      throw x87Error();
    }
    if (p.writesFlags()) {
      c.setArithmeticFlags((int) RawMemory.get64(c.block + VcpuBlock.RFLAGS));
    }
  }

  /** An exception of an x87 instruction before comes before anything of this one. */
  private void checkPending(Prepared p) {
    if (p.waits() && SiliconUnit.x87Pending(c.block)) {
      throw x87Error();
    }
  }

  /** Faults as a store would: the address is that of the operand's first byte on a page. */
  private void probe(long va, int bytes) {
    int first = (int) Math.min(bytes, 4096 - (va & 4095));
    c.probeWrite(va, Math.min(first, 8));
    if (first < bytes) {
      c.probeWrite(va + first, Math.min(bytes - first, 8));
    }
  }

  /** Copies guest memory to the host; a fault leaves nothing behind that the guest sees. */
  void copyIn(long va, long host, int bytes) {
    if (inBulk(va, bytes)) {
      long source = c.mmu.hostForBulk(va, false);
      if (source != -1) {
        RawMemory.copy(source, host, bytes);
        return;
      }
    }
    int i = 0;
    for (; i + 8 <= bytes; i += 8) {
      RawMemory.put64(host + i, c.load(va + i, 8));
    }
    for (; i + 2 <= bytes; i += 2) {
      if (i + 4 <= bytes) {
        RawMemory.put32(host + i, (int) c.load(va + i, 4));
        i += 2;
      } else {
        RawMemory.put16(host + i, (int) c.load(va + i, 2));
      }
    }
    if (i < bytes) {
      RawMemory.put8(host + i, (int) c.load(va + i, 1));
    }
  }

  /** Whether it pays to copy a run of bytes at once, and it lies in one page. */
  private static boolean inBulk(long va, int bytes) {
    return bytes >= BULK && (va & 4095) + bytes <= 4096;
  }

  void copyOut(long host, long va, int bytes) {
    if (inBulk(va, bytes)) {
      long target = c.mmu.hostForBulk(va, true);
      if (target != -1) {
        RawMemory.copy(host, target, bytes);
        return;
      }
    }
    int i = 0;
    for (; i + 8 <= bytes; i += 8) {
      c.store(va + i, 8, RawMemory.get64(host + i));
    }
    if (i + 4 <= bytes) {
      c.store(va + i, 4, RawMemory.get32(host + i));
      i += 4;
    }
    if (i + 2 <= bytes) {
      c.store(va + i, 2, RawMemory.get16(host + i));
      i += 2;
    }
    if (i < bytes) {
      c.store(va + i, 1, RawMemory.get8(host + i));
    }
  }
}

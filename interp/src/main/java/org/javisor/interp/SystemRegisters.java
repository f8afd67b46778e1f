package org.javisor.interp;

import static org.javisor.accelerator.TraceCategory.MSR;
import static org.javisor.accelerator.TraceCategory.UNKNOWN;

import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/**
 * Control registers, model-specific registers, CPUID, time stamp, and fast system calls.
 *
 * <p>Source: Intel SDM volume 3, chapter 2, and volume 4; AMD APM volume 2, chapters 3 and 6.
 */
final class SystemRegisters {
  static final int MSR_TSC = 0x10;
  static final int MSR_APIC_BASE = 0x1b;
  static final int MSR_TSC_ADJUST = 0x3b;
  static final int MSR_EFER = 0xc000_0080;
  static final int MSR_STAR = 0xc000_0081;
  static final int MSR_LSTAR = 0xc000_0082;
  static final int MSR_CSTAR = 0xc000_0083;
  static final int MSR_SFMASK = 0xc000_0084;
  static final int MSR_FS_BASE = 0xc000_0100;
  static final int MSR_GS_BASE = 0xc000_0101;
  static final int MSR_KERNEL_GS_BASE = 0xc000_0102;
  static final int MSR_TSC_AUX = 0xc000_0103;

  /** HWCR.TscFreqSel: the TSC counts at the P0 frequency (AMD BKDG family 15h, MSRC001_0015). */
  private static final long HWCR_TSC_FREQ_SEL = 1L << 24;

  private static final long CR0_ALLOWED = 0xe005_003fL;

  private final Cpu c;

  long star;
  long lstar;
  long cstar;
  long sfmask;
  private final Trace trace;
  private long tscOffset;
  private long tscAdjust;
  private long sysenterCs;
  private long sysenterEsp;
  private long sysenterEip;
  private long pat = CpuState.RESET_PAT;
  private long miscEnable = 1;
  private final long[] mtrrs = new long[16];
  private final long[] fixedMtrrs = new long[11];
  private long mtrrDefault;
  private long specControl;
  private final long[] mce = new long[4];
  private long hwcr = HWCR_TSC_FREQ_SEL;

  private final long cr4Allowed;

  /** IA32_SPEC_CTRL exists, and holds what is written: nothing is speculated here. */
  private final boolean speculationControl;

  SystemRegisters(Cpu c, Trace trace) {
    this.c = c;
    this.trace = trace;
    long allowed =
        Cpu.CR4_VME | Cpu.CR4_PVI | Cpu.CR4_TSD | Cpu.CR4_DE | Cpu.CR4_PSE | Cpu.CR4_PAE
            | Cpu.CR4_MCE | Cpu.CR4_PGE | Cpu.CR4_PCE | Cpu.CR4_OSFXSR | Cpu.CR4_OSXMMEXCPT;
    allowed |= has(CpuFeature.UMIP) ? Cpu.CR4_UMIP : 0;
    allowed |= has(CpuFeature.FSGSBASE) ? Cpu.CR4_FSGSBASE : 0;
    allowed |= has(CpuFeature.PCID) ? Cpu.CR4_PCIDE : 0;
    allowed |= has(CpuFeature.XSAVE) ? Cpu.CR4_OSXSAVE : 0;
    allowed |= has(CpuFeature.SMEP) ? Cpu.CR4_SMEP : 0;
    allowed |= has(CpuFeature.SMAP) ? Cpu.CR4_SMAP : 0;
    cr4Allowed = allowed;
    speculationControl =
        has(CpuFeature.IBRS) || has(CpuFeature.STIBP) || has(CpuFeature.SSBD);
  }

  boolean has(CpuFeature f) {
    return (c.model.cpuid(f.leaf(), f.subleaf())[f.register()] >>> f.bit() & 1) != 0;
  }

  void reset() {
    c.cr0 = 0x6000_0010L;
    c.cr2 = 0;
    c.cr3 = 0;
    c.cr4 = 0;
    c.efer = 0;
    star = 0;
    lstar = 0;
    cstar = 0;
    sfmask = 0;
    kernelGsBase(0);
    publish();
    specControl = 0;
    sysenterCs = 0;
  }

  long tscAux() {
    return RawMemory.get64(c.block + VcpuBlock.TSC_AUX);
  }

  private void tscAux(long value) {
    RawMemory.put64(c.block + VcpuBlock.TSC_AUX, value);
  }

  /** How far the time-stamp counter is ahead of the machine's clock. */
  long tscOffset() {
    return tscOffset;
  }

  private long kernelGsBase() {
    return RawMemory.get64(c.block + VcpuBlock.KERNEL_GS_BASE);
  }

  private void kernelGsBase(long value) {
    RawMemory.put64(c.block + VcpuBlock.KERNEL_GS_BASE, value);
  }

  /** Tells translated code what it may do itself; after a change of a control register or MSR. */
  void publish() {
    long b = c.block;
    RawMemory.put64(b + VcpuBlock.LSTAR, lstar);
    RawMemory.put32(b + VcpuBlock.SYSCALL_KEEPS, ~((int) sfmask | Cpu.RF));
    int cleared = Cpu.ARITHMETIC | Cpu.IF | Cpu.TF | Cpu.DF | Cpu.AC;
    boolean plain =
        (c.efer & Cpu.EFER_SCE) != 0
            && c.longMode()
            && (c.cr4 & Cpu.CR4_SMAP) != 0
            && ((int) sfmask & cleared) == cleared;
    RawMemory.put32(b + VcpuBlock.SYSCALL_SPECIAL, plain ? 0 : 1);
    boolean walk =
        c.longMode() && (c.efer & Cpu.EFER_NXE) != 0 && (c.cr0 & Cpu.CR0_WP) != 0;
    RawMemory.put32(b + VcpuBlock.GLOBAL_BIT, (c.cr4 & Cpu.CR4_PGE) != 0 ? 1 << 8 : 0);
    RawMemory.put32(b + VcpuBlock.NO_FSGSBASE, (c.cr4 & Cpu.CR4_FSGSBASE) != 0 ? 0 : 1);
    int kernel = (int) (star >>> 32) & 0xfffc;
    int user = (int) (star >>> 48) & 0xffff;
    RawMemory.put32(b + VcpuBlock.KERNEL_SELECTORS, kernel);
    RawMemory.put32(b + VcpuBlock.KERNEL_SELECTORS + 4, kernel + 8 & 0xffff);
    RawMemory.put32(b + VcpuBlock.USER_SELECTORS, user + 16 & 0xffff | 3);
    RawMemory.put32(b + VcpuBlock.USER_SELECTORS + 4, user + 8 & 0xffff | 3);
    RawMemory.put32(b + VcpuBlock.NO_USER_TSC, (c.cr4 & Cpu.CR4_TSD) != 0 ? 1 : 0);
    RawMemory.put64(b + VcpuBlock.WALK_ROOT, walk ? c.cr3 & Mmu.PHYSICAL_MASK : -1);
  }

  /** Makes segments and CPL what a SYSCALL or SYSRET in translated code has made them. */
  void adoptPrivilege() {
    int change = RawMemory.get32(c.block + VcpuBlock.PRIVILEGE);
    if (change == 0) {
      return;
    }
    RawMemory.put32(c.block + VcpuBlock.PRIVILEGE, 0);
    if (change == VcpuBlock.BY_SYSCALL) {
      int cs = (int) (star >>> 32) & 0xfffc;
      flatCode(cs, 0, true);
      flatStack(cs + 8, 0);
    } else {
      int base = (int) (star >>> 48) & 0xffff;
      flatCode(base + 16 | 3, 3, true);
      flatStack(base + 8 | 3, 3);
    }
    c.updateMode();
  }

  void exportMsrs(CpuState s) {
    s.star = star;
    s.lstar = lstar;
    s.cstar = cstar;
    s.sfmask = sfmask;
    s.kernelGsBase = kernelGsBase();
    s.tscAux = tscAux();
    s.sysenterCs = sysenterCs;
    s.sysenterEsp = sysenterEsp;
    s.sysenterEip = sysenterEip;
    s.pat = pat;
    s.tscOffset = tscOffset;
    s.tscAdjust = tscAdjust;
    s.otherMsrs.put(MSR_MISC_ENABLE, miscEnable);
    s.otherMsrs.put(MSR_SPEC_CTRL, specControl);
    s.otherMsrs.put(MSR_MTRR_DEFAULT, mtrrDefault);
    s.otherMsrs.put(MSR_HWCR, hwcr);
    for (int i = 0; i < mtrrs.length; i++) {
      s.otherMsrs.put(MSR_MTRR + i, mtrrs[i]);
    }
    for (int msr = MSR_FIXED_FIRST; msr <= MSR_FIXED_LAST; msr++) {
      if (fixedMtrr(msr) >= 0) {
        s.otherMsrs.put(msr, fixedMtrrs[fixedMtrr(msr)]);
      }
    }
    for (int i = 0; i < 3; i++) {
      s.otherMsrs.put(MSR_MCE + i, mce[i]);
    }
  }

  private static final int MSR_SPEC_CTRL = 0x48;
  private static final int MSR_MCE = 0x179;
  private static final int MSR_MISC_ENABLE = 0x1a0;
  private static final int MSR_MTRR = 0x200;
  private static final int MSR_FIXED_FIRST = 0x250;
  private static final int MSR_FIXED_LAST = 0x26f;
  private static final int MSR_MTRR_DEFAULT = 0x2ff;
  private static final int MSR_HWCR = 0xc001_0015;

  /** Takes what another vCPU had; what this one has not, nobody will read. */
  private void adoptOther(int msr, long value) {
    if (msr == MSR_MISC_ENABLE) {
      miscEnable = value;
    } else if (msr == MSR_SPEC_CTRL) {
      specControl = value;
    } else if (msr == MSR_MTRR_DEFAULT) {
      mtrrDefault = value;
    } else if (msr == MSR_HWCR) {
      hwcr = value;
    } else if (msr >= MSR_MTRR && msr < MSR_MTRR + mtrrs.length) {
      mtrrs[msr - MSR_MTRR] = value;
    } else if (fixedMtrr(msr) >= 0) {
      fixedMtrrs[fixedMtrr(msr)] = value;
    } else if (msr >= MSR_MCE && msr < MSR_MCE + 3) {
      mce[msr - MSR_MCE] = value;
    }
  }

  void adoptMsrs(CpuState s) {
    star = s.star;
    lstar = s.lstar;
    cstar = s.cstar;
    sfmask = s.sfmask;
    kernelGsBase(s.kernelGsBase);
    tscAux(s.tscAux);
    sysenterCs = s.sysenterCs;
    sysenterEsp = s.sysenterEsp;
    sysenterEip = s.sysenterEip;
    pat = s.pat;
    s.otherMsrs.forEach(this::adoptOther);
    tscAdjust = s.tscAdjust;
    setTscOffset(s.tscOffset);
    publish();
  }

  // ---- control registers ------------------------------------------------------------------

  long readCr(int n) {
    return switch (n) {
      case 0 -> c.cr0;
      case 2 -> c.cr2;
      case 3 -> c.cr3;
      case 4 -> c.cr4;
      case 8 -> c.platform.taskPriority();
      default -> throw c.ud();
    };
  }

  void writeCr(int n, long value) {
    switch (n) {
      case 0 -> setCr0(value);
      case 2 -> c.cr2 = value;
      case 3 -> setCr3(value);
      case 4 -> setCr4(value);
      case 8 -> {
        if ((value & ~15L) != 0) {
          throw c.gp0();
        }
        c.platform.setTaskPriority((int) value);
        c.vcpu.attend();
      }
      default -> throw c.ud();
    }
  }

  void setCr0(long value) {
    long pg = Cpu.CR0_PG;
    if (value >>> 32 != 0
        || (value & pg) != 0 && (value & Cpu.CR0_PE) == 0
        || (value & Cpu.CR0_NW) != 0 && (value & Cpu.CR0_CD) == 0) {
      throw c.gp0();
    }
    value = value & CR0_ALLOWED | Cpu.CR0_ET;
    long old = c.cr0;
    boolean pae = pae(value, c.cr4) && ((old ^ value) & (pg | Cpu.CR0_CD | Cpu.CR0_NW)) != 0;
    if (pae) {
      c.mmu.checkPdptes(c.cr3);
    }
    if ((value & pg) != 0 && (old & pg) == 0 && (c.efer & Cpu.EFER_LME) != 0) {
      if ((c.cr4 & Cpu.CR4_PAE) == 0 || c.segments.csLong()) {
        throw c.gp0();
      }
      c.efer |= Cpu.EFER_LMA;
    } else if ((value & pg) == 0 && (old & pg) != 0) {
      if (c.is64() || (c.cr4 & Cpu.CR4_PCIDE) != 0) {
        throw c.gp0();
      }
      c.efer &= ~(long) Cpu.EFER_LMA;
    }
    c.cr0 = value;
    if (pae) {
      c.mmu.loadPdptes(c.cr3);
    }
    publish();
    if (((old ^ value) & (pg | Cpu.CR0_WP | Cpu.CR0_PE)) != 0) {
      c.mmu.flushAll();
      c.vcpu.flushCode();
    }
    c.updateMode();
  }

  /** Whether paging with these control registers is PAE paging, and no other mode. */
  private boolean pae(long cr0, long cr4) {
    return (cr0 & Cpu.CR0_PG) != 0
        && (cr4 & Cpu.CR4_PAE) != 0
        && (c.efer & Cpu.EFER_LME) == 0;
  }

  /** Whether page-directory-pointer-table entries are held instead of read. */
  boolean pae() {
    return pae(c.cr0, c.cr4);
  }

  void setCr3(long value) {
    boolean keep = false;
    if (c.longMode()) {
      keep = (c.cr4 & Cpu.CR4_PCIDE) != 0 && value < 0;
      value &= (c.cr4 & Cpu.CR4_PCIDE) != 0 ? Long.MAX_VALUE : -1L;
      if (value >>> Mmu.PHYSICAL_BITS != 0) {
        throw c.gp0();
      }
    } else {
      value &= 0xffff_ffffL;
      if (pae()) {
        c.mmu.checkPdptes(value);
        c.mmu.loadPdptes(value);
      }
    }
    c.cr3 = value;
    publish();
    // The TLB never keeps mappings of one address space for another; where code is may be kept.
    if ((c.cr4 & Cpu.CR4_PGE) != 0) {
      c.mmu.flushNonGlobal();
      c.vcpu.switchAddressSpace((c.cr4 & Cpu.CR4_PCIDE) != 0 ? (int) value & 0xfff : 0, keep);
    } else {
      c.mmu.flushAll();
      c.vcpu.flushCode();
    }
  }

  void setCr4(long value) {
    if ((value & ~cr4Allowed) != 0) {
      throw c.gp0();
    }
    long changed = value ^ c.cr4;
    if (c.longMode() && (value & Cpu.CR4_PAE) == 0) {
      throw c.gp0();
    }
    if ((changed & value & Cpu.CR4_PCIDE) != 0 && (!c.longMode() || (c.cr3 & 0xfff) != 0)) {
      throw c.gp0();
    }
    boolean pae =
        pae(c.cr0, value)
            && (changed & (Cpu.CR4_PAE | Cpu.CR4_PGE | Cpu.CR4_PSE | Cpu.CR4_SMEP)) != 0;
    if (pae) {
      c.mmu.checkPdptes(c.cr3);
      c.mmu.loadPdptes(c.cr3);
    }
    c.cr4 = value;
    publish();
    if (changed != 0) {
      c.mmu.flushAll();
      c.vcpu.flushCode();
    }
    c.updateMode();
  }

  /** I/O permission: IOPL, else the TSS's bitmap (Intel SDM volume 1, section 19.5). */
  void checkPort(int port, int size) {
    if (!c.protectedMode() || c.cpl <= c.iopl() && !c.virtual8086()) {
      return;
    }
    Segments s = c.segments;
    if ((s.attributes(Segments.TR) & 8) == 0 || s.limit(Segments.TR) < 103) {
      throw c.gp0();
    }
    int map = (int) c.mmu.loadSystem(s.base(Segments.TR) + 102, 2) & 0xffff;
    int at = map + (port >> 3);
    if (at + 1 > s.limit(Segments.TR)) {
      throw c.gp0();
    }
    int bits = (int) c.mmu.loadSystem(s.base(Segments.TR) + at, 2) & 0xffff;
    if ((bits >> (port & 7) & (1 << size) - 1) != 0) {
      throw c.gp0();
    }
  }

  // ---- time -------------------------------------------------------------------------------

  /** The time stamp counter: 1 GHz, so nanoseconds of the machine's clock, plus what was written. */
  long tsc() {
    return c.clock.nanos() + tscOffset;
  }

  void setTscOffset(long ticks) {
    if (ticks != tscOffset) {
      moveTsc(ticks - tscOffset);
    }
  }

  private void moveTsc(long ticks) {
    tscOffset += ticks;
    c.platform.setTscOffset(tscOffset);
  }

  // ---- model-specific registers -----------------------------------------------------------

  long readMsr(int msr) {
    long value = msr(msr);
    if (trace.wants(MSR)) {
      trace.line(MSR, "vcpu %d rdmsr %#x gives %#x at %#x", c.id, msr, value, c.rip);
    }
    return value;
  }

  private long msr(int msr) {
    switch (msr) {
      case MSR_TSC:
        return tsc();
      case MSR_TSC_ADJUST:
        return tscAdjust;
      case MSR_EFER:
        return c.efer;
      case MSR_STAR:
        return star;
      case MSR_LSTAR:
        return lstar;
      case MSR_CSTAR:
        return cstar;
      case MSR_SFMASK:
        return sfmask;
      case MSR_FS_BASE:
        return c.fsBase();
      case MSR_GS_BASE:
        return c.gsBase();
      case MSR_KERNEL_GS_BASE:
        return kernelGsBase();
      case MSR_TSC_AUX:
        return tscAux();
      case 0x174:
        return sysenterCs;
      case 0x175:
        return sysenterEsp;
      case 0x176:
        return sysenterEip;
      case 0x277:
        return pat;
      case 0x1a0:
        return miscEnable;
      case 0x48:
        if (!speculationControl) {
          break;
        }
        return specControl;
      case 0xfe:
        return 0x508; // 8 variable ranges, fixed ranges, write combining
      case 0x2ff:
        return mtrrDefault;
      case 0x179, 0x17a, 0x17b:
        return mce[msr - 0x179]; // no machine-check banks
      case 0x8b, 0x17, 0xce, 0x1d9, 0x1db, 0x1dc, 0xc000_0104:
        return 0;
      case 0xc001_0000, 0xc001_0001, 0xc001_0002, 0xc001_0003,
          0xc001_0004, 0xc001_0005, 0xc001_0006, 0xc001_0007:
        return 0; // the performance counters of every AMD CPU: here they do not count
      case 0xc001_0015:
        return hwcr;
      case 0xc001_0010, 0xc001_001f, 0xc001_0055, 0xc001_0112, 0xc001_0113, 0xc001_0114:
      case 0xc001_0117, 0xc001_0140, 0xc001_0141, 0xc001_1020, 0xc001_1022, 0xc001_1023:
      case 0xc001_1029, 0xc001_102a:
        return 0;
      default:
        break;
    }
    if (msr >= 0x200 && msr < 0x210) {
      return mtrrs[msr - 0x200];
    }
    int fixed = fixedMtrr(msr);
    if (fixed >= 0) {
      return fixedMtrrs[fixed];
    }
    try {
      return c.platform.readMsr(msr);
    } catch (VcpuPlatform.UnknownMsr e) {
      trace.line(UNKNOWN, "vcpu %d rdmsr %#x at %#x: #GP", c.id, msr, c.rip);
      throw c.gp0();
    }
  }

  private static int fixedMtrr(int msr) {
    return msr == 0x250
        ? 0
        : msr == 0x258 || msr == 0x259 ? msr - 0x257
            : msr >= 0x268 && msr <= 0x26f ? msr - 0x265 : -1;
  }

  void writeMsr(int msr, long value) {
    if (trace.wants(MSR)) {
      trace.line(MSR, "vcpu %d wrmsr %#x = %#x at %#x", c.id, msr, value, c.rip);
    }
    setMsr(msr, value);
    publish();
  }

  private void setMsr(int msr, long value) {
    switch (msr) {
      case MSR_TSC:
        long ahead = value - tsc();
        tscAdjust += ahead;
        moveTsc(ahead);
        return;
      case MSR_TSC_ADJUST:
        moveTsc(value - tscAdjust);
        tscAdjust = value;
        return;
      case MSR_EFER:
        writeEfer(value);
        return;
      case MSR_STAR:
        star = value;
        return;
      case MSR_LSTAR:
        lstar = canonical(value);
        return;
      case MSR_CSTAR:
        cstar = canonical(value);
        return;
      case MSR_SFMASK:
        sfmask = value & 0xffff_ffffL;
        return;
      case MSR_FS_BASE:
        c.segments.setBase(Instruction.FS, canonical(value));
        return;
      case MSR_GS_BASE:
        c.segments.setBase(Instruction.GS, canonical(value));
        return;
      case MSR_KERNEL_GS_BASE:
        kernelGsBase(canonical(value));
        return;
      case MSR_TSC_AUX:
        tscAux(value & 0xffff_ffffL);
        return;
      case 0x174:
        sysenterCs = value & 0xffff_ffffL;
        return;
      case 0x175:
        sysenterEsp = value;
        return;
      case 0x176:
        sysenterEip = value;
        return;
      case 0x277:
        for (int i = 0; i < 64; i += 8) {
          long type = value >>> i & 0xff;
          if (type > 7 || type == 2 || type == 3) {
            throw c.gp0();
          }
        }
        pat = value;
        return;
      case 0x1a0:
        miscEnable = value;
        return;
      case 0x48:
        if (!speculationControl) {
          break;
        }
        if ((value & ~0x87L) != 0) { // IBRS, STIBP, SSBD, PSFD
          throw c.gp0();
        }
        specControl = value;
        return;
      case 0x49:
        if (!has(CpuFeature.IBPB)) {
          break;
        }
        if ((value & ~1L) != 0) {
          throw c.gp0();
        }
        return; // prediction barrier: nothing is predicted here
      case 0x2ff:
        mtrrDefault = value;
        return;
      case 0x17a, 0x17b:
        mce[msr - 0x179] = value;
        return;
      case 0xc001_0000, 0xc001_0001, 0xc001_0002, 0xc001_0003,
          0xc001_0004, 0xc001_0005, 0xc001_0006, 0xc001_0007:
        if (value != 0) {
          throw c.gp0(); // a guest that wants one to count must learn that it will not
        }
        return;
      case 0xc001_0015:
        hwcr = value | HWCR_TSC_FREQ_SEL;
        return;
      case 0x8b, 0x79, 0x1d9, 0xc000_0104:
      case 0xc001_0010, 0xc001_001f, 0xc001_0055, 0xc001_0114, 0xc001_0117, 0xc001_1020:
      case 0xc001_1022, 0xc001_1023, 0xc001_1029, 0xc001_102a:
        return;
      default:
        break;
    }
    if (msr >= 0x200 && msr < 0x210) {
      mtrrs[msr - 0x200] = value;
      return;
    }
    int fixed = fixedMtrr(msr);
    if (fixed >= 0) {
      fixedMtrrs[fixed] = value;
      return;
    }
    try {
      c.platform.writeMsr(msr, value);
      c.vcpu.attend();
    } catch (VcpuPlatform.UnknownMsr e) {
      trace.line(UNKNOWN, "vcpu %d wrmsr %#x = %#x at %#x: #GP", c.id, msr, value, c.rip);
      throw c.gp0();
    }
  }

  private long canonical(long value) {
    if (value << 16 >> 16 != value) {
      throw c.gp0();
    }
    return value;
  }

  private void writeEfer(long value) {
    long allowed =
        Cpu.EFER_SCE | Cpu.EFER_LME | Cpu.EFER_LMA | Cpu.EFER_NXE | Cpu.EFER_FFXSR
            | (long) Cpu.EFER_AIBRSE;
    if ((value & ~allowed) != 0) {
      throw c.gp0();
    }
    if (((value ^ c.efer) & Cpu.EFER_LME) != 0 && (c.cr0 & Cpu.CR0_PG) != 0) {
      throw c.gp0();
    }
    c.efer = value & ~(long) Cpu.EFER_LMA | c.efer & Cpu.EFER_LMA;
    c.mmu.flushAll();
    c.vcpu.flushCode();
    c.updateMode();
  }

  // ---- CPUID ------------------------------------------------------------------------------

  void cpuid() {
    int leaf = (int) c.reg(Cpu.RAX);
    int subleaf = (int) c.reg(Cpu.RCX);
    int[] r = c.model.cpuid(leaf, subleaf);
    int b = r[1];
    int cx = r[2];
    if (leaf == 1) {
      b = b & 0xff_ffff | c.id << 24;
      cx = (c.cr4 & Cpu.CR4_OSXSAVE) != 0 ? cx | 1 << 27 : cx & ~(1 << 27);
    }
    if (leaf == 0xd && has(CpuFeature.XSAVE)) {
      // The areas of what is enabled now; compacted, they are no smaller (SDM volume 1, 13.2).
      b = subleaf == 0 || subleaf == 1 ? StateImages.size(c.fpu.xcr0) : b;
    }
    int d = leaf == 0xb || leaf == 0x1f ? c.id : r[3];
    c.setReg(Cpu.RAX, (leaf == 0x8000_001e ? c.id : r[0]) & 0xffff_ffffL);
    c.setReg(Cpu.RBX, b & 0xffff_ffffL);
    c.setReg(Cpu.RCX, cx & 0xffff_ffffL);
    c.setReg(Cpu.RDX, d & 0xffff_ffffL);
  }

  // ---- fast system calls ------------------------------------------------------------------

  private void flatCode(int selector, int cpl, boolean is64) {
    c.segments.set(
        Instruction.CS,
        selector,
        0,
        0xffff_ffffL,
        0xb | Segments.S | cpl << 5 | Segments.PRESENT | Segments.G
            | (is64 ? Segments.L : Segments.DB));
    c.cpl = cpl;
  }

  private void flatStack(int selector, int cpl) {
    c.segments.set(
        Instruction.SS,
        selector,
        0,
        0xffff_ffffL,
        3 | Segments.S | cpl << 5 | Segments.PRESENT | Segments.G | Segments.DB);
  }

  /** Flat 64-bit code and data of ring 3. */
  void flat(int cs, int ss) {
    flatCode(cs, 3, true);
    flatStack(ss, 3);
    c.updateMode();
  }

  /** Has page tables used from now on; what is known of others stays. */
  void useTables(long cr3) {
    c.cr3 = cr3;
    publish();
  }

  void syscall(long nextRip) {
    if (c.traps != null) {
      long rip = c.rip;
      c.rip = nextRip;
      if (!c.traps.systemCall(c.trapped)) {
        c.rip = rip;
        throw Restart.INSTANCE;
      }
      return;
    }
    if ((c.efer & Cpu.EFER_SCE) == 0) {
      throw c.ud();
    }
    int cs = (int) (star >>> 32) & 0xfffc;
    if (c.longMode()) {
      boolean from64 = c.is64();
      c.setReg(Cpu.RCX, nextRip);
      c.setReg(Cpu.R11, c.rflags() & ~(long) Cpu.RF);
      flatCode(cs, 0, true);
      flatStack(cs + 8, 0);
      c.updateMode();
      c.rip = from64 ? lstar : cstar;
      c.setRflags(c.rflags() & ~(int) sfmask & ~Cpu.RF);
      c.debug.steppedByNewFlags();
    } else {
      c.setReg(Cpu.RCX, nextRip & 0xffff_ffffL);
      flatCode(cs, 0, false);
      flatStack(cs + 8, 0);
      c.updateMode();
      c.rip = star & 0xffff_ffffL;
      c.setRflags(c.rflags() & ~(Cpu.VM | Cpu.IF | Cpu.RF));
    }
  }

  void sysret(Instruction in) {
    if ((c.efer & Cpu.EFER_SCE) == 0) {
      throw c.ud();
    }
    if (!c.protectedMode()) {
      throw c.gp0();
    }
    int base = (int) (star >>> 48) & 0xffff;
    if (c.longMode()) {
      boolean to64 = in.operandSize == 8;
      // AMD: RCX is loaded as it is; a non-canonical one faults at the target, at CPL 3.
      long target = to64 ? c.reg(Cpu.RCX) : c.reg(Cpu.RCX) & 0xffff_ffffL;
      int f = (int) c.reg(Cpu.R11) & 0x3c_7fd7 | 2;
      flatCode((to64 ? base + 16 : base) | 3, 3, to64);
      flatStack(base + 8 | 3, 3);
      c.updateMode();
      c.rip = target;
      c.setRflags(f);
      c.debug.steppedByNewFlags();
    } else {
      flatCode(base | 3, 3, false);
      flatStack(base + 8 | 3, 3);
      c.updateMode();
      c.rip = c.reg(Cpu.RCX) & 0xffff_ffffL;
      c.setRflags(c.rflags() | Cpu.IF);
    }
  }

  void sysenter() {
    if (c.traps != null) {
      c.traps.systemEnter(c.trapped);
      return;
    }
    if ((sysenterCs & ~3L) == 0) {
      throw c.gp0();
    }
    boolean lm = c.longMode();
    c.setSystemFlags(Cpu.VM | Cpu.IF | Cpu.RF, 0);
    flatCode((int) sysenterCs & ~3, 0, lm);
    flatStack(((int) sysenterCs & ~3) + 8, 0);
    c.updateMode();
    c.setReg(Cpu.RSP, lm ? sysenterEsp : sysenterEsp & 0xffff_ffffL);
    c.rip = lm ? sysenterEip : sysenterEip & 0xffff_ffffL;
  }

  void sysexit(Instruction in) {
    if ((sysenterCs & ~3L) == 0) {
      throw c.gp0();
    }
    boolean to64 = in.operandSize == 8;
    int cs = ((int) sysenterCs & ~3) + (to64 ? 32 : 16);
    long sp = c.reg(Cpu.RCX);
    long target = c.reg(Cpu.RDX);
    flatCode(cs | 3, 3, to64);
    flatStack(cs + 8 | 3, 3);
    c.updateMode();
    c.setReg(Cpu.RSP, to64 ? sp : sp & 0xffff_ffffL);
    c.rip = to64 ? target : target & 0xffff_ffffL;
  }

  void swapgs() {
    long old = c.gsBase();
    c.segments.setBase(Instruction.GS, kernelGsBase());
    kernelGsBase(old);
  }
}

package org.javisor.interp;

import java.lang.invoke.VarHandle;
import org.javisor.accelerator.time.Entropy;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Operand;

/** The semantics of system instructions: {@link Handlers} continued. */
final class SystemHandlers {
  private static final Entropy ENTROPY = Entropy.host();

  private SystemHandlers() {}

  static void execute(Cpu c, Instruction in) {
    check(c, in);
    SystemRegisters s = c.system;
    Segments seg = c.segments;
    switch (in.form.op()) {
      case HLT -> c.vcpu.halt();
      case IN -> {
        int port = port(c, in, 1);
        int size = in.form.operand(0) == Operand.AL ? 1 : Math.min(in.operandSize, 4);
        s.checkPort(port, size);
        c.debug.portAccessed(port, size);
        c.put(0, size, c.bus.readPort(port, size));
      }
      case OUT -> {
        int port = port(c, in, 0);
        int size = in.form.operand(1) == Operand.AL ? 1 : Math.min(in.operandSize, 4);
        s.checkPort(port, size);
        c.debug.portAccessed(port, size);
        c.bus.writePort(port, size, (int) Cpu.zeroExtend(c.reg(Cpu.RAX), size));
      }
      case CPUID -> s.cpuid();
      case RDTSC, RDTSCP -> {
        if ((c.cr4 & Cpu.CR4_TSD) != 0 && c.cpl != 0 && c.protectedMode()) {
          throw c.gp0();
        }
        long tsc = s.tsc();
        c.setReg(Cpu.RAX, tsc & 0xffff_ffffL);
        c.setReg(Cpu.RDX, tsc >>> 32);
        if (in.form.op() == org.javisor.isa.Op.RDTSCP) {
          c.setReg(Cpu.RCX, s.tscAux());
        }
      }
      case RDPMC -> throw c.gp0();
      case RDMSR -> {
        long v = s.readMsr((int) c.reg(Cpu.RCX));
        c.setReg(Cpu.RAX, v & 0xffff_ffffL);
        c.setReg(Cpu.RDX, v >>> 32);
      }
      case WRMSR ->
          s.writeMsr((int) c.reg(Cpu.RCX), c.reg(Cpu.RDX) << 32 | c.reg(Cpu.RAX) & 0xffff_ffffL);
      case SYSCALL -> s.syscall(Handlers.next(c, in));
      case SYSRET -> s.sysret(in);
      case SYSENTER -> s.sysenter();
      case SYSEXIT -> s.sysexit(in);
      case SWAPGS -> s.swapgs();
      case LGDT, LIDT -> loadTable(c, in);
      case SGDT, SIDT -> storeTable(c, in);
      case LLDT -> seg.loadLdt((int) c.readRm(in, 2) & 0xffff);
      case LTR -> seg.loadTask((int) c.readRm(in, 2) & 0xffff);
      case SLDT -> {
        umip(c);
        c.writeRm(in, in.isMemory() ? 2 : in.operandSize, seg.selector(Segments.LDTR));
      }
      case STR -> {
        umip(c);
        c.writeRm(in, in.isMemory() ? 2 : in.operandSize, seg.selector(Segments.TR));
      }
      case SMSW -> {
        umip(c);
        c.writeRm(in, in.isMemory() ? 2 : in.operandSize, c.cr0);
      }
      case LMSW -> {
        long v = c.readRm(in, 2) & 15;
        s.setCr0(c.cr0 & ~14L | v | c.cr0 & 1);
      }
      case LAR, LSL -> loadRights(c, in);
      case VERR, VERW -> verify(c, in);
      case ARPL -> arpl(c, in);
      case CLTS -> {
        c.cr0 &= ~(long) Cpu.CR0_TS;
        c.updateMode();
      }
      case MOVCR -> c.put(in.rm << 3, c.is64() ? 8 : 4, s.readCr(in.lock ? 8 : in.reg));
      case MOVTOCR -> {
        long v = c.reg(in.rm);
        s.writeCr(in.lock ? 8 : in.reg, c.is64() ? v : v & 0xffff_ffffL);
      }
      case MOVDR -> c.put(in.rm << 3, c.is64() ? 8 : 4, c.debug.get(debugRegister(c, in)));
      case MOVTODR -> {
        int n = debugRegister(c, in);
        long v = c.reg(in.rm);
        if (n >= 6 && v >>> 32 != 0 && c.is64()) {
          throw c.gp0();
        }
        c.debug.write(n, v);
      }
      case INVLPG -> {
        long va = seg.linear(in.segment, c.effectiveOffset(in), 1, false);
        c.vcpu.flushCodePage(va, c.mmu.flushPage(va));
      }
      case INVPCID -> invpcid(c, in);
      case INVD, WBINVD, NOP, PREFETCH -> {}
      case LFENCE, MFENCE, SFENCE, SERIALIZE -> VarHandle.fullFence();
      case CLFLUSH -> c.load(c.address(in, 1, false), 1); // faults as a load does
      case CLAC -> c.setSystemFlags(Cpu.AC, 0);
      case STAC -> c.setSystemFlags(Cpu.AC, Cpu.AC);
      case RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE -> segmentBase(c, in);
      case RDPID -> c.put(in.rm << 3, 8, s.tscAux());
      case RDRAND, RDSEED -> {
        byte[] b = new byte[8];
        ENTROPY.nextBytes(b);
        c.put(in.rm << 3, in.operandSize, java.nio.ByteBuffer.wrap(b).getLong());
        c.setArithmeticFlags(Cpu.CF);
      }
      case PAUSE -> c.vcpu.pause();
      case MONITOR, MWAIT -> monitor(c, in);
      case XGETBV -> c.fpu.getXcr();
      case XSETBV -> c.fpu.setXcr0();
      case VMCALL, VMMCALL -> hypercall(c);
      case UD -> throw c.ud();
      default -> c.fpu.execute(in);
    }
  }

  /** If it is not complete, the instruction begins again, behind whatever waits for the vCPU. */
  private static void hypercall(Cpu c) {
    if (!c.platform.hasHypercalls()) {
      throw c.ud();
    }
    if (!c.platform.hypercall(c.hypercallRegisters)) {
      throw Restart.INSTANCE;
    }
  }

  /**
   * Nothing is watched: MWAIT ends at once, as it may for any reason of the implementation's own
   * (Intel SDM volume 2, MWAIT), and the guest's loop around it looks again.
   */
  private static void monitor(Cpu c, Instruction in) {
    if (c.cpl != 0) {
      throw c.ud();
    }
    boolean wait = in.form.op() == org.javisor.isa.Op.MWAIT;
    // Extensions of MONITOR: none; of MWAIT: bit 0, which CPUID leaf 5 would announce.
    if (((int) c.reg(Cpu.RCX) & (wait ? ~1 : ~0)) != 0) {
      throw c.gp0();
    }
    if (wait) {
      c.vcpu.pause();
    } else {
      long offset = Cpu.zeroExtend(c.reg(Cpu.RAX), in.addressSize);
      c.load(c.segments.linear(in.segment, offset, 1, false), 1);
    }
  }

  /** Registers that do not exist are #UD whatever the privilege. */
  private static void checkRegister(Cpu c, Instruction in) {
    switch (in.form.op()) {
      case MOVCR, MOVTOCR -> {
        int n = in.lock ? 8 : in.reg;
        if (n > 8 || n == 1 || n >= 5 && n < 8) {
          throw c.ud();
        }
      }
      case MOVDR, MOVTODR -> {
        if (in.reg > 7) {
          throw c.ud();
        }
      }
      default -> {}
    }
  }

  private static void check(Cpu c, Instruction in) {
    Form form = in.form;
    checkRegister(c, in);
    if (form.protectedOnly() && c.realOrVirtual8086()) {
      throw c.ud();
    }
    if (form.privileged() && c.cpl != 0) {
      switch (form.op()) {
        case CLAC, STAC -> throw c.ud();
        case XSETBV -> throw (c.cr4 & Cpu.CR4_OSXSAVE) == 0 ? c.ud() : c.gp0();
        default -> throw c.gp0();
      }
    }
    if (form.privileged() && c.virtual8086()) {
      throw c.gp0();
    }
  }

  private static int port(Cpu c, Instruction in, int operand) {
    return in.form.operand(operand) == Operand.DX
        ? (int) c.reg(Cpu.RDX) & 0xffff
        : (int) in.immediate & 0xff;
  }

  private static void umip(Cpu c) {
    if ((c.cr4 & Cpu.CR4_UMIP) != 0 && c.cpl != 0) {
      throw c.gp0();
    }
  }

  private static int debugRegister(Cpu c, Instruction in) {
    int n = in.reg;
    if (n == 4 || n == 5) {
      if ((c.cr4 & Cpu.CR4_DE) != 0) {
        throw c.ud();
      }
      n += 2;
    }
    if (n > 7) {
      throw c.ud();
    }
    c.debug.checkAccess();
    return n;
  }

  private static void loadTable(Cpu c, Instruction in) {
    long va = c.address(in, c.is64() ? 10 : 6, false);
    int limit = (int) c.load(va, 2) & 0xffff;
    long base = c.is64() ? c.load(va + 2, 8) : c.load(va + 2, 4) & 0xffff_ffffL;
    if (!c.is64() && in.operandSize == 2) {
      base &= 0xff_ffff;
    }
    if (base << 16 >> 16 != base) {
      throw c.gp0();
    }
    if (in.form.op() == org.javisor.isa.Op.LGDT) {
      c.segments.gdtBase = base;
      c.segments.gdtLimit = limit;
    } else {
      c.segments.idtBase = base;
      c.segments.idtLimit = limit;
    }
  }

  private static void storeTable(Cpu c, Instruction in) {
    umip(c);
    boolean gdt = in.form.op() == org.javisor.isa.Op.SGDT;
    long va = c.address(in, c.is64() ? 10 : 6, true);
    c.probeWrite(va, 2);
    c.probeWrite(va + 2, c.is64() ? 8 : 4);
    c.store(va, 2, gdt ? c.segments.gdtLimit : c.segments.idtLimit);
    c.store(va + 2, c.is64() ? 8 : 4, gdt ? c.segments.gdtBase : c.segments.idtBase);
  }

  private static void zero(Cpu c, boolean zero) {
    c.setArithmeticFlags(c.arithmeticFlags() & ~Cpu.ZF | (zero ? Cpu.ZF : 0));
  }

  private static void loadRights(Cpu c, Instruction in) {
    int sel = (int) c.readRm(in, 2) & 0xffff;
    if (!c.segments.withinTable(sel)) {
      zero(c, false);
      return;
    }
    long d = c.segments.descriptor(sel, GuestFault.GP);
    int a = Segments.descriptorAttributes(d);
    boolean lar = in.form.op() == org.javisor.isa.Op.LAR;
    boolean conforming = (a & (Segments.S | Segments.CODE | Segments.EXPAND_DOWN)) == (Segments.S
        | Segments.CODE | Segments.EXPAND_DOWN);
    boolean ok = conforming || Segments.dpl(a) >= c.cpl && Segments.dpl(a) >= (sel & 3);
    if ((a & Segments.S) == 0) {
      int type = a & Segments.TYPE;
      boolean known =
          c.longMode()
              ? type == 2 || type == 9 || type == 11 || lar && type == 12
              : type == 1 || type == 2 || type == 3 || type == 9 || type == 11
                  || lar && (type == 4 || type == 5 || type == 12);
      ok &= known;
    }
    if (ok) {
      long v = lar ? d >>> 32 & 0xff_ff00L : Segments.descriptorLimit(d);
      c.writeReg(in, in.operandSize, v);
    }
    zero(c, ok);
  }

  private static void verify(Cpu c, Instruction in) {
    int sel = (int) c.readRm(in, 2) & 0xffff;
    if (!c.segments.withinTable(sel)) {
      zero(c, false);
      return;
    }
    int a = Segments.descriptorAttributes(c.segments.descriptor(sel, GuestFault.GP));
    boolean code = (a & Segments.CODE) != 0;
    boolean conforming = code && (a & Segments.EXPAND_DOWN) != 0;
    boolean visible = conforming || Segments.dpl(a) >= c.cpl && Segments.dpl(a) >= (sel & 3);
    boolean write = in.form.op() == org.javisor.isa.Op.VERW;
    boolean allowed =
        write
            ? !code && (a & Segments.WRITABLE) != 0
            : !code || (a & Segments.WRITABLE) != 0;
    zero(c, (a & Segments.S) != 0 && visible && allowed);
  }

  private static void arpl(Cpu c, Instruction in) {
    int d = (int) c.readRm(in, 2) & 0xffff;
    int s = (int) c.readReg(in, 2) & 3;
    if ((d & 3) < s) {
      c.writeRm(in, 2, d & ~3 | s);
      zero(c, true);
    } else {
      zero(c, false);
    }
  }

  private static void invpcid(Cpu c, Instruction in) {
    long type = Cpu.zeroExtend(c.reg(in.reg), c.is64() ? 8 : 4);
    long va = c.address(in, 16, false);
    long pcid = c.load(va, 8);
    long linear = c.load(va + 8, 8);
    // Without CR4.PCIDE the only PCID is 0.
    long allowed = (c.cr4 & Cpu.CR4_PCIDE) != 0 ? 0xfff : 0;
    if (type > 3
        || type < 2 && (pcid & ~allowed) != 0
        || type == 0 && linear << 16 >> 16 != linear) {
      throw c.gp0();
    }
    c.mmu.flushAll();
    c.vcpu.flushCode();
  }

  private static void segmentBase(Cpu c, Instruction in) {
    if ((c.cr4 & Cpu.CR4_FSGSBASE) == 0) {
      throw c.ud();
    }
    int size = in.rexW ? 8 : 4;
    switch (in.form.op()) {
      case RDFSBASE -> c.put(in.rm << 3, size, c.fsBase());
      case RDGSBASE -> c.put(in.rm << 3, size, c.gsBase());
      default -> {
        long v = Cpu.zeroExtend(c.reg(in.rm), size);
        if (v << 16 >> 16 != v) {
          throw c.gp0();
        }
        boolean fs = in.form.op() == org.javisor.isa.Op.WRFSBASE;
        c.segments.setBase(fs ? Instruction.FS : Instruction.GS, v);
      }
    }
  }
}

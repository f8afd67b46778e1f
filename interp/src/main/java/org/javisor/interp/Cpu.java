package org.javisor.interp;

import java.lang.invoke.VarHandle;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.TrapHandler;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.silicon.SiliconArea;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/**
 * The state that instructions work on, and the fast paths of what they do most: registers, flags,
 * memory through the software TLB, the stack.
 *
 * <p>General registers live in the native {@link VcpuBlock}. The arithmetic flags are lazy: {@link
 * #flagResult} is the last result, sign extended to 64 bits, and {@link #flagAux} what cannot be
 * seen in it:
 *
 * <ul>
 *   <li>bit 63 CF, bit 62 the carry into the most significant bit, so that OF is their difference;
 *   <li>bit 0 AF; bit 1 inverts SF; bits 8–15 are XORed into the result's low byte before PF is
 *       taken. The last two are zero unless the flags were loaded explicitly.
 * </ul>
 *
 * ZF is {@code flagResult == 0}. Every combination of the six flags can be represented.
 */
final class Cpu {
  // Bits of RFLAGS.
  static final int CF = 1;
  static final int FLAG_PF = 1 << 2;
  static final int AF = 1 << 4;
  static final int ZF = 1 << 6;
  static final int SF = 1 << 7;
  static final int TF = 1 << 8;
  static final int IF = 1 << 9;
  static final int DF = 1 << 10;
  static final int OF = 1 << 11;
  static final int IOPL = 3 << 12;
  static final int NT = 1 << 14;
  static final int RF = 1 << 16;
  static final int VM = 1 << 17;
  static final int AC = 1 << 18;
  static final int VIF = 1 << 19;
  static final int VIP = 1 << 20;
  static final int ID = 1 << 21;
  static final int ARITHMETIC = CF | FLAG_PF | AF | ZF | SF | OF;

  // Bits of CR0, CR4, EFER.
  static final int CR0_PE = 1;
  static final int CR0_MP = 1 << 1;
  static final int CR0_EM = 1 << 2;
  static final int CR0_TS = 1 << 3;
  static final int CR0_ET = 1 << 4;
  static final int CR0_NE = 1 << 5;
  static final int CR0_WP = 1 << 16;
  static final int CR0_AM = 1 << 18;
  static final int CR0_NW = 1 << 29;
  static final int CR0_CD = 1 << 30;
  static final long CR0_PG = 1L << 31;
  static final int CR4_VME = 1;
  static final int CR4_PVI = 1 << 1;
  static final int CR4_TSD = 1 << 2;
  static final int CR4_DE = 1 << 3;
  static final int CR4_PSE = 1 << 4;
  static final int CR4_PAE = 1 << 5;
  static final int CR4_MCE = 1 << 6;
  static final int CR4_PGE = 1 << 7;
  static final int CR4_PCE = 1 << 8;
  static final int CR4_OSFXSR = 1 << 9;
  static final int CR4_OSXMMEXCPT = 1 << 10;
  static final int CR4_UMIP = 1 << 11;
  static final int CR4_FSGSBASE = 1 << 16;
  static final int CR4_PCIDE = 1 << 17;
  static final int CR4_OSXSAVE = 1 << 18;
  static final int CR4_SMEP = 1 << 20;
  static final int CR4_SMAP = 1 << 21;
  static final int EFER_SCE = 1;
  static final int EFER_LME = 1 << 8;
  static final int EFER_LMA = 1 << 10;
  static final int EFER_NXE = 1 << 11;
  static final int EFER_FFXSR = 1 << 14;
  static final int EFER_AIBRSE = 1 << 21;

  static final int RAX = 0;
  static final int RCX = 1;
  static final int RDX = 2;
  static final int RBX = 3;
  static final int RSP = 4;
  static final int RBP = 5;
  static final int RSI = 6;
  static final int RDI = 7;
  static final int R11 = 11;

  private static final long PAGE_MASK = -4096L;
  private static final long TOP_TWO = 0xC000_0000_0000_0000L;

  final int id;

  /** Address of the {@link VcpuBlock}. */
  final long block;

  final GuestBus bus;
  final CpuModel model;
  final Clock clock;
  final DebugRegisters debug;
  final VcpuPlatform platform;
  final Mmu mmu;
  final Segments segments;
  final Delivery delivery;
  final VirtualInterrupts virtualInterrupts;
  final SystemRegisters system;
  final FloatingPoint fpu;
  final InterpVcpu vcpu;
  final GuestFault fault = new GuestFault();
  final CallRegisters hypercallRegisters = new CallRegisters(this);

  /** Stands in for ring 0 if the guest's kernel runs without privilege; else null. */
  final TrapHandler traps;

  final TrappedCpu trapped = new TrappedCpu(this);

  /** Memory is accessed with the rights of a kernel that has no privilege. */
  boolean deprivilegedKernel;

  /** Address of the current instruction wherever it may fault; of the next one between blocks. */
  long rip;

  long flagResult;
  long flagAux;

  long cr0;
  long cr2;
  long cr3;
  long cr4;
  long efer;

  /** Current privilege level. */
  int cpl;

  /** Code size of CS: 16, 32 or 64. */
  int codeSize = 16;

  /** Bytes of a stack address: 2, 4 or 8. */
  int stackSize = 2;

  /** Interrupts stay blocked until after the next instruction (after STI, MOV SS, POP SS). */
  boolean shadow;

  /** The shadow is one of SS, which holds back debug traps too (Intel SDM volume 3, 6.8.3). */
  boolean stackShadow;

  /** The instruction has decided itself about its single-step trap: it went on with other flags. */
  boolean stepDecided;

  /** Address of the software TLB's part for the current privilege; see {@link Mmu}. */
  long tlb;

  /** What blocks depend on besides their bytes: see {@link BlockBuilder}. */
  int mode;

  Cpu(InterpVcpu vcpu, int id, InterpVm vm, VcpuPlatform platform) {
    this.vcpu = vcpu;
    this.id = id;
    this.block = VcpuBlock.allocate();
    this.bus = vm.bus();
    this.model = vm.model();
    this.clock = vm.clock();
    this.platform = platform;
    this.mmu = new Mmu(this, vm);
    this.segments = new Segments(this);
    this.delivery = new Delivery(this, vm.trace());
    this.virtualInterrupts = new VirtualInterrupts(this);
    this.system = new SystemRegisters(this, vm.trace());
    this.fpu = new FloatingPoint(this);
    this.debug = new DebugRegisters(this);
    this.traps = platform.trapHandler().orElse(null);
  }

  // ---- registers --------------------------------------------------------------------------

  long reg(int register) {
    return RawMemory.get64(block + (register << 3));
  }

  void setReg(int register, long value) {
    RawMemory.put64(block + (register << 3), value);
  }

  /** Offset in the block of a register operand of {@code size} bytes (AH–BH without REX). */
  static int offset(int register, int size, boolean rex) {
    return size == 1 && !rex && register >= 4 && register < 8
        ? (register - 4 << 3) + 1
        : register << 3;
  }

  /** Reads a register by block offset, sign extended. */
  long get(int offset, int size) {
    return switch (size) {
      case 1 -> (byte) RawMemory.get8(block + offset);
      case 2 -> (short) RawMemory.get16(block + offset);
      case 4 -> RawMemory.get32(block + offset);
      default -> RawMemory.get64(block + offset);
    };
  }

  /** Writes a register by block offset: 32-bit writes clear the upper half. */
  void put(int offset, int size, long value) {
    switch (size) {
      case 1 -> RawMemory.put8(block + offset, (int) value);
      case 2 -> RawMemory.put16(block + offset, (int) value);
      case 4 -> RawMemory.put64(block + offset, value & 0xffff_ffffL);
      default -> RawMemory.put64(block + offset, value);
    }
  }

  static long signExtend(long value, int size) {
    return switch (size) {
      case 1 -> (byte) value;
      case 2 -> (short) value;
      case 4 -> (int) value;
      default -> value;
    };
  }

  static long zeroExtend(long value, int size) {
    return switch (size) {
      case 1 -> value & 0xff;
      case 2 -> value & 0xffff;
      case 4 -> value & 0xffff_ffffL;
      default -> value;
    };
  }

  // ---- flags ------------------------------------------------------------------------------

  /** Flags of {@code r = a + b} (+ carry), all sign extended from {@code size} bytes. */
  void flagsAdd(long a, long b, long r, int size) {
    long carries = a & b | (a | b) & ~r;
    flagResult = r;
    flagAux = carries << 64 - 8 * size & TOP_TWO | carries >>> 3 & 1;
  }

  /** Flags of {@code r = a - b} (- borrow), all sign extended from {@code size} bytes. */
  void flagsSub(long a, long b, long r, int size) {
    long borrows = ~a & b | (~a | b) & r;
    flagResult = r;
    flagAux = borrows << 64 - 8 * size & TOP_TWO | borrows >>> 3 & 1;
  }

  /** Flags of a logical operation: CF, OF and AF clear. */
  void flagsLogic(long r) {
    flagResult = r;
    flagAux = 0;
  }

  /** Flags of INC ({@code b} = 1, {@code carries} of the addition) and DEC: CF stays. */
  void flagsKeepCarry(long r, long carries, int size) {
    long aligned = carries << 64 - 8 * size;
    long overflow = (aligned ^ aligned << 1) & Long.MIN_VALUE;
    long carry = flagAux & Long.MIN_VALUE;
    flagResult = r;
    flagAux = carry | (carry ^ overflow) >>> 1 | carries >>> 3 & 1;
  }

  /** ZF, SF, PF by the result, AF clear, CF and OF as given (shifts, multiplications). */
  void flagsResult(long r, boolean carry, boolean overflow) {
    flagResult = r;
    flagAux = (carry ? Long.MIN_VALUE : 0) | (carry != overflow ? 1L << 62 : 0);
  }

  void setCarry(boolean carry) {
    boolean overflow = overflow();
    flagAux =
        flagAux & ~TOP_TWO
            | (carry ? Long.MIN_VALUE : 0)
            | (carry != overflow ? 1L << 62 : 0);
  }

  void setCarryOverflow(boolean carry, boolean overflow) {
    flagAux =
        flagAux & ~TOP_TWO
            | (carry ? Long.MIN_VALUE : 0)
            | (carry != overflow ? 1L << 62 : 0);
  }

  boolean carry() {
    return flagAux < 0;
  }

  boolean overflow() {
    return (flagAux ^ flagAux << 1) < 0;
  }

  boolean zero() {
    return flagResult == 0;
  }

  boolean sign() {
    return (flagResult ^ flagAux << 62) < 0;
  }

  boolean parity() {
    int b = (int) (flagResult ^ flagAux >>> 8) & 0xff;
    b ^= b >>> 4;
    return (0x9669 >>> (b & 15) & 1) != 0;
  }

  boolean less() {
    return (flagResult ^ flagAux << 62 ^ flagAux ^ flagAux << 1) < 0;
  }

  /** A condition by its encoding: 0 O, 2 B, 4 Z, 6 BE, 8 S, 10 P, 12 L, 14 LE; odd ones inverted. */
  boolean condition(int code) {
    return switch (code) {
      case 0 -> overflow();
      case 1 -> !overflow();
      case 2 -> flagAux < 0;
      case 3 -> flagAux >= 0;
      case 4 -> flagResult == 0;
      case 5 -> flagResult != 0;
      case 6 -> flagAux < 0 || flagResult == 0;
      case 7 -> flagAux >= 0 && flagResult != 0;
      case 8 -> sign();
      case 9 -> !sign();
      case 10 -> parity();
      case 11 -> !parity();
      case 12 -> less();
      case 13 -> !less();
      case 14 -> less() || flagResult == 0;
      default -> !less() && flagResult != 0;
    };
  }

  /** RFLAGS without the arithmetic flags; in the block, where translated code has them too. */
  int flags() {
    return RawMemory.get32(block + VcpuBlock.SYSTEM_FLAGS);
  }

  /** Replaces them with nothing else changing: for bits that nothing is derived from. */
  void flags(int value) {
    RawMemory.put32(block + VcpuBlock.SYSTEM_FLAGS, value);
  }

  int arithmeticFlags() {
    return (carry() ? CF : 0)
        | (parity() ? FLAG_PF : 0)
        | ((flagAux & 1) != 0 ? AF : 0)
        | (zero() ? ZF : 0)
        | (sign() ? SF : 0)
        | (overflow() ? OF : 0);
  }

  void setArithmeticFlags(int f) {
    boolean zero = (f & ZF) != 0;
    boolean carry = (f & CF) != 0;
    flagResult = zero ? 0 : 0x100;
    flagAux =
        (carry ? Long.MIN_VALUE : 0)
            | (carry != ((f & OF) != 0) ? 1L << 62 : 0)
            | ((f & AF) != 0 ? 1 : 0)
            | ((f & SF) != 0 ? 2 : 0)
            | ((f & FLAG_PF) != 0 ? 0 : 0x100);
  }

  int rflags() {
    return flags() | arithmeticFlags() | 2;
  }

  /** Replaces RFLAGS whole; callers have merged what may not change. */
  void setRflags(int f) {
    setArithmeticFlags(f);
    int old = flags();
    int now = f & ~ARITHMETIC & ~2;
    flags(now);
    if (((old ^ now) & (VM | AC | TF | IF | RF)) != 0) {
      flagsChanged(old);
    }
  }

  /** Sets or clears bits outside the arithmetic flags. */
  void setSystemFlags(int mask, int value) {
    int old = flags();
    flags(old & ~mask | value & mask);
    flagsChanged(old);
  }

  private void flagsChanged(int old) {
    int now = flags();
    int changed = old ^ now;
    if ((changed & VM) != 0) {
      updateMode();
    } else if ((changed & AC) != 0) {
      updateTlb();
    }
    if ((changed & now & (IF | TF | RF)) != 0) {
      vcpu.attend(); // something may have become deliverable
    }
  }

  /** SS was loaded: the next instruction, which loads the stack pointer, belongs to it. */
  void shadowStack() {
    shadow = true;
    stackShadow = true;
    vcpu.attend();
  }

  /** Bases of FS and GS (the hot ones); see {@link Segments} for the rest. */
  long fsBase() {
    return RawMemory.get64(block + VcpuBlock.FS_BASE);
  }

  long gsBase() {
    return RawMemory.get64(block + VcpuBlock.GS_BASE);
  }

  int iopl() {
    return flags() >> 12 & 3;
  }

  // ---- mode -------------------------------------------------------------------------------

  boolean longMode() {
    return (efer & EFER_LMA) != 0;
  }

  boolean is64() {
    return codeSize == 64;
  }

  boolean protectedMode() {
    return (cr0 & CR0_PE) != 0;
  }

  boolean virtual8086() {
    return (flags() & VM) != 0;
  }

  boolean realOrVirtual8086() {
    return !protectedMode() || virtual8086();
  }

  /** Recomputes what depends on mode bits; called after CR0, CR4, EFER, CS, SS, VM or AC change. */
  void updateMode() {
    codeSize =
        (efer & EFER_LMA) != 0 && segments.csLong() ? 64 : segments.csDefault32() ? 32 : 16;
    stackSize = codeSize == 64 ? 8 : segments.ssDefault32() ? 4 : 2;
    updateTlb();
    mode = BlockBuilder.mode(this);
    // FNSTENV and FNSAVE write another format there (Intel SDM volume 1, 8.1.10).
    RawMemory.put32(
        block + SiliconArea.X87_REAL_MODE, protectedMode() && !virtual8086() ? 0 : 1);
  }

  /** Selects the part of the software TLB for CPL, CR4.SMAP, CR0.AM and EFLAGS.AC. */
  void updateTlb() {
    if (mmu.rehearsal != null) {
      tlb = mmu.part(Mmu.REHEARSED);
      return;
    }
    if (cpl == 3 && (flags() & AC) != 0 && (cr0 & CR0_AM) != 0) {
      tlb = mmu.part(Mmu.ALIGNMENT_CHECKED);
      return;
    }
    boolean userAccess = (cr4 & CR4_SMAP) == 0 || (flags() & AC) != 0;
    tlb =
        mmu.part(
            cpl == 3 && !deprivilegedKernel
                ? Mmu.USER
                : userAccess ? Mmu.SUPERVISOR_RELAXED : Mmu.SUPERVISOR);
  }

  /** Whether a misaligned access is #AC (Intel SDM volume 3, section 6.15, interrupt 17). */
  boolean checksAlignment() {
    return tlb == mmu.part(Mmu.ALIGNMENT_CHECKED);
  }

  // ---- faults -----------------------------------------------------------------------------

  GuestFault fault(int vector) {
    return fault.with(vector, GuestFault.NO_ERROR_CODE);
  }

  GuestFault fault(int vector, int errorCode) {
    return fault.with(vector, errorCode);
  }

  GuestFault gp0() {
    return fault.with(GuestFault.GP, 0);
  }

  GuestFault ud() {
    return fault.with(GuestFault.UD, GuestFault.NO_ERROR_CODE);
  }

  // ---- memory at linear addresses ---------------------------------------------------------

  /** Loads 1, 2, 4 or 8 bytes, sign extended. */
  long load(long va, int size) {
    long entry = tlb + (va >>> 9 & Mmu.INDEX_MASK);
    if ((va + (size - 1) + RawMemory.get64(entry) & PAGE_MASK) == 0) {
      return rawLoad(va + RawMemory.get64(entry + Mmu.ADDEND), size);
    }
    return signExtend(mmu.loadSlow(va, size), size);
  }

  /** Stores the low 1, 2, 4 or 8 bytes. */
  void store(long va, int size, long value) {
    long entry = tlb + (va >>> 9 & Mmu.INDEX_MASK);
    if ((va + (size - 1) + RawMemory.get64(entry + Mmu.WRITE) & PAGE_MASK) == 0) {
      rawStore(va + RawMemory.get64(entry + Mmu.ADDEND), size, value);
    } else {
      mmu.storeSlow(va, size, value);
    }
  }

  /**
   * The second half of a read-modify-write: stores {@code value}; with a LOCK prefix only if memory
   * still holds what was read, and as one access for all that share the memory. The address has been
   * probed for writing.
   *
   * @param expected what was read, sign extended
   * @return false if memory has changed since: read it again
   */
  boolean update(boolean lock, long va, int size, long expected, long value) {
    if (!lock) {
      store(va, size, value);
      return true;
    }
    long entry = tlb + (va >>> 9 & Mmu.INDEX_MASK);
    return (va + (size - 1) + RawMemory.get64(entry + Mmu.WRITE) & PAGE_MASK) == 0
        ? vcpu.exclusion().replace(
            this, va, va + RawMemory.get64(entry + Mmu.ADDEND), size, expected, value)
        : vcpu.exclusion().replaceAlone(this, va, size, expected, value);
  }

  /** Faults as the store of a read-modify-write would, before anything is read. */
  void probeWrite(long va, int size) {
    long entry = tlb + (va >>> 9 & Mmu.INDEX_MASK);
    if ((va + (size - 1) + RawMemory.get64(entry + Mmu.WRITE) & PAGE_MASK) != 0) {
      mmu.probeWriteSlow(va, size);
    }
  }

  /**
   * The host address for a read-modify-write within one page of ordinary memory, or 0 if it must go
   * through {@link #load} and {@link #store}; faults as the store would.
   */
  long writableHost(long va, int size) {
    long entry = tlb + (va >>> 9 & Mmu.INDEX_MASK);
    if ((va + (size - 1) + RawMemory.get64(entry + Mmu.WRITE) & PAGE_MASK) == 0) {
      return va + RawMemory.get64(entry + Mmu.ADDEND);
    }
    mmu.probeWriteSlow(va, size);
    return 0;
  }

  /** Loads from a host address, sign extended. */
  static long rawLoad(long host, int size) {
    long value =
        switch (size) {
          case 1 -> (byte) RawMemory.get8(host);
          case 2 -> (short) RawMemory.get16(host);
          case 4 -> RawMemory.get32(host);
          default -> RawMemory.get64(host);
        };
    // x86-TSO: loads stay before what follows. Nothing is emitted on x86; C2 is held back.
    VarHandle.acquireFence();
    return value;
  }

  static void rawStore(long host, int size, long value) {
    VarHandle.releaseFence(); // x86-TSO: stores stay behind what came before
    switch (size) {
      case 1 -> RawMemory.put8(host, (int) value);
      case 2 -> RawMemory.put16(host, (int) value);
      case 4 -> RawMemory.put32(host, (int) value);
      default -> RawMemory.put64(host, value);
    }
  }

  // ---- operands of generic handlers -------------------------------------------------------

  /** The offset part of a memory operand, wrapped to the address size. */
  long effectiveOffset(Instruction in) {
    long offset = in.displacement;
    if (in.base == Instruction.RIP) {
      offset += rip + in.length;
    } else if (in.base >= 0) {
      offset += reg(in.base);
    }
    if (in.index >= 0) {
      offset += reg(in.index) << in.scale;
    }
    return switch (in.addressSize) {
      case 2 -> offset & 0xffff;
      case 4 -> offset & 0xffff_ffffL;
      default -> offset;
    };
  }

  /** The linear address of a memory operand, segment limits and rights checked. */
  long address(Instruction in, int size, boolean write) {
    return segments.linear(in.segment, effectiveOffset(in), size, write);
  }

  /**
   * Reads an element of a memory operand of several, as a far pointer has. Each is an access of its
   * own, at an offset that wraps as the address size wants it; so the silicon does.
   */
  long loadElement(Instruction in, int at, int size) {
    long offset = zeroExtend(effectiveOffset(in) + at, in.addressSize);
    return load(segments.linear(in.segment, offset, size, false), size);
  }

  /** Reads the ModRM.rm operand, sign extended. */
  long readRm(Instruction in, int size) {
    return in.isMemory()
        ? load(address(in, size, false), size)
        : get(offset(in.rm, size, in.rex), size);
  }

  /** Writes the ModRM.rm operand. */
  void writeRm(Instruction in, int size, long value) {
    if (in.isMemory()) {
      store(address(in, size, true), size, value);
    } else {
      put(offset(in.rm, size, in.rex), size, value);
    }
  }

  long readReg(Instruction in, int size) {
    return get(offset(in.reg, size, in.rex), size);
  }

  void writeReg(Instruction in, int size, long value) {
    put(offset(in.reg, size, in.rex), size, value);
  }

  // ---- stack ------------------------------------------------------------------------------

  /** The stack pointer wrapped to the stack's address size. */
  long stackPointer() {
    return stackSize == 8 ? reg(RSP) : stackSize == 4 ? reg(RSP) & 0xffff_ffffL : reg(RSP) & 0xffff;
  }

  void setStackPointer(long value) {
    put(RSP << 3, stackSize, value);
  }

  /** Linear address of the stack at an offset, for {@code size} bytes. */
  long stackAddress(long offset, int size, boolean write) {
    if (stackSize == 8) {
      return offset;
    }
    offset &= stackSize == 4 ? 0xffff_ffffL : 0xffff;
    return segments.linear(Instruction.SS, offset, size, write);
  }

  void push(int size, long value) {
    long sp = stackPointer() - size;
    store(stackAddress(sp, size, true), size, value);
    setStackPointer(sp);
  }

  long pop(int size) {
    long sp = stackPointer();
    long value = load(stackAddress(sp, size, false), size);
    setStackPointer(sp + size);
    return value;
  }

  /** Reads the stack without moving it, {@code displacement} bytes above its top. */
  long peek(int displacement, int size) {
    return load(stackAddress(stackPointer() + displacement, size, false), size);
  }

  // ---- control flow -----------------------------------------------------------------------

  /** Checks a near branch target against CS's limit or for being canonical; #GP(0). */
  long branchTarget(long target, int operandSize) {
    if (codeSize == 64) {
      long t = operandSize == 2 ? target & 0xffff : target;
      if (t << 16 >> 16 != t) {
        throw gp0();
      }
      return t;
    }
    long t = operandSize == 2 ? target & 0xffff : target & 0xffff_ffffL;
    if (t > segments.csLimit()) {
      throw gp0();
    }
    return t;
  }

  /** The same for a call: what is wrong with the stack comes before what is wrong with the target. */
  long callTarget(long target, int operandSize) {
    if (codeSize == 64 && operandSize == 8 && target << 16 >> 16 != target) {
      probeWrite(stackPointer() - 8, 8);
    }
    return branchTarget(target, operandSize);
  }

  /** Linear address of the current instruction pointer. */
  long linearRip() {
    return codeSize == 64 ? rip : segments.base(Instruction.CS) + rip & 0xffff_ffffL;
  }
}

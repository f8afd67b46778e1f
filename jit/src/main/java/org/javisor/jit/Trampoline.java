package org.javisor.jit;

import static org.javisor.jit.Emitter.R12;
import static org.javisor.jit.Emitter.R13;
import static org.javisor.jit.Emitter.R14;
import static org.javisor.jit.Emitter.R15;
import static org.javisor.jit.Emitter.RAX;
import static org.javisor.jit.Emitter.RBP;
import static org.javisor.jit.Emitter.RBX;
import static org.javisor.jit.Emitter.RCX;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.javisor.interp.VcpuBlock;
import org.javisor.memory.RawMemory;

/** The way from Java into translated code and back. */
final class Trampoline {
  /** {@code int enter(long code, long block)}; one for all vCPUs, through a jump. */
  private static final CodeCache JUMP_MEMORY = new CodeCache(4096);

  private static final MethodHandle ENTER;

  /** Address of the C library's clock_gettime, or 0. */
  private static final long CLOCK_GETTIME =
      Linker.nativeLinker()
          .defaultLookup()
          .find("clock_gettime")
          .map(MemorySegment::address)
          .orElse(0L);

  static {
    long at = JUMP_MEMORY.next();
    byte[] jump = {(byte) 0xff, (byte) 0xe2}; // jmp rdx
    JUMP_MEMORY.append(jump, jump.length);
    ENTER =
        Linker.nativeLinker()
            .downcallHandle(
                RawMemory.segment(at, 2),
                FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG));
  }

  private static final int[] SAVED = {RBP, RBX, R12, R13, R14, R15};

  /** Reads the time-stamp counter and goes on where TEMPORARY says; 0 if it cannot be. */
  final long readClock;

  private final long[] walks = new long[6];

  /** Where translated code jumps to with the number of the exit in ECX. */
  final long exit;

  /**
   * Loads the guest's vector registers and goes on where TEMPORARY says; or takes the exit that
   * VECTORS_SITE names, because the guest wants to see floating-point exceptions.
   */
  final long loadVectors;

  /** The same for the x87 and vector registers. */
  final long loadX87;

  /** Takes the bytes of a store across two pages to where they belong, and goes on. */
  final long split;

  private final long[] lookups = new long[3];
  private final long[] lookupsForCalls = new long[3];

  /** Ends a run where an indirect jump leads, with {@link JitTranslator#FINISHED}. */
  final long finish;

  /** Where to enter: nothing loaded, vector registers, or x87 and vector registers. */
  private final long[] enters = new long[3];

  static final int NOTHING = 0;
  static final int VECTORS = 1;
  static final int X87 = 2;

  Trampoline(CodeCache cache, boolean deprivileged) {
    Emitter e = new Emitter();
    long enter = cache.next();
    for (int loaded = 0; loaded < 3; loaded++) {
      enters[loaded] = enter + e.length();
      enter(e, loaded);
      e.alignTo(16);
    }
    exit = enter + e.length();
    exit(e);
    e.alignTo(16);
    split = enter + e.length();
    split(e);
    e.alignTo(16);
    for (int part = 0; part < 3; part++) {
      lookups[part] = enter + e.length();
      lookUp(e, part, (int) (exit - enter), false);
      e.alignTo(16);
      lookupsForCalls[part] = enter + e.length();
      lookUp(e, part, (int) (exit - enter), true);
      e.alignTo(16);
    }
    finish = enter + e.length();
    e.movImmediate(RCX, JitTranslator.FINISHED);
    e.land(e.jump(), (int) (exit - enter));
    e.alignTo(16);
    loadVectors = enter + e.length();
    e.gsLoad32(RCX, VcpuBlock.MXCSR);
    e.not(RCX);
    e.gsPext(RCX, RCX, Layout.MXCSR_MASKS);
    int unmasked = e.unlessRcxZero();
    loadVectors(e);
    e.gsJump(Layout.TEMPORARY);
    e.land(unmasked);
    e.gsLoad32(RCX, Layout.VECTORS_SITE);
    e.land(e.jump(), (int) (exit - enter));
    e.alignTo(16);
    loadX87 = enter + e.length();
    e.gsLoad32(RCX, VcpuBlock.FCW);
    e.not(RCX);
    e.gsPext(RCX, RCX, Layout.X87_PLAIN);
    int pending = e.unlessRcxZero();
    e.gsLoad32(RCX, VcpuBlock.MXCSR);
    e.not(RCX);
    e.gsPext(RCX, RCX, Layout.MXCSR_MASKS);
    int masked = e.ifRcxZero();
    e.land(pending);
    e.gsLoad32(RCX, Layout.VECTORS_SITE);
    e.land(e.jump(), (int) (exit - enter));
    e.land(masked);
    e.gsLoad32(RCX, Layout.VECTORS_ABSENT);
    int absent = e.unlessRcxZero();
    // FXRSTOR takes the vector registers, too: from where they are put now.
    storeVectors(e);
    e.gsLdmxcsr(Layout.HOST_MXCSR);
    e.land(absent);
    loadX87(e);
    e.gsJump(Layout.TEMPORARY);
    e.alignTo(16);
    readClock = CLOCK_GETTIME == 0 ? 0 : enter + e.length();
    readClock(e);
    for (int part = 0; part < 3; part++) {
      for (int write = 0; write < 2; write++) {
        e.alignTo(16);
        walks[part * 2 + write] = enter + e.length();
        new PageWalk(e, part, write == 1, deprivileged).emit((int) (exit - enter));
      }
    }
    cache.append(e.code(), e.length());
  }

  /** Goes to the address in S2 by the block index, or takes the exit that LOOKUP_SITE names. */
  long lookUp(int part) {
    return lookups[part];
  }

  /** The same, but leaves where the code is in TEMPORARY and goes on where LOOKUP_RETURN says. */
  long lookUpForCall(int part) {
    return lookupsForCalls[part];
  }

  private static void lookUp(Emitter e, int part, int exit, boolean call) {
    e.gsLoad32(Layout.S0, Layout.LOOKUPS);
    e.lea(false, Layout.S0, Layout.S0, Emitter.NONE, 0, -1);
    e.gsStore32(Layout.S0, Layout.LOOKUPS);
    final int often = e.ifRcxZero();
    e.gsPext(Layout.S1, Layout.S2, Layout.CODE_PAGE_MASK);
    e.gsLoadIndexed(Layout.S0, Layout.S1, Layout.codeTags(part));
    e.lea(true, Layout.S0, Layout.S0, Layout.S2, 0, 0);
    e.stackPext(Layout.S0, Layout.S0, Layout.STACK_PAGE_MASK);
    final int otherPage = e.unlessRcxZero();
    e.gsLoadIndexed(Layout.S1, Layout.S1, Layout.codeAddends(part));
    e.lea(true, Layout.S1, Layout.S1, Layout.S2, 0, 0);
    e.gsPext(Layout.S0, Layout.S1, Layout.INDEX_MASK);
    e.gsLoadIndexed(Layout.S0, Layout.S0, Layout.INDEX_KEYS);
    e.lea(true, Layout.S0, Layout.S0, Layout.S1, 0, 0);
    final int otherCode = e.unlessRcxZero();
    e.gsPext(Layout.S1, Layout.S1, Layout.INDEX_MASK);
    e.gsLoadIndexed(Layout.S0, Layout.S1, Layout.INDEX_ADDRESSES);
    e.lea(true, Layout.S0, Layout.S0, Layout.S2, 0, 0);
    final int otherAddress = e.unlessRcxZero();
    if (call) {
      e.gsLoadIndexed(Layout.S0, Layout.S1, Layout.INDEX_CODE);
      e.gsStore(Layout.S0, Layout.TEMPORARY);
      e.gsJump(Layout.LOOKUP_RETURN);
    } else {
      e.gsJumpIndexed(Layout.S1, Layout.INDEX_CODE);
    }
    e.land(often);
    e.gsStore32Immediate(Layout.LOOKUPS, BlockIndex.LOOKUPS);
    e.land(otherPage);
    e.land(otherCode);
    e.land(otherAddress);
    e.gsLoad32(Layout.S0, Layout.LOOKUP_SITE);
    e.land(e.jump(), exit);
  }

  private static void split(Emitter e) {
    e.gsStore(Emitter.RSI, Layout.WALK_SAVED);
    e.gsStore(Emitter.RDI, Layout.WALK_SAVED + 8);
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xce); // rdgsbase rsi
    e.lea(true, Emitter.RSI, Emitter.RSI, Emitter.NONE, 0, Layout.CROSSING);
    e.gsLoad(Emitter.RDI, Layout.SPLIT_FIRST);
    e.gsLoad(RCX, Layout.SPLIT_COUNT);
    e.b(0xf3, 0xa4); // rep movsb
    e.gsLoad(Emitter.RDI, Layout.SPLIT_SECOND);
    e.gsLoad(RCX, Layout.SPLIT_REST);
    e.b(0xf3, 0xa4);
    e.gsLoad(Emitter.RSI, Layout.WALK_SAVED);
    e.gsLoad(Emitter.RDI, Layout.WALK_SAVED + 8);
    e.gsJump(Layout.CONTINUE);
  }

  /** The page walk for accesses of a part of the TLB. */
  long walk(int part, boolean write) {
    return walks[part * 2 + (write ? 1 : 0)];
  }

  private static void loadVectors(Emitter e) {
    e.gsStmxcsr(Layout.HOST_MXCSR);
    for (int i = 0; i < 16; i++) {
      e.gsLoadVector(i, VcpuBlock.XMM + 16 * i);
    }
    e.gsLdmxcsr(VcpuBlock.MXCSR);
    e.gsStore32Immediate(Layout.VECTORS_ABSENT, 0);
  }

  /** What the C library's functions may change, beside RAX and the scratch registers: guest registers. */
  private static final int[] CALLER_SAVED = {2, 6, 7, 8, 9, 10, 11};

  private static final int CLOCK_MONOTONIC = 1;

  /** RDTSC: the host's clock in nanoseconds, and what the guest's counter is ahead of it. */
  private static void readClock(Emitter e) {
    e.putFlagsAside();
    for (int g : CALLER_SAVED) {
      e.gsStore(Layout.host(g), Layout.slot(g));
    }
    e.movImmediate(Emitter.RDI, CLOCK_MONOTONIC);
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xce); // rdgsbase rsi
    e.lea(true, Emitter.RSI, Emitter.RSI, Emitter.NONE, 0, Layout.TIME);
    e.movImmediate(RAX, CLOCK_GETTIME);
    e.b(0xff, 0xd0); // call rax
    e.gsLoad(RCX, Layout.TIME);
    e.b(0x48, 0x69, 0xc9);
    e.i32(1_000_000_000); // imul rcx, rcx, 10^9
    e.gs(true, 0x03, RCX, Layout.TIME + 8);
    e.gs(true, 0x03, RCX, Layout.TSC_AHEAD);
    e.takeFlagsBack();
    for (int g : CALLER_SAVED) {
      e.gsLoad(Layout.host(g), Layout.slot(g));
    }
    e.mov32(RAX, RCX);
    e.rorx(true, Emitter.RDX, RCX, 32);
    e.mov32(Emitter.RDX, Emitter.RDX);
    e.gsJump(Layout.TEMPORARY);
  }

  private static void storeVectors(Emitter e) {
    for (int i = 0; i < 16; i++) {
      e.gsStoreVector(i, VcpuBlock.XMM + 16 * i);
    }
    e.gsStmxcsr(VcpuBlock.MXCSR);
  }

  /** From the image of both; leaves RCX changed. */
  private static void loadX87(Emitter e) {
    e.gsStmxcsr(Layout.HOST_MXCSR);
    e.gsFx(1); // fxrstor64
    e.gsLoad32(RCX, VcpuBlock.FX + 4);
    e.rorx(false, RCX, RCX, 16);
    e.gsStore32(RCX, Layout.X87_FOP);
    e.gsLoad(RCX, VcpuBlock.FX + 8);
    e.gsStore(RCX, Layout.X87_FIP);
    e.gsLoad(RCX, VcpuBlock.FX + 16);
    e.gsStore(RCX, Layout.X87_FDP);
    e.gsStore32Immediate(Layout.X87_ABSENT, 0);
    e.gsStore32Immediate(Layout.VECTORS_ABSENT, 0);
  }

  private static void enter(Emitter e, int loaded) {
    for (int r : SAVED) {
      push(e, r);
    }
    // Aligned as a call wants it: the return address and six registers are above.
    e.b(0x48, 0x83, 0xec);
    e.b(Layout.STACK_BYTES + 16); // sub rsp, imm8
    constant(e, Layout.STACK_TLB_MASK, VcpuBlock.TLB_USED - 1L << 12);
    constant(e, Layout.STACK_PAGE_MASK, -4096L);
    constant(e, Layout.STACK_JUMP_MASK, Layout.JUMP_ENTRIES - 1L << Layout.JUMP_SHIFT);
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xde); // wrgsbase rsi
    e.gsStore32Immediate(Layout.VECTORS_ABSENT, 1);
    e.gsStore32Immediate(Layout.X87_ABSENT, 1);
    if (loaded == VECTORS) {
      loadVectors(e);
    } else if (loaded == X87) {
      loadX87(e);
    }
    e.mov(R14, Emitter.RDI);
    e.takeFlagsBack();
    for (int g = 0; g < 16; g++) {
      if (Layout.host(g) >= 0) {
        e.gsLoad(Layout.host(g), Layout.slot(g));
      }
    }
    e.b(0x41, 0xff, 0xe6); // jmp r14
  }

  private static void exit(Emitter e) {
    e.gsStore(R14, Layout.ADDRESS);
    for (int g = 0; g < 16; g++) {
      if (Layout.host(g) >= 0) {
        e.gsStore(Layout.host(g), Layout.slot(g));
      }
    }
    e.putFlagsAside();
    e.mov32(RAX, RCX);
    e.gsLoad32(RCX, Layout.VECTORS_ABSENT);
    int absent = e.unlessRcxZero();
    e.gsLoad32(RCX, Layout.X87_ABSENT);
    int x87 = e.ifRcxZero();
    storeVectors(e);
    e.gsLdmxcsr(Layout.HOST_MXCSR);
    int stored = e.jump();
    e.land(x87);
    e.gsFx(0); // fxsave64
    e.b(0xdb, 0xe3); // fninit
    e.gsLdmxcsr(Layout.HOST_MXCSR);
    e.gsStore32Immediate(VcpuBlock.MXCSR + 4, 0xffff); // MXCSR_MASK: the guest's CPU's
    // The host's last instruction was one of ours.
    e.gsLoad32(RCX, Layout.X87_FOP);
    e.b(0x66);
    e.gs(false, 0x89, RCX, VcpuBlock.FX + 6);
    e.gsLoad(RCX, Layout.X87_FIP);
    e.gsStore(RCX, VcpuBlock.FX + 8);
    e.gsLoad(RCX, Layout.X87_FDP);
    e.gsStore(RCX, VcpuBlock.FX + 16);
    e.land(stored);
    e.land(absent);
    e.b(0x48, 0x83, 0xc4);
    e.b(Layout.STACK_BYTES + 16); // add rsp, imm8
    for (int i = SAVED.length - 1; i >= 0; i--) {
      pop(e, SAVED[i]);
    }
    e.b(0xfc); // cld
    e.b(0xc3);
  }

  private static void constant(Emitter e, int offset, long value) {
    e.memory(true, 0xc7, 0, Emitter.RSP, Emitter.NONE, 0, offset);
    e.i32((int) value);
  }

  private static void push(Emitter e, int register) {
    if (register >= 8) {
      e.b(0x41);
    }
    e.b(0x50 | register & 7);
  }

  private static void pop(Emitter e, int register) {
    if (register >= 8) {
      e.b(0x41);
    }
    e.b(0x58 | register & 7);
  }

  /**
   * Runs translated code until it exits; returns the number of the exit.
   *
   * @param loaded what the code expects to be loaded of the guest's: {@link #NOTHING}, {@link
   *     #VECTORS} or {@link #X87}
   */
  int run(long code, long block, int loaded) {
    try {
      return (int) ENTER.invokeExact(code, block, enters[loaded]);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }
}

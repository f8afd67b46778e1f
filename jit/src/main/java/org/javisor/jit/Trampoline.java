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
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.javisor.interp.VcpuBlock;
import org.javisor.memory.RawMemory;

/** The way from Java into translated code and back. */
final class Trampoline {
  /** {@code int enter(long code, long block)}; one for all vCPUs, through a jump. */
  private static final CodeCache JUMP_MEMORY = new CodeCache(4096);

  private static final MethodHandle ENTER;

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

  private final long enter;
  private final long[] walks = new long[6];

  /** Where translated code jumps to with the number of the exit in ECX. */
  final long exit;

  /**
   * Loads the guest's vector registers and goes on where TEMPORARY says; or takes the exit that
   * VECTORS_SITE names, because the guest wants to see floating-point exceptions.
   */
  final long loadVectors;

  /** Enters with the guest's vector registers loaded. */
  private final long enterWithVectors;

  Trampoline(CodeCache cache) {
    Emitter e = new Emitter();
    enter = cache.next();
    enter(e, false);
    e.alignTo(16);
    enterWithVectors = enter + e.length();
    enter(e, true);
    e.alignTo(16);
    exit = enter + e.length();
    exit(e);
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
    for (int part = 0; part < 3; part++) {
      for (int write = 0; write < 2; write++) {
        e.alignTo(16);
        walks[part * 2 + write] = enter + e.length();
        new PageWalk(e, part, write == 1).emit((int) (exit - enter));
      }
    }
    cache.append(e.code(), e.length());
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

  private void enter(Emitter e, boolean vectors) {
    for (int r : SAVED) {
      push(e, r);
    }
    e.b(0x48, 0x83, 0xec);
    e.b(8); // sub rsp, 8: aligned as a call leaves it
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xde); // wrgsbase rsi
    if (vectors) {
      loadVectors(e);
    } else {
      e.gsStore32Immediate(Layout.VECTORS_ABSENT, 1);
    }
    e.mov(R14, Emitter.RDI);
    e.gsLoad32(RAX, Layout.FLAGS);
    e.b(0x04, 0x7f); // add al, 7f: OF if AL was 1
    e.b(0x9e); // sahf
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
    e.b(0x0f, 0x90, 0xc0); // seto al
    e.b(0x9f); // lahf
    e.gsStore32(RAX, Layout.FLAGS);
    e.mov32(RAX, RCX);
    e.gsLoad32(RCX, Layout.VECTORS_ABSENT);
    int absent = e.unlessRcxZero();
    for (int i = 0; i < 16; i++) {
      e.gsStoreVector(i, VcpuBlock.XMM + 16 * i);
    }
    e.gsStmxcsr(VcpuBlock.MXCSR);
    e.gsLdmxcsr(Layout.HOST_MXCSR);
    e.land(absent);
    e.b(0x48, 0x83, 0xc4);
    e.b(8); // add rsp, 8
    for (int i = SAVED.length - 1; i >= 0; i--) {
      pop(e, SAVED[i]);
    }
    e.b(0xfc); // cld
    e.b(0xc3);
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
   * @param vectors the code expects the guest's vector registers to be loaded
   */
  int run(long code, long block, boolean vectors) {
    try {
      return (int) ENTER.invokeExact(code, block, vectors ? enterWithVectors : enter);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }
}

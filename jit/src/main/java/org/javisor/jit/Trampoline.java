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

  /** Where translated code jumps to with the number of the exit in ECX. */
  final long exit;

  Trampoline(CodeCache cache) {
    Emitter e = new Emitter();
    enter = cache.next();
    for (int r : SAVED) {
      push(e, r);
    }
    e.b(0x48, 0x83, 0xec);
    e.b(8); // sub rsp, 8: aligned as a call leaves it
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xde); // wrgsbase rsi
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
    e.alignTo(16);
    exit = enter + e.length();
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
    e.b(0x48, 0x83, 0xc4);
    e.b(8); // add rsp, 8
    for (int i = SAVED.length - 1; i >= 0; i--) {
      pop(e, SAVED[i]);
    }
    e.b(0xfc); // cld
    e.b(0xc3);
    cache.append(e.code(), e.length());
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

  /** Runs translated code until it exits; returns the number of the exit. */
  int run(long code, long block) {
    try {
      return (int) ENTER.invokeExact(code, block, enter);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }
}

package org.javisor.interp;

import java.util.HexFormat;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VmExit;
import org.javisor.memory.GuestMemory;

/**
 * A vCPU in 32-bit protected mode for tests of single instructions at CPL 0 or 3: flat segments, no
 * paging unless a test turns it on. Every exception and interrupt halts; what runs through meets INT3.
 */
final class LegacyBench {
  static final int NONE = -1;
  static final int SHUTDOWN = -2;

  // Selectors; from FREE on the table is the test's.
  static final int CODE = 0x08;
  static final int DATA = 0x10;
  static final int USER_CODE = 0x18;
  static final int USER_DATA = 0x20;
  static final int TASK = 0x28;
  static final int FREE = 0x30;

  static final long TSS = 0x9000;
  static final long AT = Bench.KERNEL_CODE;
  static final long STACK = 0x1_e000;
  static final long INNER_STACK = 0x1_f000;

  private static final long HANDLERS = 0x8000;

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));
  final GuestMemory memory = b.memory;

  /** What the next {@link #run} starts with; tests change it. */
  final CpuState state = b.state;

  // What the last run came to.
  int vector;
  int errorCode;

  /** The saved instruction pointer, relative to the code's first byte. */
  long eip;

  CpuState after;

  /** Where the saved instruction pointer is; CS, EFLAGS, and ESP and SS of an outer level follow. */
  private long frame;

  LegacyBench() {
    put(CODE, descriptor(0, 0xf_ffff, 0x9b, 0xc));
    put(DATA, descriptor(0, 0xf_ffff, 0x93, 0xc));
    put(USER_CODE, descriptor(0, 0xf_ffff, 0xfb, 0xc));
    put(USER_DATA, descriptor(0, 0xf_ffff, 0xf3, 0xc));
    put(TASK, descriptor(TSS, 0x67, 0x8b, 0));
    for (int i = 0; i < 256; i++) {
      gate(i, CODE, HANDLERS + 16L * i, 0xee);
    }
    memory.write32(TSS + 4, (int) INNER_STACK);
    memory.write32(TSS + 8, DATA);
    state.gdtLimit = 0xff;
    state.tr.set(TASK, TSS, 0x67, 0x8b);
    state.efer = 0;
    state.cr0 = 0x33;
    state.cr4 = 0;
  }

  /** A descriptor of a segment; the flags are those above the limit's high bits. */
  static long descriptor(long base, long limit, int access, int flags) {
    return limit & 0xffff
        | (base & 0xff_ffff) << 16
        | (long) access << 40
        | (limit >> 16 & 15) << 48
        | (long) flags << 52
        | base >>> 24 << 56;
  }

  void put(int selector, long descriptor) {
    memory.write64(Bench.GDT + (selector & ~7), descriptor);
  }

  /** Makes a gate of the interrupt table. */
  void gate(int number, int selector, long offset, int access) {
    memory.write64(
        state.idtBase + 8L * number,
        offset & 0xffff | (long) selector << 16 | (long) access << 40 | offset >>> 16 << 48);
  }

  /** Makes a call gate of the global table. */
  void callGate(int at, int selector, long offset, int access, int words) {
    put(
        at,
        offset & 0xffff
            | (long) selector << 16
            | (long) words << 32
            | (long) access << 40
            | offset >>> 16 << 48);
  }

  /** Runs code, in hexadecimal, at CPL 0 or 3, to its end or an exception. */
  LegacyBench run(int cpl, String hex) {
    state.cs.set(cpl == 0 ? CODE : USER_CODE | 3, 0, -1, cpl == 0 ? 0xc09b : 0xc0fb);
    for (CpuState.Segment data : new CpuState.Segment[] {state.ss, state.ds, state.es, state.fs,
      state.gs}) {
      data.set(cpl == 0 ? DATA : USER_DATA | 3, 0, -1, cpl == 0 ? 0xc093 : 0xc0f3);
    }
    state.gpr[4] = STACK;
    state.rip = AT;
    return runAsItIs(hex);
  }

  /** The same without a change of segments, stack and instruction pointer. */
  LegacyBench runAsItIs(String hex) {
    byte[] code = HexFormat.of().parseHex(hex.replace(" ", "") + "cc");
    memory.write(AT, code);
    resume(state);
    if (vector == 3 && eip == code.length) {
      vector = NONE;
    }
    return this;
  }

  /** Goes on from a state. */
  void resume(CpuState from) {
    b.vcpu.setState(from);
    VmExit exit;
    do {
      exit = b.vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    after = b.vcpu.state();
    if (exit instanceof VmExit.Shutdown) {
      vector = SHUTDOWN;
      return;
    }
    if (!(exit instanceof VmExit.Halt)) {
      throw new AssertionError("ended with " + exit);
    }
    vector = (int) (after.rip - 1 - HANDLERS >> 4);
    boolean error = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
    frame = (after.gpr[4] & 0xffff_ffffL) + (error ? 4 : 0);
    errorCode = error ? memory.read32(frame - 4) : 0;
    eip = memory.read32(frame) - AT;
  }

  /** A word of the frame that the last exception pushed. */
  int frame(int word) {
    return memory.read32(frame + 4L * word);
  }
}

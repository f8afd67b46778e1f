package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** The guest's breakpoints: what they catch, when, and what DR6 says. Source: SDM volume 3, 18.2–3. */
class DebugRegistersTest {
  private static final int DB = 1;
  private static final int RAX = 0;
  private static final int RBX = 3;
  private static final long ENABLE_0 = 0x2;
  private static final long WRITE = 1L << 16;
  private static final long READ_WRITE = 3L << 16;
  private static final long FOUR_BYTES = 3L << 18;
  private static final long TF = 1 << 8;
  private static final long RF = 1 << 16;

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));

  private void expect(int vector, long rip) {
    assertEquals(vector, b.vector, "vector");
    if (vector == DB) {
      assertEquals(rip, b.rip, "saved RIP");
    }
  }

  private long dr6() {
    return b.after.dr[6] & 0xe00f;
  }

  /** Breaks if the trap of a store comes before it, late, or for its neighbours. */
  @Test
  void aWatchedStoreTrapsAfterItsInstruction() {
    b.state.dr[0] = Bench.USER_DATA + 4;
    b.state.dr[7] = 0x400 | ENABLE_0 | WRITE | FOUR_BYTES;
    b.state.gpr[RAX] = Bench.USER_DATA + 4;
    b.run(3, "ff c3 89 18 ff c3 ff c3"); // inc ebx; mov [rax], ebx; inc ebx; inc ebx
    expect(DB, 4);
    assertEquals(1, dr6());
    assertEquals(1, b.after.gpr[RBX]);
    assertEquals(1, b.memory.read32(Bench.USER_DATA + 4));
    b.run(3, "8b 18"); // a load is not what is watched
    expect(Bench.NONE, 0);
    b.state.gpr[RAX] = Bench.USER_DATA + 3;
    b.run(3, "c6 00 07"); // the byte before
    expect(Bench.NONE, 0);
    b.run(3, "66 c7 00 07 00"); // two bytes that overlap it
    expect(DB, 5);
  }

  /** Breaks if a load is missed, or a string instruction's bulk path passes the watch by. */
  @Test
  void loadsAndStringsAreWatched() {
    b.state.dr[0] = Bench.USER_DATA + 0x10;
    b.state.dr[7] = 0x400 | ENABLE_0 | READ_WRITE;
    b.state.gpr[RAX] = Bench.USER_DATA + 0x10;
    b.run(3, "8a 18 90");
    expect(DB, 2);
    b.state.gpr[7] = Bench.USER_DATA;
    b.state.gpr[1] = 0x40;
    b.run(3, "f3 aa"); // rep stosb traps between two iterations
    assertEquals(DB, b.vector);
    assertEquals(1, dr6());
  }

  /** Breaks if an instruction breakpoint is not a fault before it, or RF does not pass it. */
  @Test
  void anInstructionBreakpointIsAFaultThatRfPasses() {
    b.state.dr[0] = Bench.USER_CODE + 2;
    b.state.dr[7] = 0x400 | ENABLE_0;
    b.run(3, "ff c3 ff c3 ff c3");
    expect(DB, 2);
    assertEquals(1, b.after.gpr[RBX]);
    assertEquals(1, dr6());
    assertEquals(0, b.after.rflags & RF);
    b.state.dr[0] = Bench.USER_CODE;
    b.state.rflags = 2 | RF;
    b.run(3, "ff c3 ff c3");
    expect(Bench.NONE, 0);
    assertEquals(2, b.after.gpr[RBX]);
  }

  /** Breaks if single step does not trap after one instruction with BS. */
  @Test
  void singleStepTrapsAfterOneInstruction() {
    b.state.rflags = 2 | TF;
    b.run(3, "ff c3 ff c3");
    expect(DB, 2);
    assertEquals(1 << 14, dr6());
    assertEquals(1, b.after.gpr[RBX]);
  }

  /** Breaks if general detect lets a MOV to a debug register through, or stays on in the handler. */
  @Test
  void generalDetectCatchesAccessesToTheRegisters() {
    b.state.dr[7] = 0x400 | 1 << 13;
    b.run(0, "0f 21 f0"); // mov rax, dr6
    expect(DB, 0);
    assertEquals(1 << 13, dr6());
    assertEquals(0, b.after.dr[7] & 1 << 13);
  }

  /** Breaks if the fourth and fifth registers are not the sixth and seventh, or #UD with CR4.DE. */
  @Test
  void registersFourAndFiveAreAliasesUnlessDebuggingExtensionsAreOn() {
    b.state.gpr[RAX] = 0;
    b.run(0, "0f 21 e0"); // mov rax, dr4
    expect(Bench.NONE, 0);
    assertEquals(0xffff_0ff0L, b.after.gpr[RAX]);
    b.state.cr4 |= Cpu.CR4_DE;
    b.run(0, "0f 21 e0");
    assertEquals(6, b.vector);
  }

  /** Breaks if a load of SS lets the trap of its own step through, or swallows that of the next. */
  @Test
  void aLoadOfSsDelaysTheStepByOneInstruction() {
    // pushf; pop rax; or eax, 100h; push rax; mov ax, ss; popf; mov ss, ax; nop; nop
    String code = "9c 58 0d 00 01 00 00 50 66 8c d0 9d 8e d0 90 90 90";
    for (int cpl : new int[] {0, 3}) {
      b.run(cpl, code);
      expect(DB, 15);
      assertEquals(0x4000, dr6());
    }
  }

  /** Breaks if a step over HLT is forgotten while the CPU sleeps. */
  @Test
  void haltIsSteppedOver() {
    b.run(0, "9c 58 0d 00 01 00 00 50 9d f4 90"); // ..., popf, hlt
    expect(DB, 10);
    assertEquals(0x4000, dr6());
  }
}

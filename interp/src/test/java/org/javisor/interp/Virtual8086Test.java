package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.javisor.accelerator.CpuState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Virtual-8086 mode, its extensions (CR4.VME), and protected-mode virtual interrupts (CR4.PVI).
 * Source: Intel SDM volume 3, chapter 20.
 */
class Virtual8086Test {
  private static final int NONE = LegacyBench.NONE;
  private static final int GP = 13;
  private static final int UD = 6;

  private static final int EAX = 0;
  private static final int ESP = 4;
  private static final int TF = 1 << 8;
  private static final int IF = 1 << 9;
  private static final int IOPL_3 = 3 << 12;
  private static final int VM = 1 << 17;
  private static final int VIF = 1 << 19;
  private static final int VIP = 1 << 20;
  private static final long VME = 1;
  private static final long PVI = 2;

  private static final int CS = 0x1000; // the segment of the bench's code
  private static final int SS = 0x2000;
  private static final int SP = 0x800;

  /** Where the redirection map of the TSS begins, before the map of ports. */
  private static final long REDIRECTION = LegacyBench.TSS + 0x68;

  private static final long PORTS = REDIRECTION + 32;

  private final LegacyBench b = new LegacyBench();
  private final CpuState s = b.state;

  @BeforeEach
  void setUp() {
    s.rflags = VM | 2;
    s.tr.set(LegacyBench.TASK, LegacyBench.TSS, 0x68 + 32 + 32, 0x8b);
    b.memory.write16(LegacyBench.TSS + 102, 0x68 + 32);
    b.memory.write8(PORTS + 32, 0xff);
  }

  private void segment(CpuState.Segment segment, int selector) {
    segment.set(selector, selector << 4, 0xffff, 0xf3);
  }

  private void run(String hex) {
    segment(s.cs, CS);
    segment(s.ss, SS);
    segment(s.ds, 0x3000);
    segment(s.es, 0x3100);
    segment(s.fs, 0x3200);
    segment(s.gs, 0x3300);
    s.gpr[ESP] = SP;
    s.rip = LegacyBench.AT - (CS << 4);
    b.runAsItIs(hex);
  }

  private long offset() {
    return b.eip + LegacyBench.AT; // the frame holds an offset in CS
  }

  private void expect(int vector, long eip) {
    if (vector == NONE) {
      assertEquals(3, b.vector, "vector");
    } else {
      assertEquals(vector, b.vector, "vector");
      assertEquals(eip, offset(), "saved EIP");
      if (vector == GP) {
        assertEquals(0, b.errorCode, "error code");
      }
    }
  }

  private int flags() {
    return b.frame(2);
  }

  @Test
  void theFrameOfAnEvent() {
    s.rflags |= IF;
    run("90 0f 0b");
    expect(UD, 1);
    assertEquals(LegacyBench.INNER_STACK - 36, b.after.gpr[ESP]);
    int[] frame = {CS, (int) s.rflags | 1 << 16, SP, SS, 0x3100, 0x3000, 0x3200, 0x3300};
    for (int i = 0; i < frame.length; i++) {
      assertEquals(frame[i], b.frame(1 + i), "word " + (1 + i));
    }
    assertEquals(0, b.after.rflags & (VM | IF));
    for (CpuState.Segment data : new CpuState.Segment[] {b.after.ds, b.after.es, b.after.fs,
      b.after.gs}) {
      assertEquals(0, data.selector);
    }
  }

  /** Breaks if an event may be handled anywhere but at level 0. */
  @Test
  void handlersAreAtLevel0() {
    b.put(LegacyBench.FREE, LegacyBench.descriptor(0, 0xf_ffff, 0xbb, 0xc));
    b.gate(UD, LegacyBench.FREE, 0x8060, 0xee);
    run("0f 0b");
    assertEquals(GP, b.vector);
    assertEquals(LegacyBench.FREE | 1, b.errorCode);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "fa       | cli",
        "fb       | sti",
        "9c       | pushf",
        "6a029d   | popf",
        "cd30     | int",
        "6a026a006a00cf | iret",
      })
  void guardedByIopl(String code, String what) {
    run(code);
    assertEquals(GP, b.vector, what);
    assertEquals(0, b.errorCode, what);
    s.rflags |= IOPL_3;
    run("90" + code);
    assertEquals(code.equals("cd30") ? 0x30 : code.endsWith("cf") ? b.vector : 3, b.vector, what);
  }

  @ParameterizedTest
  @ValueSource(strings = {"f4", "0f20c0", "0f0116 0000", "0f06", "0f32", "0f08"})
  void privileged(String code) {
    s.rflags |= IOPL_3;
    run("90" + code);
    expect(GP, 1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0f00c0", "0f00d0", "0f00d8", "0f00e0", "0f02c0", "0f03c0", "63c0"})
  void notOfThisMode(String code) {
    run("90" + code);
    expect(UD, 1);
  }

  /** Ports ask the map whatever IOPL says; INT3 and INTO the gate's level. */
  @Test
  void portsAndTraps() {
    s.rflags |= IOPL_3;
    b.memory.write8(PORTS + (0x60 >> 3), 1);
    run("e4 60");
    expect(GP, 0);
    run("e4 61");
    expect(NONE, 0);
    s.rflags = VM | 2 | 1 << 11;
    run("ce");
    expect(4, 1);
    b.gate(3, LegacyBench.CODE, 0x8030, 0x8e);
    run("90 cc");
    assertEquals(GP, b.vector);
    assertEquals(0x1a, b.errorCode);
    assertEquals(1, offset());
  }

  // ---- CR4.VME ---------------------------------------------------------------------------------

  @Test
  void virtualInterruptFlag() {
    s.cr4 = VME;
    run("fb"); // sti
    expect(NONE, 0);
    assertEquals(VIF, flags() & (VIF | IF));
    run("fb fa");
    assertEquals(0, flags() & (VIF | IF));
    s.rflags |= VIP;
    run("fb");
    expect(GP, 0);
    run("fa");
    expect(NONE, 0);
    s.rflags = VM | 2 | IOPL_3;
    run("fb");
    assertEquals(IF, flags() & (VIF | IF), "at IOPL 3 it is IF itself");
  }

  @Test
  void flagsOnTheStack() {
    s.cr4 = VME;
    s.rflags |= VIF;
    run("9c 58"); // pushf; pop ax
    expect(NONE, 0);
    assertEquals(IOPL_3 | IF | 2, b.after.gpr[EAX] & 0xffff);
    s.rflags = VM | 2 | IF;
    run("9c 58");
    assertEquals(IOPL_3 | 2, b.after.gpr[EAX] & 0xffff);
    run("66 9c");
    expect(GP, 0);
    run("b8 03 02 50 9d"); // mov ax, 203h; push ax; popf
    expect(NONE, 0);
    assertEquals(VIF | IF | 1, flags() & (VIF | IF | IOPL_3 | 1));
    run("68 00 00 9d");
    assertEquals(IF, flags() & (VIF | IF));
    run("68 00 01 9d"); // with TF
    expect(GP, 3);
    assertEquals(SP - 2, b.frame(3), "the stack is as it was");
    s.rflags |= VIP;
    run("68 00 02 9d"); // with IF, and an interrupt waits
    expect(GP, 3);
    run("66 6a 02 66 9d");
    expect(GP, 3);
  }

  @Test
  void interruptReturns() {
    s.cr4 = VME;
    run("68 02 02 68 00 10 6a 0c 90 90 90 cf 90"); // flags, CS, 12; iret
    expect(NONE, 0);
    assertEquals(VIF, flags() & (VIF | IF));
    assertEquals(CS, b.frame(1));
    run("68 02 01 68 00 10 6a 0c 90 90 90 cf 90");
    expect(GP, 11);
    s.rflags |= VIP;
    run("68 02 02 68 00 10 6a 0c 90 90 90 cf 90");
    expect(GP, 11);
  }

  @Test
  void softwareInterruptsOfItsOwn() {
    s.cr4 = VME;
    s.rflags |= VIF | IF;
    b.memory.write32(4 * 0x21, 0x1000_0100);
    b.memory.write8(0x1_0100, 0xcc);
    run("90 cd 21");
    expect(NONE, 0);
    assertEquals(0x101, offset(), "through the table at 0");
    assertEquals(SP - 6, b.frame(3));
    assertEquals(3, b.memory.read16((SS << 4) + SP - 6));
    assertEquals(CS, b.memory.read16((SS << 4) + SP - 4));
    assertEquals(IOPL_3 | IF | 2, b.memory.read16((SS << 4) + SP - 2));
    assertEquals(IF, flags() & (VIF | IF | TF));
    s.rflags = VM | 2 | IOPL_3 | IF | VIF;
    run("90 cd 21");
    assertEquals(0x101, offset());
    assertEquals(VIF, flags() & (VIF | IF), "at IOPL 3 it is IF itself");
    b.memory.write8(REDIRECTION + (0x21 >> 3), 1 << (0x21 & 7));
    run("90 cd 21");
    assertEquals(0x21, b.vector, "of protected mode");
    s.rflags = VM | 2;
    run("90 cd 21");
    expect(GP, 1);
    s.tr.set(LegacyBench.TASK, LegacyBench.TSS, 0x66, 0x8b);
    run("90 cd 21");
    expect(GP, 1);
  }

  // ---- CR4.PVI ---------------------------------------------------------------------------------

  @Test
  void virtualInterruptsOfProtectedMode() {
    s.rflags = 2;
    b.run(3, "fb");
    assertEquals(GP, b.vector);
    s.cr4 = PVI;
    b.run(3, "fb");
    assertEquals(NONE, b.vector);
    assertEquals(VIF, b.frame(2) & (VIF | IF));
    b.run(3, "fb fa");
    assertEquals(0, b.frame(2) & (VIF | IF));
    b.run(3, "fb 9c 58"); // which PUSHF does not show as IF
    assertEquals(2, b.after.gpr[EAX] & 0xffff);
    s.rflags = 2 | VIP;
    b.run(3, "90 fb");
    assertEquals(GP, b.vector);
    assertEquals(1, b.eip);
  }
}

package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HexFormat;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * 32-bit protected mode without paging: stacks of both widths and hardware task switches. Source:
 * Intel SDM volume 2, ENTER and POP; volume 3, chapter 8.
 */
class ProtectedModeTest {
  private static final int RBX = 3;
  private static final int RSP = 4;
  private static final int RBP = 5;
  private static final long NT = 1 << 14;
  private static final long TS = 1 << 3;
  private static final int BREAK_ON_SWITCH = 1 << 15;

  private static final int CODE = 0x08;
  private static final int DATA = 0x10;
  private static final int STACK16 = 0x18;
  private static final int OLD_TSS = 0x20;
  private static final int NEW_TSS = 0x28;
  private static final int TASK_GATE = 0x30;

  private static final long OLD = 0x2_0000;
  private static final long NEW = 0x2_1000;

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));
  private final CpuState s = b.state;

  @BeforeEach
  void setUp() {
    s.efer = 0;
    s.cr0 = 0x11;
    s.cr4 = 0;
    b.memory.write64(Bench.GDT + CODE, 0x00cf_9b00_0000_ffffL);
    b.memory.write64(Bench.GDT + DATA, 0x00cf_9300_0000_ffffL);
    b.memory.write64(Bench.GDT + STACK16, 0x0000_9300_0000_ffffL);
    tss(OLD_TSS, OLD, 0x8b);
    tss(NEW_TSS, NEW, 0x89);
    b.memory.write64(Bench.GDT + TASK_GATE, 0x0000_8500_0000_0000L | NEW_TSS << 16);
    s.tr.set(OLD_TSS, OLD, 0x67, 0x8b);
    s.cs.set(CODE, 0, -1, 0xc09b);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es, s.fs, s.gs}) {
      data.set(DATA, 0, -1, 0xc093);
    }
    s.gpr[RSP] = 0x1_f000;
    s.rip = Bench.KERNEL_CODE;
    for (int i = 0; i < 256; i++) {
      long handler = 0x8000 + 16L * i;
      b.memory.write64(s.idtBase + 8L * i, handler & 0xffff | CODE << 16 | 0x8e00L << 32);
    }
  }

  private void tss(int selector, long base, int type) {
    b.memory.write64(
        Bench.GDT + selector, 0x67 | base << 16 & 0xff_ffff_0000L | (long) type << 40);
  }

  /** A task that begins at an address, with a stack and a value in EBX. */
  private void task32(long base, long eip, int ebx) {
    b.memory.write32(base + 0x20, (int) eip);
    b.memory.write32(base + 0x24, 2);
    b.memory.write32(base + 0x34, ebx);
    b.memory.write32(base + 0x38, 0x1_e000);
    for (int i = 0; i < 6; i++) {
      b.memory.write32(base + 0x48 + 4L * i, i == 1 ? CODE : DATA);
    }
  }

  private void run(String hex) {
    b.memory.write(Bench.KERNEL_CODE, HexFormat.of().parseHex(hex.replace(" ", "") + "f4"));
    b.vcpu.setState(s);
    assertEquals(VmExit.Halt.INSTANCE, b.vcpu.run());
    b.after = b.vcpu.state();
  }

  private int type(int selector) {
    return b.memory.read8(Bench.GDT + selector + 5);
  }

  /** Breaks if POP SS moves the pointer as wide as the stack that it loads. */
  @Test
  void popOfSsCountsInTheStackThatItLeaves() {
    s.ss.set(STACK16, 0, 0xffff, 0x93);
    s.gpr[RSP] = 0x2_fffc;
    b.memory.write32(0xfffc, DATA);
    run("17"); // pop ss
    assertEquals(DATA, b.after.ss.selector);
    assertEquals(0x2_0000, b.after.gpr[RSP]);
  }

  /** Breaks if ENTER on a 16-bit stack makes EBP of the lower half of ESP. */
  @Test
  void enterTakesAllOfTheStackPointer() {
    s.ss.set(STACK16, 0, 0xffff, 0x93);
    s.gpr[RSP] = 0x1_0000;
    run("c8 08 00 01"); // enter 8, 1
    assertEquals(0x1_fffc, b.after.gpr[RBP]);
    assertEquals(0x1_fff0, b.after.gpr[RSP]);
    assertEquals(0x1_fffc, b.memory.read32(0xfff8), "the display holds it, too");
  }

  @Test
  void jumpToATask() {
    task32(NEW, 0x1_2000, 0x1234);
    b.memory.write8(0x1_2000, 0xf4);
    s.gpr[RBX] = 0x55;
    s.dr[7] = 0x755; // local and global breakpoints
    run("ea 00 00 00 00 28 00"); // jmp NEW_TSS:0
    assertEquals(0x1_2001, b.after.rip);
    assertEquals(0x1234, b.after.gpr[RBX]);
    assertEquals(NEW_TSS, b.after.tr.selector);
    assertEquals(TS, b.after.cr0 & TS);
    assertEquals(0x89, type(OLD_TSS));
    assertEquals(0x8b, type(NEW_TSS));
    assertEquals(Bench.KERNEL_CODE + 7, b.memory.read32(OLD + 0x20), "saved EIP");
    assertEquals(0x55, b.memory.read32(OLD + 0x34));
    assertEquals(0x600, b.after.dr[7] & 0xfff, "local breakpoints are off");
  }

  /** Breaks if a nested task does not come back, or begins anew when it is called again. */
  @Test
  void callOfATaskAndReturn() {
    task32(NEW, 0x1_2000, 0);
    b.memory.write(0x1_2000, HexFormat.of().parseHex("43cf43cf")); // inc ebx; iret; inc ebx; iret
    run("9a 00 00 00 00 30 00 9a 00 00 00 00 30 00"); // twice, through the gate
    assertEquals(Bench.KERNEL_CODE + 15, b.after.rip);
    assertEquals(OLD_TSS, b.after.tr.selector);
    assertEquals(0, b.after.rflags & NT);
    assertEquals(0x8b, type(OLD_TSS));
    assertEquals(0x89, type(NEW_TSS));
    assertEquals(OLD_TSS, b.memory.read16(NEW), "the back link");
    assertEquals(2, b.memory.read32(NEW + 0x34), "it went on where it had returned");
    assertEquals(0x1_2004, b.memory.read32(NEW + 0x20));
  }

  @Test
  void aTaskOf16BitsFindsOnesInTheUpperHalves() {
    b.memory.write64(Bench.GDT + NEW_TSS, 0x2b | NEW << 16 & 0xff_ffff_0000L | 0x81L << 40);
    b.memory.write16(NEW + 0x0e, 0x3000);
    b.memory.write8(0x3000, 0xf4);
    b.memory.write16(NEW + 0x10, 2);
    b.memory.write16(NEW + 0x18, 0x1234); // BX
    for (int i = 0; i < 4; i++) {
      b.memory.write16(NEW + 0x22 + 2L * i, i == 1 ? CODE : DATA);
    }
    run("ea 00 00 00 00 28 00");
    assertEquals(0xffff_1234L, b.after.gpr[RBX]);
    assertEquals(0, b.after.fs.selector);
    assertEquals(0, b.after.gs.selector);
  }

  @Test
  void theTrapBitStopsBeforeTheFirstInstruction() {
    task32(NEW, 0x1_2000, 0x1234);
    b.memory.write8(0x1_2000, 0x43); // inc ebx
    b.memory.write8(NEW + 0x64, 1);
    run("ea 00 00 00 00 28 00");
    assertEquals(0x8000 + 16 + 1, b.after.rip, "at the handler of #DB");
    assertEquals(0x1_2000, b.memory.read32(b.after.gpr[RSP]));
    assertEquals(0x1234, b.after.gpr[RBX]);
    assertEquals(BREAK_ON_SWITCH, b.after.dr[6] & BREAK_ON_SWITCH);
  }

  /** Breaks if what is wrong with a TSS is not a fault of the instruction that names it. */
  @Test
  void aTaskThatCannotBeSwitchedTo() {
    b.memory.write8(Bench.GDT + NEW_TSS + 5, 0x8b); // busy
    run("90 ea 00 00 00 00 28 00");
    assertEquals(0x8000 + 16 * 13 + 1, b.after.rip);
    assertEquals(NEW_TSS, b.memory.read32(b.after.gpr[RSP]), "error code");
    assertEquals(Bench.KERNEL_CODE + 1, b.memory.read32(b.after.gpr[RSP] + 4), "saved EIP");
    b.memory.write8(Bench.GDT + NEW_TSS + 5, 0x89);
    b.memory.write16(Bench.GDT + NEW_TSS, 0x66); // too short
    run("90 ea 00 00 00 00 28 00");
    assertEquals(0x8000 + 16 * 10 + 1, b.after.rip);
    assertEquals(NEW_TSS, b.memory.read32(b.after.gpr[RSP]));
    assertEquals(Bench.KERNEL_CODE + 1, b.memory.read32(b.after.gpr[RSP] + 4));
    b.memory.write16(Bench.GDT + NEW_TSS, 0x67);
    b.memory.write8(Bench.GDT + NEW_TSS + 5, 0x09); // absent
    run("90 ea 00 00 00 00 28 00");
    assertEquals(0x8000 + 16 * 11 + 1, b.after.rip);
  }
}

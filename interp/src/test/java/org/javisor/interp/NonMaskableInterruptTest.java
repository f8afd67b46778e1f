package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HexFormat;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.Test;

/**
 * The non-maskable interrupt: it comes whatever IF says, and not again before the next IRET. Source:
 * Intel SDM volume 3, sections 6.7 and 6.7.1.
 */
class NonMaskableInterruptTest {
  private static final int NMI = 2;
  private static final int RBX = 3;
  private static final int RSP = 4;
  private static final long HANDLER = 0x8000 + 16 * NMI;

  /** INC RBX; IRETQ. */
  private static final String COUNT_AND_RETURN = "48 ff c3 48 cf";

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));

  private void handler(String hex) {
    b.memory.write(HANDLER, HexFormat.of().parseHex(hex.replace(" ", "")));
  }

  /** Begins code of the kernel; it is to end with HLT. */
  private void begin(String hex) {
    b.memory.write(Bench.KERNEL_CODE, HexFormat.of().parseHex(hex.replace(" ", "")));
    CpuState s = b.state;
    s.cs.set(0x08, 0, -1, 0xa09b);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es}) {
      data.set(0x10, 0, -1, 0xc093);
    }
    s.gpr[RSP] = 0xe000;
    s.rip = Bench.KERNEL_CODE;
    b.vcpu.setState(s);
  }

  private CpuState run() {
    VmExit exit;
    do {
      exit = b.vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    assertInstanceOf(VmExit.Halt.class, exit);
    return b.vcpu.state();
  }

  @Test
  void itComesWithInterruptsOffAndSavesWhereTheCpuWas() {
    b.state.rflags = 2;
    begin("90 f4");
    b.vcpu.nmi();
    CpuState after = run();
    assertEquals(HANDLER + 1, after.rip);
    assertEquals(Bench.KERNEL_CODE, b.memory.read64(after.gpr[RSP]));
    assertEquals(0x08, b.memory.read64(after.gpr[RSP] + 8));
    assertEquals(2, b.memory.read64(after.gpr[RSP] + 16), "no resume flag: it is no fault");
    assertEquals(0xe000, b.memory.read64(after.gpr[RSP] + 24));
    assertTrue(after.nmiBlocked);
  }

  /** Breaks if one can interrupt the handler of another, or the second is lost. */
  @Test
  void aSecondOneWaitsForTheReturnOfTheFirst() {
    handler(COUNT_AND_RETURN);
    begin("90 90 f4");
    b.vcpu.nmi();
    b.vcpu.setSingleStep(true);
    assertInstanceOf(VmExit.Debug.class, b.vcpu.run());
    b.vcpu.setSingleStep(false);
    assertTrue(b.vcpu.state().nmiBlocked);
    b.vcpu.nmi();
    assertTrue(b.vcpu.state().nmiPending);
    CpuState after = run();
    assertEquals(2, after.gpr[RBX]);
    assertFalse(after.nmiBlocked);
    assertEquals(Bench.KERNEL_CODE + 3, after.rip);
  }

  @Test
  void itEndsAHalt() {
    handler(COUNT_AND_RETURN);
    b.state.rflags = 2;
    begin("f4 f4");
    assertEquals(Bench.KERNEL_CODE + 1, run().rip);
    b.vcpu.nmi();
    CpuState after = run();
    assertEquals(1, after.gpr[RBX]);
    assertEquals(Bench.KERNEL_CODE + 2, after.rip);
  }

  /** Breaks if it comes between a load of SS and of the stack pointer that belongs to it. */
  @Test
  void itWaitsForTheInstructionBehindALoadOfTheStackSegment() {
    handler(COUNT_AND_RETURN);
    // mov eax, 10h; mov ss, ax; mov rsp, 0d000h; hlt
    begin("b8 10 00 00 00 8e d0 48 c7 c4 00 d0 00 00 f4");
    b.vcpu.setSingleStep(true);
    assertInstanceOf(VmExit.Debug.class, b.vcpu.run());
    assertInstanceOf(VmExit.Debug.class, b.vcpu.run());
    b.vcpu.setSingleStep(false);
    b.vcpu.nmi();
    CpuState after = run();
    assertEquals(1, after.gpr[RBX]);
    assertEquals(0xd000, after.gpr[RSP]);
    assertEquals(0xd000, b.memory.read64(0xd000 - 16), "the new stack is the interrupted one");
  }

  @Test
  void whatWaitsAndWhatIsBlockedIsPartOfTheState() {
    begin("f4");
    CpuState s = b.state;
    s.nmiBlocked = true;
    s.nmiPending = true;
    b.vcpu.setState(s);
    CpuState after = run();
    assertTrue(after.nmiBlocked);
    assertTrue(after.nmiPending);
    assertEquals(Bench.KERNEL_CODE + 1, after.rip);
  }
}

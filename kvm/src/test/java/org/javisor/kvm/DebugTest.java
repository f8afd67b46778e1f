package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A debugger's steps and breakpoints. */
class DebugTest {
  // mov eax,1; mov ebx,2; mov ecx,3; mov edx,4; mov esi,5; mov edi,6; hlt
  private static final String SIX =
      "b801000000bb02000000b903000000ba04000000be05000000bf06000000f4";

  private TestMachine m;

  @BeforeEach
  void machine() {
    HostKvm.needs("long-mode");
    m = new TestMachine();
  }

  @AfterEach
  void end() {
    if (m != null) {
      m.close();
    }
  }

  private long offset() {
    return m.vcpu().state().rip - TestMachine.CODE;
  }

  /** Breaks if a step executes none or more than one instruction, or swallows a HLT. */
  @Test
  void everyStepIsOneInstruction() {
    m.guest.code(TestMachine.CODE, SIX);
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    m.vcpu().setSingleStep(true);
    for (int i = 1; i <= 6; i++) {
      assertEquals(VmExit.Debug.INSTANCE, m.vcpu().run());
      assertEquals(5 * i, offset());
    }
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(31, offset());
    m.vcpu().setSingleStep(false);
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
  }

  /** Breaks if a step over an instruction that needs a device ends before the instruction. */
  @Test
  void aStepOverAPortAccessEndsBehindIt() {
    m.guest.code(TestMachine.CODE, "b801000000e420bb02000000f4"); // mov eax,1; in al,0x20; ...
    m.bus.values.add(0x77L);
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    m.vcpu().setSingleStep(true);
    m.vcpu().run();
    assertEquals(VmExit.Debug.INSTANCE, m.vcpu().run());
    assertEquals(7, offset());
    assertEquals(0x77, m.vcpu().state().gpr[0]);
  }

  /** Stops at the breakpoints until the HLT and says where. */
  private List<Long> stops() {
    List<Long> stops = new ArrayList<>();
    while (m.vcpu().run() instanceof VmExit.Debug) {
      stops.add(offset());
    }
    return stops;
  }

  /** Breaks if a breakpoint is missed, met twice, or stops behind its instruction. */
  @Test
  void fourBreakpointsAreDebugRegisters() {
    m.guest.code(TestMachine.CODE, SIX);
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    for (int at : new int[] {0, 10, 20, 30}) {
      m.vcpu().setBreakpoint(TestMachine.CODE + at, true);
    }
    assertEquals(List.of(0L, 10L, 20L, 30L), stops());
  }

  /** Breaks if breakpoints beyond the CPU's four are not met, or the others no longer are. */
  @Test
  void moreBreakpointsThanDebugRegisters() {
    m.guest.code(TestMachine.CODE, SIX);
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    for (int at : new int[] {0, 5, 10, 15, 20, 30}) {
      m.vcpu().setBreakpoint(TestMachine.CODE + at, true);
    }
    assertEquals(List.of(0L, 5L, 10L, 15L, 20L, 30L), stops());
  }

  /** Breaks if a breakpoint in a loop stops only once, or a removed one still does. */
  @Test
  void aBreakpointInALoop() {
    // mov ecx,5; 1: inc eax; nop; dec ecx; jnz 1b; hlt
    m.guest.code(TestMachine.CODE, "b905000000ffc090ffc975f9f4");
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    m.vcpu().setBreakpoint(TestMachine.CODE + 7, true);
    for (int i = 1; i <= 3; i++) {
      assertEquals(VmExit.Debug.INSTANCE, m.vcpu().run());
      assertEquals(7, offset());
      assertEquals(i, m.vcpu().state().gpr[0]);
    }
    m.vcpu().setBreakpoint(TestMachine.CODE + 7, false);
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(5, m.vcpu().state().gpr[0]);
  }
}

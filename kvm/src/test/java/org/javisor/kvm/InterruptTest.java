package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Interrupts, kicks and the registers of a platform in this process. */
class InterruptTest {
  private TestMachine m;

  @BeforeEach
  void machine() {
    HostKvm.needs("real-mode");
    m = new TestMachine();
  }

  @AfterEach
  void end() {
    if (m != null) {
      m.close();
    }
  }

  private static void await(CountDownLatch latch) throws InterruptedException {
    assertTrue(latch.await(20, TimeUnit.SECONDS), "the guest did not come that far");
  }

  /** Breaks if an interrupt does not reach a running guest, or makes run() return. */
  @Test
  void anInterruptReachesARunningGuest() throws InterruptedException {
    m.realModeHandler(0x41, "b077e610cf"); // mov al,0x77; out 0x10,al; iret
    m.guest.code(TestMachine.CODE, "fbb001e611ebfe"); // sti; mov al,1; out 0x11,al; jmp $
    m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
    CountDownLatch started = m.bus.expect(0x11, 1);
    TestMachine.Running running = m.start(m.vcpu());
    await(started);
    for (int i = 0; i < 20; i++) {
      CountDownLatch served = m.bus.expect(0x10, 1);
      m.platform().vectors.add(0x41);
      m.vcpu().interruptPending();
      await(served);
    }
    m.vcpu().kick();
    assertEquals(VmExit.Kicked.INSTANCE, running.await());
  }

  /** Breaks if an interrupt is forced on a guest that holds it off, or forgotten after that. */
  @Test
  void anInterruptWaitsForItsWindow() {
    m.realModeHandler(0x41, "b077e610cf");
    m.platform().vectors.add(0x41);
    m.platform().vectors.add(0x41);
    m.realMode("fa9090e620fb9090f4ebfd"); // cli; nop; nop; out 0x20,al; sti; 1: hlt; jmp 1b
    assertEquals("out 20/1=0", m.bus.log.getFirst());
    assertEquals(List.of("out 10/1=77", "out 10/1=77"), m.bus.log.subList(1, 3));
  }

  /** Breaks if the vector that was acknowledged is lost with the state it was pending in. */
  @Test
  void aPendingInterruptTravelsWithTheState() {
    m.realModeHandler(0x41, "fab077e610f4"); // cli; mov al,0x77; out 0x10,al; hlt
    m.guest.code(TestMachine.CODE, "ebfe");
    CpuState s = m.guest.realMode(TestMachine.CODE);
    s.rflags = 0x202;
    s.pendingInterrupt = 0x41;
    assertEquals(VmExit.Halt.INSTANCE, m.run(s));
    assertEquals("[out 10/1=77]", m.bus.log.toString());
  }

  /** Breaks if an NMI is lost, or waits for the interrupt flag. */
  @Test
  void anNmiNeedsNoPermission() {
    m.realModeHandler(2, "fab077e610f4");
    m.guest.code(TestMachine.CODE, "faf4"); // cli; hlt
    assertEquals(VmExit.Halt.INSTANCE, m.run(m.guest.realMode(TestMachine.CODE)));
    m.vcpu().nmi();
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals("[out 10/1=77]", m.bus.log.toString());
  }

  /** Breaks if a kick from before the run is forgotten, or counts twice. */
  @Test
  void aKickIsRememberedOnce() {
    m.guest.code(TestMachine.CODE, "40f4"); // inc ax; hlt
    m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
    m.vcpu().kick();
    m.vcpu().kick();
    assertEquals(VmExit.Kicked.INSTANCE, m.vcpu().run());
    assertEquals(0, m.vcpu().state().gpr[0], "nothing was executed");
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(1, m.vcpu().state().gpr[0]);
  }

  /** Breaks if a kick cannot get a vCPU out of code that makes no exits, in either ring. */
  @Test
  void aKickEndsAnEndlessLoop() throws InterruptedException {
    HostKvm.needs("long-mode");
    m.guest.code(TestMachine.CODE, "e61148ffc0ebfb"); // out 0x11,al; 1: inc rax; jmp 1b
    m.guest.code(TestMachine.HANDLER, "48ffc0ebfb");
    CpuState ring0 = m.guest.longMode(TestMachine.CODE);
    CpuState ring3 = m.guest.userMode(TestMachine.HANDLER);
    for (CpuState state : List.of(ring0, ring3)) {
      m.vcpu().setState(state);
      for (int i = 0; i < 10; i++) {
        TestMachine.Running running = m.start(m.vcpu());
        m.vcpu().kick();
        assertEquals(VmExit.Kicked.INSTANCE, running.await());
      }
    }
  }

  /** Breaks if the state after a kick is that of an instruction half done. */
  @Test
  void aKickLeavesNoInstructionUnfinished() {
    // The device kicks: its answer is given, and the instruction has not ended.
    m.guest.code(TestMachine.CODE, "e620e42040f4"); // out 0x20,al; in al,0x20; inc ax; hlt
    m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
    m.bus.values.add(0x41L);
    m.bus.onWrite = m.vcpu()::kick;
    assertEquals(VmExit.Kicked.INSTANCE, m.vcpu().run());
    assertEquals(2, m.vcpu().state().rip, "OUT has ended");
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(0x42, m.vcpu().state().gpr[0]);
    assertEquals(List.of("out 20/1=0", "in 20/1"), m.bus.log);
  }

  /** Breaks if CR8 and the platform's task priority are not one register. */
  @Test
  void taskPriorityIsThePlatforms() {
    HostKvm.needs("long-mode");
    m.platform().taskPriority = 5;
    // read CR8; write 9; out 0x20; read CR8; write 2; hlt
    m.longMode(
        "440f20c04889042500000200b809000000440f22c0e620440f20c04889042508000200b802000000440f22c0"
            + "f4");
    assertEquals(5, m.memory.read64(TestMachine.RESULT));
    assertEquals(9, m.memory.read64(TestMachine.RESULT + 8));
    assertEquals(2, m.platform().taskPriority);
    assertEquals(List.of("cr8=9", "cr8=2"), m.platform().log);
  }

  /** Breaks if the platform does not see its model-specific registers, or KVM takes them. */
  @Test
  void platformRegistersAreThePlatforms() {
    HostKvm.needs("long-mode");
    // APIC base: read, set x2APIC; out 0x20; read 0x802; write 0x808; write and read 0x6e0
    m.longMode(
        "b91b0000000f32890425000002000d000400000f30e620b9020800000f3289042508000200b908080000b850"
            + "00000031d20f30b9e0060000b878563412ba010000000f300f3289042510000200f4");
    assertEquals(0xfee0_0900, m.memory.read32(TestMachine.RESULT));
    assertEquals(0x77, m.memory.read32(TestMachine.RESULT + 8));
    assertEquals(0x99, m.memory.read32(TestMachine.RESULT + 16));
    assertEquals(
        List.of(
            "wrmsr 1b=fee00d00", "rdmsr 802", "wrmsr 808=50", "wrmsr 6e0=112345678", "rdmsr 6e0"),
        m.platform().log);
  }

  /** Breaks if a register that nobody knows does not fault. */
  @Test
  void anUnknownRegisterFaults() {
    HostKvm.needs("long-mode");
    m.guest.code(TestMachine.HANDLER, "b813000000e610f4"); // mov eax,0x13; out 0x10,al; hlt
    m.guest.gate(13, TestMachine.HANDLER);
    m.longMode("b9424200000f32f4"); // rdmsr 0x4242
    assertEquals(List.of("rdmsr 4242"), m.platform().log);
    assertEquals("[out 10/1=13]", m.bus.log.toString());
  }

  /** Breaks if late requests of timers and devices reach for what is gone. */
  @Test
  void kicksAfterTheEndDoNothing() {
    KvmVcpu vcpu = m.vcpu();
    m.close();
    m = null;
    vcpu.kick();
    vcpu.interruptPending();
    vcpu.nmi();
  }
}

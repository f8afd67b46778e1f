package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.kvm.KvmInterrupts.Chip;
import org.javisor.kvm.KvmInterrupts.Route;
import org.javisor.kvm.host.KvmAbi;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the kernel has of a machine: read, written, moved to another machine; and messages. */
class KernelStateTest {
  private static final int VECTOR = 0x41;
  private static final long MESSAGE = 0xfee0_0000L;

  @BeforeEach
  void chips() {
    HostKvm.needs("real-mode");
    Optional<KvmSelfTest.Failure> failure = IrqChipSelfTest.run(HostKvm.accelerator());
    org.junit.jupiter.api.Assumptions.assumeTrue(
        failure.isEmpty(), () -> "the kernel's interrupt controllers fail " + failure.get());
  }

  private static Map<String, Snapshottable<?>> parts(TestMachine m) {
    Map<String, Snapshottable<?>> parts = new LinkedHashMap<>();
    m.vm.addParts(parts);
    return parts;
  }

  /** Breaks if a part of the kernel's is not saved, or not found again in another machine. */
  @Test
  void theStateMovesToAnotherMachine() throws StateException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 2);
        TestMachine other = new TestMachine(IrqChip.KERNEL, 2)) {
      m.vm.interrupts().presetPic(Chip.MASTER_8259, 0x30, 0xa5);
      m.vm.interrupts().presetPit();
      byte[] lapic = m.vcpu().lapic();
      lapic[0x80] = 0x50; // task priority
      m.vcpu().setLapic(lapic);
      m.vcpus.get(1).setMpState(KvmAbi.MP_HALTED);
      long hour = 3_600_000_000_000L;
      m.vm.setGuestClock(hour);
      m.vm.pause();
      StateWriter writer = new StateWriter();
      parts(m).forEach(writer::section);

      other.vm.pause();
      StateReader reader = new StateReader(writer.finish());
      for (Map.Entry<String, Snapshottable<?>> part : parts(other).entrySet()) {
        reader.restore(part.getKey(), part.getValue());
      }
      reader.requireAllTaken();
      other.vm.resume();
      assertEquals(
          List.of(
              "kvm-kernel-chips", "kvm-kernel-lapic.0", "kvm-kernel-lapic.1", "kvm-kernel-clock"),
          List.copyOf(parts(other).keySet()));
      assertArrayEquals(
          m.vm.interrupts().chip(Chip.IOAPIC), other.vm.interrupts().chip(Chip.IOAPIC));
      byte[] pic = other.vm.interrupts().chip(Chip.MASTER_8259);
      assertEquals(0xa5, pic[2] & 0xff, "the mask");
      assertEquals(0x30, pic[5], "the vectors");
      assertEquals(3, other.vm.interrupts().pit()[13], "the mode of counter 0");
      assertEquals(0x50, other.vcpu().lapic()[0x80]);
      assertEquals(KvmAbi.MP_HALTED, other.vcpus.get(1).mpState());
      assertTrue(other.vcpus.get(1).waits());
      long shown = other.vm.guestClock();
      assertTrue(shown >= hour && shown < 2 * hour, "kvm-clock shows " + shown);
    }
  }

  /** Breaks if a hostile file's state of the controllers is more than one line. */
  @Test
  void aStateThatCannotBeIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> new KernelState.LapicState(0, new byte[4], 0, 0));
    assertThrows(
        IllegalArgumentException.class,
        () -> new KernelState.LapicState(0, new byte[KvmAbi.LAPIC_SIZE], 0, 9));
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.vm.pause();
      @SuppressWarnings("unchecked") // by its name
      Snapshottable<KernelState.LapicState> lapic =
          (Snapshottable<KernelState.LapicState>) parts(m).get("kvm-kernel-lapic.0");
      // No local APIC that is off is an x2APIC.
      KernelState.LapicState impossible =
          new KernelState.LapicState(0x400, new byte[KvmAbi.LAPIC_SIZE], 0, 0);
      String said =
          assertThrows(StateException.class, () -> lapic.restoreState(impossible)).getMessage();
      assertTrue(said.contains("0x1b"), said);
    }
  }

  /** Breaks if time passes for the kernel's timers or kvm-clock while the machine stands. */
  @Test
  void noTimePassesWhileItStands() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.vm.pause();
      long before = m.vm.guestClock();
      Thread.sleep(50);
      m.vm.resume();
      long passed = m.vm.guestClock() - before;
      assertTrue(passed < 50_000_000, "%d ns have passed".formatted(passed));
    }
  }

  /**
   * Breaks if a message does not become an interrupt by its event, each message has another one each
   * time, or too many are too much.
   */
  @Test
  void messagesGoByEvents() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1);
        MessageRoutes routes =
            new MessageRoutes(
                m.vm.interrupts(), List.of(new Route.Pin(4, Chip.MASTER_8259, 4)), 24)) {
      byte[] lapic = m.vcpu().lapic();
      lapic[0xf0] = (byte) 0xff;
      lapic[0xf1] |= 1;
      m.vcpu().setLapic(lapic);
      m.realModeHandler(VECTOR, "b077e610cf"); // mov al,0x77; out 0x10,al; iret
      m.guest.code(TestMachine.CODE, "e611fbf4ebfd"); // out 0x11,al; sti; 1: hlt; jmp 1b
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      CountDownLatch started = m.bus.expect(0x11, 1);
      TestMachine.Running running = m.start(m.vcpu());
      assertTrue(started.await(20, TimeUnit.SECONDS));
      for (int i = 0; i < 3; i++) {
        CountDownLatch served = m.bus.expect(0x10, 1);
        routes.send(MESSAGE, VECTOR);
        assertTrue(served.await(20, TimeUnit.SECONDS));
        // The local APIC is not told of the end of an interrupt here, so it is made forget it.
        m.vcpu().kick();
        assertEquals(VmExit.Kicked.INSTANCE, running.await());
        m.vcpu().setLapic(lapic);
        running = m.start(m.vcpu());
      }
      assertEquals(1, routes.count());
      for (int i = 0; i < 300; i++) {
        routes.send(MESSAGE | 9L << 12, i); // to nobody
      }
      assertEquals(256, routes.count());
      routes.send(0x1000, VECTOR);
      m.vcpu().kick();
      assertEquals(VmExit.Kicked.INSTANCE, running.await());
    }
  }

  /** Breaks if the NMI button interrupts who has not asked for it, or not who has. */
  @Test
  void theNmiButtonIsLint1() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.realModeHandler(2, "fab077e610f4"); // cli; mov al,0x77; out 0x10,al; hlt
      m.guest.code(TestMachine.CODE, "e611faf4"); // out 0x11,al; cli; hlt
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      for (int entry : new int[] {0x1_0000, 0x400}) {
        byte[] lapic = m.vcpu().lapic();
        lapic[0x361] = (byte) (entry >> 8);
        lapic[0x362] = (byte) (entry >> 16);
        lapic[0xf1] |= 1; // on: or everything is masked
        m.vcpu().setLapic(lapic);
        m.vcpu().pulseLint1();
        CountDownLatch served = m.bus.expect(0x10, 1);
        TestMachine.Running running = m.start(m.vcpu());
        assertEquals(entry == 0x400, served.await(entry == 0x400 ? 20_000 : 50,
            TimeUnit.MILLISECONDS));
        m.vcpu().kick();
        assertEquals(VmExit.Kicked.INSTANCE, running.await());
      }
    }
  }

  /** Breaks if a step over HLT is none, or is one that an interrupt cannot end any more. */
  @Test
  void aStepOverHaltLeavesTheVcpuHalted() {
    HostKvm.needs("long-mode");
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.guest.code(TestMachine.CODE, "90f490"); // nop; hlt; nop
      m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
      m.vcpu().setSingleStep(true);
      assertEquals(VmExit.Debug.INSTANCE, m.vcpu().run());
      assertEquals(VmExit.Debug.INSTANCE, m.vcpu().run());
      assertEquals(TestMachine.CODE + 2, m.vcpu().state().rip);
      assertTrue(m.vcpu().waits());
      assertTrue(m.vcpu().state().halted);
    }
  }
}

package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.VmExit;
import org.javisor.kvm.KvmDoorbells.Place;
import org.javisor.kvm.KvmInterrupts.Chip;
import org.javisor.kvm.KvmInterrupts.Route;
import org.javisor.kvm.host.EventFd;
import org.javisor.kvm.host.KvmAbi;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Interrupt controllers in the kernel, and event file descriptors. */
class KernelIrqChipTest {
  private static final long MESSAGE = 0xfee0_0000L;
  private static final int VECTOR = 0x41;

  /** sti; 1: hlt; jmp 1b. */
  private static final String WAIT = "fbf4ebfd";

  /** mov al,0x77; out 0x10,al; iret. */
  private static final String SERVE = "b077e610cf";

  @BeforeEach
  void kvm() {
    HostKvm.needs("real-mode");
  }

  private static void await(CountDownLatch latch) throws InterruptedException {
    assertTrue(latch.await(20, TimeUnit.SECONDS), "the guest did not come that far");
  }

  /** A vCPU that waits in HLT, its local APIC software-enabled. */
  private static TestMachine waiting(IrqChip irqChip) {
    TestMachine m = new TestMachine(irqChip, 1);
    byte[] lapic = m.vcpu().lapic();
    lapic[0xf0] = (byte) 0xff;
    lapic[0xf1] |= 1;
    m.vcpu().setLapic(lapic);
    m.realModeHandler(VECTOR, SERVE);
    m.guest.code(TestMachine.CODE, "e611" + WAIT);
    m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
    return m;
  }

  private static TestMachine.Running started(TestMachine m) throws InterruptedException {
    CountDownLatch latch = m.bus.expect(0x11, 1);
    TestMachine.Running running = m.start(m.vcpu());
    await(latch);
    return running;
  }

  private static void stop(TestMachine m, TestMachine.Running running)
      throws InterruptedException {
    m.vcpu().kick();
    assertEquals(VmExit.Kicked.INSTANCE, running.await());
  }

  /** Breaks if a message does not wake a vCPU that the kernel holds in HLT. */
  @Test
  void aMessageInterrupts() throws InterruptedException {
    try (TestMachine m = waiting(IrqChip.KERNEL)) {
      TestMachine.Running running = started(m);
      CountDownLatch served = m.bus.expect(0x10, 1);
      assertTrue(m.vm.interrupts().signal(MESSAGE, VECTOR));
      await(served);
      stop(m, running);
    }
  }

  /** Breaks if a signalled event does not become the interrupt of its route, or does so unasked. */
  @Test
  void anEventIsAnInterruptByItsRoute() throws InterruptedException {
    try (TestMachine m = waiting(IrqChip.KERNEL);
        EventFd event = EventFd.create()) {
      m.vm.interrupts().setRoutes(List.of(new Route.Message(30, MESSAGE, VECTOR)));
      m.vm.interrupts().attach(event, 30);
      TestMachine.Running running = started(m);
      CountDownLatch served = m.bus.expect(0x10, 1);
      event.signal();
      await(served);
      assertEquals(0, event.take(), "the kernel has taken it");
      stop(m, running);
    }
  }

  /** Breaks if a line of the kernel's 8259 pair does not interrupt. */
  @Test
  void aLineOfThe8259Interrupts() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.realModeHandler(0x24, SERVE);
      // ICW1-4 with base 0x20, mask all but 0 and 4; out 0x11; sti; hlt
      m.guest.code(
          TestMachine.CODE, "b011e620b020e621b004e621b001e621b0eee621e611" + WAIT);
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      TestMachine.Running running = started(m);
      CountDownLatch served = m.bus.expect(0x10, 1);
      m.vm.interrupts().setLine(4, true);
      m.vm.interrupts().setLine(4, false);
      await(served);
      stop(m, running);
    }
  }

  /** Breaks if the kernel's timer does not tick. */
  @Test
  void theKernelsTimerTicks() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      m.realModeHandler(0x20, "b020e620b077e610cf"); // EOI, then as SERVE
      m.guest.code(
          TestMachine.CODE,
          "b011e620b020e621b004e621b001e621b0fee621" // the 8259, interrupt 0 open
              + "b034e643b000e640b010e640" // channel 0, mode 2, count 0x1000
              + "e611" + WAIT);
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      CountDownLatch ticks = m.bus.expect(0x10, 5);
      TestMachine.Running running = m.start(m.vcpu());
      await(ticks);
      stop(m, running);
    }
  }

  /** Breaks if a second vCPU runs without being started, or cannot be started. */
  @Test
  void aSecondVcpuWaitsForItsStart() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 2)) {
      KvmVcpu second = m.vcpus.get(1);
      assertEquals(KvmAbi.MP_RUNNABLE, m.vcpu().mpState());
      assertEquals(KvmAbi.MP_UNINITIALIZED, second.mpState());
      m.guest.code(0x8000, "b042e610faf4"); // mov al,0x42; out 0x10,al; cli; hlt
      CountDownLatch up = m.bus.expect(0x10, 1);
      TestMachine.Running running = m.start(second);
      long toSecond = MESSAGE | 1 << 12;
      m.vm.interrupts().signal(toSecond, 5 << 8); // INIT
      m.vm.interrupts().signal(toSecond, 6 << 8 | 8); // start-up at page 8
      await(up);
      second.kick();
      assertEquals(VmExit.Kicked.INSTANCE, running.await());
      assertEquals(0x8000, second.state().cs.base);
    }
  }

  /** Breaks if an access to controllers that are not in the kernel fails without saying so. */
  @Test
  void whatTheKernelDoesNotHaveIsRefused() {
    try (TestMachine m = new TestMachine()) {
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().signal(MESSAGE, 1));
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().setLine(1, true));
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().chip(Chip.IOAPIC));
    }
  }

  /** Breaks if a route to a chip's input leads elsewhere. */
  @Test
  void aRouteToAnInput() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1);
        EventFd event = EventFd.create()) {
      m.realModeHandler(0x25, "b020e620b077e610cf"); // EOI, then as SERVE
      m.guest.code(
          TestMachine.CODE, "b011e620b020e621b004e621b001e621b0dee621e611" + WAIT);
      m.vm.interrupts().setRoutes(List.of(new Route.Pin(40, Chip.MASTER_8259, 5)));
      m.vm.interrupts().attach(event, 40);
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      TestMachine.Running running = started(m);
      for (int i = 0; i < 3; i++) {
        CountDownLatch latch = m.bus.expect(0x10, 1);
        event.signal();
        await(latch);
      }
      stop(m, running);
    }
  }

  /** Breaks if a doorbell is not rung, rings for another value, or still reaches the bus. */
  @Test
  void aPortDoorbell() {
    try (TestMachine m = new TestMachine();
        EventFd any = EventFd.create();
        EventFd seven = EventFd.create()) {
      m.vm.doorbells().attach(any, new Place.Port(0x600, 1), OptionalLong.empty());
      m.vm.doorbells().attach(seven, new Place.Port(0x600, 2), OptionalLong.of(7));
      // out dx,al 1; out dx,ax 7; out dx,ax 8; hlt
      m.realMode("b001ba0006eeb80700efb80800eff4");
      assertEquals(1, any.take());
      assertEquals(1, seven.take());
      assertEquals(List.of("out 600/2=8"), m.bus.log);
      m.vm.doorbells().detach(any, new Place.Port(0x600, 1), OptionalLong.empty());
      m.realMode("b001ba0006eef4");
      assertEquals(0, any.take());
    }
  }

  /** Breaks if a doorbell in device memory is not rung, or takes writes of another size. */
  @Test
  void aMemoryDoorbell() {
    HostKvm.needs("long-mode");
    try (TestMachine m = new TestMachine();
        EventFd event = EventFd.create()) {
      Place place = new Place.Memory(TestMachine.DEVICE, 4);
      m.vm.doorbells().attach(event, place, OptionalLong.empty());
      // mov dword [rbx],5; mov word [rbx],6; hlt
      m.longMode("48c7c300000010c7030500000066c7030600f4");
      assertEquals(1, event.take());
      assertEquals(List.of("write 10000000/2=6"), m.bus.log);
    }
  }

  /** Breaks if counts of an event are lost. */
  @Test
  void eventsCount() {
    try (EventFd event = EventFd.create()) {
      event.signal();
      event.signal();
      assertEquals(2, event.take());
    }
  }

  /** Breaks if the clock shown to guests cannot be set or does not run. */
  @Test
  void theGuestsClock() {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1)) {
      long hour = 3_600_000_000_000L;
      m.vm.setGuestClock(hour);
      long now = m.vm.guestClock();
      assertTrue(now >= hour && now < hour + hour, "clock shows " + now);
    }
  }
}

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
      m.vm.interrupts().detach(event, 30);
      event.signal();
      assertEquals(1, event.take(), "nobody takes it any more");
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

  /** Breaks if with a split chip the IOAPIC's owner does not hear of the end of its interrupts. */
  @Test
  void withASplitChipTheEndOfALevelInterruptIsTold() throws InterruptedException {
    HostKvm.needs("long-mode");
    try (TestMachine m = waiting(IrqChip.SPLIT)) {
      int level = 1 << 15 | 1 << 14;
      CountDownLatch ended = new CountDownLatch(1);
      m.vm.interrupts().onEndOfInterrupt(vector -> {
        if (vector == VECTOR) {
          ended.countDown();
        }
      });
      m.vm.interrupts().setRoutes(List.of(new Route.Message(3, MESSAGE, VECTOR | level)));
      // mov rbx,0xfee000b0; mov [rbx],0 (EOI); mov al,0x33; out 0x10,al; iretq
      m.guest.code(
          TestMachine.HANDLER, "48bbb000e0fe00000000c70300000000b033e61048cf");
      m.guest.gate(VECTOR, TestMachine.HANDLER);
      mapApicPage(m);
      m.guest.code(TestMachine.CODE, "e611fbebfe"); // out 0x11,al; sti; jmp $
      m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
      TestMachine.Running running = started(m);
      m.vm.interrupts().signal(MESSAGE, VECTOR | level);
      await(ended);
      stop(m, running);
    }
  }

  /** Maps the gigabyte of the local APIC, which the small guest leaves out. */
  private static void mapApicPage(TestMachine m) {
    long directory = 0x4000;
    m.memory.write64(0x2000 + 3 * 8, directory | 7);
    m.memory.write64(directory + (0xfee0_0000L >>> 21 & 511) * 8, 0xfee0_0000L | 0x87);
  }

  /** Breaks if an access to controllers that are not in the kernel fails without saying so. */
  @Test
  void whatTheKernelDoesNotHaveIsRefused() {
    try (TestMachine m = new TestMachine()) {
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().signal(MESSAGE, 1));
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().setLine(1, true));
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().chip(Chip.IOAPIC));
    }
    try (TestMachine m = new TestMachine(IrqChip.SPLIT, 1)) {
      assertThrows(IllegalStateException.class, () -> m.vm.interrupts().setLine(1, true));
    }
  }

  /**
   * Breaks if a route to a chip's input leads elsewhere, or the owner of a level-triggered line is
   * not told that it has been served.
   */
  @Test
  void aLevelRouteToAnInput() throws InterruptedException {
    try (TestMachine m = new TestMachine(IrqChip.KERNEL, 1);
        EventFd event = EventFd.create();
        EventFd served = EventFd.createWaiting()) {
      m.realModeHandler(0x25, "b020e620b077e610cf"); // EOI, then as SERVE
      m.guest.code(
          TestMachine.CODE, "b011e620b020e621b004e621b001e621b0dee621e611" + WAIT);
      m.vm.interrupts().setRoutes(List.of(new Route.Pin(40, Chip.MASTER_8259, 5)));
      m.vm.interrupts().attach(event, served, 40);
      m.vcpu().setState(m.guest.realMode(TestMachine.CODE));
      TestMachine.Running running = started(m);
      CountDownLatch latch = m.bus.expect(0x10, 1);
      event.signal();
      await(latch);
      assertTrue(served.take() > 0);
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

  /** Breaks if waiting for an event does not end with its signal, or counts are lost. */
  @Test
  void eventsCount() {
    try (EventFd event = EventFd.createWaiting()) {
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

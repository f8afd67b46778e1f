package org.javisor.pc.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.pc.FakeTime;
import org.javisor.pc.FakeVcpu;
import org.javisor.pc.time.GuestTsc;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LocalApicTest {
  private static final int ID = 0x20;
  private static final int TPR = 0x80;
  private static final int PPR = 0xa0;
  private static final int EOI = 0xb0;
  private static final int LDR = 0xd0;
  private static final int DFR = 0xe0;
  private static final int SVR = 0xf0;
  private static final int ISR = 0x100;
  private static final int IRR = 0x200;
  private static final int ESR = 0x280;
  private static final int ICR = 0x300;
  private static final int ICR_HIGH = 0x310;
  private static final int LVT_TIMER = 0x320;
  private static final int LVT_LINT0 = 0x350;
  private static final int LVT_LINT1 = 0x360;
  private static final int LVT_ERROR = 0x370;
  private static final int INITIAL = 0x380;
  private static final int CURRENT = 0x390;
  private static final int DIVIDE = 0x3e0;

  private final FakeTime time = new FakeTime();
  private final ApicFabric fabric = new ApicFabric();
  private final List<FakeVcpu> vcpus = new ArrayList<>();
  private final List<Integer> served = new ArrayList<>();
  private long tscOffset;
  private LocalApic apic;

  @BeforeEach
  void fourCpus() {
    for (int i = 0; i < 4; i++) {
      FakeVcpu vcpu = new FakeVcpu();
      vcpus.add(vcpu);
      fabric.add(vcpu, () -> 0x08, time, new GuestTsc(1_000_000_000L, () -> tscOffset));
      write(i, SVR, 0x1ff);
    }
    fabric.onEndOfInterrupt(served::add);
    apic = fabric.apic(0);
  }

  private void write(int cpu, int register, int value) {
    fabric.apic(cpu).writeMmio(register, 4, value & 0xffff_ffffL);
  }

  private void write(int register, int value) {
    write(0, register, value);
  }

  private int read(int cpu, int register) {
    return (int) fabric.apic(cpu).readMmio(register, 4);
  }

  private int read(int register) {
    return read(0, register);
  }

  private boolean fixed(int cpu, int vector) {
    return fabric.deliver(cpu, false, false, LocalApic.MODE_FIXED, vector, false);
  }

  private String ready() {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 4; i++) {
      if (fabric.apic(i).hasInterrupt()) {
        out.append(i);
      }
    }
    return out.toString();
  }

  /** Breaks if priorities nest wrongly: a lower class must wait for the EOI of a higher one. */
  @Test
  void higherClassesInterruptLowerOnesWait() {
    fixed(0, 0x41);
    assertEquals(0x41, apic.acknowledge());
    assertFalse(apic.hasInterrupt());
    assertEquals(0x40, read(PPR));
    fixed(0, 0x4f);
    assertFalse(apic.hasInterrupt(), "same class waits");
    fixed(0, 0x51);
    assertTrue(apic.hasInterrupt());
    assertEquals(0x51, apic.acknowledge());
    write(EOI, 0);
    assertFalse(apic.hasInterrupt());
    write(EOI, 0);
    assertEquals(0x4f, apic.acknowledge());
    assertEquals(-1, apic.acknowledge());
  }

  /** Breaks if TPR and CR8 disagree, or lowering the priority does not wake the CPU. */
  @Test
  void taskPriorityHoldsBackAndReleases() {
    apic.setTaskPriorityClass(5);
    assertEquals(0x50, read(TPR));
    fixed(0, 0x5f);
    assertFalse(apic.hasInterrupt());
    int before = vcpus.get(0).wakeups;
    write(TPR, 0x4f);
    assertEquals(4, apic.taskPriorityClass());
    assertTrue(apic.hasInterrupt());
    assertTrue(vcpus.get(0).wakeups > before);
  }

  /** Breaks if an interrupt is announced before it can be seen, or not at all. */
  @Test
  void raisingWakes() {
    assertTrue(fixed(2, 0x30));
    assertEquals("2", ready());
    assertEquals(1, vcpus.get(2).wakeups);
    assertEquals(1 << 0x10, read(2, IRR + 0x10));
    assertEquals(0x30, fabric.apic(2).acknowledge());
    assertEquals(0, read(2, IRR + 0x10));
    assertEquals(1 << 0x10, read(2, ISR + 0x10));
  }

  /** Breaks if edge interrupts bother the IOAPIC, or level ones do not reach it. */
  @Test
  void onlyLevelInterruptsAreBroadcastAtEoi() {
    fixed(0, 0x60);
    apic.acknowledge();
    write(EOI, 0);
    assertEquals(List.of(), served);
    fabric.deliver(0, false, false, LocalApic.MODE_FIXED, 0x60, true);
    apic.acknowledge();
    write(EOI, 0);
    assertEquals(List.of(0x60), served);
    write(EOI, 0);
    assertEquals(1, served.size());
  }

  /** Breaks if vectors below 16 are delivered or not reported. */
  @Test
  void illegalVectorsAreErrors() {
    write(LVT_ERROR, 0xfe);
    assertFalse(fixed(0, 5));
    assertEquals(0xfe, apic.acknowledge());
    assertEquals(0, read(ESR), "errors show only after a write");
    write(ESR, 0);
    assertEquals(0x40, read(ESR));
    write(EOI, 0);
    write(ICR, 0x4000 | 3);
    write(ESR, 0);
    assertEquals(0x20, read(ESR));
    write(ESR, 0);
    assertEquals(0, read(ESR));
  }

  /** Breaks if a disabled APIC takes interrupts, or its LVT entries can be unmasked. */
  @Test
  void softwareDisabledTakesNoFixedInterrupts() {
    write(LVT_TIMER, 0x40);
    write(SVR, 0xff);
    assertEquals(0x10040, read(LVT_TIMER));
    write(LVT_TIMER, 0x40);
    assertEquals(0x10040, read(LVT_TIMER));
    assertFalse(fixed(0, 0x40));
    fabric.deliver(0, false, false, LocalApic.MODE_NMI, 0, false);
    assertEquals(List.of("nmi"), vcpus.get(0).events);
  }

  @Test
  void oneShotTimerCountsDownAndFiresOnce() {
    write(DIVIDE, 3); // by 16
    write(LVT_TIMER, 0xec);
    write(INITIAL, 1000);
    time.advance(8_000);
    assertEquals(500, read(CURRENT));
    time.advance(7_999);
    assertFalse(apic.hasInterrupt());
    time.advance(1);
    assertEquals(0xec, apic.acknowledge());
    assertEquals(0, read(CURRENT));
    write(EOI, 0);
    time.advance(100_000);
    assertFalse(apic.hasInterrupt());
    write(INITIAL, 1000);
    write(INITIAL, 0);
    time.advance(100_000);
    assertFalse(apic.hasInterrupt(), "zero stops it");
  }

  /** Breaks if the period drifts, or a late host makes the guest run after lost ticks. */
  @Test
  void periodicTimerKeepsItsPhase() {
    write(DIVIDE, 0xb); // by 1
    write(LVT_TIMER, 0x200ec);
    write(INITIAL, 1_000_000);
    for (int i = 0; i < 3; i++) {
      time.advance(999_999);
      assertFalse(apic.hasInterrupt());
      time.advance(1);
      assertEquals(0xec, apic.acknowledge());
      write(EOI, 0);
    }
    time.jump(5_500_000);
    assertEquals(0xec, apic.acknowledge());
    write(EOI, 0);
    assertEquals(500_000, read(CURRENT));
    time.advance(500_000);
    assertEquals(0xec, apic.acknowledge());
  }

  /** Breaks if a guest can make the timer thread spin with a period of a nanosecond. */
  @Test
  void tinyPeriodsAreBounded() {
    write(DIVIDE, 0xb);
    write(LVT_TIMER, 0x200ec);
    write(INITIAL, 1);
    int before = vcpus.get(0).wakeups;
    time.advance(1_000_000);
    assertTrue(vcpus.get(0).wakeups - before <= 51);
  }

  /** Breaks if the deadline ignores the guest's TSC offset, or is not cleared by firing. */
  @Test
  void tscDeadline() throws UnknownMsr {
    tscOffset = 1_000_000;
    apic.writeMsr(0x6e0, 500);
    assertEquals(0, apic.readMsr(0x6e0), "ignored in other modes");
    write(LVT_TIMER, 0x400ec);
    apic.writeMsr(0x6e0, 1_000_000 + 700);
    assertEquals(1_000_700, apic.readMsr(0x6e0));
    assertEquals(0, read(CURRENT));
    time.advance(699);
    assertFalse(apic.hasInterrupt());
    time.advance(1);
    assertEquals(0xec, apic.acknowledge());
    assertEquals(0, apic.readMsr(0x6e0));
    write(EOI, 0);
    apic.writeMsr(0x6e0, 1); // past: at once
    assertEquals(0xec, apic.acknowledge());
    write(EOI, 0);
    apic.writeMsr(0x6e0, 2_000_000);
    tscOffset += 500_000;
    apic.tscChanged();
    time.advance(499_300);
    assertEquals(0xec, apic.acknowledge());
    write(EOI, 0);
    apic.writeMsr(0x6e0, 9_000_000);
    write(LVT_TIMER, 0xec);
    time.advance(20_000_000);
    assertFalse(apic.hasInterrupt(), "leaving the mode disarms");
    write(LVT_TIMER, 0x400ec);
    apic.writeMsr(0x6e0, -1);
    time.advance(1_000_000_000_000L);
    assertFalse(apic.hasInterrupt(), "a deadline centuries away");
  }

  @Test
  void physicalLogicalAndShorthandDestinations() {
    write(ICR_HIGH, 2 << 24);
    write(ICR, 0x4050);
    assertEquals("2", ready());
    fabric.apic(2).acknowledge();
    write(2, EOI, 0);

    write(ICR, 0xc0050); // all but self
    assertEquals("123", ready());
    drain();
    write(ICR, 0x80050); // all
    assertEquals("0123", ready());
    drain();
    write(ICR, 0x40050); // self
    assertEquals("0", ready());
    drain();
    write(ICR_HIGH, 0xff << 24);
    write(ICR, 0x50);
    assertEquals("0123", ready());
    drain();

    for (int i = 0; i < 4; i++) {
      write(i, LDR, 1 << 24 + i);
    }
    write(ICR_HIGH, 0xa << 24);
    write(ICR, 0x850);
    assertEquals("13", ready());
    drain();

    for (int i = 0; i < 4; i++) {
      write(i, DFR, 0x0fff_ffff);
      write(i, LDR, (i / 2 << 4 | 1 << i % 2) << 24); // two clusters of two
    }
    write(ICR_HIGH, 0x13 << 24);
    write(ICR, 0x850);
    assertEquals("23", ready());
    drain();
    write(ICR_HIGH, 0xf1 << 24);
    write(ICR, 0x850);
    assertEquals("02", ready());
  }

  private void drain() {
    for (int i = 0; i < 4; i++) {
      while (fabric.apic(i).acknowledge() >= 0) {
        write(i, EOI, 0);
      }
      write(i, EOI, 0);
    }
  }

  /** Breaks if lowest-priority delivery reaches several CPUs, or the busiest. */
  @Test
  void lowestPriorityPicksOneIdleCpu() {
    for (int i = 0; i < 4; i++) {
      write(i, LDR, 1 << 24 + i);
      write(i, TPR, i == 2 ? 0 : 0x20);
    }
    assertTrue(fabric.deliver(0xff, true, false, LocalApic.MODE_LOWEST, 0x70, false));
    assertEquals("2", ready());
  }

  /** Breaks if a second SIPI restarts a running CPU: kernels always send two. */
  @Test
  void initAndStartup() {
    write(ICR_HIGH, 1 << 24);
    write(ICR, 0xc500); // INIT, level, assert
    write(ICR, 0x8500); // de-assert
    write(ICR, 0x4699);
    write(ICR, 0x4699);
    assertEquals(List.of("init", "startup 153"), vcpus.get(1).events);
    assertEquals(0xff, read(1, SVR), "INIT resets the APIC");
    assertEquals(1 << 24, read(1, ID));
    write(ICR_HIGH, 0);
    write(ICR, 0x4699);
    assertEquals(List.of(), vcpus.get(0).events, "the bootstrap processor does not wait for one");
  }

  /** Breaks if the 8259's interrupt is lost, or taken with LINT0 masked. */
  @Test
  void legacyInterruptsPassThroughLint0() {
    write(LVT_LINT0, 0x10700);
    fabric.setIntr(true);
    assertFalse(apic.hasInterrupt());
    write(LVT_LINT0, 0x700);
    assertTrue(apic.hasInterrupt());
    assertEquals(8, apic.acknowledge());
    fabric.setIntr(false);
    assertFalse(apic.hasInterrupt());
    assertEquals(-1, apic.acknowledge());
  }

  /** Breaks if a kernel without APIC support gets no interrupts at all. */
  @Test
  void aDisabledApicLetsLegacyInterruptsThrough() throws UnknownMsr {
    apic.writeMsr(0x1b, LocalApic.DEFAULT_BASE);
    fabric.setIntr(true);
    assertTrue(apic.hasInterrupt());
    assertEquals(-1, (int) apic.readMmio(SVR, 4));
  }

  @Test
  void lint1IsTheNmiButton() {
    write(1, LVT_LINT1, 0x400);
    fabric.nmi();
    assertEquals(List.of("nmi"), vcpus.get(1).events);
    assertEquals(List.of(), vcpus.get(0).events);
  }

  @Test
  void x2apicRegistersAndDestinations() throws UnknownMsr {
    assertThrows(UnknownMsr.class, () -> apic.readMsr(0x802));
    for (int i = 0; i < 4; i++) {
      LocalApic each = fabric.apic(i);
      each.writeMsr(0x1b, each.base() | 1 << 10);
    }
    assertEquals(-1, (int) apic.readMmio(SVR, 4), "no register page in x2APIC mode");
    assertEquals(3, fabric.apic(3).readMsr(0x802));
    assertEquals(1 << 3, fabric.apic(3).readMsr(0x80d));
    apic.writeMsr(0x830, 3L << 32 | 0x4055);
    assertEquals("3", ready());
    assertEquals(0x55, fabric.apic(3).acknowledge());
    assertEquals(1 << 0x15, fabric.apic(3).readMsr(0x812));
    fabric.apic(3).writeMsr(0x80b, 0);
    apic.writeMsr(0x830, 0x6L << 32 | 0x4855); // logical, CPUs 1 and 2 of cluster 0
    assertEquals("12", ready());
    apic.writeMsr(0x830, 0xffff_ffffL << 32 | 0x4056);
    assertEquals("0123", ready());
    assertEquals(0x56, apic.acknowledge());
    apic.writeMsr(0x80b, 0);
    apic.writeMsr(0x83f, 0x77);
    assertEquals(0x77, apic.acknowledge());
    for (int msr : new int[] {0x80e, 0x831, 0x82f, 0x800, 0x8ff, 0x80c}) {
      assertThrows(UnknownMsr.class, () -> apic.readMsr(msr), Integer.toHexString(msr));
    }
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x802, 0));
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x80b, 1));
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x808, 0x100));
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x838, 1L << 32));
  }

  /** Breaks if a forbidden transition of IA32_APIC_BASE goes through (SDM figure 11-27). */
  @Test
  void apicBaseTransitions() throws UnknownMsr {
    assertEquals(0xfee00900L, apic.base());
    assertEquals(0xfee00800L, fabric.apic(1).base());
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x1b, 0xfee00400L));
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x1b, 0xfee00801L));
    apic.writeMsr(0x1b, 0xfee00c00L);
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x1b, 0xfee00800L));
    apic.writeMsr(0x1b, 0xfee00000L);
    assertThrows(UnknownMsr.class, () -> apic.writeMsr(0x1b, 0xfee00c00L));
    apic.writeMsr(0x1b, 0xfee00800L);
    assertEquals(0xfee00900L, apic.base());
    assertEquals(0xff, read(SVR));
  }

  /**
   * Breaks if an interrupt can arrive without the sleeper seeing it: the machine announces that it
   * sleeps, tests hasInterrupt, then parks; the sender raises, then wakes.
   */
  @Test
  void noWakeUpIsLost() throws InterruptedException {
    int rounds = 50_000;
    AtomicInteger taken = new AtomicInteger();
    Thread[] sleeper = new Thread[1];
    ApicFabric pair = new ApicFabric();
    FakeVcpu waking =
        new FakeVcpu() {
          @Override
          public void interruptPending() {
            LockSupport.unpark(sleeper[0]);
          }
        };
    LocalApic target =
        pair.add(waking, () -> 8, new FakeTime(), new GuestTsc(1_000_000_000L, () -> 0));
    target.writeMmio(SVR, 4, 0x1ff);
    sleeper[0] =
        Thread.ofPlatform()
            .daemon()
            .unstarted(
                () -> {
                  for (int i = 0; i < rounds; i++) {
                    while (!target.hasInterrupt()) {
                      LockSupport.park();
                    }
                    if (target.acknowledge() == 0x40) {
                      target.writeMmio(EOI, 4, 0);
                      taken.incrementAndGet();
                    }
                  }
                });
    sleeper[0].start();
    for (int i = 0; i < rounds; i++) {
      pair.deliver(0, false, false, LocalApic.MODE_FIXED, 0x40, false);
      long giveUp = System.nanoTime() + 10_000_000_000L;
      while (taken.get() <= i) {
        assertTrue(System.nanoTime() < giveUp, "lost in round " + i);
        Thread.onSpinWait();
      }
    }
  }

  @Test
  void messagesAreDecoded() {
    assertTrue(fabric.message(0xfee03000L, 0x4041));
    assertEquals("3", ready());
    assertFalse(fabric.message(0xfed03000L, 0x41));
    assertFalse(fabric.message(0xfee09000L, 0x41), "nobody has id 9");
  }
}

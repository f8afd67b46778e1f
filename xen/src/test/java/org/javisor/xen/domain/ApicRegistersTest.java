package org.javisor.xen.domain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.xen.hypervisor.ApicState;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ApicRegistersTest {
  private final Timers timers = new Timers(Clock.host());

  @AfterEach
  void close() {
    timers.close();
  }

  private LocalApic apic() {
    VcpuControl nobody =
        new VcpuControl() {
          @Override
          public void interruptPending() {}

          @Override
          public void nmi() {}

          @Override
          public void unhalt() {}

          @Override
          public void init() {}

          @Override
          public void startup(int vector) {}
        };
    return new ApicFabric()
        .add(nobody, () -> -1, DeviceTimers.of(timers), new GuestTsc(1_000_000_000L, () -> 0));
  }

  @Test
  void whatIsSavedComesBack() throws UnknownMsr {
    LocalApic from = apic();
    from.writeMsr(0x1b, from.base() | 1 << 10 | 1 << 11);
    from.writeMsr(0x80f, 0x1ff);
    from.writeMsr(0x808, 0x20);
    from.writeMsr(0x837, 0xfe);
    from.request(0x51);
    ApicState saved = ApicRegisters.save(from);
    LocalApic to = apic();
    ApicRegisters.load(to, saved);
    ApicState again = ApicRegisters.save(to);
    assertArrayEquals(saved.registers(), again.registers());
    assertEquals(saved.base(), again.base());
    assertEquals(0xfe, to.readMsr(0x837));
    assertEquals(0x51, to.acknowledge());
  }

  /** Breaks if a damaged state makes more than a local APIC in some state. */
  @Test
  void noiseIsTakenWithoutHarm() {
    Random random = new Random(3);
    LocalApic apic = apic();
    for (int i = 0; i < 500; i++) {
      byte[] registers = new byte[ApicState.SIZE];
      random.nextBytes(registers);
      ApicRegisters.load(apic, new ApicState(random.nextLong(), random.nextLong(), registers));
      apic.hasInterrupt();
    }
  }
}

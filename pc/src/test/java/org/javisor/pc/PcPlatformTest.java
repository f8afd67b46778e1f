package org.javisor.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.config.PcConfig;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The board as a whole, driven as a kernel drives it. */
class PcPlatformTest {
  private final FakeTime time = new FakeTime();
  private final List<FakeVcpu> vcpus = List.of(new FakeVcpu(), new FakeVcpu());
  private final StringBuilder console = new StringBuilder();
  private final List<String> actions = new ArrayList<>();
  private PcPlatform pc;
  private GuestBus bus;

  @BeforeEach
  void build() {
    GuestMemory memory = new GuestMemory(new FrameArena(1 << 22));
    memory.mapRam(0, 1 << 20);
    pc =
        new PcPlatform(
            PcConfig.of(2, 1L << 30).withDebugExitPort(0xf4),
            PcPlatform.Environment.of(
                memory,
                time,
                vcpus,
                value -> {
                  console.append((char) value);
                  return true;
                },
                new MachineActions() {
                  @Override
                  public void powerOff() {
                    actions.add("off");
                  }

                  @Override
                  public void reset() {
                    actions.add("reset");
                  }

                  @Override
                  public void debugExit(int code) {
                    actions.add("exit " + code);
                  }
                }));
    bus = pc.bus();
  }

  private void ioApic(int register, int value) {
    bus.writeMmio(0xfec00000L, 4, register);
    bus.writeMmio(0xfec00010L, 4, value);
  }

  /** Breaks if the timer reaches the CPU by neither of the two ways kernels try. */
  @Test
  void timerInterruptThroughThePicAndTheIoApic() {
    bus.writePort(0x20, 1, 0x11);
    bus.writePort(0x21, 1, 0x30);
    bus.writePort(0x21, 1, 4);
    bus.writePort(0x21, 1, 1);
    bus.writePort(0x21, 1, 0xfe);
    bus.writePort(0x43, 1, 0x34);
    bus.writePort(0x40, 1, 0x9c);
    bus.writePort(0x40, 1, 0x2e);
    time.advance(10_100_000);
    assertTrue(pc.platform(0).hasInterrupt());
    assertEquals(0x30, pc.platform(0).acknowledgeInterrupt());
    assertFalse(pc.platform(1).hasInterrupt());
    bus.writePort(0x20, 1, 0x20);
    bus.writePort(0x21, 1, 0xff);

    bus.writeMmio(0xfee000f0L, 4, 0x1ff);
    ioApic(0x15, 0);
    ioApic(0x14, 0x30);
    time.advance(10_100_000);
    assertEquals(0x30, pc.platform(0).acknowledgeInterrupt());
    assertTrue(vcpus.get(0).wakeups > 0);
  }

  /** Breaks if legacy replacement leaves both timers on the wire. */
  @Test
  void hpetReplacesTheTimer() {
    bus.writePort(0x43, 1, 0x34);
    bus.writePort(0x40, 1, 0);
    bus.writePort(0x40, 1, 4);
    bus.writeMmio(0xfed00010L, 4, 3);
    bus.writeMmio(0xfee000f0L, 4, 0x1ff);
    ioApic(0x15, 0);
    ioApic(0x14, 0x30);
    time.advance(1_000_000_000);
    assertFalse(pc.platform(0).hasInterrupt());
    bus.writeMmio(0xfed00100L, 4, 0x104);
    bus.writeMmio(0xfed00108L, 4, (int) bus.readMmio(0xfed000f0L, 4) + 1000);
    time.advance(10_000);
    assertEquals(0x30, pc.platform(0).acknowledgeInterrupt());
  }

  /** Breaks if CPUs on different threads see the same local APIC. */
  @Test
  void everyThreadSeesItsOwnApic() throws InterruptedException {
    pc.enter(0);
    long[] seen = new long[1];
    Thread other =
        Thread.ofPlatform()
            .start(
                () -> {
                  pc.enter(1);
                  seen[0] = bus.readMmio(0xfee00020L, 4);
                });
    other.join();
    assertEquals(0, bus.readMmio(0xfee00020L, 4));
    assertEquals(1L << 24, seen[0]);
    assertEquals(1L << 24, pc.platform(1).readApic(0x20, 4));
  }

  /** Breaks if the power button, level triggered on interrupt 9, is not seen as the MADT says. */
  @Test
  void powerButton() throws UnknownMsr {
    pc.platform(0).writeMsr(0x1b, 0xfee00c00L);
    pc.platform(0).writeMsr(0x80f, 0x1ff);
    ioApic(0x10 + 19, 0);
    ioApic(0x10 + 18, 0x8040);
    bus.writePort(0x602, 2, 0x100);
    pc.pressPowerButton();
    assertEquals(0x40, pc.platform(0).acknowledgeInterrupt());
    bus.writePort(0x600, 2, 0x100);
    pc.platform(0).writeMsr(0x80b, 0);
    assertFalse(pc.platform(0).hasInterrupt());
    bus.writePort(0x604, 2, 0x2000);
    assertEquals(List.of("off"), actions);
  }

  @Test
  void waysToResetAndExit() {
    bus.writePort(0x64, 1, 0xfe);
    bus.writePort(0xcf9, 1, 6);
    bus.writePort(0x92, 1, 3);
    bus.writePort(0xf4, 4, 0x10);
    assertEquals(List.of("reset", "reset", "reset", "exit 33"), actions);
    pc.reset();
  }

  @Test
  void consoleAndChips() {
    bus.writePort(0x3f8, 1, 'A');
    assertEquals("A", console.toString());
    assertEquals(0xe9, bus.readPort(0xe9, 1));
    bus.writePort(0xcf8, 4, 0x8000_0000);
    assertEquals(0x12378086, bus.readPort(0xcfc, 4));
    bus.writePort(0xcf8, 4, 0x8000_0800);
    assertEquals(0x70008086, bus.readPort(0xcfc, 4));
    bus.writePort(0xcf8, 4, 0x8000_080c);
    assertEquals(0x80, bus.readPort(0xcfe, 1), "several functions");
    bus.writePort(0xcf8, 4, 0x8000_0b00);
    assertEquals(0x71138086, bus.readPort(0xcfc, 4));
    bus.writePort(0xcf8, 4, 0x8000_0b40);
    bus.writePort(0xcfc, 4, 0xb001);
    assertEquals(0xffff, bus.readPort(0x604, 2));
    assertEquals(1, bus.readPort(0xb004, 2), "firmware moved the power registers");
    pc.reset();
    assertEquals(1, bus.readPort(0x604, 2));
  }

  /** Breaks if any port, at any size, with any value, throws or hangs. */
  @Test
  void everyPortTakesEverything() {
    for (int port = 0; port < 0x10000; port++) {
      for (int size = 1; size <= 4; size *= 2) {
        bus.writePort(port, size, 0xa5a5_5a5a);
        bus.readPort(port, size);
        bus.writePort(port, size, -1);
        bus.writePort(port, size, 0);
      }
    }
    for (long base : new long[] {0xfec00000L, 0xfed00000L, 0xfee00000L}) {
      for (long gpa = base - 8; gpa < base + 0x1008; gpa++) {
        for (int size = 1; size <= 8; size *= 2) {
          bus.writeMmio(gpa, size, 0xa5a5_5a5a_1234_5678L);
          bus.readMmio(gpa, size);
          bus.writeMmio(gpa, size, -1);
          bus.writeMmio(gpa, size, 0);
        }
      }
    }
    time.advance(1_000_000_000);
    pc.reset();
    pc.interruptReport();
  }
}

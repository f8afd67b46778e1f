package org.javisor.xen.domain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.MachineActions;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.time.DeviceTimers;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What SeaBIOS relies on when it finds itself on Xen. */
class HvmFirmwareTest {
  private static final int PLATFORM = 1 << 31 | 2 << 11;
  private static final int COMMAND = 4;
  private static final int FIRST_BAR = 0x10;

  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 22));
  private Timers timers;
  private PcPlatform pc;

  @BeforeEach
  void build() {
    memory.mapRam(0, 1 << 20);
    timers = new Timers(Clock.host());
    VcpuControl vcpu =
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
    pc =
        new PcPlatform(
            PcConfig.of(1, 1L << 28),
            PcPlatform.Environment.of(
                memory, DeviceTimers.of(timers), List.of(vcpu), CharacterBackend.NONE,
                new MachineActions() {
                  @Override
                  public void powerOff() {}

                  @Override
                  public void reset() {}
                }));
  }

  @AfterEach
  void close() {
    timers.close();
  }

  @Test
  void theInformationHasItsSignatureAndSumsUpToZero() {
    byte[] image = new byte[8192];
    image[image.length - 16] = (byte) 0xea;
    List<E820Entry> e820 = List.of(new E820Entry(0, 0x9_fc00, E820Entry.RAM));
    HvmFirmware.place(memory, image, e820, 0xfff_0000L);
    byte[] info = new byte[32];
    memory.read(0x1000, info, 0, info.length);
    int sum = 0;
    for (byte b : info) {
      sum += b;
    }
    assertEquals(0, sum & 0xff);
    assertEquals("XenHVMSeaBIOS",
        new String(info, 0, 13, java.nio.charset.StandardCharsets.US_ASCII));
    assertEquals(0xfff_0000, memory.read32(memory.read32(0x1010)));
    assertEquals(1, memory.read32(0x1014));
    assertEquals(0x9_fc00, memory.read64(memory.read32(0x1018) + 8));
    assertEquals(1, memory.read32(0x101c));
    // The reset vector is where the vCPU begins.
    assertEquals(0xea, memory.read8(0xf_fff0));
  }

  private int config(int function, int register) {
    pc.bus().writePort(0xcf8, 4, function | register);
    return pc.bus().readPort(0xcfc, 4);
  }

  @Test
  void functionsHaveAddressesThatDoNotOverlap() {
    pc.pci().attach(2, 0, new PlatformDevice());
    pc.pci().attach(3, 0, new PlatformDevice());
    HvmFirmware.configure(pc, false);
    List<Integer> ports = new ArrayList<>();
    List<Integer> windows = new ArrayList<>();
    for (int function : new int[] {PLATFORM, PLATFORM + (1 << 11)}) {
      assertEquals(3, config(function, COMMAND) & 3);
      assertEquals(1, config(function, FIRST_BAR) & 3);
      ports.add(config(function, FIRST_BAR) & ~3);
      windows.add(config(function, FIRST_BAR + 4) & ~15);
      assertTrue((config(function, 0x3c) & 0xff) != 0, "an interrupt line");
    }
    assertEquals(List.of(0xc000, 0xc100), ports);
    assertEquals(1 << 24, windows.get(1) - windows.get(0));
    assertEquals(0, windows.get(0) & (1 << 24) - 1);
  }

  @Test
  void imagesOfOtherSizesAreRefused() {
    assertTrue(HvmFirmware.fits(256 << 10));
    assertFalse(HvmFirmware.fits(0));
    assertFalse(HvmFirmware.fits(1000));
    assertFalse(HvmFirmware.fits(512 << 10));
  }
}

package org.javisor.pc.firmware;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.pci.PciBus;
import org.junit.jupiter.api.Test;

/** Breaks if firmware is not where the CPU starts, or if shadow RAM is switched wrongly. */
class FirmwareRomTest {
  private static final long FOUR_GIB = 1L << 32;
  private static final int ROM = 256 << 10;

  private final GuestMemory memory = new GuestMemory(new FrameArena((4 << 20) + ROM));
  private final Bus bus = new Bus();

  private FirmwareRom rom(int size) {
    memory.mapRam(0, 4 << 20);
    memory.write8(0xf_1234, 0x11);
    memory.write8(0xc_0000, 0x22);
    byte[] image = new byte[size];
    Arrays.fill(image, (byte) 0x90);
    image[size - 16] = (byte) 0xea;
    FirmwareRom rom = new FirmwareRom(memory, image);
    rom.install(bus);
    return rom;
  }

  @Test
  void theImageEndsAtFourGibibytesAndAtOne() {
    rom(ROM);
    assertEquals(0xea, memory.read8(FOUR_GIB - 16));
    assertEquals(0xea, memory.read8(0xf_fff0));
    assertEquals(0x90, memory.read8(FOUR_GIB - ROM));
    assertEquals(0x90, memory.read8(0xe_0000));
    assertFalse(memory.writable(0xf_fff0));
    assertEquals(-1, memory.frame(0xc_0000), "nothing is there without shadow RAM");
    assertEquals(-1, memory.frame(0xb_8000), "no display");
    assertTrue(memory.writable(0x9_f000));
  }

  @Test
  void aSmallImageLeavesTheRestEmpty() {
    rom(8 << 10);
    assertEquals(0xea, memory.read8(0xf_fff0));
    assertEquals(0x90, memory.read8(0xf_e000));
    assertEquals(-1, memory.frame(0xf_d000));
  }

  @Test
  void shadowRamIsSwitchedForReadsAndWritesApart() {
    FirmwareRom rom = rom(ROM);
    rom.set(0xf_0000, 0x1_0000, true, true);
    assertEquals(0x11, memory.read8(0xf_1234), "the RAM beneath has kept its contents");
    memory.write8(0xf_1234, 0x33);
    rom.set(0xf_0000, 0x1_0000, true, false);
    assertEquals(0x33, memory.read8(0xf_1234));
    assertFalse(memory.writable(0xf_1234));
    bus.writeMmio(0xf_1234, 1, 0x44);
    assertEquals(0x33, memory.read8(0xf_1234));
    rom.set(0xf_0000, 0x1_0000, false, false);
    assertEquals(0x90, memory.read8(0xf_1234));
    bus.writeMmio(0xf_1234, 1, 0x44);
    rom.set(0xf_0000, 0x1_0000, true, true);
    assertEquals(0x33, memory.read8(0xf_1234));
  }

  @Test
  void writesGoToRamWhileReadsComeFromTheRom() {
    FirmwareRom rom = rom(ROM);
    rom.set(0xf_0000, 0x1_0000, false, true);
    bus.writeMmio(0xf_1234, 4, 0x8877_6655L);
    assertEquals(0x90, memory.read8(0xf_1234));
    rom.set(0xf_0000, 0x1_0000, true, true);
    assertEquals(0x8877_6655, memory.read32(0xf_1234));
  }

  @Test
  void theHostBridgeControlsIt() {
    FirmwareRom rom = rom(ROM);
    PciBus pci = new PciBus(bus, (slot, pin) -> IrqLine.NONE, (address, data) -> {});
    pci.attach(0, 0, new HostBridge440Fx(rom));
    bus.claimPorts(0xcf8, 8, pci);
    bus.writePort(0xcf8, 4, 0x8000_0058);
    bus.writePort(0xcfd, 1, 0x30); // 0xf0000: reads and writes to RAM
    bus.writePort(0xcfe, 1, 0x03); // 0xc0000: the same
    assertEquals(0x11, memory.read8(0xf_1234));
    assertEquals(0x22, memory.read8(0xc_0000));
    assertEquals(-1, memory.frame(0xc_4000));
    pci.reset();
    assertEquals(0x90, memory.read8(0xf_1234));
    assertEquals(-1, memory.frame(0xc_0000));
  }

  @Test
  void imagesThatNoRomCanHoldAreRefused() {
    memory.mapRam(0, 4 << 20);
    assertFalse(FirmwareRom.fits(0));
    assertFalse(FirmwareRom.fits(4095));
    assertFalse(FirmwareRom.fits((16 << 20) + 4096));
    assertThrows(IllegalArgumentException.class, () -> new FirmwareRom(memory, new byte[100]));
  }
}

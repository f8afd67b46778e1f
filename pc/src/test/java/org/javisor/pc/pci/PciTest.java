package org.javisor.pc.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;
import org.junit.jupiter.api.Test;

class PciTest {
  private final Bus bus = new Bus();
  private final RecordingLine intx = new RecordingLine();
  private final List<String> messages = new ArrayList<>();
  private final PciBus pci =
      new PciBus(
          bus,
          (slot, pin) -> intx,
          (address, data) -> messages.add("%x=%x".formatted(address, data)));
  private final Card card = new Card();

  PciTest() {
    bus.claimPorts(0xcf8, 8, pci);
    pci.attach(3, 0, card);
  }

  private static final class Card extends PciDevice implements MmioDevice, PortDevice {
    final Msi msi;
    final Msix msix;

    Card() {
      super(new Identity(0x1af4, 0x1041, 1, 0x020000, 0x1af4, 0x1100));
      useInterruptPin(1);
      addPortBar(0, 32, this);
      addMemoryBar(1, 4096, false, false, this);
      addMemoryBar(2, 1 << 20, true, true, this);
      msi = new Msi(this, 4);
      msix = new Msix(this, 4, 3);
    }

    @Override
    protected void configChanged(int offset, int size) {
      if (msi != null) {
        msi.configChanged(offset, size);
        msix.configChanged(offset, size);
      }
    }

    @Override
    public void reset() {
      super.reset();
      msi.reset();
      msix.reset();
    }

    void interrupt(boolean asserted) {
      setIntx(asserted);
    }

    @Override
    public int read(int offset, int size) {
      return 0x70 + offset;
    }

    @Override
    public void write(int offset, int size, int value) {}

    @Override
    public long read(long offset, int size) {
      return 0x8000 + offset;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  private void select(int offset) {
    bus.writePort(0xcf8, 4, 0x8000_1800 | offset & 0xfc);
  }

  private int read(int offset, int size) {
    select(offset);
    return bus.readPort(0xcfc + (offset & 3), size);
  }

  private void write(int offset, int size, int value) {
    select(offset);
    bus.writePort(0xcfc + (offset & 3), size, value);
  }

  @Test
  void identity() {
    assertEquals(0x10411af4, read(0, 4));
    assertEquals(0x1041, read(2, 2));
    assertEquals(0x02, read(0x0b, 1));
    assertEquals(0x11001af4, read(0x2c, 4));
    write(0, 4, 0);
    assertEquals(0x10411af4, read(0, 4), "read only");
    bus.writePort(0xcf8, 4, 0x8000_2000);
    assertEquals(-1, bus.readPort(0xcfc, 4), "an empty slot");
    bus.writePort(0xcf8, 4, 0x8001_1800);
    assertEquals(-1, bus.readPort(0xcfc, 4), "another bus");
    bus.writePort(0xcf8, 4, 0x1800);
    assertEquals(-1, bus.readPort(0xcfc, 4), "not enabled");
  }

  /** Breaks if a kernel sizes a range wrongly and lays two devices over each other. */
  @Test
  void sizing() {
    for (int i = 0; i < 6; i++) {
      write(0x10 + 4 * i, 4, -1);
    }
    assertEquals(0xffff_ffe1, read(0x10, 4));
    assertEquals(0xffff_f000, read(0x14, 4));
    assertEquals(0xfff0_000c, read(0x18, 4));
    assertEquals(0xffff_ffff, read(0x1c, 4));
    assertEquals(0xffff_f000, read(0x20, 4));
    assertEquals(0, read(0x24, 4));
    write(0x30, 4, -1);
    assertEquals(0, read(0x30, 4), "no ROM");
  }

  /** Breaks if a device answers before it is enabled, at the old place, or over the firmware. */
  @Test
  void mappingFollowsBaseAndCommand() {
    write(0x10, 4, 0xc001);
    write(0x14, 4, 0xe000_0000);
    write(0x18, 4, 0x0010_000c);
    write(0x1c, 4, 0x12);
    assertEquals(0xff, bus.readPort(0xc000, 1));
    write(4, 2, 3);
    assertEquals(0x75, bus.readPort(0xc005, 1));
    assertEquals(0x8004, bus.readMmio(0xe000_0004L, 4));
    assertEquals(0x8008, bus.readMmio(0x12_0010_0008L, 4));
    write(0x14, 4, 0xe100_0000);
    assertEquals(0xffff_ffffL, bus.readMmio(0xe000_0004L, 4));
    assertEquals(0x8004, bus.readMmio(0xe100_0004L, 4));
    write(0x14, 4, -1);
    assertEquals(0xffff_ffffL, bus.readMmio(0xffff_f000L, 4), "sizing with decoding on");
    write(0x14, 4, 0xe100_0000);
    write(4, 2, 0);
    assertEquals(0xffff_ffffL, bus.readMmio(0xe100_0004L, 4));
    write(4, 2, 3);
    pci.reset();
    assertEquals(0xff, bus.readPort(0xc005, 1));
    assertEquals(1, read(0x10, 4));
  }

  @Test
  void pinInterrupts() {
    card.interrupt(true);
    assertTrue(intx.level);
    assertEquals(8, read(6, 2) & 8);
    write(4, 2, 0x400);
    assertFalse(intx.level, "disabled in the command register");
    assertEquals(8, read(6, 2) & 8);
    write(4, 2, 0);
    assertTrue(intx.level);
    card.interrupt(false);
    assertFalse(intx.level);
  }

  private int capability(int id) {
    int at = read(0x34, 1);
    while (at != 0 && read(at, 1) != id) {
      at = read(at + 1, 1);
    }
    return at;
  }

  @Test
  void msi() {
    assertEquals(0x10, read(6, 2) & 0x10);
    int at = capability(5);
    assertEquals(0x184, read(at + 2, 2), "64 bits, maskable, four messages");
    write(at + 4, 4, 0xfee0_1000);
    write(at + 12, 2, 0x41);
    card.msi.raise(0);
    assertEquals(List.of(), messages);
    write(at + 2, 2, 0x21); // enable, four granted
    card.msi.raise(2);
    assertEquals(List.of(), messages, "not without bus mastering");
    write(4, 2, 4);
    card.msi.raise(2);
    assertEquals(List.of("fee01000=42"), messages);
    write(at + 16, 4, 8);
    card.msi.raise(3);
    assertEquals(8, read(at + 20, 4));
    write(at + 16, 4, 0);
    assertEquals(List.of("fee01000=42", "fee01000=43"), messages);
    assertEquals(0, read(at + 20, 4));
  }

  @Test
  void msix() {
    int at = capability(0x11);
    assertEquals(2, read(at + 2, 2));
    assertEquals(4, read(at + 4, 4));
    assertEquals(0x804, read(at + 8, 4));
    write(0x20, 4, 0xe200_0000);
    write(4, 2, 6);
    long table = 0xe200_0000L;
    assertEquals(1, bus.readMmio(table + 12, 4), "masked at first");
    bus.writeMmio(table + 16, 8, 0xfee0_3000L);
    bus.writeMmio(table + 24, 4, 0x55);
    write(at + 2, 2, 0x8000);
    card.msix.raise(1);
    assertEquals(2, bus.readMmio(table + 0x800, 8));
    bus.writeMmio(table + 28, 4, 0);
    assertEquals(List.of("fee03000=55"), messages);
    assertEquals(0, bus.readMmio(table + 0x800, 8));
    write(at + 2, 2, 0xc000);
    card.msix.raise(1);
    assertEquals(1, messages.size());
    write(at + 2, 2, 0x8000);
    assertEquals(2, messages.size());
    card.msix.raise(7);
    card.msix.raise(-1);
    for (int offset = 0; offset <= 0xff8; offset += 4) {
      bus.readMmio(table + offset, 8);
      bus.writeMmio(table + offset, 8, -1);
      bus.writeMmio(table + offset, 4, -1);
    }
  }

  /** Breaks if a byte or word at any offset fails or reaches outside the register. */
  @Test
  void hostileConfigurationAccesses() {
    for (int offset = 0; offset < 256; offset++) {
      for (int size : new int[] {1, 2, 4}) {
        read(offset, size);
        write(offset, size, -1);
        write(offset, size, 0x5555_5555);
      }
    }
  }

  @Test
  void shadowRamFollowsThePamRegisters() {
    List<String> log = new ArrayList<>();
    HostBridge440Fx bridge =
        new HostBridge440Fx(
            (gpa, size, r, w) -> log.add("%x+%x %b %b".formatted(gpa, size, r, w)));
    bridge.writeConfig(0x59, 1, 0x30);
    bridge.writeConfig(0x5f, 1, 0x12);
    assertEquals(
        List.of("f0000+10000 true true", "e8000+4000 false true", "ec000+4000 true false"), log);
  }

  @Test
  void isaBridgeRoutesWires() {
    RecordingLine[] isa = new RecordingLine[16];
    IsaBridgePiix3 bridge =
        new IsaBridgePiix3(
            irq -> {
              RecordingLine line = new RecordingLine();
              return level -> {
                line.set(level);
                isa[irq] = line;
              };
            });
    IrqLine wire = bridge.wire(0);
    wire.set(true);
    assertTrue(isa[10].level);
    bridge.writeConfig(0x60, 1, 5);
    assertFalse(isa[10].level);
    assertTrue(isa[5].level);
    bridge.writeConfig(0x60, 1, 0x80);
    assertFalse(isa[5].level);
    bridge.writeConfig(0x60, 1, 2);
    bridge.writeConfig(0x60, 1, 0x0a);
    assertTrue(isa[10].level);
  }
}

package org.javisor.pc.bus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.pc.RecordingLine;
import org.junit.jupiter.api.Test;

class BusTest {
  private final Bus bus = new Bus();
  private final List<String> log = new ArrayList<>();

  private PortDevice ports(int answer) {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        log.add("r" + offset + "/" + size);
        return answer;
      }

      @Override
      public void write(int offset, int size, int value) {
        log.add("w%d/%d=%x".formatted(offset, size, value));
      }
    };
  }

  private static MmioDevice memory(long answer) {
    return new MmioDevice() {
      @Override
      public long read(long offset, int size) {
        return answer + offset;
      }

      @Override
      public void write(long offset, int size, long value) {}
    };
  }

  /** Breaks if absolute addresses or bits beyond the access leak through. */
  @Test
  void devicesSeeOffsetsAndAnswersAreCutToSize() {
    bus.claimPorts(0x3f8, 8, ports(0x1234_5678));
    assertEquals(0x78, bus.readPort(0x3f9, 1));
    assertEquals(0x5678, bus.readPort(0x3fa, 2));
    bus.writePort(0x3fb, 1, 0xabcd);
    assertEquals(List.of("r1/1", "r2/2", "w3/1=cd"), log);
  }

  /** Breaks if nobody's ports read as zero, or a wide access stops at the first byte. */
  @Test
  void nobodyAnswersAllOnes() {
    assertEquals(0xff, bus.readPort(0x1000, 1));
    assertEquals(0xffff, bus.readPort(0x1000, 2));
    assertEquals(-1, bus.readPort(0x1000, 4));
    assertEquals(0xffff_ffffL, bus.readMmio(0xd000_0000L, 4));
    assertEquals(-1L, bus.readMmio(0xd000_0000L, 8));
    bus.writePort(0xffff, 4, 0);
    bus.writeMmio(1L << 60, 8, 0);
  }

  /** Breaks if an access over a range's end reaches the device whole. */
  @Test
  void anAccessOverTheEndIsSplit() {
    bus.claimPorts(0x10, 1, ports(0x5a));
    assertEquals(0xff5a, bus.readPort(0x10, 2));
    assertEquals(0xffffff5a, bus.readPort(0x10, 4));
    bus.claimMmio(0x1000, 0x10, memory(0x40));
    assertEquals(0xff4f, bus.readMmio(0x100f, 2));
  }

  /** Breaks if a moved device stays where it was, or hides an older one for ever. */
  @Test
  void theOlderClaimWinsAndReleaseUncoversTheYounger() {
    Bus.Claim first = bus.claimMmio(0x2000, 0x1000, memory(0));
    Bus.Claim second = bus.claimMmio(0x1800, 0x1000, memory(0x100_0000));
    assertEquals(0x100_0000, bus.readMmio(0x1800, 4));
    assertEquals(0, bus.readMmio(0x2000, 4));
    first.release();
    assertEquals(0x100_0800, bus.readMmio(0x2000, 4));
    assertEquals(0xffff_ffffL, bus.readMmio(0x2800, 4));
    second.release();
    second.release();
    assertEquals(0xffff_ffffL, bus.readMmio(0x1800, 4));
    Bus.Claim port = bus.claimPorts(0x80, 4, ports(1));
    bus.claimPorts(0x80, 1, ports(2));
    assertEquals(1, bus.readPort(0x80, 1));
    port.release();
    assertEquals(2, bus.readPort(0x80, 1));
    assertEquals(0xff, bus.readPort(0x81, 1));
  }

  @Test
  void rangesOutsideTheSpacesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> bus.claimPorts(0xffff, 2, ports(0)));
    assertThrows(IllegalArgumentException.class, () -> bus.claimMmio(-1, 2, memory(0)));
  }

  /** Breaks if one device releasing a shared wire cuts off another that still asserts it. */
  @Test
  void aSharedLineIsAssertedWhileAnyoneAssertsIt() {
    RecordingLine end = new RecordingLine();
    SharedLine shared = new SharedLine(end);
    IrqLine a = shared.source();
    IrqLine b = shared.source();
    a.set(true);
    a.set(true);
    b.set(true);
    a.set(false);
    assertTrue(end.level);
    b.set(false);
    assertFalse(end.level);
    assertEquals(1, end.edges);
  }

  /** Breaks if the driver that is not selected still moves the wire. */
  @Test
  void aSwitchedLineFollowsTheSelectedDriver() {
    RecordingLine end = new RecordingLine();
    SwitchedLine line = new SwitchedLine(end);
    line.second().set(true);
    assertFalse(end.level);
    line.select(true);
    assertTrue(end.level);
    line.first().set(true);
    line.second().set(false);
    assertFalse(end.level);
  }
}

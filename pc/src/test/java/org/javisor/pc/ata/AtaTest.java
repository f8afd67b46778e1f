package org.javisor.pc.ata;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.pci.PciBus;
import org.javisor.storage.block.BlockException;
import org.junit.jupiter.api.Test;

/** Disks and CD-ROM drives, register by register, as a driver meets them. */
class AtaTest {
  private static final int BASE = 0x1f0;
  private static final int CONTROL = 0x3f6;
  private static final int DMA = 0xc000;
  private static final int TABLE = 0x1000;

  private static final int BSY = 0x80;
  private static final int DRDY = 0x40;
  private static final int DSC = 0x10;
  private static final int DRQ = 0x08;
  private static final int ERR = 0x01;
  private static final int READY = DRDY | DSC;

  private final GuestMemory memory = new GuestMemory(new FrameArena(4 << 20));
  private final Bus bus = new Bus();
  private final RecordingLine irq = new RecordingLine();
  private final FakeDisk disk = new FakeDisk(8192);
  private final FakeDisk disc = new FakeDisk(4096);
  private final PiixIde ide;
  private final PciBus pci = new PciBus(bus, (slot, pin) -> IrqLine.NONE, (a, d) -> {});

  AtaTest() {
    memory.mapRam(0, 4 << 20);
    bus.claimPorts(0xcf8, 8, pci);
    ide = new PiixIde(memory, bus, n -> n == 14 ? irq : IrqLine.NONE);
    ide.attachDisk(0, disk, Optional.of("SN-7"));
    ide.attachCdrom(1, disc, Optional.empty());
    pci.attach(1, 1, ide);
    config(0x20, 4, DMA);
    config(0x04, 2, 5);
  }

  private void config(int register, int size, int value) {
    bus.writePort(0xcf8, 4, 0x8000_0900 | register & 0xfc);
    bus.writePort(0xcfc + (register & 3), size, value);
  }

  private int status() {
    return bus.readPort(CONTROL, 1);
  }

  private int in(int register) {
    return bus.readPort(BASE + register, 1);
  }

  private void out(int register, int value) {
    bus.writePort(BASE + register, 1, value);
  }

  private void lba28(int command, int lba, int count) {
    out(6, 0xe0 | lba >> 24);
    out(2, count);
    out(3, lba);
    out(4, lba >> 8);
    out(5, lba >> 16);
    out(7, command);
  }

  private void lba48(int command, long lba, int count) {
    out(6, 0x40);
    out(2, count >> 8);
    out(2, count);
    for (int i = 0; i < 3; i++) {
      out(3 + i, (int) (lba >> 24 + 8 * i));
      out(3 + i, (int) (lba >> 8 * i));
    }
    out(7, command);
  }

  private byte[] take(int bytes) {
    byte[] data = new byte[bytes];
    for (int i = 0; i < bytes; i += 2) {
      int word = bus.readPort(BASE, 2);
      data[i] = (byte) word;
      data[i + 1] = (byte) (word >> 8);
    }
    return data;
  }

  private void give(byte[] data) {
    for (int i = 0; i < data.length; i += 2) {
      bus.writePort(BASE, 2, data[i] & 0xff | (data[i + 1] & 0xff) << 8);
    }
  }

  private byte[] onDisk(int lba, int sectors) {
    return Arrays.copyOfRange(disk.content, lba * 512, (lba + sectors) * 512);
  }

  /** Builds the table of regions: address and length in turn. */
  private void table(int... regions) {
    for (int i = 0; i < regions.length; i += 2) {
      memory.write32(TABLE + 4 * i, regions[i]);
      boolean last = i + 2 == regions.length;
      memory.write32(TABLE + 4 * i + 4, regions[i + 1] & 0xffff | (last ? 1 << 31 : 0));
    }
    bus.writePort(DMA + 4, 4, TABLE);
  }

  private byte[] inMemory(int at, int length) {
    byte[] bytes = new byte[length];
    memory.read(at, bytes, 0, length);
    return bytes;
  }

  private static byte[] pattern(int length, int seed) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 7 + seed + i / 512);
    }
    return bytes;
  }

  // ---- Disks ------------------------------------------------------------------------------

  @Test
  void aDiskThatWasTakenAwayAnswersNoMore() {
    ide.detachDisks(1);
    out(6, 0xa0);
    assertEquals(READY, status());
    ide.detachDisks(0);
    assertEquals(0, status());
    lba28(0x20, 0, 1);
    assertEquals(0, status());
    assertEquals(0xffff, bus.readPort(BASE, 2));
  }

  @Test
  void resetShowsWhatIsThere() {
    bus.writePort(CONTROL, 1, 4);
    bus.writePort(CONTROL, 1, 0);
    out(6, 0xa0);
    assertEquals(READY, status());
    assertEquals(1, in(1));
    assertEquals(0x0000, in(5) << 8 | in(4), "a disk");
    out(6, 0xb0);
    assertEquals(0xeb14, in(5) << 8 | in(4), "a packet device");
    assertEquals(0, status());
    assertEquals(0, bus.readPort(0x177, 1), "nobody on the second channel");
  }

  /** Breaks if a drive that was reset in a block of data gives what was left of it. */
  @Test
  void aPacketDeviceResetEndsTheBlock() {
    out(6, 0xb0);
    out(7, 0xa1);
    take(100);
    out(7, 0x08);
    assertEquals(0, status());
    assertEquals(0xffff, bus.readPort(BASE, 2));
  }

  @Test
  void identification() {
    out(6, 0xa0);
    out(7, 0xec);
    assertEquals(READY | DRQ, status());
    assertTrue(irq.level);
    in(7);
    assertFalse(irq.level, "the status register says that the interrupt was seen");
    byte[] id = take(512);
    assertEquals(READY, status());
    assertEquals(8192, id[120] & 0xff | (id[121] & 0xff) << 8);
    assertEquals(8192, id[200] & 0xff | (id[201] & 0xff) << 8);
    assertEquals("NS7-", new String(id, 20, 4, java.nio.charset.StandardCharsets.US_ASCII));
    assertEquals(0x74, id[167], "48-bit addresses and both flushes");
    assertEquals(1, id[338], "TRIM");
  }

  @Test
  void readsSectorBySector() {
    lba28(0x20, 5, 2);
    assertEquals(READY | DRQ, status());
    assertEquals(1, irq.edges);
    in(7);
    assertArrayEquals(onDisk(5, 1), take(512));
    assertEquals(2, irq.edges, "one interrupt a block");
    assertArrayEquals(onDisk(6, 1), take(512));
    assertEquals(READY, status());
    assertEquals(2, irq.edges);
    assertEquals(List.of("read 5+2"), disk.log, "the disk is asked once");
  }

  @Test
  void readsInMultiplesAndByWideAddresses() {
    out(2, 8);
    out(6, 0xe0);
    out(7, 0xc6);
    in(7);
    irq.edges = 0;
    lba48(0x29, 100, 12);
    assertArrayEquals(onDisk(100, 8), take(4096));
    in(7);
    assertArrayEquals(onDisk(108, 4), take(2048));
    assertEquals(1, irq.edges, "the first block's, whose status was not read before the second");
    assertEquals(READY, status());
  }

  @Test
  void cylindersHeadsAndSectors() {
    out(6, 0xa0 | 3);
    out(2, 1);
    out(3, 7);
    out(4, 1);
    out(5, 0);
    out(7, 0x20);
    assertArrayEquals(onDisk((1 * 16 + 3) * 63 + 6, 1), take(512));
    out(6, 0xa0);
    out(3, 0);
    out(7, 0x20);
    assertEquals(READY | ERR, in(7), "there is no sector 0");
    assertEquals(0x10, in(1));
  }

  @Test
  void writes() {
    byte[] data = pattern(1024, 3);
    lba28(0x30, 9, 2);
    assertEquals(READY | DRQ, status());
    assertFalse(irq.level, "the first block comes without an interrupt");
    give(Arrays.copyOf(data, 512));
    assertTrue(irq.level);
    in(7);
    give(Arrays.copyOfRange(data, 512, 1024));
    assertEquals(READY, status());
    assertArrayEquals(data, onDisk(9, 2));
    assertEquals(List.of("write 9+2"), disk.log);
  }

  @Test
  void longDataWords() {
    lba28(0x20, 5, 1);
    for (int i = 0; i < 128; i++) {
      int expected =
          java.nio.ByteBuffer.wrap(disk.content, 5 * 512 + 4 * i, 4)
              .order(java.nio.ByteOrder.LITTLE_ENDIAN)
              .getInt();
      assertEquals(expected, bus.readPort(BASE, 4));
    }
    assertEquals(READY, status());
  }

  @Test
  void readsByDma() {
    disk.atOnce = false;
    table(0x2000, 0x600, 0x10_0002, 0xa00);
    lba48(0x25, 40, 8);
    assertEquals(READY | DRQ, status());
    bus.writePort(DMA, 1, 9);
    assertEquals(BSY, status());
    assertEquals(1, bus.readPort(DMA + 2, 1) & 7, "active");
    disk.finish();
    assertEquals(READY, status());
    assertEquals(4, bus.readPort(DMA + 2, 1) & 7, "interrupt, and no longer active");
    assertTrue(irq.level);
    byte[] expected = onDisk(40, 8);
    assertArrayEquals(Arrays.copyOf(expected, 0x600), inMemory(0x2000, 0x600));
    assertArrayEquals(
        Arrays.copyOfRange(expected, 0x600, 0x1000), inMemory(0x10_0002, 0xa00));
    bus.writePort(DMA, 1, 0);
    bus.writePort(DMA + 2, 1, 4);
    assertEquals(0, bus.readPort(DMA + 2, 1) & 7);
  }

  @Test
  void writesByDmaAndWithoutCacheFlushes() {
    byte[] data = pattern(2048, 5);
    memory.write(0x8000, data);
    table(0x8000, 2048);
    bus.writePort(DMA, 1, 1);
    lba28(0xca, 70, 4);
    assertEquals(READY, status());
    assertArrayEquals(data, onDisk(70, 4));
    assertEquals(List.of("write 70+4"), disk.log);
    out(1, 0x82);
    out(7, 0xef);
    bus.writePort(DMA, 1, 0);
    disk.log.clear();
    lba28(0xca, 71, 4);
    bus.writePort(DMA, 1, 1);
    assertEquals(List.of("write 71+4", "flush"), disk.log);
    assertEquals(READY, status());
  }

  @Test
  void aTransferLargerThanTheBufferIsCut() {
    int regions = 40;
    int[] list = new int[2 * regions];
    for (int i = 0; i < regions; i++) {
      list[2 * i] = 0x10_0000 + i * 0x1_0000;
      list[2 * i + 1] = 0x1_0000;
    }
    table(list);
    bus.writePort(DMA, 1, 9);
    lba48(0x25, 0, 5120);
    assertEquals(READY, status());
    assertEquals(List.of("read 0+2048", "read 2048+2048", "read 4096+1024"), disk.log);
    assertArrayEquals(onDisk(0, 5120), inMemory(0x10_0000, 5120 * 512));
  }

  @Test
  void aTableThatEndsTooEarlyBreaksTheCommandOff() {
    table(0x2000, 0x200);
    bus.writePort(DMA, 1, 9);
    lba28(0xc8, 0, 2);
    assertEquals(READY | ERR, in(7));
    assertEquals(0, bus.readPort(DMA + 2, 1) & 1);
  }

  @Test
  void aTableOutsideOfMemoryIsAnError() {
    bus.writePort(DMA + 4, 4, 0x7fff_f000);
    bus.writePort(DMA, 1, 9);
    lba28(0xc8, 0, 2);
    assertEquals(READY | ERR, in(7));
    assertEquals(2, bus.readPort(DMA + 2, 1) & 3, "error, and not active");
    table(0x7000_0000, 0x400);
    bus.writePort(DMA, 1, 0);
    bus.writePort(DMA, 1, 9);
    lba28(0xc8, 0, 2);
    assertEquals(READY | ERR, in(7));
  }

  @Test
  void nothingMovesWhileMasteringIsOff() {
    config(0x04, 2, 1);
    table(0x2000, 0x400);
    bus.writePort(DMA, 1, 9);
    lba28(0xc8, 1, 2);
    assertEquals(READY | ERR, in(7));
    assertEquals(0, memory.read8(0x2001));
  }

  @Test
  void flushesTrimsAndSmart() {
    lba28(0xe7, 0, 0);
    lba48(0xea, 0, 0);
    memory.write64(0x3000, 10 | 5L << 48);
    memory.write64(0x3008, 100 | 8L << 48);
    table(0x3000, 512);
    bus.writePort(DMA, 1, 1);
    out(1, 1);
    lba28(0x06, 0, 1);
    assertEquals(List.of("flush", "flush", "discard 10+5", "discard 100+8"), disk.log);
    assertEquals(READY, status());
    out(6, 0xa0);
    out(1, 0xd0);
    out(4, 0x4f);
    out(5, 0xc2);
    out(7, 0xb0);
    byte[] smart = take(512);
    int sum = 0;
    for (byte b : smart) {
      sum += b;
    }
    assertEquals(0, sum & 0xff);
    out(1, 0xda);
    out(7, 0xb0);
    assertEquals(0xc24f, in(5) << 8 | in(4), "well");
  }

  @Test
  void errorsAreTold() {
    lba28(0x20, 8191, 2);
    assertEquals(READY | ERR, in(7));
    assertEquals(0x10, in(1));
    lba48(0x24, 0xffff_ffff_ffffL, 1);
    assertEquals(0x10, in(1));
    disk.failure = new BlockException(BlockException.Reason.HOST_IO, "broken");
    lba28(0x20, 3, 1);
    assertEquals(READY | ERR, in(7));
    assertEquals(0x40, in(1), "uncorrectable");
    assertEquals(3, in(3));
    disk.failure = null;
    disk.readOnly = true;
    lba28(0x30, 3, 1);
    assertEquals(0x44, in(1));
    out(7, 0xfa);
    assertEquals(4, in(1), "no such command");
    lba28(0x20, 3, 1);
    assertArrayEquals(onDisk(3, 1), take(512));
  }

  @Test
  void interruptsCanBeSwitchedOff() {
    bus.writePort(CONTROL, 1, 2);
    lba28(0x20, 5, 1);
    assertFalse(irq.level);
    bus.writePort(CONTROL, 1, 0);
    assertTrue(irq.level);
  }

  @Test
  void aResetInFlightWaitsForTheHostAndForgetsTheCommand() {
    disk.atOnce = false;
    table(0x2000, 0x400);
    bus.writePort(DMA, 1, 9);
    lba28(0xc8, 1, 2);
    bus.writePort(CONTROL, 1, 4);
    bus.writePort(CONTROL, 1, 0);
    assertEquals(BSY, status());
    lba28(0x20, 5, 1);
    assertEquals(1, disk.waiting.size(), "a busy drive takes no command");
    disk.finish();
    assertEquals(READY, status());
    assertFalse(irq.level);
    assertEquals(0, memory.read8(0x2001), "nothing was moved");
    disk.atOnce = true;
    lba28(0x20, 5, 1);
    assertArrayEquals(onDisk(5, 1), take(512));
  }

  @Test
  void theChannelCanBeTakenAway() {
    config(0x40, 2, 0);
    assertEquals(0xff, in(7));
    config(0x40, 2, 0x8000);
    assertEquals(READY, in(7));
  }

  // ---- CD-ROM -----------------------------------------------------------------------------

  private void packet(int features, int limit, int... bytes) {
    out(6, 0xb0);
    out(1, features);
    out(4, limit);
    out(5, limit >> 8);
    out(7, 0xa0);
    byte[] packet = new byte[12];
    for (int i = 0; i < bytes.length; i++) {
      packet[i] = (byte) bytes[i];
    }
    give(packet);
  }

  private void wakeDisc() {
    packet(0, 0, 0);
    assertEquals(READY | ERR, in(7), "unit attention after the reset");
    packet(0, 18, 3, 0, 0, 0, 18);
    byte[] sense = take(18);
    assertEquals(6, sense[2]);
    assertEquals(0x29, sense[12]);
  }

  @Test
  void aDiscIsReadInBlocksOfTheHostsChoice() {
    wakeDisc();
    packet(0, 2048, 0x28, 0, 0, 0, 0, 3, 0, 0, 2);
    assertEquals(READY | DRQ, in(7));
    assertEquals(2, in(2), "data to the host");
    assertEquals(2048, in(5) << 8 | in(4));
    assertArrayEquals(Arrays.copyOfRange(disc.content, 6144, 8192), take(2048));
    assertArrayEquals(Arrays.copyOfRange(disc.content, 8192, 10240), take(2048));
    assertEquals(READY, in(7));
    assertEquals(3, in(2), "status");
    assertEquals(List.of("read 12+8"), disc.log);
  }

  @Test
  void aDiscIsReadByDma() {
    wakeDisc();
    table(0x4000, 4096);
    packet(1, 0, 0xa8, 0, 0, 0, 0, 8, 0, 0, 0, 2);
    bus.writePort(DMA, 1, 9);
    assertEquals(READY, in(7));
    assertArrayEquals(Arrays.copyOfRange(disc.content, 16384, 20480), inMemory(0x4000, 4096));
  }

  @Test
  void whatADriveSaysOfItself() {
    out(6, 0xb0);
    out(7, 0xec);
    assertEquals(READY | ERR, in(7));
    assertEquals(0xeb14, in(5) << 8 | in(4));
    out(7, 0xa1);
    assertEquals(0x85, take(512)[1] & 0xff);
    packet(0, 36, 0x12, 0, 0, 0, 36);
    assertEquals(5, take(36)[0]);
    wakeDisc();
    packet(0, 8, 0x25);
    byte[] capacity = take(8);
    assertEquals(1023, (capacity[2] & 0xff) << 8 | capacity[3] & 0xff);
    assertEquals(8, capacity[6]);
    packet(0, 20, 0x43, 0, 0, 0, 0, 0, 0, 0, 20);
    byte[] toc = take(20);
    assertEquals(0xaa, toc[14] & 0xff, "the lead-out");
    assertEquals(4, toc[18], "at block 1024");
    packet(0, 0, 0x28, 0, 0, 0, 4, 0, 0, 0, 1);
    assertEquals(READY | ERR, in(7), "beyond the end");
    packet(0, 18, 3, 0, 0, 0, 18);
    assertEquals(0x21, take(18)[12]);
    packet(0, 0, 0xff);
    assertEquals(READY | ERR, in(7));
  }
}

package org.javisor.pc.firmware;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.junit.jupiter.api.Test;

class FwCfgTest {
  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 22));
  private final FwCfg device = new FwCfg(memory);

  FwCfgTest() {
    memory.mapRam(0, 1 << 20);
    device.addFile("opt/b", "second".getBytes(StandardCharsets.US_ASCII));
    device.addFile("opt/a", "first!!".getBytes(StandardCharsets.US_ASCII));
  }

  private byte[] item(int key, int length) {
    device.write(0, 2, key);
    byte[] out = new byte[length];
    for (int i = 0; i < length; i++) {
      out[i] = (byte) device.read(1, 1);
    }
    return out;
  }

  private int dma(int control, int length, long address) {
    memory.write32(0x1000, Integer.reverseBytes(control));
    memory.write32(0x1004, Integer.reverseBytes(length));
    memory.write64(0x1008, Long.reverseBytes(address));
    device.write(4, 4, 0);
    device.write(8, 4, Integer.reverseBytes(0x1000));
    return Integer.reverseBytes(memory.read32(0x1000));
  }

  @Test
  void signatureAndFeatures() {
    assertArrayEquals("QEMU".getBytes(StandardCharsets.US_ASCII), item(0, 4));
    assertEquals(3, item(1, 1)[0]);
    assertEquals(0x554d4551, device.read(4, 4));
    assertEquals(0x47464320, device.read(8, 4));
    assertArrayEquals(new byte[6], item(0x999, 6), "unknown items are empty");
  }

  /** Breaks if a file's number in the directory is not the one that selects it. */
  @Test
  void directoryNumbersSelectFiles() {
    byte[] directory = item(0x19, 4 + 128);
    assertEquals(2, directory[3]);
    assertEquals(7, directory[7]);
    assertEquals("opt/a", new String(directory, 12, 5, StandardCharsets.US_ASCII));
    int key = (directory[8] & 0xff) << 8 | directory[9] & 0xff;
    assertEquals("first!!", new String(item(key, 7), StandardCharsets.US_ASCII));
  }

  @Test
  void copies() {
    assertEquals(0, dma(0x20 << 16 | 8 | 2, 7, 0x2000));
    byte[] out = new byte[7];
    memory.read(0x2000, out, 0, 7);
    assertEquals("first!!", new String(out, StandardCharsets.US_ASCII));
    assertEquals(0, dma(0x20 << 16 | 8 | 4, 5, 0));
    memory.write32(0x2000, -1);
    assertEquals(0, dma(2, 4, 0x2000));
    assertEquals(0x2121, memory.read32(0x2000), "two bytes, then zeros");
  }

  /** Breaks if a hostile request writes outside memory, runs for ever, or throws. */
  @Test
  void hostileRequestsAreErrors() {
    assertEquals(1, dma(0x20 << 16 | 8 | 2, 7, (1 << 20) - 3), "over the end of memory");
    assertEquals(1, dma(0x20 << 16 | 8 | 2, 7, -4));
    assertEquals(1, dma(0x20 << 16 | 8 | 2, 7, 1L << 50));
    assertEquals(1, dma(0x20 << 16 | 8 | 2, -1, 0x2000), "4 GiB");
    assertEquals(1, dma(0x20 << 16 | 8 | 16, 7, 0x2000), "not writable");
    assertEquals(0, dma(0x20 << 16 | 8 | 4, -1, 0));
    assertEquals(0, device.read(1, 1), "skipped to the end");
    device.write(4, 4, -1);
    device.write(8, 4, -1);
    device.write(8, 4, Integer.reverseBytes((1 << 20) - 8));
    for (int offset = 0; offset < FwCfg.PORTS; offset++) {
      device.read(offset, 1);
      device.write(offset, 1, 0xff);
    }
  }
}

package org.javisor.pc.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.PortStatistics;
import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.pci.PciBus;
import org.junit.jupiter.api.Test;

/** The card, register by register and descriptor by descriptor, as a driver meets it. */
class E1000Test {
  private static final long BAR = 0xfeb0_0000L;
  private static final int RX_RING = 0x1_0000;
  private static final int TX_RING = 0x2_0000;
  private static final int BUFFERS = 0x4_0000;
  private static final int RING = 8;

  private static final int ICR = 0xc0;
  private static final int ITR = 0xc4;
  private static final int ICS = 0xc8;
  private static final int IMS = 0xd0;
  private static final int IMC = 0xd8;
  private static final int RCTL = 0x100;
  private static final int TCTL = 0x400;
  private static final int RDT = 0x2818;
  private static final int TDT = 0x3818;

  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 20));
  private final Bus bus = new Bus();
  private final RecordingLine irq = new RecordingLine();
  private final FakeTime time = new FakeTime();
  private final FakePort port = new FakePort();
  private final PciBus pci = new PciBus(bus, (slot, pin) -> irq, (address, data) -> {});

  /** A network that notes what is sent, and whose doorbell acts at once. */
  private static final class FakePort implements NetworkPort {
    final List<byte[]> sent = new ArrayList<>();
    final List<Offload> offloads = new ArrayList<>();
    FrameReceiver receiver;
    int ready;

    @Override
    public void send(ByteBuffer frame, Offload offload) {
      byte[] bytes = new byte[frame.remaining()];
      frame.get(frame.position(), bytes);
      sent.add(bytes);
      offloads.add(offload);
    }

    @Override
    public void connect(FrameReceiver to) {
      receiver = to;
    }

    @Override
    public void receiverReady() {
      ready++;
    }

    @Override
    public Doorbell doorbell(Runnable action) {
      return action::run;
    }

    @Override
    public PortStatistics statistics() {
      return new PortStatistics(0, 0, 0, 0, 0, 0);
    }

    @Override
    public void close() {}
  }

  E1000Test() {
    memory.mapRam(0, 1 << 20);
    bus.claimPorts(0xcf8, 8, pci);
    pci.attach(3, 0, new E1000(memory, time, port, MacAddress.parse("52:54:00:12:34:56")));
    config(0x10, (int) BAR);
    config(0x14, 0xc000);
    config(0x04, 7);
  }

  private void config(int register, int value) {
    bus.writePort(0xcf8, 4, 0x8000_1800 | register);
    bus.writePort(0xcfc, 4, value);
  }

  private int get(int register) {
    return (int) bus.readMmio(BAR + register, 4);
  }

  private void set(int register, int value) {
    bus.writeMmio(BAR + register, 4, value & 0xffff_ffffL);
  }

  private void startReceiving(int extra) {
    set(0x2800, RX_RING);
    set(0x2808, RING * 16);
    for (int i = 0; i < RING; i++) {
      memory.write64(RX_RING + 16 * i, BUFFERS + 0x1000 * i);
    }
    set(RDT, RING - 1);
    set(RCTL, 2 | 1 << 15 | extra);
  }

  private void startSending() {
    set(0x3800, TX_RING);
    set(0x3808, RING * 16);
    set(TCTL, 2);
  }

  private static byte[] frame(int length, String target) {
    byte[] frame = new byte[length];
    long mac = MacAddress.parse(target).bits();
    for (int i = 0; i < 6; i++) {
      frame[i] = (byte) (mac >> 40 - 8 * i);
    }
    for (int i = 12; i < length; i++) {
      frame[i] = (byte) (i * 3);
    }
    return frame;
  }

  private boolean arrives(byte[] frame) {
    boolean taken = port.receiver.receive(ByteBuffer.wrap(frame), Offload.NONE);
    port.receiver.endOfBurst();
    return taken;
  }

  private byte[] bytes(int at, int length) {
    byte[] bytes = new byte[length];
    memory.read(at, bytes, 0, length);
    return bytes;
  }

  private void descriptor(int index, long address, long second) {
    memory.write64(TX_RING + 16 * index, address);
    memory.write64(TX_RING + 16 * index + 8, second);
  }

  // ---- The card ---------------------------------------------------------------------------

  @Test
  void theEepromHoldsTheAddressAndSumsUp() {
    int sum = 0;
    int[] words = new int[64];
    for (int i = 0; i < 64; i++) {
      set(0x14, i << 8 | 1);
      assertEquals(0x10, get(0x14) & 0x10, "done");
      words[i] = get(0x14) >>> 16;
      sum += words[i];
    }
    assertEquals(0xbaba, sum & 0xffff);
    assertArrayEquals(new int[] {0x5452, 0x1200, 0x5634}, Arrays.copyOf(words, 3));
    assertEquals(0x1200_5452, get(0x5400));
    assertEquals(0x8000_5634, get(0x5404));
  }

  @Test
  void theEepromIsReadBitByBit() {
    for (int word = 0; word < 3; word++) {
      set(0x10, 0x40);
      assertEquals(0x80, get(0x10) & 0x80, "granted");
      int base = 0x42;
      set(0x10, base);
      int command = 6 << 6 | word;
      for (int i = 8; i >= 0; i--) {
        int bit = (command >> i & 1) << 2;
        set(0x10, base | bit);
        set(0x10, base | bit | 1);
        set(0x10, base | bit);
      }
      int value = 0;
      for (int i = 0; i < 16; i++) {
        set(0x10, base | 1);
        value = value << 1 | get(0x10) >> 3 & 1;
        set(0x10, base);
      }
      assertEquals(new int[] {0x5452, 0x1200, 0x5634}[word], value, "word " + word);
      set(0x10, 0);
    }
  }

  @Test
  void theTransceiverHasALink() {
    set(0x20, 1 << 21 | 2 << 26 | 2 << 16);
    assertEquals(0x1000_0141, get(0x20) & 0x1000_ffff);
    set(0x20, 1 << 21 | 2 << 26 | 1 << 16);
    assertEquals(0x24, get(0x20) & 0x24, "negotiated, and up");
    set(0x20, 2 << 21 | 2 << 26 | 1 << 16);
    assertTrue((get(0x20) & 1 << 30) != 0, "nobody else is on the bus");
    assertEquals(3, get(0x08) & 3);
  }

  @Test
  void interruptsAreMaskedAndCleared() {
    set(ICS, 4);
    assertFalse(irq.level);
    set(IMS, 4);
    assertTrue(irq.level);
    assertEquals(4, get(ICR));
    assertFalse(irq.level);
    assertEquals(0, get(ICR));
    set(ICS, 4);
    set(IMC, 4);
    assertFalse(irq.level);
    config(0x04, 7 | 1 << 10);
    set(IMS, 4);
    assertFalse(irq.level, "PCI's own switch");
  }

  @Test
  void interruptsAreThrottled() {
    set(ITR, 1000); // 256 us
    set(IMS, 4);
    set(ICS, 4);
    assertTrue(irq.level);
    get(ICR);
    set(ICS, 4);
    assertFalse(irq.level);
    time.advance(255_999);
    assertFalse(irq.level);
    time.advance(1);
    assertTrue(irq.level);
  }

  @Test
  void registersAreBehindPortsToo() {
    bus.writePort(0xc000, 4, 8);
    assertEquals(get(8), bus.readPort(0xc004, 4));
    bus.writePort(0xc000, 4, 0x7fff_fff0);
    assertEquals(-1, bus.readPort(0xc004, 4));
  }

  @Test
  void aResetForgetsRings() {
    startReceiving(0);
    set(IMS, 0x80);
    set(0, 1 << 26);
    assertEquals(0, get(RCTL));
    assertEquals(0, get(IMS));
    assertEquals(0, get(RDT));
    assertEquals(0, get(0) & 1 << 26);
  }

  // ---- Receiving --------------------------------------------------------------------------

  @Test
  void framesArriveWithTheirCheckSequence() {
    startReceiving(0);
    set(IMS, 0x80);
    byte[] frame = frame(100, "52:54:00:12:34:56");
    assertTrue(arrives(frame));
    assertTrue(irq.level);
    assertArrayEquals(frame, bytes(BUFFERS, 100));
    assertEquals(104, memory.read16(RX_RING + 8));
    assertEquals(7, memory.read8(RX_RING + 12), "done, end of packet, checksums not looked at");
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(frame);
    assertEquals((int) crc.getValue(), memory.read32(BUFFERS + 100));
    assertEquals(1, get(0x2810));
    assertEquals(0x80, get(ICR));
    assertEquals(1, get(0x40d0), "counted");
    assertEquals(0, get(0x40d0), "and cleared by reading");
  }

  @Test
  void shortFramesAreFilledUpAndLongOnesSpread() {
    startReceiving(1 << 26 | 1 << 5 | 3 << 16); // no CRC, long frames, buffers of 256 bytes
    assertTrue(arrives(frame(20, "ff:ff:ff:ff:ff:ff")));
    assertEquals(60, memory.read16(RX_RING + 8));
    byte[] frame = frame(1500, "52:54:00:12:34:56");
    assertTrue(arrives(frame));
    assertEquals(256, memory.read16(RX_RING + 16 + 8));
    assertEquals(5, memory.read8(RX_RING + 16 + 12), "not the end");
    assertEquals(220, memory.read16(RX_RING + 6 * 16 + 8));
    assertEquals(7, memory.read8(RX_RING + 6 * 16 + 12));
    assertFalse(arrives(frame), "all descriptors are used up");
  }

  @Test
  void withoutRoomTheNetworkWaits() {
    startReceiving(1 << 26);
    byte[] frame = frame(64, "52:54:00:12:34:56");
    for (int i = 0; i < RING - 1; i++) {
      assertTrue(arrives(frame));
    }
    assertFalse(arrives(frame));
    int before = port.ready;
    set(RDT, 1);
    assertEquals(before + 1, port.ready);
    assertTrue(arrives(frame));
  }

  @Test
  void filters() {
    startReceiving(1 << 26);
    byte[] other = frame(64, "52:54:00:00:00:01");
    byte[] group = frame(64, "01:00:5e:00:00:fb");
    arrives(other);
    arrives(group);
    assertEquals(0, get(0x2810), "neither for us nor wanted");
    int hash = 0xfb00 >> 4 & 0xfff;
    set(0x5200 + 4 * (hash >> 5), 1 << (hash & 31));
    arrives(group);
    assertEquals(1, get(0x2810));
    set(RCTL, get(RCTL) | 1 << 3);
    arrives(other);
    assertEquals(2, get(0x2810));
  }

  @Test
  void vlanTagsAreTakenOut() {
    startReceiving(1 << 26 | 1 << 18);
    set(0x38, 0x8100);
    set(0, 1 << 30);
    byte[] frame = frame(100, "52:54:00:12:34:56");
    frame[12] = (byte) 0x81;
    frame[13] = 0;
    frame[14] = 0x20;
    frame[15] = 5;
    arrives(frame);
    assertEquals(0, get(0x2810), "no station of that VLAN");
    set(0x5600, 1 << 5);
    arrives(frame);
    assertEquals(96, memory.read16(RX_RING + 8));
    assertEquals(0xf, memory.read8(RX_RING + 12));
    assertEquals(0x2005, memory.read16(RX_RING + 14));
    assertEquals(frame[16], bytes(BUFFERS, 96)[12]);
  }

  @Test
  void aRingThatIsNoMemoryLosesFrames() {
    startReceiving(1 << 26);
    memory.write64(RX_RING, 0x7000_0000L);
    assertTrue(arrives(frame(64, "52:54:00:12:34:56")));
    set(0x2800, 0x7000_0000);
    assertTrue(arrives(frame(64, "52:54:00:12:34:56")));
    set(0x2808, 0xffff_ffff);
    set(0x2810, 0xffff);
    assertFalse(arrives(frame(64, "52:54:00:12:34:56")));
    config(0x04, 3);
    assertTrue(arrives(frame(64, "52:54:00:12:34:56")), "no mastering, no DMA");
  }

  // ---- Sending ----------------------------------------------------------------------------

  private static final long EOP = 1 << 24;
  private static final long REPORT = 1 << 27;
  private static final long EXTENDED = 1 << 29;

  @Test
  void legacyDescriptors() {
    startSending();
    set(IMS, 1);
    byte[] frame = frame(200, "52:55:0a:00:02:02");
    memory.write(BUFFERS, frame);
    descriptor(0, BUFFERS, 150);
    descriptor(1, BUFFERS + 150, 50 | EOP | REPORT);
    set(TDT, 2);
    assertArrayEquals(frame, port.sent.getFirst());
    assertEquals(Offload.NONE, port.offloads.getFirst());
    assertEquals(0, memory.read8(TX_RING + 12) & 1, "not asked for");
    assertEquals(1, memory.read8(TX_RING + 28) & 1);
    assertTrue(irq.level);
    assertEquals(3, get(ICR), "written back, and the queue is empty");
    assertEquals(2, get(0x3810));
    descriptor(2, BUFFERS, 20 | EOP);
    set(TDT, 3);
    assertEquals(60, port.sent.get(1).length, "filled up");
  }

  /** An IPv4 TCP frame whose checksum fields are as Linux leaves them for the card. */
  private byte[] tcp(int payload, boolean forSegments) {
    byte[] f = frame(14 + 20 + 20 + payload, "52:55:0a:00:02:02");
    f[12] = 8;
    f[13] = 0;
    Arrays.fill(f, 14, 54, (byte) 0);
    f[14] = 0x45;
    int total = forSegments ? 0 : 40 + payload;
    f[16] = (byte) (total >> 8);
    f[17] = (byte) total;
    f[22] = 64;
    f[23] = 6;
    f[26] = 10;
    f[30] = 10;
    f[46] = 0x50;
    int pseudo = 0x0a00 + 0x0a00 + 6 + (forSegments ? 0 : 20 + payload);
    f[50] = (byte) (pseudo >> 8);
    f[51] = (byte) pseudo;
    return f;
  }

  private static int sum(byte[] b, int from, int to) {
    int sum = 0;
    for (int i = from; i < to; i += 2) {
      sum += (b[i] & 0xff) << 8 | (i + 1 < to ? b[i + 1] & 0xff : 0);
    }
    while (sum >> 16 != 0) {
      sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
  }

  private void context(int index, int tucmd, int header, int mss, int payload) {
    memory.write32(TX_RING + 16 * index, 14 | 24 << 8 | 33 << 16);
    memory.write32(TX_RING + 16 * index + 4, 34 | 50 << 8);
    memory.write64(
        TX_RING + 16 * index + 8,
        payload | (long) tucmd << 24 | EXTENDED | (long) header << 40 | (long) mss << 48);
  }

  @Test
  void checksumsAreLeftToTheNetwork() {
    startSending();
    byte[] frame = tcp(100, false);
    memory.write(BUFFERS, frame);
    context(0, 3, 0, 0, 0);
    descriptor(1, BUFFERS, 154 | 1 << 20 | EXTENDED | EOP | REPORT | 3L << 40);
    set(TDT, 2);
    assertEquals(Offload.checksum(34, 16), port.offloads.getFirst());
    byte[] sent = port.sent.getFirst();
    assertEquals(0xffff, sum(sent, 14, 34), "the IP header is summed");
    assertEquals(frame[50], sent[50]);
  }

  @Test
  void segmentationIsLeftToTheNetwork() {
    startSending();
    byte[] frame = tcp(4000, true);
    memory.write(BUFFERS, frame);
    context(0, 7, 54, 1460, 4000);
    descriptor(1, BUFFERS, 54 | 1 << 20 | EXTENDED | 1 << 26 | 3L << 40);
    descriptor(2, BUFFERS + 54, 4000 | 1 << 20 | EXTENDED | 1 << 26 | EOP | REPORT);
    set(TDT, 3);
    assertEquals(
        new Offload(true, 34, 16, Segmentation.TCP_V4, 1460), port.offloads.getFirst());
    byte[] sent = port.sent.getFirst();
    assertEquals(4054, sent.length);
    assertEquals(4040, (sent[16] & 0xff) << 8 | sent[17] & 0xff);
    assertEquals(0xffff, sum(sent, 14, 34));
    int pseudo = 0x0a00 + 0x0a00 + 6 + 4020;
    assertEquals(pseudo, (sent[50] & 0xff) << 8 | sent[51] & 0xff);
  }

  @Test
  void whatADriverGetsWrongHurtsNobody() {
    startSending();
    context(0, 7, 255, 0xffff, 0xfffff);
    descriptor(1, BUFFERS, 20 | 1 << 20 | EXTENDED | 1 << 26 | EOP | REPORT | 3L << 40);
    descriptor(2, 0x7000_0000L, 100 | EOP | REPORT);
    descriptor(3, BUFFERS, 0xf_ffff | 1 << 20 | EXTENDED | EOP | REPORT);
    descriptor(4, BUFFERS, 0 | EOP | REPORT);
    set(TDT, 5);
    assertEquals(1, port.sent.size());
    assertEquals(5, get(0x3810));
    set(TDT, 0xffff); // beyond the ring: it turns, and ends
    set(0x3808, 0);
    set(TDT, 3);
    set(0x3800, 0x7000_0000);
    set(0x3808, RING * 16);
    set(TDT, 4);
  }

  @Test
  void tagsAreInserted() {
    startSending();
    set(0x38, 0x8100);
    set(0, 1 << 30);
    byte[] frame = frame(100, "52:55:0a:00:02:02");
    memory.write(BUFFERS, frame);
    descriptor(0, BUFFERS, 100 | EOP | REPORT | 1 << 30 | 7L << 48);
    set(TDT, 1);
    byte[] sent = port.sent.getFirst();
    assertEquals(104, sent.length);
    assertEquals(0x8100_0007, ByteBuffer.wrap(sent).getInt(12));
    assertEquals(frame[12], sent[16]);
  }
}

package org.javisor.virtio.net;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.javisor.virtio.fake.FakeQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class VirtioNetTest {
  private static final long ALL = -1L;
  private static final MacAddress MAC = MacAddress.parse("52:54:00:01:02:03");

  private final FakeMemory memory = new FakeMemory();
  private final FakePort port = new FakePort();

  private FakeDriver start(Transport transport, long features) {
    return new FakeDriver(transport, memory, new VirtioNet(port, MAC, memory.ram))
        .start(features | Features.VERSION_1, 3);
  }

  private FakeDriver start(long features) {
    return start(Transport.PCI_MODERN, features);
  }

  private static byte[] frame(int length) {
    byte[] frame = new byte[length];
    new Random(length).nextBytes(frame);
    frame[0] = 0x52;
    frame[1] = 0x54;
    return frame;
  }

  private long packet(int headerSize, byte[] frame) {
    long at = memory.allocate(headerSize + frame.length);
    memory.ram.write(at + headerSize, frame);
    return at;
  }

  private static int headerSize(FakeDriver driver, Transport transport) {
    return transport == Transport.PCI_LEGACY && !driver.has(NetLayout.F_MRG_RXBUF) ? 10 : 12;
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void framesGoBothWaysWithAnyFeatures(Transport transport) {
    long[] bits = {
      Features.INDIRECT_DESC, Features.EVENT_IDX, NetLayout.F_MRG_RXBUF,
      NetLayout.F_CTRL_VQ | NetLayout.F_CTRL_RX
    };
    for (int combination = 0; combination < 1 << bits.length; combination++) {
      long features = 0;
      for (int i = 0; i < bits.length; i++) {
        features |= (combination >> i & 1) != 0 ? bits[i] : 0;
      }
      FakeDriver driver = start(transport, features);
      int header = headerSize(driver, transport);
      byte[] frame = frame(100 + combination);
      long at = packet(header, frame);
      port.sent.clear();
      FakeQueue transmit = driver.queues.get(1);
      int head = transmit.add(out(at, header), out(at + header, frame.length));
      driver.kick(1);
      assertEquals(new FakeQueue.Used(head, 0), transmit.poll());
      assertArrayEquals(frame, port.sent.getFirst().frame());
      assertEquals(Offload.NONE, port.sent.getFirst().offload());

      FakeQueue receive = driver.queues.get(0);
      long room = memory.allocate(2048);
      head = receive.add(in(room, 2048));
      driver.takeInterrupt();
      assertTrue(port.deliver(frame, Offload.NONE));
      assertEquals(new FakeQueue.Used(head, header + frame.length), receive.poll());
      assertArrayEquals(frame, memory.bytes(room + header, frame.length));
      assertEquals(1, driver.takeInterrupt());
      if (header == 12) {
        assertEquals(1, memory.ram.read16(room + 10), "num_buffers");
      }
    }
  }

  @Test
  void theDriverIsAskedForBuffersOnceThereAreNone() {
    FakeDriver driver = start(Features.EVENT_IDX);
    assertFalse(port.deliver(frame(60), Offload.NONE));
    int before = driver.queues.get(0).availableIndex();
    driver.queues.get(0).add(in(memory.allocate(2048), 2048));
    assertTrue(driver.queues.get(0).wantsNotification(before));
    int ready = port.ready;
    driver.kick(0);
    assertEquals(ready + 1, port.ready);
    assertTrue(port.deliver(frame(60), Offload.NONE));
  }

  @Test
  void aLargeFrameIsSpreadOverBuffersThatMerge() {
    FakeDriver driver = start(NetLayout.F_MRG_RXBUF);
    FakeQueue receive = driver.queues.get(0);
    long room = memory.allocate(40 * 256);
    byte[] frame = frame(1400);
    for (int i = 0; i < 5; i++) {
      receive.add(in(room + 256L * i, 256));
    }
    assertFalse(port.deliver(frame, Offload.NONE), "12 and 1400 bytes need six buffers");
    assertNull(receive.poll());
    receive.add(in(room + 256 * 5, 256));
    assertTrue(port.deliver(frame, Offload.NONE));
    for (int i = 0; i < 6; i++) {
      assertEquals(i < 5 ? 256 : 1412 - 5 * 256, receive.poll().length());
    }
    assertEquals(6, memory.ram.read16(room + 10));
    assertArrayEquals(frame, memory.bytes(room + 12, 1400));
  }

  @Test
  void withoutMergingWhatDoesNotFitIsLost() {
    FakeDriver driver = start(0);
    FakeQueue receive = driver.queues.get(0);
    receive.add(in(memory.allocate(256), 256));
    assertTrue(port.deliver(frame(300), Offload.NONE));
    assertNull(receive.poll());
    assertTrue(port.deliver(frame(100), Offload.NONE));
    assertNotNull(receive.poll());
    assertFalse(driver.needsReset());
  }

  @Test
  void offloadsPassToTheNetwork() {
    FakeDriver driver = start(ALL);
    byte[] frame = frame(9000);
    long at = packet(12, frame);
    memory.ram.write8(at, 1); // NEEDS_CSUM
    memory.ram.write8(at + 1, 1); // TCPV4
    memory.ram.write16(at + 2, 54);
    memory.ram.write16(at + 4, 1448);
    memory.ram.write16(at + 6, 34);
    memory.ram.write16(at + 8, 16);
    FakeQueue transmit = driver.queues.get(1);
    transmit.add(out(at, 12 + 9000));
    driver.kick(1);
    assertEquals(
        new Offload(true, 34, 16, Segmentation.TCP_V4, 1448), port.sent.getFirst().offload());
    memory.ram.write8(at + 1, 4);
    transmit.add(out(at, 12 + 9000));
    memory.ram.write8(at + 1, 4);
    driver.kick(1);
    assertEquals(Segmentation.TCP_V6, port.sent.getLast().offload().segmentation());
    memory.ram.write8(at + 1, 0);
    transmit.add(out(at, 12 + 9000));
    driver.kick(1);
    assertEquals(Offload.checksum(34, 16), port.sent.getLast().offload());
  }

  @Test
  void offloadsPassToTheGuest() {
    FakeDriver driver = start(ALL);
    assertEquals(OffloadSupport.ALL, port.receiver.offloads());
    long room = memory.allocate(66_000);
    driver.queues.get(0).add(in(room, 66_000));
    byte[] frame = frame(30_000);
    frame[34 + 12] = (byte) 0x80; // a TCP header of 32 bytes
    assertTrue(port.deliver(frame, new Offload(true, 34, 16, Segmentation.TCP_V4, 1460)));
    assertEquals(1, memory.ram.read8(room));
    assertEquals(1, memory.ram.read8(room + 1));
    assertEquals(66, memory.ram.read16(room + 2));
    assertEquals(1460, memory.ram.read16(room + 4));
    assertEquals(34, memory.ram.read16(room + 6));
    assertEquals(16, memory.ram.read16(room + 8));
    assertArrayEquals(frame, memory.bytes(room + 12, 30_000));
  }

  @Test
  void whatWasNotAgreedUponIsNotAsked() {
    start(NetLayout.F_GUEST_CSUM);
    assertEquals(new OffloadSupport(true, false, false), port.receiver.offloads());
    FakeDriver driver = start(0);
    assertEquals(OffloadSupport.NONE, port.receiver.offloads());
    // Nor does the network get it: the frame is lost, or what is asked is not heard.
    long at = packet(12, frame(100));
    memory.ram.write8(at + 1, 1);
    driver.queues.get(1).add(out(at, 112));
    driver.kick(1);
    assertTrue(port.sent.isEmpty());
    memory.ram.write8(at + 1, 0);
    memory.ram.write8(at, 1);
    driver.queues.get(1).add(out(at, 112));
    driver.kick(1);
    assertEquals(Offload.NONE, port.sent.getFirst().offload());
  }

  @Test
  void featuresThatNeedOthersAreRefusedAlone() {
    FakeDriver driver = start(0);
    for (long alone : new long[] {
      NetLayout.F_GUEST_TSO4, NetLayout.F_HOST_TSO6, NetLayout.F_CTRL_RX,
      NetLayout.F_CTRL_MAC_ADDR, NetLayout.F_CTRL_GUEST_OFFLOADS
    }) {
      assertFalse(driver.insist(alone | Features.VERSION_1));
    }
    assertTrue(
        driver.insist(NetLayout.F_GUEST_TSO4 | NetLayout.F_GUEST_CSUM | Features.VERSION_1));
  }

  // ---- The control queue --------------------------------------------------------------------

  private int control(FakeDriver driver, int... bytes) {
    byte[] command = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      command[i] = (byte) bytes[i];
    }
    long at = memory.allocate(command);
    long answer = memory.allocate(1);
    memory.ram.write8(answer, 0xee);
    driver.queues.get(2).add(out(at, 2), out(at + 2, command.length - 2), in(answer, 1));
    driver.kick(2);
    assertNotNull(driver.queues.get(2).poll());
    return memory.ram.read8(answer);
  }

  private boolean takes(FakeDriver driver, String to) {
    byte[] frame = frame(60);
    long bits = MacAddress.parse(to).bits();
    for (int i = 0; i < 6; i++) {
      frame[i] = (byte) (bits >> 8 * (5 - i));
    }
    return takes(driver, frame);
  }

  private boolean takes(FakeDriver driver, byte[] frame) {
    FakeQueue receive = driver.queues.get(0);
    if (receive.freeDescriptors() == 64) {
      receive.add(in(memory.allocate(2048), 2048));
    }
    assertTrue(port.deliver(frame, Offload.NONE));
    return receive.poll() != null;
  }

  @Test
  void theFilterIsSet() {
    FakeDriver driver = start(ALL & ~NetLayout.F_CTRL_VLAN);
    assertTrue(takes(driver, "52:54:00:aa:aa:aa"), "everything at first");
    assertEquals(0, control(driver, 0, 0, 0)); // not promiscuous
    assertTrue(takes(driver, MAC.toString()));
    assertTrue(takes(driver, "ff:ff:ff:ff:ff:ff"));
    assertFalse(takes(driver, "52:54:00:aa:aa:aa"));
    assertFalse(takes(driver, "01:00:5e:00:00:01"));
    assertEquals(0, control(driver, 0, 1, 1)); // all multicast
    assertTrue(takes(driver, "01:00:5e:00:00:01"));
    assertEquals(0, control(driver, 0, 1, 0));
    assertEquals(
        0,
        control(
            driver, 1, 0, 1, 0, 0, 0, 0x52, 0x54, 0, 0xaa, 0xaa, 0xaa, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0,
            1));
    assertTrue(takes(driver, "52:54:00:aa:aa:aa"));
    assertTrue(takes(driver, "01:00:5e:00:00:01"));
    assertFalse(takes(driver, "01:00:5e:00:00:02"));
    assertEquals(0, control(driver, 0, 5, 1)); // no broadcast
    assertFalse(takes(driver, "ff:ff:ff:ff:ff:ff"));
    assertEquals(0, control(driver, 0, 3, 1)); // no multicast
    assertFalse(takes(driver, "01:00:5e:00:00:01"));
    assertEquals(0, control(driver, 0, 4, 1)); // no unicast
    assertFalse(takes(driver, MAC.toString()));
    assertEquals(0, control(driver, 0, 0, 1));
    assertTrue(takes(driver, MAC.toString()));
  }

  @Test
  void aTableThatIsTooLargeTakesAll() {
    FakeDriver driver = start(ALL & ~NetLayout.F_CTRL_VLAN);
    control(driver, 0, 0, 0);
    int[] command = new int[2 + 4 + 6 * 65 + 4];
    command[0] = 1;
    command[2] = 65;
    assertEquals(0, control(driver, command));
    assertTrue(takes(driver, "52:54:00:aa:aa:aa"));
  }

  @Test
  void vlansAreFiltered() {
    FakeDriver driver = start(ALL);
    byte[] tagged = frame(60);
    tagged[12] = (byte) 0x81;
    tagged[13] = 0;
    tagged[14] = 0x30;
    tagged[15] = 5;
    byte[] plain = frame(60);
    plain[12] = 8;
    plain[13] = 0;
    assertTrue(takes(driver, plain));
    assertFalse(takes(driver, tagged));
    assertEquals(0, control(driver, 2, 0, 5, 0));
    assertTrue(takes(driver, tagged));
    assertEquals(0, control(driver, 2, 1, 5, 0));
    assertFalse(takes(driver, tagged));
  }

  @Test
  void theAddressIsSet() {
    FakeDriver driver = start(ALL);
    assertEquals(0x52, driver.config(0, 1));
    assertEquals(3, driver.config(5, 1));
    assertEquals(0, control(driver, 1, 1, 2, 4, 6, 8, 10, 12));
    assertEquals(2, driver.config(0, 1));
    assertEquals(12, driver.config(5, 1));
    driver.setStatus(0);
    assertEquals(0x52, driver.config(0, 1), "as at first");
  }

  @Test
  void offloadsAreSwitched() {
    FakeDriver driver = start(ALL);
    assertEquals(0, control(driver, 5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0));
    assertEquals(new OffloadSupport(true, true, false), port.receiver.offloads());
    assertEquals(1, control(driver, 5, 0, 0x80, 0, 0, 0, 0, 0, 0, 0), "segments need checksums");
    assertEquals(1, control(driver, 5, 0, 0, 1 << 2, 0, 0, 0, 0, 0, 0), "UFO was not offered");
    assertEquals(0, control(driver, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    assertEquals(OffloadSupport.NONE, port.receiver.offloads());
  }

  @Test
  void commandsThatMakeNoSenseAreRefused() {
    FakeDriver driver = start(ALL);
    assertEquals(1, control(driver, 0, 0));
    assertEquals(1, control(driver, 9, 0, 0));
    assertEquals(1, control(driver, 0, 6, 0));
    assertEquals(1, control(driver, 1, 1, 1, 2, 3));
    assertEquals(1, control(driver, 1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0));
    assertEquals(1, control(driver, 1, 0, 1, 0, 0, 0, 1, 2, 3));
    assertEquals(1, control(driver, 2, 2, 0, 0));
    assertEquals(1, control(driver, 5, 0, 0));
    assertFalse(driver.needsReset());
    driver.queues.get(2).add(out(memory.allocate(3), 3));
    driver.kick(2);
    assertTrue(driver.needsReset(), "no room for an answer");
  }

  // ---- What should not be -------------------------------------------------------------------

  @Test
  void framesThatAreNoneAreLost() {
    FakeDriver driver = start(ALL);
    long at = memory.allocate(NetworkPort.MAX_FRAME + 100);
    for (long length : new long[] {12, 12 + 13, 12 + NetworkPort.MAX_FRAME + 1}) {
      driver.queues.get(1).add(out(at, length));
      driver.kick(1);
      assertNotNull(driver.queues.get(1).poll());
    }
    assertTrue(port.sent.isEmpty());
    assertFalse(driver.needsReset());
    driver.queues.get(1).add(out(at, 12 + NetworkPort.MAX_FRAME));
    driver.kick(1);
    assertEquals(NetworkPort.MAX_FRAME, port.sent.getFirst().frame().length);
  }

  @Test
  void aFrameWithoutHeaderBreaksTheRules() {
    FakeDriver driver = start(ALL);
    driver.queues.get(1).add(out(memory.allocate(11), 11));
    driver.kick(1);
    assertTrue(driver.needsReset());
  }

  @Test
  void aBufferWithoutRoomForTheHeaderBreaksTheRules() {
    FakeDriver driver = start(ALL);
    driver.queues.get(0).add(in(memory.allocate(11), 11));
    assertTrue(port.deliver(frame(60), Offload.NONE));
    assertTrue(driver.needsReset());
    assertTrue(port.deliver(frame(60), Offload.NONE), "lost, and no harm done");
  }

  @Test
  void nothingComesThroughWithoutADriver() {
    FakeDriver driver = start(ALL);
    driver.queues.get(0).add(in(memory.allocate(2048), 2048));
    driver.setStatus(0);
    assertTrue(port.deliver(frame(60), Offload.NONE));
    assertNull(driver.queues.get(0).poll());
    assertEquals(OffloadSupport.NONE, port.receiver.offloads());
  }

  @Test
  void aTurnSendsSoManyFramesAndGoesOn() {
    FakeDriver driver = start(0);
    long at = packet(12, frame(60));
    int head = 0;
    for (int i = 0; i < 64; i++) {
      head = driver.queues.get(1).add(out(at, 72));
    }
    driver.kick(1);
    int done = 0;
    int last = -1;
    for (FakeQueue.Used used = driver.queues.get(1).poll(); used != null; used =
        driver.queues.get(1).poll()) {
      done++;
      last = used.id();
    }
    assertEquals(64, done);
    assertEquals(head, last);
    assertTrue(Arrays.equals(port.sent.getLast().frame(), frame(60)));
  }
}

package org.javisor.xen.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.PortStatistics;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class NetworkBackendTest {
  private static final int TX = 8;
  private static final int RX = 9;

  /** A network that keeps what it is sent. */
  private static final class Recorder implements NetworkPort {
    final List<byte[]> frames = new ArrayList<>();
    final List<Offload> offloads = new ArrayList<>();
    FrameReceiver receiver;
    int ready;

    @Override
    public void send(ByteBuffer frame, Offload offload) {
      byte[] copy = new byte[frame.remaining()];
      frame.get(frame.position(), copy);
      frames.add(copy);
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
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }

  private final FrontEnd front = new FrontEnd("vif", 0);
  private final Recorder network = new Recorder();
  private final NetworkBackend backend =
      new NetworkBackend(front.store, front.loop, front.domain.domain(), 0, network);
  private int txPort;
  private int rxPort;
  private int txProduced;
  private int rxProduced;

  @BeforeEach
  void connect() throws InterruptedException {
    backend.start(Map.of("mac", "00:16:3e:00:00:01"), Map.of());
    front.awaitState(2);
    txPort = front.domain.allocateUnbound(0);
    rxPort = front.domain.allocateUnbound(0);
    for (int ring : new int[] {TX, RX}) {
      front.put32(FrontEnd.page(ring) + 4, 1);
      front.put32(FrontEnd.page(ring) + 12, 1);
    }
    front.write("tx-ring-ref", TX);
    front.write("rx-ring-ref", RX);
    front.write("event-channel-tx", txPort);
    front.write("event-channel-rx", rxPort);
    front.write("request-rx-copy", 1);
    front.write("feature-gso-tcpv4", 1);
    front.write("feature-ipv6-csum-offload", 1);
    front.write("state", 4);
    front.awaitState(4);
  }

  @AfterEach
  void close() {
    front.close();
  }

  private long txSlot(int index) {
    return FrontEnd.page(TX) + 64 + 12L * (index % 256);
  }

  private long rxSlot(int index) {
    return FrontEnd.page(RX) + 64 + 8L * (index % 256);
  }

  private void tx(int reference, int offset, int flags, int id, int size) {
    long at = txSlot(txProduced++);
    front.put32(at, reference);
    front.put32(at + 4, offset | flags << 16);
    front.put32(at + 8, id | size << 16);
  }

  /** Has it sent; returns the status of the last response. */
  private int send() {
    front.put32(FrontEnd.page(TX), txProduced);
    front.kick(txPort);
    assertEquals(txProduced, front.get32(FrontEnd.page(TX) + 8));
    return (short) (front.get32(txSlot(txProduced - 1)) >> 16);
  }

  private static byte[] tcp(int length) {
    byte[] frame = new byte[length];
    new Random(length).nextBytes(frame);
    frame[12] = 8;
    frame[13] = 0;
    frame[14] = 0x45;
    frame[23] = 6;
    return frame;
  }

  @Test
  void aFrameOfSeveralPagesIsPutTogether() {
    byte[] frame = tcp(6000);
    front.domain.memory().write(FrontEnd.page(20) + 96, frame, 0, 4000);
    front.domain.memory().write(FrontEnd.page(22) + 10, frame, 4000, 2000);
    tx(20, 96, 4, 1, 6000);
    tx(22, 10, 0, 2, 2000);
    assertEquals(0, send());
    assertArrayEquals(frame, network.frames.getFirst());
    assertEquals(Offload.NONE, network.offloads.getFirst());
  }

  @Test
  void whatIsLeftUndoneIsSaid() {
    byte[] frame = tcp(3000);
    front.domain.memory().write(FrontEnd.page(20), frame);
    tx(20, 0, 1 | 2 | 8, 1, 3000);
    long extra = txSlot(txProduced++);
    front.put32(extra, 1 | 1448 << 16);
    front.put32(extra + 4, 1);
    front.put32(extra + 8, 0);
    send();
    assertEquals(
        new Offload(true, 34, 16, Segmentation.TCP_V4, 1448), network.offloads.getFirst());
    assertEquals(0, (short) (front.get32(txSlot(0)) >> 16));
    assertEquals(1, (short) (front.get32(txSlot(1)) >> 16), "the extra slot's answer");
  }

  /** Breaks if a frame that makes no sense leaves the domain. */
  @Test
  void nonsenseIsNotSent() {
    tx(20, 4000, 0, 1, 200);
    assertEquals(-1, send(), "beyond the page");
    tx(20, 0, 0, 1, 5);
    assertEquals(-1, send(), "no header");
    tx(500, 0, 0, 1, 100);
    assertEquals(-1, send(), "not granted");
    tx(20, 0, 4, 1, 100);
    tx(21, 0, 0, 2, 200);
    assertEquals(-1, send(), "parts larger than the whole");
    front.domain.memory().write(FrontEnd.page(20), new byte[100]);
    tx(20, 0, 1, 1, 100);
    assertEquals(-1, send(), "a checksum of what is no TCP");
    assertEquals(List.of(), network.frames);
    front.put32(FrontEnd.page(TX), txProduced + 5000);
    front.kick(txPort);
    assertEquals(txProduced, front.get32(FrontEnd.page(TX) + 8), "an index that lies");
  }

  @Test
  void aFrameIsCopiedIntoTheGuestsPages() {
    byte[] frame = tcp(5000);
    assertFalse(network.receiver.receive(ByteBuffer.wrap(frame), Offload.NONE), "no room");
    for (int i = 0; i < 4; i++) {
      long at = rxSlot(rxProduced);
      front.put32(at, 100 + rxProduced);
      front.put32(at + 4, 40 + rxProduced++);
    }
    front.put32(FrontEnd.page(RX), rxProduced);
    int before = network.ready;
    front.kick(rxPort);
    assertEquals(before + 1, network.ready);
    Offload offload = new Offload(true, 34, 16, Segmentation.TCP_V4, 1448);
    assertTrue(network.receiver.receive(ByteBuffer.wrap(frame), offload));
    network.receiver.endOfBurst();
    assertEquals(3, front.get32(FrontEnd.page(RX) + 8), "two pages and what is left undone");
    byte[] read = new byte[5000];
    front.domain.memory().read(FrontEnd.page(40), read, 0, 4096);
    front.domain.memory().read(FrontEnd.page(42), read, 4096, 904);
    assertTrue(Arrays.equals(frame, read));
    assertEquals(4096, front.get32(rxSlot(0) + 4) >>> 16);
    assertEquals(1 | 2 | 4 | 8, front.get32(rxSlot(0) + 4) & 0xffff);
    assertEquals(1 | 1448 << 16, front.get32(rxSlot(1)));
    assertEquals(904, front.get32(rxSlot(2) + 4) >>> 16);
    assertEquals(102, front.get32(rxSlot(2)) & 0xffff);
  }

  @Test
  void randomRingsDoNoHarm() {
    Random random = new Random(9);
    for (int i = 0; i < 2000; i++) {
      byte[] noise = new byte[12];
      random.nextBytes(noise);
      noise[0] = (byte) (20 + random.nextInt(8));
      noise[1] = noise[2] = noise[3] = 0;
      noise[6] = (byte) random.nextInt(16);
      front.domain.memory().write(txSlot(txProduced++), noise);
      front.put32(FrontEnd.page(TX), txProduced);
      front.kick(txPort);
      // What waits for more slots is answered when they are there.
      assertTrue(txProduced - front.get32(FrontEnd.page(TX) + 8) < 32);
    }
  }
}

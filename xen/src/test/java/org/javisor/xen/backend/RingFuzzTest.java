package org.javisor.xen.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.OffloadSupport;
import org.javisor.network.PortStatistics;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.xen.hypervisor.FakeDomain;
import org.javisor.xen.hypervisor.Fuzz;
import org.javisor.xen.hypervisor.Fuzz.Target;
import org.javisor.xen.store.StoreRing;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Front ends that know no rules, of disks, cards, consoles and xenstore: rings full of noise and of
 * what looks like requests, indices that lie, grants that come and go, states in any order. No
 * exception comes out, and no page stays in use. For longer:
 *
 * <pre>mvn -pl xen -am test -Dtest=RingFuzzTest -Djavisor.fuzz.seconds=120</pre>
 */
@Timeout(3600)
class RingFuzzTest {
  private static final int PROGRAMS = 60;
  private static final int STEPS = 80;

  /** Grants from here on are of pages that requests name. */
  private static final int FIRST_PAGE = 12;

  private static final int SECTORS = 4096;

  private interface Far extends AutoCloseable {
    /** Something happens at the far end. */
    void stir(Random dice);

    @Override
    void close();
  }

  /** Runs a program against what is connected by then. */
  private static void attack(FrontEnd front, Random dice, int[] rings, int[] ports, Far far,
      Slots slots) throws InterruptedException {
    int[] produced = new int[rings.length];
    for (int i = 0; i < STEPS; i++) {
      int which = dice.nextInt(rings.length);
      long page = FrontEnd.page(rings[which]);
      switch (dice.nextInt(12)) {
        case 0 -> {
          byte[] noise = new byte[1 + dice.nextInt(300)];
          dice.nextBytes(noise);
          front.domain.memory().write(page + dice.nextInt(4096 - noise.length), noise);
        }
        case 1 -> front.put32(page + 4L * dice.nextInt(4), dice.nextInt());
        case 2 -> front.put32(page, produced[which] + dice.nextInt(80) - 40);
        case 3 -> {
          // A grant is taken back, or becomes another one, perhaps while it is in use.
          int reference = FIRST_PAGE + dice.nextInt(60);
          long entry = FakeDomain.GRANT_TABLE + 8L * reference;
          front.domain.memory().write16(entry, dice.nextBoolean() ? 0 : dice.nextInt(64));
        }
        case 4 -> front.domain.grant(
            FIRST_PAGE + dice.nextInt(60), 0, (FrontEnd.PAGES >> 12) + FIRST_PAGE
                + dice.nextInt(60),
            dice.nextInt(8) == 0);
        case 5 -> far.stir(dice);
        case 6 -> front.settle();
        default -> {
          for (int n = dice.nextInt(9); n >= 0; n--) {
            slots.fill(front, which, produced[which]++, dice);
          }
          front.put32(page, produced[which]);
        }
      }
      if (dice.nextInt(3) > 0) {
        front.kick(ports[which]);
      }
    }
    front.settle();
  }

  /** Puts something like a request into a ring. */
  private interface Slots {
    void fill(FrontEnd front, int ring, int index, Random dice);
  }

  private static int reference(Random dice) {
    return dice.nextInt(20) == 0 ? dice.nextInt() : FIRST_PAGE + dice.nextInt(60);
  }

  /** The front end goes through some states, and then it is all over. */
  private static void end(FrontEnd front, XenbusBackend backend, Far far, Random dice)
      throws InterruptedException {
    for (int n = dice.nextInt(4); n > 0; n--) {
      front.write("state", dice.nextInt(8));
    }
    CountDownLatch ended = new CountDownLatch(1);
    backend.end(ended::countDown);
    far.close();
    ended.await();
    front.settle();
    far.close();
    assertEquals(0, front.domain.domain().grants().inUse());
  }

  // ---- Disks --------------------------------------------------------------------------------------

  /** A disk that does some requests at once, keeps others, and fails now and then. */
  private static final class SlowDisk implements BlockDevice, Far {
    private final List<BlockRequest> held = new ArrayList<>();
    private final Random dice;
    private boolean closing;

    SlowDisk(Random dice) {
      this.dice = new Random(dice.nextLong());
    }

    @Override
    public long sizeBytes() {
      return SECTORS * 512L;
    }

    @Override
    public boolean isReadOnly() {
      return false;
    }

    @Override
    public void submit(BlockRequest request) {
      switch (request) {
        case BlockRequest.Read(long at, MemorySegment into, var c) -> inside(at, into.byteSize());
        case BlockRequest.Write(long at, MemorySegment from, var c) ->
            inside(at, from.byteSize());
        case BlockRequest.Discard(long at, long length, var c) -> inside(at, length);
        default -> {}
      }
      synchronized (this) {
        if (!closing && dice.nextBoolean()) {
          held.add(request);
          return;
        }
      }
      complete(request);
    }

    private void inside(long at, long length) {
      assertTrue(at >= 0 && length >= 0 && at <= sizeBytes() - length, at + "+" + length);
    }

    private void complete(BlockRequest request) {
      boolean fails;
      synchronized (this) {
        fails = dice.nextInt(5) == 0;
      }
      request.completion()
          .complete(
              fails ? new BlockException(BlockException.Reason.HOST_IO, "by dice") : null);
    }

    @Override
    public void stir(Random by) {
      List<BlockRequest> some;
      synchronized (this) {
        int count = by.nextInt(held.size() + 1);
        some = new ArrayList<>(held.subList(0, count));
        held.subList(0, count).clear();
      }
      some.forEach(this::complete);
    }

    @Override
    public void close() {
      List<BlockRequest> all;
      synchronized (this) {
        closing = true;
        all = new ArrayList<>(held);
        held.clear();
      }
      all.forEach(this::complete);
    }
  }

  private static void blockRequest(FrontEnd front, int ring, int index, Random dice) {
    long at = FrontEnd.page(8) + 64 + (long) (index & 31) * 112;
    byte[] slot = new byte[112];
    ByteBuffer b = ByteBuffer.wrap(slot).order(java.nio.ByteOrder.LITTLE_ENDIAN);
    int operation = dice.nextInt(10) == 0 ? dice.nextInt(256) : dice.nextInt(7);
    int count = dice.nextInt(10) == 0 ? dice.nextInt(256) : 1 + dice.nextInt(11);
    b.put(0, (byte) operation).put(1, (byte) count).putLong(8, index);
    long sector = dice.nextInt(10) == 0 ? dice.nextLong() : dice.nextInt(SECTORS / 64) * 64L;
    b.putLong(16, sector);
    if (operation == 6) {
      b.put(1, (byte) dice.nextInt(3)).putShort(2, (short) dice.nextInt(260));
      b.putInt(28, reference(dice));
    } else if (operation == 5) {
      b.putLong(24, dice.nextInt(4) == 0 ? dice.nextLong() : dice.nextInt(SECTORS));
    } else {
      for (int i = 0; i < 11; i++) {
        segment(b, 24 + 8 * i, dice);
      }
    }
    front.domain.memory().write(at, slot);
    if (operation == 6) {
      ByteBuffer list = ByteBuffer.allocate(4096).order(java.nio.ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < 512; i++) {
        segment(list, 8 * i, dice);
      }
      front.domain.memory().write(FrontEnd.page(FIRST_PAGE + dice.nextInt(60)), list.array());
    }
  }

  private static void segment(ByteBuffer into, int at, Random dice) {
    boolean whole = dice.nextInt(4) > 0;
    into.putInt(at, reference(dice));
    into.put(at + 4, (byte) (whole ? 0 : dice.nextInt(9)));
    into.put(at + 5, (byte) (whole ? 7 : dice.nextInt(9)));
  }

  @Test
  void disks() {
    Fuzz.run(PROGRAMS, RingFuzzTest::disk);
  }

  private static void disk(Random dice) throws Exception {
    try (FrontEnd front = new FrontEnd("vbd", 51712)) {
      SlowDisk disk = new SlowDisk(dice);
      BlockBackend backend =
          new BlockBackend(front.store, front.loop, front.domain.domain(), 51712, disk);
      backend.start(Map.of(), Map.of());
      front.awaitState(2);
      int port = front.domain.allocateUnbound(0);
      front.write("ring-ref", 8);
      front.write("event-channel", port);
      front.write("state", 3);
      front.awaitState(4);
      attack(front, dice, new int[] {8}, new int[] {port}, disk, RingFuzzTest::blockRequest);
      end(front, backend, disk, dice);
    }
  }

  // ---- Cards --------------------------------------------------------------------------------------

  /** A network that sends a frame back now and then. */
  private static final class Echo implements NetworkPort, Far {
    private FrameReceiver receiver;

    @Override
    public void send(ByteBuffer frame, Offload offload) {
      int end = frame.remaining();
      assertTrue(end >= 14 && end <= MAX_FRAME, "a frame of " + end);
      if (offload.checksumNeeded()) {
        int field = offload.checksumStart() + offload.checksumOffset();
        assertTrue(field >= 0 && field + 2 <= end, offload.toString());
      }
    }

    @Override
    public void connect(FrameReceiver to) {
      receiver = to;
    }

    @Override
    public void receiverReady() {}

    @Override
    public Doorbell doorbell(Runnable action) {
      return action::run;
    }

    @Override
    public PortStatistics statistics() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void stir(Random dice) {
      FrameReceiver to = receiver;
      if (to != null) {
        OffloadSupport can = to.offloads();
        boolean large = can.tcpV4() && dice.nextBoolean();
        byte[] frame = new byte[14 + dice.nextInt(large ? MAX_FRAME - 13 : 1500)];
        to.receive(
            ByteBuffer.wrap(frame),
            large
                ? new Offload(true, 34, 16, Offload.Segmentation.TCP_V4, 1448)
                : Offload.NONE);
        to.endOfBurst();
      }
    }

    @Override
    public void close() {}
  }

  private static void netRequest(FrontEnd front, int ring, int index, Random dice) {
    if (ring == 1) {
      long at = FrontEnd.page(9) + 64 + 8L * (index & 255);
      front.put32(at, index & 0xffff);
      front.put32(at + 4, reference(dice));
      return;
    }
    long at = FrontEnd.page(8) + 64 + 12L * (index & 255);
    if (dice.nextInt(6) == 0) {
      byte[] noise = new byte[12];
      dice.nextBytes(noise);
      noise[0] = (byte) dice.nextInt(3);
      noise[1] = (byte) dice.nextInt(2);
      front.domain.memory().write(at, noise);
      return;
    }
    front.put32(at, reference(dice));
    front.put32(
        at + 4,
        (dice.nextInt(8) == 0 ? dice.nextInt(5000) : 0) | dice.nextInt(16) << 16);
    front.put32(
        at + 8, index & 0xffff
            | (dice.nextInt(6) == 0 ? dice.nextInt(65536) : 60 + dice.nextInt(1500)) << 16);
  }

  @Test
  void cards() {
    Fuzz.run(PROGRAMS, RingFuzzTest::card);
  }

  private static void card(Random dice) throws Exception {
    try (FrontEnd front = new FrontEnd("vif", 0)) {
      Echo network = new Echo();
      NetworkBackend backend =
          new NetworkBackend(front.store, front.loop, front.domain.domain(), 0, network);
      backend.start(Map.of("mac", "00:16:3e:00:00:01"), Map.of());
      front.awaitState(2);
      int[] ports = {front.domain.allocateUnbound(0), front.domain.allocateUnbound(0)};
      front.write("tx-ring-ref", 8);
      front.write("rx-ring-ref", 9);
      front.write("event-channel-tx", ports[0]);
      front.write("event-channel-rx", ports[1]);
      front.write("request-rx-copy", 1);
      front.write("feature-gso-tcpv4", dice.nextInt(2));
      front.write("feature-ipv6-csum-offload", dice.nextInt(2));
      front.write("state", 4);
      front.awaitState(4);
      attack(front, dice, new int[] {8, 9}, ports, network, RingFuzzTest::netRequest);
      end(front, backend, network, dice);
    }
  }

  // ---- Consoles and xenstore ----------------------------------------------------------------------

  @Test
  void consoles() {
    Fuzz.run(PROGRAMS, RingFuzzTest::console);
  }

  private static void console(Random dice) throws Exception {
    try (FrontEnd front = new FrontEnd("console", 0)) {
      int port = front.domain.allocateUnbound(0);
      Random taker = new Random(dice.nextLong());
      ConsoleBackend console =
          new ConsoleBackend(
              front.domain.domain(), 8, port,
              (source, length) -> {
                assertTrue(length > 0 && length <= source.length);
                return taker.nextInt(length + 1);
              },
              front.loop);
      for (int i = 0; i < STEPS; i++) {
        byte[] noise = new byte[1 + dice.nextInt(200)];
        dice.nextBytes(noise);
        switch (dice.nextInt(6)) {
          case 0 -> front.domain.memory()
              .write(FrontEnd.page(8) + dice.nextInt(3072), noise);
          case 1 -> front.put32(
              FrontEnd.page(8) + 3072 + 4L * dice.nextInt(4), dice.nextInt());
          case 2 -> front.put32(
              FrontEnd.page(8) + 3072 + 4L * dice.nextInt(4),
              front.get32(FrontEnd.page(8) + 3072 + 4L * dice.nextInt(4)) + dice.nextInt(64));
          case 3 -> console.type(noise, noise.length);
          case 4 -> console.ready();
          default -> front.kick(port);
        }
      }
      front.settle();
      front.loop.execute(console::close);
      front.settle();
      assertEquals(0, front.domain.domain().grants().inUse());
    }
  }

  private static final String[] PATHS = {
    "", "/", "//", "@releaseDomain", "data", "data/a", "device/vbd", "/local/domain/1/data",
    "/local/domain/0", "/local", "..", "a".repeat(300), "/local/domain/1/data/" + "b/".repeat(200),
    "\u00ff", "data/*"
  };

  @Test
  void stores() {
    Fuzz.run(PROGRAMS, RingFuzzTest::store);
  }

  /** One message to xenstore, of sense or nonsense. */
  private static byte[] message(Random dice) {
    StringBuilder text = new StringBuilder();
    for (int n = dice.nextInt(4); n >= 0; n--) {
      switch (dice.nextInt(6)) {
        case 0 -> text.append((char) dice.nextInt(256));
        case 1 -> text.append(dice.nextBoolean() ? "T" : "n0");
        case 2 -> text.append(dice.nextInt());
        default -> text.append(PATHS[dice.nextInt(PATHS.length)]);
      }
      text.append(dice.nextInt(5) == 0 ? "" : "\0");
    }
    byte[] payload = text.toString().getBytes(StandardCharsets.ISO_8859_1);
    int length = dice.nextInt(40) == 0 ? dice.nextInt() : payload.length;
    return ByteBuffer.allocate(16 + payload.length)
        .order(java.nio.ByteOrder.LITTLE_ENDIAN)
        .putInt(dice.nextInt(30) == 0 ? dice.nextInt() : dice.nextInt(24))
        .putInt(dice.nextInt())
        .putInt(dice.nextBoolean() ? 0 : dice.nextInt(5))
        .putInt(length)
        .put(payload)
        .array();
  }

  private static void store(Random dice) throws Exception {
    try (FrontEnd front = new FrontEnd("store", 0)) {
      front.store.put(front.client, "/local/domain/1/data", "x");
      front.store.setPermissions(front.client, 0, "/local/domain/1/data", List.of("n1"));
      int port = front.domain.allocateUnbound(0);
      StoreRing[] ring = new StoreRing[1];
      Runnable doorbell =
          front.loop.doorbell(
              () -> {
                if (ring[0] != null) {
                  ring[0].work();
                }
              });
      StoreRing made = new StoreRing(front.store, front.domain.domain(), 8, port, doorbell);
      front.loop.execute(() -> ring[0] = made);
      long page = FrontEnd.page(8);
      for (int i = 0; i < STEPS; i++) {
        switch (dice.nextInt(12)) {
          case 0 -> front.put32(page + 2048 + 4L * dice.nextInt(4), dice.nextInt());
          case 1 -> {
            byte[] noise = new byte[1 + dice.nextInt(200)];
            dice.nextBytes(noise);
            front.domain.memory().write(page + dice.nextInt(2048), noise);
          }
          case 2, 3 ->
              // What was answered is taken.
              front.put32(page + 2056, front.get32(page + 2060));
          default -> {
            byte[] message = message(dice);
            int producer = front.get32(page + 2052);
            for (int n = 0; n < message.length; n++) {
              front.domain.memory().write8(page + (producer + n & 1023), message[n]);
              if (n % 512 == 511) {
                front.put32(page + 2052, producer + n + 1);
                front.kick(port);
                front.settle();
              }
            }
            front.put32(page + 2052, producer + message.length);
          }
        }
        front.kick(port);
        if (dice.nextInt(4) == 0) {
          front.settle();
        }
      }
      front.settle();
      front.loop.execute(
          () -> {
            ring[0] = null;
            made.close();
          });
      front.settle();
      assertEquals(0, front.domain.domain().grants().inUse());
    }
  }
}

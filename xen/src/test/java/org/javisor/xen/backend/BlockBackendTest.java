package org.javisor.xen.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class BlockBackendTest {
  private static final int RING = 8;
  private static final int SECTORS = 4096;
  private static final int SLOT = 112;

  /** A disk in memory that answers at once. */
  private static final class MemoryDisk implements BlockDevice {
    final byte[] bytes = new byte[SECTORS * 512];
    final AtomicInteger flushes = new AtomicInteger();
    final AtomicInteger discards = new AtomicInteger();
    final AtomicInteger submitted = new AtomicInteger();

    /** A byte that cannot be read. */
    long failing = -1;

    @Override
    public long sizeBytes() {
      return bytes.length;
    }

    @Override
    public boolean isReadOnly() {
      return false;
    }

    @Override
    public void submit(BlockRequest request) {
      submitted.incrementAndGet();
      if (request instanceof BlockRequest.Read(long at, MemorySegment into, var c)
          && failing >= at && failing < at + into.byteSize()) {
        c.complete(new BlockException(BlockException.Reason.HOST_IO, "a bad place"));
        return;
      }
      switch (request) {
        case BlockRequest.Read(long at, MemorySegment into, var c) -> into.copyFrom(
            MemorySegment.ofArray(bytes).asSlice(at, into.byteSize()));
        case BlockRequest.Write(long at, MemorySegment from, var c) -> MemorySegment.copy(
            from, ValueLayout.JAVA_BYTE, 0, bytes, (int) at, (int) from.byteSize());
        case BlockRequest.Flush f -> flushes.incrementAndGet();
        case BlockRequest.Discard d -> discards.incrementAndGet();
        case BlockRequest.WriteZeroes z -> throw new AssertionError();
      }
      request.completion().complete(null);
    }

    @Override
    public void close() {}
  }

  private final FrontEnd front = new FrontEnd("vbd", 51712);
  private final MemoryDisk disk = new MemoryDisk();
  private final BlockBackend backend =
      new BlockBackend(front.store, front.loop, front.domain.domain(), 51712, disk);
  private int port;
  private int produced;

  @BeforeEach
  void connect() throws InterruptedException {
    backend.start(Map.of("virtual-device", "51712"), Map.of("mode", "w"));
    front.awaitState(2);
    assertEquals(Optional.of("256"), front.backendKey("feature-max-indirect-segments"));
    port = front.domain.allocateUnbound(0);
    front.put32(FrontEnd.page(RING) + 4, 1);
    front.put32(FrontEnd.page(RING) + 12, 1);
    front.write("ring-ref", RING);
    front.write("event-channel", port);
    front.write("protocol", "x86_64-abi");
    front.write("feature-persistent", 1);
    front.write("state", 3);
    front.awaitState(4);
    assertEquals(Optional.of("4096"), front.backendKey("sectors"));
  }

  @AfterEach
  void close() {
    front.close();
  }

  private long slot(int index) {
    return FrontEnd.page(RING) + 64 + (long) (index % 32) * SLOT;
  }

  /** Puts a request into the ring: operation, segments, sector. */
  private long request(int operation, int segments, long id, long sector) {
    long at = slot(produced++);
    front.domain.memory().write(at, new byte[SLOT]);
    front.domain.memory().write8(at, operation);
    front.domain.memory().write8(at + 1, segments);
    front.domain.memory().write64(at + 8, id);
    front.domain.memory().write64(at + 16, sector);
    return at;
  }

  private void segment(long at, int index, int reference, int first, int last) {
    front.put32(at + 24 + 8L * index, reference);
    front.domain.memory().write8(at + 28 + 8L * index, first);
    front.domain.memory().write8(at + 29 + 8L * index, last);
  }

  /** Has it done and returns the status of the last response. */
  private int run(long id) throws InterruptedException {
    front.put32(FrontEnd.page(RING), produced);
    front.kick(port);
    front.settle();
    int responses = front.get32(FrontEnd.page(RING) + 8);
    assertEquals(produced, responses);
    long at = slot(responses - 1);
    assertEquals(id, front.domain.memory().read64(at));
    return (short) front.domain.memory().read16(at + 10);
  }

  @Test
  void whatIsWrittenIsRead() throws Exception {
    byte[] data = new byte[2 * 4096];
    new Random(1).nextBytes(data);
    front.domain.memory().write(FrontEnd.page(20), data);
    long w = request(1, 3, 77, 100);
    segment(w, 0, 20, 0, 7);
    segment(w, 1, 21, 0, 3);
    segment(w, 2, 21, 4, 7);
    assertEquals(0, run(77));
    long r = request(0, 2, 78, 100);
    segment(r, 0, 30, 0, 7);
    segment(r, 1, 31, 0, 7);
    assertEquals(0, run(78));
    byte[] read = new byte[data.length];
    front.domain.memory().read(FrontEnd.page(30), read, 0, read.length);
    assertArrayEquals(data, read);
    assertEquals(data[5], disk.bytes[100 * 512 + 5]);
    request(3, 0, 79, 0);
    assertEquals(0, run(79));
    assertEquals(1, disk.flushes.get());
    long d = request(5, 0, 80, 8);
    front.domain.memory().write64(d + 24, 16);
    assertEquals(0, run(80));
    assertEquals(1, disk.discards.get());
  }

  @Test
  void indirectSegmentsReachAWholeMebibyte() throws Exception {
    Random random = new Random(2);
    byte[] data = new byte[256 * 4096];
    random.nextBytes(data);
    front.domain.memory().write(FrontEnd.page(100), data);
    long at = request(6, 1, 5, 0);
    front.domain.memory().write16(at + 2, 256);
    front.put32(at + 28, 9);
    for (int i = 0; i < 256; i++) {
      front.put32(FrontEnd.page(9) + 8L * i, 100 + i);
      front.domain.memory().write16(FrontEnd.page(9) + 8L * i + 4, 7 << 8);
    }
    assertEquals(0, run(5));
    assertArrayEquals(data, java.util.Arrays.copyOf(disk.bytes, data.length));
    assertEquals(1, front.domain.memory().read8(slot(produced - 1) + 8), "named by what it did");
  }

  /** Breaks if a request that makes no sense is done, or answered with anything but an error. */
  @Test
  void nonsenseIsRefused() throws Exception {
    long at = request(0, 1, 1, SECTORS - 7);
    segment(at, 0, 20, 0, 7);
    assertEquals(-1, run(1), "beyond the end");
    at = request(0, 1, 2, -1);
    segment(at, 0, 20, 0, 7);
    assertEquals(-1, run(2));
    at = request(0, 12, 3, 0);
    assertEquals(-1, run(3), "too many segments");
    at = request(0, 0, 4, 0);
    assertEquals(-1, run(4));
    at = request(0, 1, 5, 0);
    segment(at, 0, 20, 5, 4);
    assertEquals(-1, run(5), "last before first");
    at = request(0, 1, 6, 0);
    segment(at, 0, 20, 0, 8);
    assertEquals(-1, run(6), "beyond the page");
    at = request(0, 1, 7, 0);
    segment(at, 0, 500, 0, 7);
    assertEquals(-1, run(7), "not granted");
    at = request(6, 0, 8, 0);
    front.domain.memory().write16(at + 2, 257);
    assertEquals(-1, run(8), "too many indirect segments");
    request(9, 0, 9, 0);
    assertEquals(-2, run(9), "no such operation");
    at = request(5, 0, 10, Long.MAX_VALUE);
    front.domain.memory().write64(at + 24, Long.MAX_VALUE);
    assertEquals(-1, run(10));
  }

  /** Breaks if an index that lies makes the back end read beyond the ring, loop or stop. */
  @Test
  void indicesThatLieAreNotBelieved() throws Exception {
    for (int lie : new int[] {-1, 33, 1000, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      front.put32(FrontEnd.page(RING), produced + lie);
      front.kick(port);
      front.settle();
      assertEquals(produced, front.get32(FrontEnd.page(RING) + 8), "after " + lie);
    }
    request(3, 0, 1, 0);
    assertEquals(0, run(1));
  }

  @Test
  void randomRingsDoNoHarm() throws Exception {
    Random random = new Random(7);
    for (int i = 0; i < 500; i++) {
      byte[] noise = new byte[SLOT];
      random.nextBytes(noise);
      noise[0] = (byte) random.nextInt(8);
      noise[1] = (byte) random.nextInt(14);
      front.domain.memory().write(slot(produced), noise);
      front.put32(FrontEnd.page(RING), ++produced);
      front.kick(port);
      front.settle();
      assertEquals(produced, front.get32(FrontEnd.page(RING) + 8));
    }
  }

  /** Breaks if pages stay in use after the front end has gone. */
  @Test
  void everythingIsLetGoOf() throws Exception {
    long at = request(0, 1, 1, 0);
    segment(at, 0, 20, 0, 7);
    assertEquals(0, run(1));
    assertEquals(1, front.domain.memory().read16(entry(20)), "nothing is kept");
    assertEquals(Optional.empty(), front.backendKey("feature-persistent"));
    front.write("state", 5);
    front.awaitState(5);
    front.write("state", 6);
    front.awaitState(6);
    assertEquals(1, front.domain.memory().read16(entry(20)));
    assertEquals(1, front.domain.memory().read16(entry(RING)));
    CountDownLatch ended = new CountDownLatch(1);
    backend.end(ended::countDown);
    ended.await();
    assertEquals(Optional.empty(), front.backendKey("state"));
  }

  /** Breaks if requests beside each other fail or succeed together, or are not one to the disk. */
  @Test
  void neighboursAreOneRequestUnlessItFails() throws Exception {
    for (int round = 0; round < 2; round++) {
      disk.failing = round == 0 ? -1 : 16 * 512;
      disk.submitted.set(0);
      for (int i = 0; i < 4; i++) {
        long at = request(0, 1, 10 + i, 8L * i);
        segment(at, 0, 20 + i, 0, 7);
      }
      assertEquals(0, run(13));
      assertEquals(round == 0 ? 1 : 5, disk.submitted.get());
      for (int i = 0; i < 4; i++) {
        long at = slot(produced - 4 + i);
        assertEquals(10 + i, front.domain.memory().read64(at));
        assertEquals(
            round == 1 && i == 2 ? -1 : 0, (short) front.domain.memory().read16(at + 10));
      }
    }
  }

  private static long entry(int reference) {
    return org.javisor.xen.hypervisor.FakeDomain.GRANT_TABLE + 8L * reference;
  }

  @Test
  void aFrontEndThatWritesNonsenseIsClosed() throws Exception {
    front.write("state", 6);
    front.awaitState(6);
    front.write("ring-ref", "none");
    front.write("state", 1);
    front.awaitState(2);
    front.write("state", 3);
    front.awaitState(6);
    assertTrue(front.backendKey("error").orElseThrow().contains("ring-ref"));
  }
}

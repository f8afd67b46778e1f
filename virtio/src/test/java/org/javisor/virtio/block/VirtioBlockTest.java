package org.javisor.virtio.block;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.HoldingDevice;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.Images;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.javisor.virtio.fake.FakeQueue;
import org.javisor.virtio.fake.FakeQueue.Buffer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class VirtioBlockTest {
  private static final long ALL = -1L;
  private static final int SIZE = 4 << 20;

  private final FakeMemory memory = new FakeMemory();
  private final FakeDisk disk = new FakeDisk(SIZE);
  private long status;

  private FakeDriver start(Transport transport, long features, int queues) {
    VirtioBlock device =
        new VirtioBlock(new VirtioBlock.Config(queues, "serial-7"), disk, memory.ram);
    return new FakeDriver(transport, memory, device).start(features, queues);
  }

  private FakeDriver start(long features) {
    return start(Transport.PCI_MODERN, features | Features.VERSION_1, 1);
  }

  private long header(int type, long sector) {
    long at = memory.allocate(16);
    memory.ram.write32(at, type);
    memory.ram.write64(at + 8, sector);
    return at;
  }

  /** Adds a request with its data in buffers of their own, and a status. */
  private int add(FakeDriver driver, int queue, int type, long sector, Buffer... data) {
    status = memory.allocate(1);
    memory.ram.write8(status, 0xee);
    List<Buffer> chain = new ArrayList<>();
    chain.add(out(header(type, sector), 16));
    chain.addAll(Arrays.asList(data));
    chain.add(in(status, 1));
    int head = driver.queues.get(queue).add(chain);
    driver.kick(queue);
    return head;
  }

  private int request(FakeDriver driver, int type, long sector, Buffer... data) {
    add(driver, 0, type, sector, data);
    assertTrue(driver.queues.get(0).poll() != null, "no answer");
    return memory.ram.read8(status);
  }

  /** Breaks if requests that wait for room on the host's disk are lost with the machine. */
  @Test
  void requestsThatTheHostCouldNotServeAreMadeAgainByARestoredDisk() {
    FakeDisk full = new FakeDisk(SIZE);
    full.failure = new BlockException(BlockException.Reason.HOST_DISK_FULL, "full");
    HoldingDevice holding = new HoldingDevice(full, failure -> {});
    VirtioBlock.Config config = new VirtioBlock.Config(2, "");
    FakeDriver driver =
        new FakeDriver(
            Transport.PCI_MODERN, memory, new VirtioBlock(config, holding, memory.ram))
            .start(Features.VERSION_1 | BlockLayout.F_MQ, 2);
    byte[] one = noise(512, 1);
    byte[] two = noise(1024, 2);
    add(driver, 0, 1, 3, out(memory.allocate(one), 512));
    add(driver, 1, 1, 8, out(memory.allocate(two), 1024));
    add(driver, 0, 4, 0);
    assertEquals(3, holding.heldRequests());
    // Twice: what was never submitted is saved as well as what was.
    driver.saveAndRestore(new VirtioBlock(config, holding, memory.ram));
    driver.saveAndRestore(new VirtioBlock(config, disk, memory.ram));
    assertArrayEquals(one, Arrays.copyOfRange(disk.contents, 3 * 512, 4 * 512));
    assertArrayEquals(two, Arrays.copyOfRange(disk.contents, 8 * 512, 10 * 512));
    assertTrue(driver.queues.get(0).poll() != null);
    assertTrue(driver.queues.get(0).poll() != null);
    assertTrue(driver.queues.get(1).poll() != null);
    assertEquals(0, request(driver, 0, 3, in(memory.allocate(512), 512)), "and it goes on");
  }

  private static byte[] noise(int bytes, long seed) {
    byte[] noise = new byte[bytes];
    new Random(seed).nextBytes(noise);
    return noise;
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void whatIsWrittenIsReadBackWithAnyFeatures(Transport transport) {
    long[] bits = {
      Features.INDIRECT_DESC, Features.EVENT_IDX, BlockLayout.F_FLUSH, BlockLayout.F_CONFIG_WCE
    };
    for (int combination = 0; combination < 1 << bits.length; combination++) {
      long features = Features.VERSION_1;
      for (int i = 0; i < bits.length; i++) {
        features |= (combination >> i & 1) != 0 ? bits[i] : 0;
      }
      FakeDriver driver = start(transport, features, 1);
      byte[] data = noise(5 * 512, combination);
      long at = memory.allocate(data);
      assertEquals(0, request(driver, 1, 3, out(at, 512), out(at + 512, 4 * 512)));
      assertArrayEquals(data, Arrays.copyOfRange(disk.contents, 3 * 512, 8 * 512));
      long back = memory.allocate(5 * 512);
      assertEquals(0, request(driver, 0, 3, in(back, 100), in(back + 100, 5 * 512 - 100)));
      assertArrayEquals(data, memory.bytes(back, 5 * 512));
    }
  }

  @Test
  void theUsedLengthCountsWhatWasWritten() {
    FakeDriver driver = start(ALL);
    add(driver, 0, 0, 0, in(memory.allocate(1024), 1024));
    assertEquals(1025, driver.queues.get(0).poll().length());
    add(driver, 0, 1, 0, out(memory.allocate(1024), 1024));
    assertEquals(1, driver.queues.get(0).poll().length());
  }

  @Test
  void framingIsTheDriversBusiness() {
    FakeDriver driver = start(ALL);
    // Header in two parts and with the data; status with the data (VirtIO 1.2, section 2.7.4).
    byte[] data = noise(1024, 1);
    long request = memory.allocate(16 + 1024);
    memory.ram.write32(request, 1);
    memory.ram.write64(request + 8, 2);
    memory.ram.write(request + 16, data);
    long answer = memory.allocate(1);
    FakeQueue queue = driver.queues.get(0);
    queue.add(out(request, 3), out(request + 3, 17), out(request + 20, 1020), in(answer, 1));
    driver.kick(0);
    assertEquals(1, queue.poll().length());
    assertArrayEquals(data, Arrays.copyOfRange(disk.contents, 1024, 2048));
    long back = memory.allocate(1025);
    queue.add(out(header(0, 2), 16), in(back, 1025));
    driver.kick(0);
    assertEquals(1025, queue.poll().length());
    assertArrayEquals(data, memory.bytes(back, 1024));
  }

  @Test
  void largeRequestsGoInPieces() {
    FakeDriver driver = start(ALL);
    byte[] data = noise(3 << 20, 2);
    long at = memory.allocate(data);
    assertEquals(0, request(driver, 1, 1, out(at, data.length)));
    assertEquals(3, disk.log.stream().filter(l -> l.startsWith("write")).count());
    long back = memory.allocate(data.length);
    assertEquals(0, request(driver, 0, 1, in(back, 1000), in(back + 1000, data.length - 1000)));
    assertArrayEquals(data, memory.bytes(back, data.length));
  }

  @Test
  void withoutAFlushFeatureEachWriteIsDurable() {
    FakeDriver driver = start(0);
    request(driver, 1, 0, out(memory.allocate(512), 512));
    assertEquals(List.of("write 0+512", "flush"), disk.log);
  }

  @Test
  void theCacheIsSwitchedOffAndOn() {
    FakeDriver driver = start(ALL);
    assertEquals(1, driver.config(BlockLayout.CONFIG_WRITEBACK, 1));
    request(driver, 1, 0, out(memory.allocate(512), 512));
    driver.setConfig(BlockLayout.CONFIG_WRITEBACK, 1, 0);
    assertEquals(0, driver.config(BlockLayout.CONFIG_WRITEBACK, 1));
    request(driver, 1, 0, out(memory.allocate(512), 512));
    assertEquals(List.of("write 0+512", "write 0+512", "flush"), disk.log);
    driver.start(ALL, 1);
    assertEquals(1, driver.config(BlockLayout.CONFIG_WRITEBACK, 1), "as at first");
  }

  @Test
  void flushDiscardAndWriteZeroesReachTheDisk() {
    FakeDriver driver = start(ALL);
    assertEquals(0, request(driver, 4, 0));
    long ranges = memory.allocate(32);
    memory.ram.write64(ranges, 8);
    memory.ram.write32(ranges + 8, 16);
    memory.ram.write64(ranges + 16, 100);
    memory.ram.write32(ranges + 24, 1);
    assertEquals(0, request(driver, 11, 0, out(ranges, 32)));
    memory.ram.write32(ranges + 12, 1);
    assertEquals(0, request(driver, 13, 0, out(ranges, 16)));
    assertEquals(
        List.of("flush", "discard 4096+8192", "discard 51200+512", "zero 4096+8192 unmap"),
        disk.log);
  }

  @Test
  void theSerialNumberIsRead() {
    FakeDriver driver = start(ALL);
    long id = memory.allocate(20);
    assertEquals(0, request(driver, 8, 0, in(id, 20)));
    assertEquals(
        "serial-7", new String(memory.bytes(id, 20), StandardCharsets.US_ASCII).strip().replace(
            "\0", ""));
  }

  @Test
  void theDiskIsDescribed() {
    FakeDriver driver = start(Transport.PCI_MODERN, ALL, 4);
    assertEquals(SIZE / 512, driver.config(BlockLayout.CONFIG_CAPACITY, 8));
    assertEquals(512, driver.config(BlockLayout.CONFIG_BLK_SIZE, 4));
    assertEquals(4, driver.config(BlockLayout.CONFIG_NUM_QUEUES, 2));
    assertEquals(254, driver.config(BlockLayout.CONFIG_SEG_MAX, 4));
    assertTrue(driver.has(BlockLayout.F_MQ));
    assertFalse(driver.has(BlockLayout.F_RO));
  }

  @Test
  void everyQueueIsServed() {
    FakeDriver driver = start(Transport.PCI_MODERN, ALL, 4);
    for (int queue = 0; queue < 4; queue++) {
      disk.contents[0] = (byte) queue;
      long back = memory.allocate(512);
      add(driver, queue, 0, 0, in(back, 512));
      assertTrue(driver.queues.get(queue).poll() != null);
      assertEquals(queue, memory.ram.read8(back));
    }
  }

  @Test
  void aReadOnlyDiskSaysSoAndRefuses() {
    disk.readOnly = true;
    FakeDriver driver = start(ALL);
    assertTrue(driver.has(BlockLayout.F_RO));
    assertFalse(driver.has(BlockLayout.F_DISCARD));
    assertEquals(1, request(driver, 1, 0, out(memory.allocate(512), 512)));
    assertEquals(2, request(driver, 11, 0, out(memory.allocate(16), 16)));
    assertEquals(List.of(), disk.log);
    assertEquals(0, request(driver, 0, 0, in(memory.allocate(512), 512)));
  }

  @Test
  void whatCannotBeDoneIsAnError() {
    FakeDriver driver = start(ALL);
    long data = memory.allocate(1024);
    assertEquals(2, request(driver, 77, 0, out(data, 512)), "no such request");
    assertEquals(1, request(driver, 0, SIZE / 512, in(data, 512)), "behind the end");
    assertEquals(1, request(driver, 0, SIZE / 512 - 1, in(data, 1024)), "over the end");
    assertEquals(1, request(driver, 0, -1, in(data, 512)));
    assertEquals(1, request(driver, 0, Long.MIN_VALUE, in(data, 512)));
    assertEquals(1, request(driver, 0, 1L << 55, in(data, 512)), "overflows in bytes");
    assertEquals(1, request(driver, 1, 0, out(data, 511)), "no whole sector");
    assertEquals(0, request(driver, 1, 0), "nothing at all");
    assertEquals(1, request(driver, 11, 0, out(data, 15)));
    assertEquals(1, request(driver, 11, 0));
    memory.ram.write64(data, 0);
    memory.ram.write32(data + 8, -1);
    assertEquals(1, request(driver, 13, 0, out(data, 16)), "too many sectors");
    memory.ram.write32(data + 8, 1);
    memory.ram.write32(data + 12, 2);
    assertEquals(2, request(driver, 13, 0, out(data, 16)), "an unknown flag");
    assertFalse(driver.needsReset());
    assertEquals(List.of(), disk.log);
  }

  @Test
  void theHostsFailureIsAnIoError() {
    disk.failure = new BlockException(BlockException.Reason.HOST_IO, "broken");
    FakeDriver driver = start(ALL);
    for (int type : new int[] {0, 1, 4}) {
      long data = memory.allocate(512);
      Buffer buffer = type == 0 ? in(data, 512) : out(data, 512);
      assertEquals(1, type == 4 ? request(driver, 4, 0) : request(driver, type, 0, buffer));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 8, 15})
  void aRequestWithoutHeaderOrStatusBreaksTheRules(int headerBytes) {
    FakeDriver driver = start(ALL);
    FakeQueue queue = driver.queues.get(0);
    if (headerBytes == 0) {
      queue.add(out(header(4, 0), 16));
    } else {
      queue.add(out(header(4, 0), headerBytes), in(memory.allocate(1), 1));
    }
    driver.kick(0);
    assertTrue(driver.needsReset());
    driver.start(ALL, 1);
    assertEquals(0, request(driver, 4, 0));
  }

  @Test
  void requestsAreDoneSideBySideAndInAnyOrder() {
    disk.holdsBack = true;
    FakeDriver driver = start(Features.EVENT_IDX);
    List<Long> where = new ArrayList<>();
    List<Integer> heads = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      disk.contents[512 * i] = (byte) (i + 1);
      where.add(memory.allocate(512));
      heads.add(add(driver, 0, 0, i, in(where.get(i), 512)));
    }
    assertNull(driver.queues.get(0).poll());
    disk.release();
    for (int i = 15; i >= 0; i--) {
      assertEquals(heads.get(i), driver.queues.get(0).poll().id());
      assertEquals(i + 1, memory.ram.read8(where.get(i)));
    }
  }

  @Test
  void aGuestTakesOnlySoMuchOfTheHostsMemory() {
    disk.holdsBack = true;
    FakeDriver driver = start(Features.INDIRECT_DESC);
    long data = memory.allocate(1 << 20);
    for (int i = 0; i < 40; i++) {
      add(driver, 0, 0, 0, in(data, 1 << 20));
    }
    assertTrue(disk.waiting.size() <= 16, "in flight: " + disk.waiting.size());
    disk.release();
    int done = 0;
    while (driver.queues.get(0).poll() != null) {
      done++;
    }
    assertEquals(40, done, "those that waited were done later");
  }

  @Test
  void afterAResetNothingIsWrittenToTheGuest() {
    disk.holdsBack = true;
    FakeDriver driver = start(ALL);
    disk.contents[0] = 1;
    long back = memory.allocate(512);
    add(driver, 0, 0, 0, in(back, 512));
    driver.setStatus(0);
    disk.release();
    assertEquals(0, memory.ram.read8(back));
    assertNull(driver.queues.get(0).poll());
    disk.holdsBack = false;
    driver.start(ALL, 1);
    assertEquals(0, request(driver, 0, 0, in(back, 512)));
    assertEquals(1, memory.ram.read8(back));
  }

  @Test
  void memoryThatGoesAwayMeanwhileIsTheDriversFault() {
    disk.holdsBack = true;
    FakeDriver driver = start(ALL);
    long back = memory.allocate(4096, 4096);
    add(driver, 0, 0, 0, in(back, 4096));
    memory.ram.unmap(back, 4096);
    disk.release();
    assertTrue(driver.needsReset());
  }

  @Test
  void aRealImageBehindManyRequests(@TempDir Path folder) throws Exception {
    Path image = folder.resolve("d.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.DEFAULT);
    byte[] mirror = new byte[SIZE];
    Random random = new Random(3);
    try (BlockWorkers workers = new BlockWorkers();
        ImageDevice back = new ImageDevice(Images.open(image, null, Access.WRITE), workers)) {
      VirtioBlock device = new VirtioBlock(new VirtioBlock.Config(2, ""), back, memory.ram);
      FakeDriver driver = new FakeDriver(Transport.PCI_MODERN, memory, device).start(ALL, 2);
      long data = memory.allocate(16 * 65_536);
      for (int round = 0; round < 60; round++) {
        int queue = round & 1;
        for (int i = 0; i < 16; i++) {
          // Each of the sixteen has a part of the disk of its own: order is not promised.
          int sectors = 1 + random.nextInt(128);
          int sector = i * (SIZE / 512 / 16) + random.nextInt(SIZE / 512 / 16 - sectors);
          byte[] bytes = noise(512 * sectors, random.nextLong());
          memory.ram.write(data + 65_536L * i, bytes);
          System.arraycopy(bytes, 0, mirror, 512 * sector, bytes.length);
          add(driver, queue, 1, sector, out(data + 65_536L * i, bytes.length));
        }
        for (int i = 0; i < 16; i++) {
          driver.queues.get(queue).await();
        }
      }
      byte[] back2 = new byte[SIZE];
      long room = memory.allocate(1 << 20);
      for (int at = 0; at < SIZE; at += 1 << 20) {
        add(driver, 0, 0, at / 512, in(room, 1 << 20));
        driver.queues.get(0).await();
        assertEquals(0, memory.ram.read8(status));
        memory.ram.read(room, back2, at, 1 << 20);
      }
      assertArrayEquals(mirror, back2);
      driver.setStatus(0);
    }
  }
}

package org.javisor.virtio.queue;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.javisor.virtio.fake.FakeMemory;
import org.javisor.virtio.fake.FakeQueue;
import org.javisor.virtio.queue.Virtqueue.Rings;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VirtqueueTest {
  private final FakeMemory memory = new FakeMemory();

  private Virtqueue device(FakeQueue driver, boolean indirect, boolean event)
      throws DriverFault {
    return new Virtqueue(memory.ram, 0, driver.rings, indirect, event);
  }

  private FakeQueue driver(boolean indirect, boolean event) {
    return new FakeQueue(memory, 8, false, indirect, event);
  }

  private byte[] read(Chain chain, long at, int length) throws DriverFault {
    MemorySegment target = Arena.ofAuto().allocate(length);
    chain.read(at, target, 0, length);
    return target.toArray(ValueLayout.JAVA_BYTE);
  }

  @ParameterizedTest
  @CsvSource({"false,false", "false,true", "true,false", "true,true"})
  void requestsGoThereAndBackThousandsOfTimes(boolean indirect, boolean event)
      throws DriverFault {
    FakeQueue driver = driver(indirect, event);
    Virtqueue device = device(driver, indirect, event);
    Chain chain = new Chain(memory.ram);
    byte[] text = "hello, device".getBytes(StandardCharsets.US_ASCII);
    long question = memory.allocate(text);
    long answer = memory.allocate(16);
    // Both indices wrap around at 65536.
    for (int i = 0; i < (indirect ? 20_000 : 70_000); i++) {
      int head = driver.add(out(question, 5), out(question + 5, 8), in(answer, 3), in(answer, 13));
      assertTrue(device.pop(chain));
      assertFalse(device.pop(chain), "there is one only");
      assertEquals(head, chain.head());
      assertEquals(13, chain.readableBytes());
      assertEquals(16, chain.writableBytes());
      assertArrayEquals(text, read(chain, 0, 13));
      chain.write8(15, i);
      device.push(head, 16);
      device.publish();
      assertEquals(new FakeQueue.Used(head, 16), driver.poll());
      assertEquals(i & 0xff, memory.ram.read8(answer + 12));
    }
  }

  @Test
  void aChainMayBeginDirectAndEndIndirect() throws DriverFault {
    FakeQueue driver = driver(true, false);
    Virtqueue device = device(driver, true, false);
    long data = memory.allocate(64);
    long table = memory.allocate(32);
    driver.descriptor(table, 0, data + 8, 8, SplitLayout.DESC_F_NEXT, 1);
    driver.descriptor(table, 1, data + 16, 8, SplitLayout.DESC_F_WRITE, 0);
    driver.descriptor(0, data, 8, SplitLayout.DESC_F_NEXT, 5);
    // The flag WRITE of an indirect descriptor means nothing.
    driver.descriptor(5, table, 32, SplitLayout.DESC_F_INDIRECT | SplitLayout.DESC_F_WRITE, 0);
    driver.offer(0);
    Chain chain = new Chain(memory.ram);
    assertTrue(device.pop(chain));
    assertEquals(16, chain.readableBytes());
    assertEquals(8, chain.writableBytes());
  }

  @Test
  void notificationsAreWantedOnlyAfterRearming() throws DriverFault {
    for (boolean event : new boolean[] {false, true}) {
      FakeQueue driver = driver(false, event);
      Virtqueue device = device(driver, false, event);
      Chain chain = new Chain(memory.ram);
      long data = memory.allocate(8);
      int before = driver.availableIndex();
      driver.add(out(data, 8));
      assertTrue(driver.wantsNotification(before), "a new queue wants to be told");
      device.suppress();
      assertTrue(device.pop(chain));
      before = driver.availableIndex();
      driver.add(out(data, 8));
      assertFalse(driver.wantsNotification(before), "the device is at work");
      assertTrue(device.rearm(), "one came meanwhile");
      device.suppress();
      assertTrue(device.pop(chain));
      assertFalse(device.rearm());
      before = driver.availableIndex();
      driver.add(out(data, 8));
      assertTrue(driver.wantsNotification(before));
    }
  }

  @Test
  void interruptsComeWhenTheDriverWantsThem() throws DriverFault {
    FakeQueue driver = driver(false, false);
    Virtqueue device = device(driver, false, false);
    Chain chain = new Chain(memory.ram);
    long data = memory.allocate(8);
    assertFalse(device.publish(), "nothing was pushed");
    driver.add(out(data, 8));
    driver.add(out(data, 8));
    assertTrue(device.pop(chain));
    device.push(chain.head(), 0);
    assertTrue(device.publish());
    driver.setNoInterrupt(true);
    assertTrue(device.pop(chain));
    device.push(chain.head(), 0);
    assertFalse(device.publish());
  }

  @Test
  void withAnEventIndexABatchInterruptsOnce() throws DriverFault {
    FakeQueue driver = driver(false, true);
    Virtqueue device = device(driver, false, true);
    Chain chain = new Chain(memory.ram);
    long data = memory.allocate(8);
    driver.setUsedEvent(2); // when the third comes
    int interrupts = 0;
    for (int i = 0; i < 4; i++) {
      driver.add(out(data, 8));
      assertTrue(device.pop(chain));
      device.push(chain.head(), 0);
      if (device.publish()) {
        interrupts++;
        assertEquals(2, i);
      }
    }
    assertEquals(1, interrupts);
  }

  @Test
  void whatWasTakenCanBeGivenBack() throws DriverFault {
    FakeQueue driver = driver(false, false);
    Virtqueue device = device(driver, false, false);
    Chain chain = new Chain(memory.ram);
    int first = driver.add(out(memory.allocate(8), 8));
    driver.add(out(memory.allocate(8), 8));
    assertTrue(device.pop(chain));
    assertTrue(device.pop(chain));
    device.unpop();
    device.unpop();
    assertTrue(device.pop(chain));
    assertEquals(first, chain.head());
  }

  @Test
  void aQueueGoesOnFromWhereItWas() throws DriverFault {
    FakeQueue driver = driver(false, false);
    Virtqueue device = device(driver, false, false);
    Chain chain = new Chain(memory.ram);
    for (int i = 0; i < 3; i++) {
      driver.add(out(memory.allocate(8), 8));
      assertTrue(device.pop(chain));
      device.push(chain.head(), 0);
      device.publish();
      driver.poll();
    }
    Virtqueue again = device(driver, false, false);
    again.setPosition(device.position());
    assertFalse(again.pop(chain));
    int head = driver.add(out(memory.allocate(8), 8));
    assertTrue(again.pop(chain));
    assertEquals(head, chain.head());
    again.push(head, 7);
    assertTrue(again.publish());
    assertEquals(new FakeQueue.Used(head, 7), driver.poll());
  }

  // ---- Hostile drivers ----------------------------------------------------------------------

  private void assertFault(FakeQueue driver, boolean indirect) throws DriverFault {
    Virtqueue device = device(driver, indirect, false);
    Chain chain = new Chain(memory.ram);
    assertThrows(DriverFault.class, () -> device.pop(chain));
  }

  @Test
  void ringsMustBeWhereMemoryIs() {
    FakeQueue good = driver(false, false);
    Rings r = good.rings;
    List<Rings> bad =
        List.of(
            new Rings(0, r.descriptors(), r.available(), r.used()),
            new Rings(7, r.descriptors(), r.available(), r.used()),
            new Rings(65536, r.descriptors(), r.available(), r.used()),
            new Rings(-8, r.descriptors(), r.available(), r.used()),
            new Rings(8, r.descriptors() + 1, r.available(), r.used()),
            new Rings(8, r.descriptors(), r.available() + 1, r.used()),
            new Rings(8, r.descriptors(), r.available(), r.used() + 1),
            new Rings(8, FakeMemory.SIZE - 16, r.available(), r.used()),
            new Rings(8, r.descriptors(), -2, r.used()),
            new Rings(8, r.descriptors(), r.available(), Long.MAX_VALUE - 3),
            new Rings(8, r.descriptors(), r.available(), FakeMemory.SIZE));
    for (Rings rings : bad) {
      assertThrows(
          DriverFault.class,
          () -> new Virtqueue(memory.ram, 0, rings, false, false),
          rings.toString());
    }
  }

  @Test
  void anIndexThatRunsAwayIsAFault() throws DriverFault {
    FakeQueue driver = driver(false, false);
    driver.setAvailableIndex(9);
    assertFault(driver, false);
    driver.setAvailableIndex(0xffff);
    assertFault(driver, false);
  }

  @Test
  void aHeadOutsideOfTheTableIsAFault() throws DriverFault {
    FakeQueue driver = driver(false, false);
    driver.offer(8);
    assertFault(driver, false);
  }

  @Test
  void theSameRequestTooOftenIsAFault() throws DriverFault {
    FakeQueue driver = driver(false, false);
    driver.descriptor(0, memory.allocate(8), 8, 0, 0);
    Virtqueue device = device(driver, false, false);
    Chain chain = new Chain(memory.ram);
    for (int i = 0; i < 8; i++) {
      driver.offer(0);
      assertTrue(device.pop(chain));
    }
    driver.offer(0);
    assertThrows(DriverFault.class, () -> device.pop(chain));
  }

  @Test
  void loopsEnd() throws DriverFault {
    FakeQueue itself = driver(false, false);
    itself.descriptor(0, memory.allocate(8), 8, SplitLayout.DESC_F_NEXT, 0);
    itself.offer(0);
    assertFault(itself, false);
    FakeQueue two = driver(true, false);
    long table = memory.allocate(32);
    two.descriptor(table, 0, table, 1, SplitLayout.DESC_F_NEXT, 1);
    two.descriptor(table, 1, table, 1, SplitLayout.DESC_F_NEXT, 0);
    two.descriptor(3, table, 32, SplitLayout.DESC_F_INDIRECT, 0);
    two.offer(3);
    assertFault(two, true);
  }

  @ParameterizedTest
  @CsvSource({
    // address, length, flags, next
    "0x2000000, 1, 0, 0", // behind the memory
    "0x1ffffff, 2, 0, 0", // partly behind it
    "-1, 1, 0, 0", // above all addresses
    "0x7ffffffffffffff0, 0x20, 0, 0", // overflows
    "0x10000, 0xffffffff, 0, 0", // longer than the memory
    "0x10000, 8, 1, 8", // next outside of the table
    "0x10000, 8, 4, 0", // indirect, not a multiple of 16
    "0x10000, 0, 4, 0", // indirect, empty
    "0x10000, 16, 5, 0", // indirect and next
    "0x2000000, 16, 4, 0", // indirect where no memory is
    "-16, 16, 4, 0", // the same, at the end of all addresses
    "0x10000, 0xfffffff0, 4, 0" // an indirect table of 4 GiB
  })
  void aBadDescriptorIsAFault(String address, String length, int flags, int next)
      throws DriverFault {
    FakeQueue driver = driver(true, false);
    memory.ram.write(0x10000, new byte[16]);
    driver.descriptor(2, Long.decode(address), Long.decode(length), flags, next);
    driver.offer(2);
    if (length.equals("0xfffffff0") && memory.ram.contains(0x10000, 1 << 20, false)) {
      // Of a huge table only what can be reached must exist; its first entry is an empty buffer.
      assertTrue(device(driver, true, false).pop(new Chain(memory.ram)));
      return;
    }
    assertFault(driver, true);
  }

  @Test
  void indirectTablesMustBeAgreedUponAndAreNotNested() throws DriverFault {
    FakeQueue driver = driver(false, false);
    long table = memory.allocate(16);
    driver.descriptor(table, 0, table, 16, SplitLayout.DESC_F_INDIRECT, 0);
    driver.descriptor(0, table, 16, SplitLayout.DESC_F_INDIRECT, 0);
    driver.offer(0);
    assertFault(driver, false);
    assertFault(driver, true);
  }

  @Test
  void readableBuffersComeFirst() throws DriverFault {
    FakeQueue driver = driver(false, false);
    long data = memory.allocate(8);
    driver.add(in(data, 8), out(data, 8));
    assertFault(driver, false);
  }

  @Test
  void romIsNotWritten() throws DriverFault {
    memory.ram.mapRom(0x80_0000, new byte[4096]);
    FakeQueue driver = driver(false, false);
    driver.add(in(0x80_0000, 8));
    assertFault(driver, false);
  }

  @Test
  void moreThanAChainHoldsIsAFault() throws DriverFault {
    FakeQueue driver = driver(false, false);
    Virtqueue device = device(driver, false, false);
    long data = memory.allocate(8);
    driver.add(out(data, 3), in(data, 5));
    Chain chain = new Chain(memory.ram);
    assertTrue(device.pop(chain));
    assertThrows(DriverFault.class, () -> chain.read8(3));
    assertThrows(DriverFault.class, () -> chain.read32(0));
    assertThrows(DriverFault.class, () -> chain.write8(5, 0));
    MemorySegment host = Arena.ofAuto().allocate(16);
    assertThrows(DriverFault.class, () -> chain.read(0, host, 0, 4));
    assertThrows(DriverFault.class, () -> chain.write(1, host, 0, 5));
  }

  /** Whatever the rings hold, a pop ends, with a chain or a fault, and touches nothing of ours. */
  @Test
  void noiseInTheRingsHarmsNobody() throws DriverFault {
    Random random = new Random(5);
    FakeQueue driver = driver(true, true);
    Rings r = driver.rings;
    long everything = r.descriptors();
    int bytes = (int) (r.used() + SplitLayout.usedBytes(8) - everything);
    Chain chain = new Chain(memory.ram);
    List<String> faults = new ArrayList<>();
    int chains = 0;
    for (int round = 0; round < 20_000; round++) {
      byte[] noise = new byte[bytes];
      random.nextBytes(noise);
      memory.ram.write(everything, noise);
      for (int i = 0; i < 8; i++) {
        // Else nothing would ever be a valid address.
        long at = r.descriptors() + 16L * i;
        memory.ram.write64(at, random.nextLong() & (random.nextInt(16) == 0 ? -1 : 0x1ff_ffff));
        memory.ram.write32(at + 8, random.nextInt() & (random.nextInt(16) == 0 ? -1 : 0xffff));
        memory.ram.write16(at + 12, random.nextInt(3));
        if (random.nextInt(8) == 0) {
          memory.ram.write16(at + 12, random.nextInt());
        }
        memory.ram.write16(at + 14, random.nextInt(9));
        memory.ram.write16(r.available() + 4 + 2L * i, random.nextInt(9));
      }
      driver.setAvailableIndex(random.nextInt(9));
      Virtqueue device = device(driver, true, true);
      try {
        while (device.pop(chain)) {
          chains++;
          device.push(chain.head(), random.nextInt());
          device.publish();
        }
        device.rearm();
      } catch (DriverFault e) {
        faults.add(e.getMessage());
      }
    }
    assertTrue(chains > 1000, "chains: " + chains);
    assertTrue(faults.stream().distinct().count() > 5, "faults: " + faults.size());
  }
}

package org.javisor.virtio.balloon;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.virtio.device.Features;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class VirtioBalloonTest {
  private final FakeMemory memory = new FakeMemory();
  private final VirtioBalloon balloon = new VirtioBalloon(Runnable::run, memory.ram);

  private FakeDriver start(Transport transport, long features, int queues) {
    return new FakeDriver(transport, memory, balloon)
        .start(features | Features.VERSION_1, queues);
  }

  private static boolean isZero(byte[] bytes) {
    for (byte b : bytes) {
      if (b != 0) {
        return false;
      }
    }
    return true;
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void pagesInTheBalloonGoBackToTheHost(Transport transport) {
    FakeDriver driver = start(transport, -1L, 2);
    driver.takeInterrupt();
    balloon.setTarget(3 * 4096);
    assertEquals(2, driver.takeInterrupt());
    assertEquals(3, driver.config(0, 4));
    long pages = memory.allocate(4 * 4096, 4096);
    for (int i = 0; i < 4; i++) {
      memory.ram.write64(pages + 4096 * i, -1L);
    }
    long numbers = memory.allocate(12);
    // Upwards, downwards and apart.
    memory.ram.write32(numbers, (int) (pages >> 12) + 3);
    memory.ram.write32(numbers + 4, (int) (pages >> 12) + 1);
    memory.ram.write32(numbers + 8, (int) (pages >> 12));
    driver.queues.get(0).add(out(numbers, 12));
    driver.kick(0);
    assertNotNull(driver.queues.get(0).poll());
    driver.setConfig(4, 4, 3);
    assertEquals(3 * 4096, balloon.actual());
    assertTrue(isZero(memory.bytes(pages, 8192)));
    assertEquals(-1L, memory.ram.read64(pages + 8192), "the one between stays");
    assertTrue(isZero(memory.bytes(pages + 3 * 4096, 4096)));
    driver.queues.get(1).add(out(numbers, 12));
    driver.kick(1);
    assertNotNull(driver.queues.get(1).poll());
    memory.ram.write64(pages, 5);
    assertEquals(5, memory.ram.read64(pages));
  }

  private void stat(long at, int tag, long value) {
    memory.ram.write16(at, tag);
    memory.ram.write64(at + 2, value);
  }

  @Test
  void theGuestTellsOfItsMemory() {
    FakeDriver driver = start(Transport.PCI_MODERN, VirtioBalloon.F_STATS_VQ, 3);
    long stats = memory.allocate(30);
    stat(stats, 4, 1000);
    stat(stats + 10, 5, 5000);
    stat(stats + 20, 77, 1);
    driver.queues.get(2).add(out(stats, 30));
    driver.kick(2);
    assertNull(driver.queues.get(2).poll(), "kept until figures are wanted");
    assertEquals(
        new BalloonStatistics(-1, -1, -1, -1, 1000, 5000, -1, -1), balloon.statistics());
    assertNotNull(driver.queues.get(2).poll(), "and now they are");
    stat(stats, 4, 2000);
    driver.queues.get(2).add(out(stats, 30));
    driver.kick(2);
    assertEquals(2000, balloon.statistics().free());
    driver.setStatus(0);
    assertEquals(BalloonStatistics.UNKNOWN, balloon.statistics());
  }

  @Test
  void freePagesAreReported() {
    for (boolean stats : new boolean[] {false, true}) {
      FakeDriver driver =
          start(
              Transport.PCI_MODERN,
              VirtioBalloon.F_REPORTING | (stats ? VirtioBalloon.F_STATS_VQ : 0),
              stats ? 4 : 3);
      long pages = memory.allocate(4 * 4096, 4096);
      for (int i = 0; i < 4; i++) {
        memory.ram.write64(pages + 4096 * i, -1L);
      }
      int queue = stats ? 3 : 2;
      // Half pages at the ends stay.
      driver.queues.get(queue).add(in(pages + 100, 3 * 4096));
      driver.kick(queue);
      assertNotNull(driver.queues.get(queue).poll());
      assertEquals(-1L, memory.ram.read64(pages));
      assertTrue(isZero(memory.bytes(pages + 4096, 8192)));
      assertEquals(-1L, memory.ram.read64(pages + 3 * 4096));
    }
  }

  @Test
  void pagesThatAreNoneBreakTheRules() {
    FakeDriver driver = start(Transport.PCI_MODERN, 0, 2);
    long numbers = memory.allocate(4);
    memory.ram.write32(numbers, -1);
    driver.queues.get(0).add(out(numbers, 4));
    driver.kick(0);
    assertTrue(driver.needsReset());
    driver = start(Transport.PCI_MODERN, 0, 2);
    driver.queues.get(0).add(out(numbers, 3));
    driver.kick(0);
    assertTrue(driver.needsReset());
  }
}

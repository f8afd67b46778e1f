package org.javisor.virtio.transport;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.javisor.accelerator.time.Entropy;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.entropy.VirtioEntropy;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.javisor.virtio.fake.FakeQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The transports, shown with the simplest of all devices. */
class TransportTest {
  private static final long ALL = -1L;

  private final FakeMemory memory = new FakeMemory();

  private FakeDriver driver(Transport transport) {
    return new FakeDriver(
        transport,
        memory,
        new VirtioEntropy(Entropy.seeded(1), Runnable::run, memory.ram));
  }

  private void assertWorks(FakeDriver driver) {
    FakeQueue queue = driver.queues.get(0);
    long data = memory.allocate(32);
    int head = queue.add(in(data, 32));
    driver.kick(0);
    assertEquals(new FakeQueue.Used(head, 32), queue.poll());
    assertTrue(memory.ram.read64(data) != 0);
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void aDriverSetsTheDeviceUpAndUsesIt(Transport transport) {
    for (long features : List.of(0L, Features.INDIRECT_DESC, Features.EVENT_IDX, ALL)) {
      FakeDriver driver = driver(transport).start(features | Features.VERSION_1, 1);
      assertWorks(driver);
      assertTrue(driver.line());
      assertEquals(1, driver.takeInterrupt());
      assertFalse(driver.line());
      assertEquals(0, driver.takeInterrupt());
      // And again, after a reset.
      driver.start(features | Features.VERSION_1, 1);
      assertWorks(driver);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"PCI_MODERN", "PCI_LEGACY"})
  void interruptsAreMessagesIfTheDriverWants(Transport transport) {
    FakeDriver driver = driver(transport);
    driver.useMsix(2);
    driver.start(ALL, 1);
    assertWorks(driver);
    assertEquals(List.of(200), driver.messages);
    assertFalse(driver.line());
  }

  @ParameterizedTest
  @EnumSource(names = {"PCI_MODERN", "MMIO"})
  void featuresThatWereNotOfferedDoNotStick(Transport transport) {
    FakeDriver driver = driver(transport);
    assertTrue(driver.insist(Features.VERSION_1));
    assertFalse(driver.insist(0), "a modern driver must know VERSION_1");
    assertFalse(driver.insist(Features.VERSION_1 | 1L << 40));
    assertFalse(driver.insist(Features.VERSION_1 | 1));
  }

  @ParameterizedTest
  @EnumSource(names = {"PCI_MODERN", "MMIO"})
  void aDriverThatSkipsTheFeaturesMustReset(Transport transport) {
    FakeDriver driver = driver(transport);
    driver.setStatus(3);
    driver.setUpQueue(0, 8);
    driver.setStatus(7);
    assertTrue(driver.needsReset());
    driver.setStatus(0);
    assertEquals(0, driver.status());
    assertWorks(driver.start(ALL, 1));
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void aDriverThatBreaksTheRulesIsTold(Transport transport) {
    FakeDriver driver = driver(transport).start(ALL, 1);
    driver.takeInterrupt();
    driver.queues.get(0).offer(12345);
    driver.kick(0);
    assertTrue(driver.needsReset());
    assertEquals(2, driver.takeInterrupt(), "the configuration has changed");
    // The device does nothing more, whatever it is asked.
    driver.queues.get(0).add(in(memory.allocate(8), 8));
    driver.kick(0);
    assertEquals(null, driver.queues.get(0).poll());
    assertWorks(driver.start(ALL, 1));
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void aQueueWhereNoMemoryIsIsTheDriversFault(Transport transport) {
    FakeDriver driver = driver(transport);
    driver.negotiate(ALL);
    FakeQueue queue = driver.setUpQueue(0, 64);
    memory.ram.unmap(queue.rings.descriptors() & -4096, 4096);
    driver.driverOk();
    assertTrue(driver.needsReset());
  }

  @Test
  void aLegacyDriverMayBeginBeforeDriverOk() {
    FakeDriver driver = driver(Transport.PCI_LEGACY);
    driver.negotiate(ALL);
    driver.setUpQueue(0, 64);
    assertWorks(driver);
    driver.driverOk();
    assertWorks(driver);
  }

  @Test
  void aModernDriverMayNot() {
    FakeDriver driver = driver(Transport.PCI_MODERN);
    driver.negotiate(ALL);
    FakeQueue queue = driver.setUpQueue(0, 64);
    queue.add(in(memory.allocate(8), 8));
    driver.kick(0);
    assertEquals(null, queue.poll());
  }

  @Test
  void aDeviceThatMayNotTouchMemoryDoesNot() {
    FakeDriver driver = driver(Transport.PCI_MODERN).start(ALL, 1);
    driver.function().writeConfig(4, 2, 3);
    driver.queues.get(0).add(in(memory.allocate(8), 8));
    driver.kick(0);
    assertEquals(null, driver.queues.get(0).poll());
  }

  @Test
  void registersAreReachedThroughTheConfigurationSpaceToo() {
    VirtioPci function = driver(Transport.PCI_MODERN).function();
    int window = 0;
    for (int at = function.readConfig(0x34, 1); at != 0; at = function.readConfig(at + 1, 1)) {
      if (function.readConfig(at, 1) == 9 && function.readConfig(at + 3, 1) == 5) {
        window = at;
      }
    }
    function.writeConfig(window + 4, 1, 4);
    function.writeConfig(window + 8, 4, 20); // device_status
    function.writeConfig(window + 12, 4, 1);
    function.writeConfig(window + 16, 1, 1);
    assertEquals(1, function.readConfig(window + 16, 1));
    function.writeConfig(window + 8, 4, 18); // num_queues
    function.writeConfig(window + 12, 4, 2);
    assertEquals(1, function.readConfig(window + 16, 2));
    // Nonsense reads as zero and does nothing.
    function.writeConfig(window + 8, 4, -4);
    assertEquals(0, function.readConfig(window + 16, 2));
    function.writeConfig(window + 8, 4, 0x3fff);
    function.writeConfig(window + 12, 4, 4);
    assertEquals(0, function.readConfig(window + 16, 4));
  }

  @Test
  void aTransitionalDeviceHasTheOldNumbers() {
    VirtioPci function = driver(Transport.PCI_LEGACY).function();
    assertEquals(0x1af4, function.readConfig(0, 2));
    assertEquals(0x1005, function.readConfig(2, 2));
    assertEquals(0, function.readConfig(8, 1), "revision");
    assertEquals(4, function.readConfig(0x2e, 2), "subsystem: the kind of device");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 8})
  void everyRegisterCanBeReadAndWritten(int size) {
    for (Transport transport : Transport.values()) {
      FakeDriver driver = driver(transport);
      for (long base : new long[] {0xd000_0000L, 0xe000_0000L}) {
        for (long at = 0; at < (base == 0xd000_0000L ? 0x200 : 0x4000); at += size) {
          driver.bus.readMmio(base + at, size);
          driver.bus.writeMmio(base + at, size, -1L);
          driver.bus.writeMmio(base + at, size, 0x0123_4567_89ab_cdefL);
        }
      }
      for (int at = 0; size <= 4 && at < 32; at += size) {
        driver.bus.readPort(0xc000 + at, size);
        driver.bus.writePort(0xc000 + at, size, -1);
      }
    }
  }

  @Test
  void theMachinesResetIsADriversResetToo() {
    FakeDriver driver = driver(Transport.PCI_MODERN).start(ALL, 1);
    assertWorks(driver);
    driver.function().reset();
    assertEquals(0, driver.function().core().status());
    assertFalse(driver.line());
  }
}

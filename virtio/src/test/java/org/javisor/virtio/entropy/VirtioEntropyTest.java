package org.javisor.virtio.entropy;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.time.Entropy;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.junit.jupiter.api.Test;

class VirtioEntropyTest {
  private final FakeMemory memory = new FakeMemory();
  private final List<Runnable> tasks = new ArrayList<>();

  private FakeDriver start() {
    VirtioEntropy device = new VirtioEntropy(Entropy.seeded(1), tasks::add, memory.ram);
    return new FakeDriver(Transport.PCI_MODERN, memory, device).start(-1L, 1);
  }

  private void work() {
    while (!tasks.isEmpty()) {
      tasks.removeFirst().run();
    }
  }

  @Test
  void buffersAreFilledByThreadsThatMayBlock() {
    FakeDriver driver = start();
    long first = memory.allocate(64);
    long second = memory.allocate(10_000);
    driver.queues.get(0).add(in(first, 64));
    driver.queues.get(0).add(in(second, 10_000));
    driver.kick(0);
    assertNull(driver.queues.get(0).poll(), "not on the vCPU's thread");
    work();
    assertEquals(64, driver.queues.get(0).poll().length());
    assertEquals(4096 - 64, driver.queues.get(0).poll().length(), "as much as is given at once");
    assertNotEquals(0, memory.ram.read64(first));
    assertNotEquals(memory.ram.read64(first), memory.ram.read64(second));
  }

  @Test
  void moreThanIsGivenAtOnceComesInTurns() {
    FakeDriver driver = start();
    for (int i = 0; i < 8; i++) {
      driver.queues.get(0).add(in(memory.allocate(3000), 3000));
    }
    driver.kick(0);
    work();
    for (int i = 0; i < 8; i++) {
      assertTrue(driver.queues.get(0).poll().length() > 0);
    }
  }

  @Test
  void aBufferThatCannotBeFilledBreaksTheRules() {
    FakeDriver driver = start();
    driver.queues.get(0).add(out(memory.allocate(64), 64));
    driver.kick(0);
    work();
    assertTrue(driver.needsReset());
  }
}

package org.javisor.virtio.console;

import static org.javisor.virtio.fake.FakeQueue.in;
import static org.javisor.virtio.fake.FakeQueue.out;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.serial.CharacterPort;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.fake.FakeDriver;
import org.javisor.virtio.fake.FakeDriver.Transport;
import org.javisor.virtio.fake.FakeMemory;
import org.javisor.virtio.fake.FakeQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class VirtioConsoleTest {
  /** A far end that takes so many bytes and then no more. */
  private static final class Far implements CharacterBackend {
    final StringBuilder text = new StringBuilder();
    int room = Integer.MAX_VALUE;
    CharacterPort port;
    int inputReady;

    @Override
    public boolean write(int value) {
      if (text.length() >= room) {
        return false;
      }
      text.append((char) value);
      return true;
    }

    @Override
    public void attach(CharacterPort end) {
      port = end;
    }

    @Override
    public void inputReady() {
      inputReady++;
    }

    int type(String typed) {
      byte[] bytes = typed.getBytes(StandardCharsets.US_ASCII);
      return port.receive(bytes, 0, bytes.length);
    }
  }

  private final FakeMemory memory = new FakeMemory();
  private final Far terminal = new Far();
  private final Far channel = new Far();
  private VirtioConsole device;

  private VirtioConsole console() {
    return new VirtioConsole(
        List.of(
            new ConsolePortConfig("", true, terminal),
            new ConsolePortConfig("org.example.0", false, channel)),
        memory.ram);
  }

  private FakeDriver start(Transport transport, long features) {
    device = console();
    return new FakeDriver(transport, memory, device).start(features | Features.VERSION_1, 6);
  }

  private void print(FakeDriver driver, int queue, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    driver.queues.get(queue).add(out(memory.allocate(bytes), bytes.length));
    driver.kick(queue);
  }

  @ParameterizedTest
  @EnumSource(Transport.class)
  void outputAndInputWithAnyFeatures(Transport transport) {
    long[] bits = {Features.INDIRECT_DESC, Features.EVENT_IDX, ConsoleLayout.F_MULTIPORT};
    for (int combination = 0; combination < 8; combination++) {
      long features = 0;
      for (int i = 0; i < bits.length; i++) {
        features |= (combination >> i & 1) != 0 ? bits[i] : 0;
      }
      FakeDriver driver = start(transport, features);
      terminal.text.setLength(0);
      print(driver, 1, "hello");
      assertNotNull(driver.queues.get(1).poll());
      assertEquals("hello", terminal.text.toString());
      assertEquals(0, terminal.type("abc"), "no buffers yet");
      long room = memory.allocate(16);
      driver.queues.get(0).add(in(room, 2));
      driver.queues.get(0).add(in(room + 2, 14));
      int ready = terminal.inputReady;
      driver.kick(0);
      assertEquals(ready + 1, terminal.inputReady);
      assertEquals(5, terminal.type("abcde"));
      assertEquals(2, driver.queues.get(0).poll().length());
      assertEquals(3, driver.queues.get(0).poll().length());
      assertEquals("abcde", new String(memory.bytes(room, 5), StandardCharsets.US_ASCII));
    }
  }

  @Test
  void aFarEndThatIsFullHoldsTheGuestsOutput() {
    FakeDriver driver = start(Transport.PCI_MODERN, 0);
    terminal.room = 3;
    print(driver, 1, "hello");
    print(driver, 1, "world");
    assertNull(driver.queues.get(1).poll());
    terminal.room = 7;
    terminal.port.outputReady();
    assertNotNull(driver.queues.get(1).poll());
    assertNull(driver.queues.get(1).poll());
    terminal.room = 100;
    terminal.port.outputReady();
    assertNotNull(driver.queues.get(1).poll());
    assertEquals("helloworld", terminal.text.toString());
    // What a reset leaves behind is not written after it.
    terminal.room = 12;
    print(driver, 1, "goodbye");
    driver.start(Features.VERSION_1, 6);
    terminal.room = 100;
    terminal.port.outputReady();
    assertEquals("helloworldgo", terminal.text.toString());
    print(driver, 1, "!");
    assertEquals("helloworldgo!", terminal.text.toString());
  }

  /** Breaks if a restored guest's output is lost, or comes twice. */
  @Test
  void outputHalfWrittenGoesOnAfterARestore() {
    FakeDriver driver = start(Transport.PCI_MODERN, 0);
    terminal.room = 3;
    print(driver, 1, "hello");
    print(driver, 1, "world");
    driver.saveAndRestore(console());
    assertNull(driver.queues.get(1).poll());
    assertEquals("hel", terminal.text.toString());
    driver.saveAndRestore(console());
    terminal.room = 100;
    terminal.port.outputReady();
    assertEquals("helloworld", terminal.text.toString());
    assertNotNull(driver.queues.get(1).poll());
    assertNotNull(driver.queues.get(1).poll());
  }

  /** Breaks if a restored guest does not hear what it was about to be told. */
  @Test
  void messagesThatWaitForBuffersSurvive() {
    FakeDriver driver = start(Transport.PCI_MODERN, ConsoleLayout.F_MULTIPORT);
    device.resize(80, 25);
    assertEquals(0, terminal.type("x"), "no buffers yet");
    int ready = terminal.inputReady;
    driver.saveAndRestore(console());
    assertEquals(80, driver.config(0, 2));
    assertEquals(ready + 1, terminal.inputReady, "whoever was refused is to try again");
    long room = memory.allocate(64);
    driver.queues.get(2).add(in(room, 64));
    driver.kick(2);
    assertEquals(12, driver.queues.get(2).poll().length());
    assertEquals(25, memory.ram.read16(room + 8));
  }

  /** A message of the driver; then all that the device has to say. */
  private List<String> say(FakeDriver driver, int id, int event, int value) {
    long room = memory.allocate(16 * 64);
    for (int i = 0; i < 16; i++) {
      driver.queues.get(2).add(in(room + 64 * i, 64));
    }
    driver.kick(2);
    long message = memory.allocate(8);
    memory.ram.write32(message, id);
    memory.ram.write16(message + 4, event);
    memory.ram.write16(message + 6, value);
    driver.queues.get(3).add(out(message, 8));
    driver.kick(3);
    assertNotNull(driver.queues.get(3).poll());
    List<String> heard = new ArrayList<>();
    for (FakeQueue.Used used = driver.queues.get(2).poll(); used != null; used =
        driver.queues.get(2).poll()) {
      long at = room + 64L * heard.size();
      heard.add(
          memory.ram.read32(at) + ":" + memory.ram.read16(at + 4) + "=" + memory.ram.read16(at + 6)
              + new String(memory.bytes(at + 8, used.length() - 8), StandardCharsets.US_ASCII));
    }
    return heard;
  }

  @Test
  void portsAreAnnounced() {
    FakeDriver driver = start(Transport.PCI_MODERN, ConsoleLayout.F_MULTIPORT);
    assertEquals(2, driver.config(4, 4));
    assertEquals(List.of("0:1=1", "1:1=1"), say(driver, 0, 0, 1));
    driver.start(Features.VERSION_1 | ConsoleLayout.F_MULTIPORT, 6);
    assertEquals(List.of("0:4=1", "0:6=1"), say(driver, 0, 3, 1));
    driver.start(Features.VERSION_1 | ConsoleLayout.F_MULTIPORT, 6);
    assertEquals(List.of("1:7=1org.example.0", "1:6=1"), say(driver, 1, 3, 1));
    print(driver, 5, "data");
    assertEquals("data", channel.text.toString());
    driver.queues.get(4).add(in(memory.allocate(8), 8));
    assertEquals(3, channel.type("in!"));
  }

  @Test
  void theTerminalsSizeReachesTheGuest() {
    FakeDriver driver = start(Transport.PCI_MODERN, ConsoleLayout.F_SIZE);
    driver.takeInterrupt();
    device.resize(132, 43);
    assertEquals(2, driver.takeInterrupt());
    assertEquals(132, driver.config(0, 2));
    assertEquals(43, driver.config(2, 2));
    driver = start(Transport.PCI_MODERN, ConsoleLayout.F_MULTIPORT);
    long room = memory.allocate(64);
    driver.queues.get(2).add(in(room, 64));
    device.resize(80, 25);
    assertEquals(12, driver.queues.get(2).poll().length());
    assertEquals(25, memory.ram.read16(room + 8));
    assertEquals(80, memory.ram.read16(room + 10));
  }

  @Test
  void aGuestInDistressWritesWithoutQueues() {
    FakeDriver driver = start(Transport.PCI_MODERN, 0);
    driver.setConfig(8, 4, '!');
    assertEquals("!", terminal.text.toString());
  }

  @Test
  void aDriverThatOnlyAsksBreaksTheRules() {
    FakeDriver driver = start(Transport.PCI_MODERN, ConsoleLayout.F_MULTIPORT);
    long message = memory.allocate(8);
    memory.ram.write16(message + 6, 1);
    for (int i = 0; i < 300 && !driver.needsReset(); i++) {
      driver.queues.get(3).add(out(message, 8));
      driver.kick(3);
      driver.queues.get(3).poll();
    }
    assertTrue(driver.needsReset());
    driver = start(Transport.PCI_MODERN, ConsoleLayout.F_MULTIPORT);
    driver.queues.get(3).add(out(message, 7));
    driver.kick(3);
    assertTrue(driver.needsReset(), "a message that is none");
    driver = start(Transport.PCI_MODERN, 0);
    driver.queues.get(0).add(out(message, 7));
    terminal.type("x");
    assertTrue(driver.needsReset(), "a buffer for input that holds none");
  }
}

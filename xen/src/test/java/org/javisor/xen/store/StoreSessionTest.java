package org.javisor.xen.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.javisor.xen.hypervisor.FakeDomain;
import org.javisor.xen.hypervisor.Hypervisor;
import org.junit.jupiter.api.Test;

/** The wire protocol, and a domain's ring. */
class StoreSessionTest {
  private final Store store = new Store();
  private final List<Message> out = new ArrayList<>();
  private final StoreSession session = new StoreSession(store, 0, out::add);

  private String ask(int type, int transaction, String payload) {
    out.clear();
    session.handle(new Message(type, 7, transaction, payload.getBytes(ISO_8859_1)));
    Message answer = out.getFirst();
    assertEquals(7, answer.request());
    String text = new String(answer.payload(), ISO_8859_1);
    return answer.type() == Message.ERROR ? "!" + text : text;
  }

  @Test
  void eachRequestHasItsAnswer() {
    assertEquals("OK\0", ask(Message.WRITE, 0, "/a/b\0value"));
    assertEquals("value", ask(Message.READ, 0, "/a/b\0"));
    assertEquals("b\0", ask(Message.DIRECTORY, 0, "/a\0"));
    assertEquals("OK\0", ask(Message.MKDIR, 0, "/a/c\0"));
    assertEquals("b\0c\0", ask(Message.DIRECTORY, 0, "/a\0"));
    assertEquals("n0\0", ask(Message.GET_PERMS, 0, "/a\0"));
    assertEquals("OK\0", ask(Message.SET_PERMS, 0, "/a\0n0\0r5\0"));
    assertEquals("n0\0r5\0", ask(Message.GET_PERMS, 0, "/a\0"));
    assertEquals("/local/domain/9\0", ask(Message.GET_DOMAIN_PATH, 0, "9\0"));
    assertEquals("T\0", ask(Message.IS_DOMAIN_INTRODUCED, 0, "0\0"));
    assertEquals("F\0", ask(Message.IS_DOMAIN_INTRODUCED, 0, "9\0"));
    String t = ask(Message.TRANSACTION_START, 0, "\0");
    int id = Integer.parseInt(t.substring(0, t.length() - 1));
    assertEquals("OK\0", ask(Message.RM, id, "/a/b\0"));
    assertEquals("OK\0", ask(Message.TRANSACTION_END, id, "T\0"));
    assertEquals("!ENOENT\0", ask(Message.READ, 0, "/a/b\0"));
    assertEquals("!ENOSYS\0", ask(99, 0, ""));
    assertEquals("!EINVAL\0", ask(Message.READ, 0, ""));
    assertEquals("!EINVAL\0", ask(Message.WRITE, 0, "no zero"));
    assertEquals("!ENOENT\0", ask(Message.READ, 55, "/a\0"));
  }

  @Test
  void aWatchIsAnsweredBeforeItsFirstEvent() {
    assertEquals("OK\0", ask(Message.WATCH, 0, "/a\0tok\0"));
    assertEquals(2, out.size());
    assertEquals(Message.WATCH_EVENT, out.get(1).type());
    assertEquals("/a\0tok\0", new String(out.get(1).payload(), ISO_8859_1));
    assertEquals("!EEXIST\0", ask(Message.WATCH, 0, "/a\0tok\0"));
  }

  @Test
  void aLongDirectoryIsReadInParts() {
    StringBuilder expected = new StringBuilder();
    for (int i = 1000; i < 1900; i++) {
      ask(Message.WRITE, 0, "/long/name" + i + "\0");
      expected.append("name").append(i).append('\0');
    }
    assertEquals("!E2BIG\0", ask(Message.DIRECTORY, 0, "/long\0"));
    StringBuilder all = new StringBuilder();
    boolean more = true;
    while (more) {
      String part = ask(Message.DIRECTORY_PART, 0, "/long\0" + all.length() + "\0");
      String names = part.substring(part.indexOf('\0') + 1);
      more = !names.endsWith("\0\0");
      all.append(more ? names : names.substring(0, names.length() - 1));
    }
    assertEquals(expected.toString(), all.toString());
  }

  /** A kernel's end of the ring, in the page that it granted. */
  private static final class Kernel {
    static final long PAGE = 0x20_0000;
    final FakeDomain domain;
    final StoreRing ring;

    Kernel(Hypervisor host, Store store) throws Exception {
      domain = new FakeDomain(host, 1);
      domain.grant(1, 0, PAGE >> 12, false);
      int port = domain.allocateUnbound(0);
      ring = new StoreRing(store, domain.domain(), 1, port, () -> {});
    }

    void send(byte[] bytes) {
      int at = 0;
      while (at < bytes.length) {
        int producer = domain.memory().read32(PAGE + 2052);
        int room = 1024 - (producer - domain.memory().read32(PAGE + 2048));
        for (int i = 0; i < room && at < bytes.length; i++) {
          domain.memory().write8(PAGE + (producer++ & 1023), bytes[at++]);
        }
        domain.memory().write32(PAGE + 2052, producer);
        ring.work();
      }
    }

    /** All that is there to be read. */
    String receive() {
      StringBuilder text = new StringBuilder();
      while (true) {
        int consumer = domain.memory().read32(PAGE + 2056);
        int producer = domain.memory().read32(PAGE + 2060);
        if (consumer == producer) {
          return text.toString();
        }
        while (consumer != producer) {
          text.append((char) domain.memory().read8(PAGE + 1024 + (consumer++ & 1023)));
        }
        domain.memory().write32(PAGE + 2056, consumer);
        ring.work();
      }
    }
  }

  @Test
  void aKernelTalksOverItsRing() throws Exception {
    try (Hypervisor host = FakeDomain.host()) {
      store.put(store.connect(0, (p, t) -> {}), "/local/domain/1/name", "x".repeat(3000));
      Kernel kernel = new Kernel(host, store);
      int id = kernel.domain.domain().id();
      assertEquals(1, id);
      store.setPermissions(
          store.connect(0, (p, t) -> {}), 0, "/local/domain/1/name", List.of("n0", "r1"));
      kernel.send(new Message(Message.READ, 5, 0, "name\0".getBytes(ISO_8859_1)).encode());
      String answer = kernel.receive();
      assertEquals(16 + 3000, answer.length(), "longer than the ring");
      assertTrue(answer.endsWith("x".repeat(3000)));
    }
  }

  /** Breaks if what a kernel writes into its ring makes the store throw, hang or read beyond. */
  @Test
  void hostileRingsHurtOnlyThemselves() throws Exception {
    Random random = new Random(3);
    try (Hypervisor host = FakeDomain.host()) {
      for (int round = 0; round < 10; round++) {
        Kernel kernel = new Kernel(host, store);
        for (int i = 0; i < 300; i++) {
          byte[] noise = new byte[random.nextInt(64)];
          random.nextBytes(noise);
          if (random.nextInt(8) > 0 && noise.length > 16) {
            noise[0] = (byte) random.nextInt(24);
            noise[1] = noise[2] = noise[3] = 0;
            noise[12] = (byte) (noise.length - 16);
            noise[13] = noise[14] = noise[15] = 0;
          }
          for (int n = 0; n < noise.length; n++) {
            kernel.domain.memory().write8(
                Kernel.PAGE + random.nextInt(1024), noise[n]);
          }
          kernel.domain.memory().write32(
              Kernel.PAGE + 2048 + 4 * random.nextInt(4), random.nextInt());
          kernel.domain.memory().write32(Kernel.PAGE + 2052, random.nextInt(2048));
          kernel.ring.work();
        }
        kernel.ring.close();
        host.destroyDomain(kernel.domain.domain());
      }
    }
    assertEquals("OK\0", ask(Message.WRITE, 0, "/still\0works"));
  }
}

package org.javisor.xen.hypervisor;

import static org.javisor.xen.hypervisor.FakeDomain.EVENT_CHANNEL_OP;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class EventChannelTest {
  private static final int EVENTS = 300_000;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain a = new FakeDomain(host, 2);
  private final FakeDomain b = new FakeDomain(host, 1);

  @AfterEach
  void close() {
    host.close();
  }

  private int bindInterdomain(FakeDomain by, FakeDomain to, int port) {
    long result = by.call(EVENT_CHANNEL_OP, 0, by.words(to.domain().id(), port, 0));
    return result == 0 ? by.word(2) : (int) result;
  }

  private static long send(FakeDomain from, int port) {
    return from.call(EVENT_CHANNEL_OP, 4, from.words(port));
  }

  private static boolean pending(FakeDomain d, int port) {
    return d.domain().sharedInfo().isPending(port);
  }

  @Test
  void twoDomainsNotifyEachOther() {
    int mine = a.allocateUnbound(b.domain().id());
    int theirs = bindInterdomain(b, a, mine);
    assertTrue(theirs > 0);
    assertEquals(0, send(b, theirs));
    assertTrue(pending(a, mine));
    assertEquals(1, a.ports.getFirst().upcalls);
    b.domain().sharedInfo().clearPending(theirs);
    assertEquals(0, send(a, mine));
    assertTrue(pending(b, theirs));
  }

  /** Breaks if a domain may bind to a port that waits for another one. */
  @Test
  void onlyTheDomainNamedMayBind() {
    int mine = a.allocateUnbound(77);
    assertEquals(Errno.EINVAL, bindInterdomain(b, a, mine));
    assertEquals(Errno.ESRCH, b.call(EVENT_CHANNEL_OP, 0, b.words(99, mine, 0)));
  }

  @Test
  void aMaskedEventWaitsForUnmasking() {
    int mine = a.allocateUnbound(b.domain().id());
    int theirs = bindInterdomain(b, a, mine);
    long mask = shared(a) + 2048 + 512 + mine / 8;
    a.memory().write8(mask, 1 << mine % 8);
    send(b, theirs);
    assertTrue(pending(a, mine));
    assertEquals(0, a.ports.getFirst().upcalls);
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 9, a.words(mine)));
    assertEquals(1, a.ports.getFirst().upcalls);
  }

  /** Maps the shared page where the guest can see it. */
  private static long shared(FakeDomain d) {
    assertEquals(
        0, d.call(FakeDomain.MEMORY_OP, 7, d.words(Domain.SELF, 0, 0, 0, 0x300, 0)));
    return 0x30_0000;
  }

  @Test
  void theSharedPageIsTheGuests() {
    long page = shared(a);
    int mine = a.allocateUnbound(b.domain().id());
    send(b, bindInterdomain(b, a, mine));
    assertEquals(1, a.memory().read8(page), "upcall pending");
    assertEquals(1L << mine / 64, a.memory().read64(page + 8), "pending word");
    assertEquals(1L << mine, a.memory().read64(page + 2048), "pending bit");
  }

  @Test
  void anIpiGoesToItsVcpu() {
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 7, a.words(1, 0)));
    int port = a.word(1);
    assertEquals(0, send(a, port));
    assertEquals(0, a.ports.get(0).upcalls);
    assertEquals(1, a.ports.get(1).upcalls);
    assertEquals(Errno.ENOENT, a.call(EVENT_CHANNEL_OP, 7, a.words(2, 0)));
    assertEquals(Errno.EINVAL, a.call(EVENT_CHANNEL_OP, 8, a.words(port, 0)), "cannot move");
  }

  @Test
  void aVirqIsBoundOnce() {
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 1, a.words(0, 1, 0)));
    int port = a.word(2);
    assertEquals(Errno.EEXIST, a.call(EVENT_CHANNEL_OP, 1, a.words(0, 1, 0)));
    a.domain().events().raiseVirq(a.domain().vcpus().get(1), EventChannels.VIRQ_TIMER);
    assertTrue(pending(a, port));
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 3, a.words(port)));
    assertFalse(pending(a, port));
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 1, a.words(0, 1, 0)), "free again");
    assertEquals(Errno.EINVAL, a.call(EVENT_CHANNEL_OP, 1, a.words(3, 1, 0)), "a global one");
    assertEquals(Errno.EINVAL, a.call(EVENT_CHANNEL_OP, 1, a.words(24, 0, 0)));
  }

  @Test
  void closingMakesTheOtherEndWait() {
    int mine = a.allocateUnbound(b.domain().id());
    int theirs = bindInterdomain(b, a, mine);
    assertEquals(0, b.call(EVENT_CHANNEL_OP, 3, b.words(theirs)));
    assertEquals(0, a.call(EVENT_CHANNEL_OP, 5, a.words(Domain.SELF, mine, 0, 0, 0, 0)));
    assertEquals(1, a.word(2), "unbound");
    assertEquals(b.domain().id(), a.word(4));
    assertEquals(0, send(a, mine), "nobody hears it");
    assertTrue(bindInterdomain(b, a, mine) > 0);
  }

  @Test
  void aBackEndOfThisProcessIsDomainZero() {
    AtomicInteger heard = new AtomicInteger();
    int mine = a.allocateUnbound(EventChannels.HOST_DOMAIN);
    assertNull(b.domain().events().bindHost(mine, heard::incrementAndGet));
    HostChannel channel = a.domain().events().bindHost(mine, heard::incrementAndGet);
    assertNotNull(channel);
    send(a, mine);
    assertEquals(1, heard.get());
    channel.notifyGuest();
    assertTrue(pending(a, mine));
    a.call(EVENT_CHANNEL_OP, 3, a.words(mine));
    channel.notifyGuest();
    assertFalse(pending(a, mine), "the guest has closed it");
  }

  /** Breaks if a domain's flood of ports reaches beyond the domain. */
  @Test
  void portsEnd() {
    int count = 0;
    while (a.call(EVENT_CHANNEL_OP, 6, a.words(Domain.SELF, 0)) == 0) {
      count++;
    }
    assertEquals(4095, count);
    assertEquals(Errno.ENOSPC, a.call(EVENT_CHANNEL_OP, 6, a.words(Domain.SELF, 0)));
    assertTrue(b.allocateUnbound(0) > 0);
  }

  @Test
  void hostilePortsAreRefused() {
    for (int port : new int[] {0, -1, 4096, 4095, Integer.MIN_VALUE, 0x7fffffff}) {
      assertEquals(Errno.EINVAL, a.call(EVENT_CHANNEL_OP, 3, a.words(port)), "close " + port);
      assertTrue(send(a, port) < 0, "send " + port);
      a.call(EVENT_CHANNEL_OP, 9, a.words(port));
      a.call(EVENT_CHANNEL_OP, 8, a.words(port, 0));
    }
    assertEquals(Errno.EFAULT, a.call(EVENT_CHANNEL_OP, 4, 1L << 41));
    assertEquals(Errno.EFAULT, a.call(EVENT_CHANNEL_OP, 4, -8));
  }

  @Test
  void fifoIsNotThere() {
    for (int op = 11; op <= 13; op++) {
      assertEquals(Errno.ENOSYS, a.call(EVENT_CHANNEL_OP, op, FakeDomain.ARGUMENTS));
    }
  }

  /**
   * Two threads send while the guest takes what is pending, by the rules of a kernel: it clears the
   * flag, then looks. Breaks if an event can be left behind of which nobody tells the vCPU.
   */
  @Test
  void noUpcallIsLostWhileTheGuestClearsTheFlag() throws Exception {
    VirtualCpu vcpu = a.domain().vcpu(0);
    long page = shared(a);
    Semaphore told = new Semaphore(0);
    a.ports.getFirst().onUpcall = told::release;
    List<Thread> senders = new ArrayList<>();
    for (int word = 0; word < 2; word++) {
      int mine = word;
      senders.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int i = 0; i < EVENTS; i++) {
                      vcpu.select(mine);
                    }
                  }));
    }
    boolean over = false;
    while (!over) {
      over = senders.stream().noneMatch(Thread::isAlive);
      while (told.tryAcquire()) {
        a.memory().write8(page, 0);
      }
    }
    assertFalse(vcpu.eventPending(), "an event that the vCPU was not told of");
  }

  /** Breaks if a kernel that comes from another host finds an event of a port it has not bound. */
  @Test
  void masksOfAllPorts() {
    a.domain().events().maskAll();
    for (int port : new int[] {0, 1, 31, 32, 4095}) {
      assertTrue(a.domain().sharedInfo().isMasked(port), "port " + port);
    }
  }
}

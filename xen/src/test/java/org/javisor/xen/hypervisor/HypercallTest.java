package org.javisor.xen.hypervisor;

import static org.javisor.xen.hypervisor.FakeDomain.ARGUMENTS;
import static org.javisor.xen.hypervisor.FakeDomain.MEMORY_OP;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The families that have no test of their own, and all of them against hostile arguments. */
class HypercallTest {
  private static final int XEN_VERSION = 17;
  private static final int CONSOLE_IO = 18;
  private static final int VCPU_OP = 24;
  private static final int SCHED_OP = 29;
  private static final int HVM_OP = 34;
  private static final int MULTICALL = 13;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain d = new FakeDomain(host, 2);

  @AfterEach
  void close() {
    host.close();
  }

  @Test
  void versionAndFeatures() {
    assertEquals(4 << 16 | 17, d.call(XEN_VERSION, 0, 0));
    assertEquals(0, d.call(XEN_VERSION, 6, d.words(0, 0)));
    assertEquals(0x12305, d.word(1));
    assertEquals(Errno.EINVAL, d.call(XEN_VERSION, 6, d.words(1, 0)));
    assertEquals(0, d.call(XEN_VERSION, 1, ARGUMENTS));
    assertEquals('.', d.memory().read8(ARGUMENTS));
    assertEquals(Errno.EFAULT, d.call(XEN_VERSION, 3, (4 << 20) - 8));
    assertEquals(Errno.ENOSYS, d.call(XEN_VERSION, 99, ARGUMENTS));
    assertEquals(Errno.ENOSYS, d.call(63));
    assertEquals(Errno.ENOSYS, d.call(-1));
  }

  @Test
  void linesGoToTheLogWithoutControlCharacters() {
    byte[] text = "hello\u001b[2J world\n".getBytes(java.nio.charset.StandardCharsets.US_ASCII);
    d.memory().write(ARGUMENTS, text);
    assertEquals(0, d.call(CONSOLE_IO, 0, text.length, ARGUMENTS));
    assertTrue(host.console().text().contains("(d" + d.domain().id() + ") hello[2J world"));
    assertEquals(Errno.EFAULT, d.call(CONSOLE_IO, 0, 0xffff_ffffL, (4 << 20) - 4096));
  }

  @Test
  void aVcpusInformationIsRegisteredOnce() {
    assertEquals(0, d.call(VCPU_OP, 10, 1, d.words(0x210, 0, 64, 0)));
    assertEquals(1, d.memory().read8(0x21_0040), "everything is marked pending");
    assertEquals(-1, d.memory().read64(0x21_0048));
    assertEquals(Errno.EINVAL, d.call(VCPU_OP, 10, 1, d.words(0x210, 0, 128, 0)));
    assertEquals(Errno.EINVAL, d.call(VCPU_OP, 10, 0, d.words(0x210, 0, 4096 - 63, 0)));
    assertEquals(Errno.EINVAL, d.call(VCPU_OP, 10, 0, d.words(0x210, 0, -8, 0)));
    assertEquals(Errno.EINVAL, d.call(VCPU_OP, 10, 0, d.words(-1, -1, 0, 0)));
    assertEquals(Errno.ENOENT, d.call(VCPU_OP, 10, 2, d.words(0x210, 0, 0, 0)));
  }

  /** Breaks if a vCPU's information can be made to point at memory that is not its domain's. */
  @Test
  void theRegisteredPageStaysWhenItIsGivenUp() {
    assertEquals(0, d.call(VCPU_OP, 10, 0, d.words(0x210, 0, 0, 0)));
    long free = host.freePages();
    d.memory().write64(0x11_0000, 0x210);
    assertEquals(1, d.call(MEMORY_OP, 1, d.words(0x11_0000, 0, 1, 0, 0, 0, Domain.SELF)));
    assertEquals(free, host.freePages());
    assertEquals(0, d.call(FakeDomain.EVENT_CHANNEL_OP, 7, d.words(0, 0)));
    assertEquals(0, d.call(FakeDomain.EVENT_CHANNEL_OP, 4, d.words(d.word(1))));
  }

  @Test
  void vcpusGoUpAndDown() {
    assertEquals(0, d.call(VCPU_OP, 3, 1, 0));
    assertEquals(0, d.call(VCPU_OP, 1, 1, 0));
    assertEquals(1, d.call(VCPU_OP, 3, 1, 0));
    assertEquals(0, d.call(VCPU_OP, 2, 1, 0));
    assertEquals(0, d.call(VCPU_OP, 3, 1, 0));
    for (int missing = 2; missing < 8192; missing += 511) {
      assertEquals(Errno.ENOENT, d.call(VCPU_OP, 3, missing, 0));
    }
  }

  @Test
  void runstateAddsUp() {
    assertEquals(0, d.call(VCPU_OP, 4, 0, ARGUMENTS));
    assertEquals(3, d.word(0), "offline: it is paused");
    assertEquals(0, d.call(VCPU_OP, 5, 0, d.words(0x12_0000, 0)));
    assertEquals(Errno.EFAULT, d.call(VCPU_OP, 4, 0, -4096));
  }

  @Test
  void aTimerInThePastIsRefusedIfAskedTo() {
    assertEquals(Errno.ETIME, d.call(VCPU_OP, 8, 0, d.words(1, 0, 1, 0)));
    assertEquals(Errno.EINVAL, d.call(VCPU_OP, 8, 1, d.words(1, 0, 0, 0)), "another vCPU's");
    assertEquals(0, d.call(VCPU_OP, 9, 0, 0));
  }

  @Test
  void theTimerRaisesItsVirq() throws Exception {
    assertEquals(0, d.call(FakeDomain.EVENT_CHANNEL_OP, 1, d.words(0, 0, 0)));
    int port = d.word(2);
    long at = host.clock().nanos() + 1_000_000;
    assertEquals(0, d.call(VCPU_OP, 8, 0, d.words((int) at, (int) (at >> 32), 0, 0)));
    for (int i = 0; i < 5000 && !d.domain().sharedInfo().isPending(port); i++) {
      Thread.sleep(1);
    }
    assertTrue(d.domain().sharedInfo().isPending(port));
    assertTrue(host.clock().nanos() >= at);
  }

  @Test
  void memoryComesAndGoes() {
    long pages = d.domain().pages();
    long free = host.freePages();
    for (int i = 0; i < 600; i++) {
      d.memory().write64(0x12_0000 + 8L * i, 0x1_0000 + i);
    }
    int[] reservation = {0x12_0000, 0, 600, 0, 0, 0, Domain.SELF};
    assertEquals(600, d.call(MEMORY_OP, 6, d.words(reservation)), "with continuations");
    assertEquals(pages + 600, d.domain().pages());
    assertEquals(free - 600, host.freePages());
    assertEquals(600, d.call(MEMORY_OP, 1, d.words(reservation)));
    assertEquals(free, host.freePages());
    assertEquals(pages, d.call(MEMORY_OP, 3, d.words(Domain.SELF)));
  }

  /** Breaks if a domain gets more than it may have, or than there is. */
  @Test
  void memoryEnds() {
    int given = 0;
    for (int i = 0; i < 2000; i++) {
      d.memory().write64(0x12_0000, 0x1_0000 + i);
      given += (int) d.call(MEMORY_OP, 6, d.words(0x12_0000, 0, 1, 0, 0, 0, Domain.SELF));
    }
    assertEquals(1024, given);
    assertEquals(2048, d.domain().pages());
  }

  @Test
  void anotherDomainsMemoryCannotBeNamed() {
    FakeDomain other = new FakeDomain(host, 1);
    int id = other.domain().id();
    assertEquals(Errno.EPERM, d.call(MEMORY_OP, 7, d.words(id, 0, 0, 0, 0x300, 0)));
    d.memory().write64(0x12_0000, 0x100);
    assertEquals(0, d.call(MEMORY_OP, 1, d.words(0x12_0000, 0, 1, 0, 0, 0, id)));
    assertEquals(1024, other.domain().pages());
    assertEquals(
        Errno.EINVAL, d.call(MEMORY_OP, 7, d.words(Domain.SELF, 4, 0, 0, 0x300, 0)), "foreign");
  }

  @Test
  void parametersAreReadAndSetOnlyWhereTheyMayBe() {
    d.domain().params().set(HvmParams.STORE_PFN, 0xfeffc);
    assertEquals(0, d.call(HVM_OP, 1, d.words(Domain.SELF, 1, 0, 0)));
    assertEquals(0xfeffc, d.word(2));
    assertEquals(Errno.EPERM, d.call(HVM_OP, 0, d.words(Domain.SELF, 1, 5, 0)));
    assertEquals(Errno.EINVAL, d.call(HVM_OP, 1, d.words(Domain.SELF, -1, 0, 0)));
    assertEquals(Errno.EINVAL, d.call(HVM_OP, 1, d.words(Domain.SELF, 39, 0, 0)));
    assertEquals(0, d.call(HVM_OP, 0, d.words(Domain.SELF, 0, 0xf3, 2 << 24)));
    assertEquals(0, d.call(HVM_OP, 23, d.words(1, 0xf3)));
    assertEquals(0xf3, d.ports.get(1).vector);
    assertEquals(Errno.EINVAL, d.call(HVM_OP, 23, d.words(1, 3)));
    assertEquals(Errno.ENOENT, d.call(HVM_OP, 23, d.words(2, 0xf3)));
  }

  @Test
  void aMulticallHasEachResult() {
    for (int i = 0; i < 200; i++) {
      long entry = 0x12_0000 + 64L * i;
      d.memory().write64(entry, i % 2 == 0 ? XEN_VERSION : MULTICALL);
      d.memory().write64(entry + 16, 0);
    }
    assertEquals(0, d.call(MULTICALL, 0x12_0000, 200));
    assertEquals(4 << 16 | 17, d.memory().read64(0x12_0000 + 8));
    assertEquals(Errno.EINVAL, d.memory().read64(0x12_0000 + 64 + 8), "none within another");
    assertEquals(4 << 16 | 17, d.memory().read64(0x12_0000 + 64 * 198 + 8));
    assertEquals(Errno.EFAULT, d.call(MULTICALL, (4 << 20) - 64, 2));
  }

  @Test
  void shuttingDownHasAReason() {
    assertEquals(Errno.EINVAL, d.call(SCHED_OP, 2, d.words(6)));
    assertNull(d.domain().shutdownReason());
    assertEquals(0, d.call(SCHED_OP, 2, d.words(1)));
    assertEquals(ShutdownReason.REBOOT, d.domain().shutdownReason());
  }

  @Test
  void pollingChecksItsPorts() {
    assertEquals(Errno.EINVAL, d.call(SCHED_OP, 3, d.words(0x12_0000, 0, 129, 0, 0, 0)));
    d.memory().write32(0x12_0000, 4096);
    assertEquals(Errno.EINVAL, d.call(SCHED_OP, 3, d.words(0x12_0000, 0, 1, 0, 0, 0)));
    d.memory().write32(0x12_0000, 5);
    int kicks = d.ports.getFirst().cpu.kicks;
    assertEquals(0, d.call(SCHED_OP, 3, d.words(0x12_0000, 0, 1, 0, 0, 0)));
    assertEquals(kicks + 1, d.ports.getFirst().cpu.kicks, "it leaves the guest to wait");
    d.domain().sharedInfo().setPending(5);
    assertEquals(0, d.call(SCHED_OP, 3, d.words(0x12_0000, 0, 1, 0, 0, 0)));
    assertEquals(kicks + 1, d.ports.getFirst().cpu.kicks, "nothing to wait for");
  }

  /**
   * Breaks if some argument makes a hypercall throw, run for ever, or touch another domain: random
   * and boundary numbers in registers and in memory.
   */
  @Test
  void randomHypercallsHarmNobodyElse() {
    FakeDomain victim = new FakeDomain(host, 1);
    byte[] before = new byte[4 << 20];
    new Random(5).nextBytes(before);
    victim.memory().write(0, before);
    Random random = new Random(11);
    for (int round = 0; round < 2; round++) {
      FakeDomain hostile = new FakeDomain(host, 2);
      for (int i = 0; i < 2500; i++) {
        for (int w = 0; w < 16; w++) {
          hostile.memory().write32(ARGUMENTS + 4 * w, (int) interesting(random));
        }
        long[] arguments = new long[6];
        for (int a = 0; a < 6; a++) {
          arguments[a] = interesting(random);
        }
        arguments[0] = random.nextInt(26);
        if (random.nextInt(3) > 0) {
          arguments[1] = ARGUMENTS;
          arguments[2] = random.nextBoolean() ? 1 : arguments[2];
        }
        int number = random.nextInt(48);
        if (number == MULTICALL || number == 20) {
          arguments[number == MULTICALL ? 0 : 2] &= number == MULTICALL ? ~0L : 0xff;
          arguments[1] = number == MULTICALL ? arguments[1] & 0xff : ARGUMENTS;
        }
        if (number == SCHED_OP && arguments[0] == 2) {
          continue;
        }
        if (hostile.memory().frame(ARGUMENTS) < 0 || !hostile.memory().writable(ARGUMENTS)) {
          break; // It has given its own arguments away.
        }
        hostile.callOn(random.nextInt(2), number, arguments);
      }
      host.destroyDomain(hostile.domain());
    }
    byte[] after = new byte[before.length];
    victim.memory().read(0, after, 0, after.length);
    assertArrayEquals(before, after);
  }

  private static long interesting(Random random) {
    return switch (random.nextInt(12)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> ARGUMENTS;
      case 3 -> ARGUMENTS + 4090;
      case 4 -> Domain.SELF;
      case 5 -> random.nextInt(8);
      case 6 -> random.nextInt(1024);
      case 7 -> 1L << random.nextInt(64);
      case 8 -> (1L << random.nextInt(64)) - 1;
      case 9 -> Long.MIN_VALUE;
      case 10 -> 0x7fff_ffffL;
      default -> random.nextLong();
    };
  }
}

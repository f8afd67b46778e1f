package org.javisor.xen.hypervisor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Hypercalls of PV guests: what they do, and against hostile arguments. */
class PvHypercallTest {
  private static final int MMU_UPDATE = 1;
  private static final int MEMORY_OP = 12;
  private static final int MULTICALL = 13;
  private static final int UPDATE_VA_MAPPING = 14;
  private static final int GRANT_TABLE_OP = 20;
  private static final int MMUEXT_OP = 26;
  private static final int SCHED_OP = 29;

  /** Random calls of each of two domains: more by this property. */
  private static final int CALLS = Integer.getInteger("javisor.fuzz.hypercalls", 20_000);

  private final Hypervisor host = FakeDomain.host();
  private final FakePv d = new FakePv(host);

  @AfterEach
  void close() {
    host.close();
  }

  private void put(long address, long... words) {
    for (int i = 0; i < words.length; i++) {
      d.domain.memory().write64(address + 8L * i, words[i]);
    }
  }

  @Test
  void updatesAreCountedUpToTheFirstThatFails() {
    long list = d.page(0);
    long done = d.page(1);
    long target = d.page(2);
    put(list, target, 5, target + 8, 6, 3L << 40, 7, target + 16, 8);
    assertEquals(Errno.EINVAL, d.call(0, MMU_UPDATE, list, 4, done, Domain.SELF));
    assertEquals(2, d.domain.memory().read32(done));
    assertEquals(6, d.domain.memory().read64(target + 8));
    assertEquals(0, d.domain.memory().read64(target + 16));
    assertEquals(Errno.EPERM, d.call(0, MMU_UPDATE, list, 1, done, 5), "another's tables");
    assertEquals(Errno.EFAULT, d.call(0, MMU_UPDATE, 1L << 50, 1, done, Domain.SELF));
  }

  /** Breaks if a long call loses count where it is continued. */
  @Test
  void aLongListIsContinued() {
    int count = 2000;
    long list = d.page(0);
    for (int i = 1; i < 8; i++) {
      assertEquals(d.page(0) + i * FakePv.PAGE, d.page(i), "neighbours are wanted");
    }
    for (int i = 0; i < count; i++) {
      put(list + 16L * i, d.page(20) + 8L * (i % 512), i);
    }
    long done = d.page(10);
    assertEquals(0, d.call(0, MMU_UPDATE, list, count, done, Domain.SELF));
    assertEquals(count, d.domain.memory().read32(done));
    assertEquals(1999, d.domain.memory().read64(d.page(20) + 8L * (1999 % 512)));
  }

  @Test
  void theMachineToPhysicalTableFollowsTheOwner() {
    long list = d.page(0);
    put(list, d.page(3) | 1, 77);
    assertEquals(0, d.call(0, MMU_UPDATE, list, 1, 0, Domain.SELF));
    assertEquals(77, d.domain.pv().pfn(d.frames[3]));
    int foreign = new FakePv(host).frames[0];
    put(list, foreign * FakePv.PAGE | 1, 78);
    assertEquals(Errno.EINVAL, d.call(0, MMU_UPDATE, list, 1, 0, Domain.SELF));
  }

  @Test
  void memoryComesAndGoesByFrames() {
    long reservation = d.page(0);
    long list = d.page(1);
    put(list, d.frames[9]);
    put(reservation, list, 1, 0, Domain.SELF);
    long free = host.freePages();
    assertEquals(1, d.call(0, MEMORY_OP, 1, reservation));
    assertEquals(free + 1, host.freePages());
    put(list, 500);
    assertEquals(1, d.call(0, MEMORY_OP, 6, reservation));
    long frame = d.domain.memory().read64(list);
    assertTrue(d.domain.owns(frame * FakePv.PAGE));
    assertEquals(500, d.domain.pv().pfn((int) frame));
    assertEquals(free, host.freePages());
  }

  @Test
  void aMappingWithoutATableIsRefused() {
    assertEquals(
        Errno.EINVAL, d.call(0, UPDATE_VA_MAPPING, 0x1000, d.page(5) | 7, 0));
    put(d.page(0), 4, 0, 0);
    assertEquals(Errno.EINVAL, d.call(0, MMUEXT_OP, d.page(0), 1, 0, Domain.SELF));
  }

  /** Breaks if some argument makes a hypercall throw, run for ever, or touch another domain. */
  @Test
  void randomHypercallsHarmNobodyElse() {
    FakePv victim = new FakePv(host);
    byte[] before = new byte[4 << 20];
    new Random(5).nextBytes(before);
    for (int i = 0; i < 1024; i++) {
      victim.domain.memory().write(victim.page(i), before, i * 4096, 4096);
    }
    long free = host.freePages();
    Random random = new Random(11);
    for (int round = 0; round < 2; round++) {
      attack(new FakePv(host), victim, random);
    }
    byte[] after = new byte[before.length];
    for (int i = 0; i < 1024; i++) {
      victim.domain.memory().read(victim.page(i), after, i * 4096, 4096);
    }
    assertArrayEquals(before, after);
    assertEquals(free, host.freePages());
  }

  private void attack(FakePv hostile, FakePv victim, Random random) {
    for (int i = 0; i < CALLS; i++) {
      long arguments0 = hostile.page(random.nextInt(4));
      if (!hostile.domain.owns(arguments0)) {
        break; // It has given its own arguments away.
      }
      for (int w = 0; w < 16; w++) {
        hostile.domain.memory().write64(arguments0 + 8L * w, number(hostile, victim, random));
      }
      long[] arguments = new long[6];
      for (int a = 0; a < 6; a++) {
        arguments[a] = number(hostile, victim, random);
      }
      int call = random.nextInt(48);
      boolean list = call <= 2 || call == MMUEXT_OP || call == MULTICALL;
      if (list) {
        arguments[0] = arguments0;
        arguments[1] = random.nextInt(6);
        arguments[2] = random.nextBoolean() ? 0 : hostile.page(5);
        arguments[3] = Domain.SELF;
        hostile.domain.memory().write32(arguments0, random.nextInt(20));
      } else {
        arguments[0] = call == UPDATE_VA_MAPPING ? arguments[0] : random.nextInt(30);
        arguments[1] = random.nextBoolean() ? arguments0 : arguments[1];
        arguments[2] = call == GRANT_TABLE_OP ? random.nextInt(4) : arguments[2];
      }
      boolean ends = call == SCHED_OP && arguments[0] == 2 || call == MULTICALL && i % 8 != 0;
      if (!ends) {
        hostile.call(random.nextInt(2), call, arguments);
      }
    }
    host.destroyDomain(hostile.domain);
  }

  private static long number(FakePv own, FakePv other, Random random) {
    return switch (random.nextInt(12)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> random.nextInt(64);
      case 3 -> other.frames[random.nextInt(1024)];
      case 4 -> other.page(random.nextInt(1024)) | random.nextInt(8);
      case 5 -> Domain.SELF;
      case 6 -> random.nextLong();
      case 7 -> own.frames[random.nextInt(1024)];
      case 8 -> MachineToPhysical.VIRTUAL + random.nextInt(1 << 20);
      default -> own.page(random.nextInt(1024)) | (random.nextBoolean() ? random.nextInt(256) : 7);
    };
  }
}

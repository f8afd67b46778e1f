package org.javisor.xen.hypervisor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Hypercalls of any number with any arguments, of both conventions: nobody else's memory changes, no
 * call throws or goes on for ever, and all pages are there again when the domain is gone. For longer:
 *
 * <pre>mvn -pl xen -am test -Dtest=HypercallFuzzTest -Djavisor.fuzz.seconds=120</pre>
 */
class HypercallFuzzTest {
  private static final int PROGRAMS = 30;
  private static final int CALLS = 300;
  private static final int MULTICALL = 13;
  private static final int UPDATE_VA_MAPPING = 14;
  private static final int GRANT_TABLE_OP = 20;
  private static final int MMUEXT_OP = 26;
  private static final int SCHED_OP = 29;
  private static final long ARGUMENTS = FakeDomain.ARGUMENTS;

  private final Hypervisor host = FakeDomain.host();

  @AfterEach
  void close() {
    host.close();
  }

  @Test
  void translatedDomains() {
    FakeDomain victim = new FakeDomain(host, 1);
    byte[] before = contents(new Random(5));
    victim.memory().write(0, before);
    long free = host.freePages();
    Fuzz.run(
        PROGRAMS,
        dice -> {
          FakeDomain hostile = new FakeDomain(host, 2);
          for (int i = 0; i < CALLS && own(hostile); i++) {
            call(hostile, victim.domain().id(), dice);
          }
          host.destroyDomain(hostile.domain());
          byte[] after = new byte[before.length];
          victim.memory().read(0, after, 0, after.length);
          assertArrayEquals(before, after);
          assertEquals(free, host.freePages());
        });
  }

  private static byte[] contents(Random random) {
    byte[] bytes = new byte[4 << 20];
    random.nextBytes(bytes);
    return bytes;
  }

  /** Whether it still has the page of its arguments. */
  private static boolean own(FakeDomain d) {
    return d.memory().frame(ARGUMENTS) >= 0 && d.memory().writable(ARGUMENTS);
  }

  private static void call(FakeDomain d, int other, Random dice) {
    for (int w = 0; w < 16; w++) {
      d.memory().write32(ARGUMENTS + 4L * w, (int) number(other, dice));
    }
    long[] arguments = new long[6];
    for (int a = 0; a < 6; a++) {
      arguments[a] = number(other, dice);
    }
    arguments[0] = dice.nextInt(26);
    if (dice.nextInt(3) > 0) {
      arguments[1] = ARGUMENTS;
      arguments[2] = dice.nextBoolean() ? 1 : arguments[2];
    }
    int number = dice.nextInt(HypercallTable.NUMBERS);
    if (number == MULTICALL) {
      arguments[0] = ARGUMENTS;
      arguments[1] &= 0xff;
    } else if (number == GRANT_TABLE_OP) {
      arguments[1] = ARGUMENTS;
      arguments[2] &= 0xff;
    }
    if (number != SCHED_OP || arguments[0] != 2) {
      d.callOn(dice.nextInt(2), number, arguments);
    }
  }

  private static long number(int other, Random dice) {
    return switch (dice.nextInt(13)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> ARGUMENTS;
      case 3 -> ARGUMENTS + 4090;
      case 4 -> Domain.SELF;
      case 5 -> dice.nextInt(8);
      case 6 -> dice.nextInt(1024);
      case 7 -> 1L << dice.nextInt(64);
      case 8 -> (1L << dice.nextInt(64)) - 1;
      case 9 -> Long.MIN_VALUE;
      case 10 -> 0x7fff_ffffL;
      case 11 -> other;
      default -> dice.nextLong();
    };
  }

  @Test
  void paravirtualizedDomains() {
    host.prepareForPv();
    FakePv victim = new FakePv(host);
    byte[] before = contents(new Random(5));
    for (int i = 0; i < 1024; i++) {
      victim.domain.memory().write(victim.page(i), before, i * 4096, 4096);
    }
    long free = host.freePages();
    Fuzz.run(
        PROGRAMS,
        dice -> {
          FakePv hostile = new FakePv(host);
          for (int i = 0; i < CALLS; i++) {
            long page = hostile.page(dice.nextInt(4));
            if (!hostile.domain.owns(page)) {
              break; // It has given its own arguments away.
            }
            call(hostile, victim, page, dice);
          }
          host.destroyDomain(hostile.domain);
          byte[] after = new byte[before.length];
          for (int i = 0; i < 1024; i++) {
            victim.domain.memory().read(victim.page(i), after, i * 4096, 4096);
          }
          assertArrayEquals(before, after);
          assertEquals(free, host.freePages());
        });
  }

  private static void call(FakePv d, FakePv other, long page, Random dice) {
    for (int w = 0; w < 16; w++) {
      d.domain.memory().write64(page + 8L * w, number(d, other, dice));
    }
    long[] arguments = new long[6];
    for (int a = 0; a < 6; a++) {
      arguments[a] = number(d, other, dice);
    }
    int call = dice.nextInt(HypercallTable.NUMBERS);
    if (call <= 2 || call == MMUEXT_OP || call == MULTICALL) {
      arguments[0] = page;
      arguments[1] = dice.nextInt(6);
      arguments[2] = dice.nextBoolean() ? 0 : d.page(5);
      arguments[3] = Domain.SELF;
      d.domain.memory().write32(page, dice.nextInt(20));
    } else {
      arguments[0] = call == UPDATE_VA_MAPPING ? arguments[0] : dice.nextInt(30);
      arguments[1] = dice.nextBoolean() ? page : arguments[1];
      arguments[2] = call == GRANT_TABLE_OP ? dice.nextInt(4) : arguments[2];
    }
    boolean ends = call == SCHED_OP && arguments[0] == 2;
    if (!ends) {
      d.call(dice.nextInt(2), call, arguments);
    }
  }

  private static long number(FakePv own, FakePv other, Random dice) {
    return switch (dice.nextInt(12)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> dice.nextInt(64);
      case 3 -> other.frames[dice.nextInt(1024)];
      case 4 -> other.page(dice.nextInt(1024)) | dice.nextInt(8);
      case 5 -> Domain.SELF;
      case 6 -> dice.nextLong();
      case 7 -> own.frames[dice.nextInt(1024)];
      case 8 -> MachineToPhysical.VIRTUAL + dice.nextInt(1 << 20);
      default -> own.page(dice.nextInt(1024)) | (dice.nextBoolean() ? dice.nextInt(256) : 7);
    };
  }
}

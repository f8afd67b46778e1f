package org.javisor.xen.hypervisor.scheduler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The algorithm, driven by hand: time is a number here. */
class Credit2Test {
  private static final long MILLISECOND = 1_000_000;
  private static final long SECOND = 1000 * MILLISECOND;

  private static final Guest GUEST =
      new Guest() {
        @Override
        public void run() {
          throw new AssertionError("nobody runs here");
        }

        @Override
        public void kick() {}

        @Override
        public boolean hasWork() {
          return false;
        }
      };

  /** Physical CPUs that do what they are told, in simulated time. */
  private static final class Simulation {
    final Credit2 credit2;
    final long[] until;
    long now;

    Simulation(int pcpus) {
      credit2 = new Credit2(pcpus);
      until = new long[pcpus];
    }

    SchedUnit add(SchedDomain domain) {
      return credit2.add(domain, GUEST, now);
    }

    SchedUnit busy(SchedDomain domain) {
      SchedUnit unit = add(domain);
      wake(unit);
      return unit;
    }

    /** The physical CPU that is told decides at once. */
    void wake(SchedUnit unit) {
      int told = credit2.wake(unit, now);
      if (told >= 0) {
        until[told] = now;
      }
    }

    void runTo(long end) {
      while (true) {
        int next = 0;
        for (int i = 1; i < until.length; i++) {
          if (until[i] < until[next]) {
            next = i;
          }
        }
        if (until[next] > end) {
          now = end;
          return;
        }
        now = Math.max(now, until[next]);
        until[next] = credit2.decide(next, now).untilNanos();
      }
    }
  }

  private static SchedDomain domain(Simulation s, int weight) {
    SchedDomain domain = new SchedDomain();
    s.credit2.setWeight(domain, weight);
    return domain;
  }

  /** Breaks if a domain's weight stops deciding its share. */
  @Test
  void eightBusyVcpusShareTwoCpusByWeight() {
    Simulation s = new Simulation(2);
    int[] weights = {256, 256, 256, 512, 512, 512, 1024, 1024};
    List<SchedUnit> units = new ArrayList<>();
    for (int weight : weights) {
      units.add(s.busy(domain(s, weight)));
    }
    s.runTo(20 * SECOND);
    int sum = 0;
    for (int weight : weights) {
      sum += weight;
    }
    for (int i = 0; i < weights.length; i++) {
      double fair = 2.0 * 20 * SECOND * weights[i] / sum;
      double got = s.credit2.used(units.get(i), s.now);
      assertEquals(1, got / fair, 0.03, "unit " + i + " of weight " + weights[i]);
    }
  }

  /** Breaks if a vCPU that sleeps much has to wait behind busy ones when it wakes. */
  @Test
  void aWakingVcpuRunsWithinTwoMilliseconds() {
    Simulation s = new Simulation(2);
    for (int i = 0; i < 6; i++) {
      s.busy(domain(s, 256));
    }
    SchedUnit sleeper = s.add(domain(s, 256));
    s.runTo(SECOND);
    long worst = 0;
    for (int i = 0; i < 300; i++) {
      s.runTo(s.now + 7 * MILLISECOND + i * 1000L);
      long woken = s.now;
      s.wake(sleeper);
      while (!sleeper.isRunning() && s.now < woken + SECOND) {
        s.runTo(s.now + 100_000);
      }
      worst = Math.max(worst, s.now - woken);
      s.runTo(s.now + 300_000);
      s.credit2.block(sleeper);
      if (sleeper.isRunning()) {
        s.until[sleeper.runningOn] = s.now;
      }
      s.runTo(s.now);
    }
    assertTrue(worst <= 2 * MILLISECOND, "waited " + worst + " ns");
  }

  /** Breaks if a cap lets through more than it says, or much less. */
  @Test
  void aCapLimitsAllVcpusOfADomainTogether() {
    Simulation s = new Simulation(2);
    SchedDomain capped = domain(s, 256);
    SchedUnit a = s.busy(capped);
    SchedUnit b = s.busy(capped);
    s.credit2.setCap(capped, 50, 0);
    s.runTo(10 * SECOND);
    double used = s.credit2.used(a, s.now) + s.credit2.used(b, s.now);
    assertEquals(0.5, used / s.now, 0.03);
  }

  @Test
  void withoutACapIdleTimeIsAnybodys() {
    Simulation s = new Simulation(2);
    SchedUnit light = s.busy(domain(s, 1));
    s.runTo(SECOND);
    assertEquals(1, (double) s.credit2.used(light, s.now) / s.now, 0.01);
  }

  /** Breaks if a vCPU runs where its hard affinity forbids. */
  @Test
  void hardAffinityIsObeyed() {
    Simulation s = new Simulation(2);
    SchedUnit pinned = s.add(domain(s, 256));
    s.credit2.setAffinity(pinned, 0b10, -1);
    SchedUnit other = s.add(domain(s, 256));
    s.credit2.setAffinity(other, 0b10, -1);
    s.wake(pinned);
    s.wake(other);
    for (int i = 0; i < 200; i++) {
      s.runTo(s.now + MILLISECOND);
      assertTrue(pinned.runningOn != 0 && other.runningOn != 0);
    }
    assertEquals(0.5, (double) s.credit2.used(pinned, s.now) / s.now, 0.06);
  }

  /** Breaks if a vCPU does not go where it should when there is room. */
  @Test
  void softAffinityIsPreferred() {
    Simulation s = new Simulation(4);
    SchedUnit unit = s.add(domain(s, 256));
    s.credit2.setAffinity(unit, -1, 0b0100);
    s.runTo(MILLISECOND);
    s.wake(unit);
    s.runTo(2 * MILLISECOND);
    assertEquals(2, unit.runningOn);
  }

  @Test
  void aPausedVcpuDoesNotRun() {
    Simulation s = new Simulation(1);
    SchedUnit unit = s.add(domain(s, 256));
    s.credit2.pause(unit);
    s.wake(unit);
    s.runTo(SECOND);
    assertEquals(0, s.credit2.used(unit, s.now));
    s.until[0] = s.now;
    s.credit2.unpause(unit, s.now);
    s.runTo(2 * SECOND);
    assertEquals(SECOND, s.credit2.used(unit, s.now));
  }
}

package org.javisor.xen.hypervisor.scheduler;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The credit2 algorithm: everybody has credit, running costs credit at a rate inverse to the
 * domain's weight, and who has most credit runs. When the best candidate has none left, all get the
 * same amount anew. So sleepers keep theirs and run at once when they wake.
 *
 * <p>All physical CPUs share one run queue. Source of the algorithm and its figures: Xen's
 * docs/features/sched_credit2.pandoc; the time is the caller's.
 */
final class Credit2 {
  /** Credit after a reset: 10 ms of the heaviest domain. */
  static final long CREDIT_INIT = 10_000_000;

  /** Switching more often costs more than it brings. */
  private static final long SHORTEST_SLICE = 500_000;

  private static final long LONGEST_SLICE = 10_000_000;

  /** By how much somebody who last ran elsewhere must be ahead, since his caches are there. */
  private static final long MIGRATION_RESISTANCE = 500_000;

  /** Caps are kept over periods of this length. */
  static final long BUDGET_PERIOD = 10_000_000;

  private final int pcpus;
  private final SchedUnit[] running;
  private final boolean[] told;
  private final List<SchedUnit> units = new ArrayList<>();
  private final List<SchedDomain> domains = new ArrayList<>();

  Credit2(int pcpus) {
    if (pcpus < 1 || pcpus > 64) {
      throw new IllegalArgumentException(pcpus + " physical CPUs: 1 to 64 expected");
    }
    this.pcpus = pcpus;
    running = new SchedUnit[pcpus];
    told = new boolean[pcpus];
  }

  int pcpus() {
    return pcpus;
  }

  private long all() {
    return pcpus == 64 ? -1 : (1L << pcpus) - 1;
  }

  // ---- Who there is -----------------------------------------------------------------------

  synchronized SchedUnit add(SchedDomain domain, Guest guest, long now) {
    SchedUnit unit = new SchedUnit(domain, guest);
    unit.since = now;
    if (domain.units.isEmpty()) {
      domains.add(domain);
    }
    domain.units.add(unit);
    units.add(unit);
    return unit;
  }

  /** Forgets a unit that does not run. */
  synchronized void remove(SchedUnit unit) {
    assert !unit.isRunning();
    units.remove(unit);
    unit.domain.units.remove(unit);
    if (unit.domain.units.isEmpty()) {
      domains.remove(unit.domain);
    }
  }

  synchronized void setWeight(SchedDomain domain, int weight) {
    domain.weight = weight;
  }

  /** Limits a domain to a percentage of one physical CPU; 0 lifts the limit. */
  synchronized void setCap(SchedDomain domain, int percent, long now) {
    domain.cap = percent;
    domain.budget = budget(domain);
    domain.nextReplenish = now + BUDGET_PERIOD;
  }

  synchronized int weight(SchedDomain domain) {
    return domain.weight;
  }

  synchronized int cap(SchedDomain domain) {
    return domain.cap;
  }

  /**
   * Says where a unit may run and where it should.
   *
   * @return the physical CPU it must leave, or -1
   */
  synchronized int setAffinity(SchedUnit unit, long hard, long soft) {
    unit.hardAffinity = hard;
    unit.softAffinity = soft;
    return unit.isRunning() && (hard >>> unit.runningOn & 1) == 0 ? unit.runningOn : -1;
  }

  synchronized long hardAffinity(SchedUnit unit) {
    return unit.hardAffinity & all();
  }

  synchronized long softAffinity(SchedUnit unit) {
    return unit.softAffinity & all();
  }

  /** Nanoseconds a unit has run, the present run included. */
  synchronized long used(SchedUnit unit, long now) {
    return unit.used + (unit.isRunning() ? Math.max(0, now - unit.since) : 0);
  }

  /** Where a unit runs, or -1. */
  synchronized int runningOn(SchedUnit unit) {
    return unit.runningOn;
  }

  synchronized int lastRanOn(SchedUnit unit) {
    return unit.lastRanOn;
  }

  synchronized boolean isPaused(SchedUnit unit) {
    return unit.pauses > 0;
  }

  // ---- What happens to them -----------------------------------------------------------------

  /**
   * A unit has something to do.
   *
   * @return the physical CPU that should decide anew, or -1
   */
  synchronized int wake(SchedUnit unit, long now) {
    if (unit.wantsToRun) {
      return -1;
    }
    unit.wantsToRun = true;
    return runnable(unit, now);
  }

  /** A unit that runs says that it has nothing more to do once it returns. */
  synchronized void block(SchedUnit unit) {
    unit.wantsToRun = false;
  }

  /**
   * Keeps a unit from running until as many calls of {@link #unpause}.
   *
   * @return the physical CPU it must leave, or -1
   */
  synchronized int pause(SchedUnit unit) {
    unit.pauses++;
    return unit.runningOn;
  }

  /** Returns the physical CPU that should decide anew, or -1. */
  synchronized int unpause(SchedUnit unit, long now) {
    if (--unit.pauses == 0 && unit.wantsToRun) {
      return runnable(unit, now);
    }
    return -1;
  }

  private int runnable(SchedUnit unit, long now) {
    if (!eligible(unit)) {
      return -1;
    }
    unit.since = now;
    return placeFor(unit, now);
  }

  /** The physical CPU that should run a unit: an idle one, or the one whose guest is behind it. */
  private int placeFor(SchedUnit unit, long now) {
    int idle = -1;
    for (int i = 0; i < pcpus; i++) {
      if (running[i] == null && !told[i] && (unit.hardAffinity >>> i & 1) != 0) {
        boolean liked = (unit.softAffinity >>> i & 1) != 0;
        if (liked && i == unit.lastRanOn) {
          idle = i;
          break;
        }
        if (idle < 0 || liked && (unit.softAffinity >>> idle & 1) == 0) {
          idle = i;
        }
      }
    }
    if (idle >= 0) {
      told[idle] = true;
      return idle;
    }
    int weakest = -1;
    for (int i = 0; i < pcpus; i++) {
      SchedUnit other = running[i];
      if (other != null && !told[i] && (unit.hardAffinity >>> i & 1) != 0) {
        charge(other, now);
        if (other.credit < unit.credit
            && (weakest < 0 || other.credit < running[weakest].credit)) {
          weakest = i;
        }
      }
    }
    if (weakest >= 0) {
      told[weakest] = true;
    }
    return weakest;
  }

  private boolean eligible(SchedUnit unit) {
    return unit.wantsToRun
        && unit.pauses == 0
        && !unit.isRunning()
        && (unit.domain.cap == 0 || unit.domain.budget > 0);
  }

  // ---- Decisions --------------------------------------------------------------------------

  /** A physical CPU asks what to do; whoever ran on it has returned. */
  synchronized Decision decide(int pcpu, long now) {
    told[pcpu] = false;
    leave(pcpu, now);
    replenish(now);
    SchedUnit best = candidate(pcpu);
    if (best != null && best.credit <= 0) {
      reset(best);
      best = candidate(pcpu);
    }
    if (best == null) {
      return new Decision(Optional.empty(), nextReplenish());
    }
    running[pcpu] = best;
    best.runningOn = pcpu;
    best.lastRanOn = pcpu;
    best.since = now;
    return new Decision(Optional.of(best), Math.min(now + slice(best, pcpu), nextReplenish()));
  }

  /** The physical CPU's guest has returned. */
  synchronized void leave(int pcpu, long now) {
    SchedUnit unit = running[pcpu];
    if (unit != null) {
      charge(unit, now);
      running[pcpu] = null;
      unit.runningOn = SchedUnit.NOWHERE;
    }
  }

  private SchedUnit candidate(int pcpu) {
    SchedUnit best = null;
    long bestRank = 0;
    for (SchedUnit unit : units) {
      if (eligible(unit) && (unit.hardAffinity >>> pcpu & 1) != 0) {
        long rank = unit.credit;
        if (unit.lastRanOn != pcpu) {
          rank -= MIGRATION_RESISTANCE;
        }
        if ((unit.softAffinity >>> pcpu & 1) == 0) {
          rank -= MIGRATION_RESISTANCE;
        }
        // Among equals, who waits longest.
        if (best == null || rank > bestRank || rank == bestRank && unit.since < best.since) {
          best = unit;
          bestRank = rank;
        }
      }
    }
    return best;
  }

  /** Charges a running unit for the time since it was last charged. */
  private void charge(SchedUnit unit, long now) {
    long time = now - unit.since;
    if (time <= 0) {
      return;
    }
    unit.since = now;
    unit.used += time;
    unit.credit -= time * heaviest() / unit.domain.weight;
    if (unit.domain.cap != 0) {
      unit.domain.budget -= time;
    }
  }

  private int heaviest() {
    int max = 1;
    for (SchedDomain domain : domains) {
      max = Math.max(max, domain.weight);
    }
    return max;
  }

  /**
   * All get the same anew, so that who is in debt stays behind by it, and who runs now and has some
   * left stays ahead. Only who sleeps does not save more than one reset gives.
   */
  private void reset(SchedUnit best) {
    long rounds = 1 + Math.max(0, -best.credit / CREDIT_INIT);
    for (SchedUnit unit : units) {
      unit.credit += rounds * CREDIT_INIT;
      if (!unit.wantsToRun || unit.pauses > 0) {
        unit.credit = Math.min(CREDIT_INIT, unit.credit);
      }
    }
  }

  /** How long a unit may run: until the next one in the queue is ahead of it. */
  private long slice(SchedUnit unit, int pcpu) {
    long credit = unit.credit;
    for (SchedUnit next : units) {
      if (eligible(next) && (next.hardAffinity >>> pcpu & 1) != 0) {
        credit = Math.min(credit, unit.credit - next.credit);
      }
    }
    long slice = credit * unit.domain.weight / heaviest();
    slice = Math.clamp(slice, SHORTEST_SLICE, LONGEST_SLICE);
    if (unit.domain.cap != 0) {
      // Its other units use the budget at the same time.
      long runners = unit.domain.units.stream().filter(SchedUnit::isRunning).count();
      slice = Math.min(slice, Math.max(unit.domain.budget / Math.max(1, runners), 50_000));
    }
    return slice;
  }

  // ---- Caps -------------------------------------------------------------------------------

  private static long budget(SchedDomain domain) {
    return BUDGET_PERIOD * domain.cap / 100;
  }

  private void replenish(long now) {
    for (SchedDomain domain : domains) {
      if (domain.cap != 0 && now >= domain.nextReplenish) {
        long periods = (now - domain.nextReplenish) / BUDGET_PERIOD + 1;
        domain.nextReplenish += periods * BUDGET_PERIOD;
        domain.budget =
            Math.min(budget(domain), domain.budget + Math.min(periods, 1000) * budget(domain));
      }
    }
  }

  /** When a domain without budget gets some. */
  private long nextReplenish() {
    long next = Long.MAX_VALUE;
    for (SchedDomain domain : domains) {
      if (domain.cap != 0 && domain.budget <= 0) {
        next = Math.min(next, domain.nextReplenish);
      }
    }
    return next;
  }
}

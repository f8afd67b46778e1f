package org.javisor.xen.hypervisor.scheduler;

/** One vCPU in the eyes of the scheduler. Its fields belong to {@link Credit2}'s lock. */
public final class SchedUnit {
  /** The unit runs nowhere. */
  static final int NOWHERE = -1;

  final SchedDomain domain;
  final Guest guest;

  /** What it may still use before others come first, in nanoseconds of the heaviest weight. */
  long credit = Credit2.CREDIT_INIT;

  long hardAffinity = -1;
  long softAffinity = -1;

  /** It has something to do. Written under the lock; read without it by who may have to wake it. */
  volatile boolean wantsToRun;

  int pauses;
  int runningOn = NOWHERE;
  int lastRanOn;

  /** When it last became runnable or was last charged. */
  long since;

  /** Nanoseconds it has run so far. */
  long used;

  SchedUnit(SchedDomain domain, Guest guest) {
    this.domain = domain;
    this.guest = guest;
  }

  boolean isRunning() {
    return runningOn != NOWHERE;
  }
}

package org.javisor.jit;

import jdk.jfr.FlightRecorder;

/**
 * What a vCPU's translator has done so far. Written by its thread only; whoever records with JFR gets
 * them once a second and at the end, as {@link TranslatorStatistics}.
 */
final class Counters {
  long blocks;
  long instructions;
  long links;
  long invalidations;

  /** How often the whole code cache was given up. */
  long flushes;

  /** Exits by their kind in {@link Sites}. */
  final long[] exits = new long[Sites.KINDS];

  private final Runnable report = this::report;
  private int vcpu;
  private CodeCache cache;
  private boolean recorded;

  void open(int vcpu, CodeCache cache) {
    this.vcpu = vcpu;
    this.cache = cache;
    // Asking for more would start the recorder, which takes longer than a guest's boot loader.
    if (FlightRecorder.isInitialized()) {
      FlightRecorder.addPeriodicEvent(TranslatorStatistics.class, report);
      recorded = true;
    }
  }

  /** A block has been translated; the class of the event is not loaded for nothing either. */
  void translated(JitBlock block, int offset, int bytes) {
    if (FlightRecorder.isInitialized()) {
      BlockTranslated.commit(vcpu, block, offset, bytes);
    }
  }

  private void report() {
    TranslatorStatistics event = new TranslatorStatistics();
    event.vcpu = vcpu;
    event.blocks = blocks;
    event.instructions = instructions;
    event.links = links;
    event.invalidations = invalidations;
    event.flushes = flushes;
    event.codeBytes = cache.used();
    event.exitCodeBytes = cache.coldUsed();
    event.tlbMisses = exits[Sites.MISS];
    event.interpreted = exits[Sites.SLOW];
    event.unlinkedJumps = exits[Sites.LINK];
    event.unknownTargets = exits[Sites.INDIRECT];
    event.staleBlocks = exits[Sites.STALE];
    event.groupsRefused = exits[Sites.GROUP];
    event.commit();
  }

  void close() {
    if (recorded) {
      FlightRecorder.removePeriodicEvent(report);
      report();
    }
  }
}

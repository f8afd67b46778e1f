package org.javisor.xen.hypervisor;

import java.util.concurrent.atomic.AtomicLongArray;

/** How often a vCPU left its guest's code. Counted on its own thread, read on any. */
final class ExitCounts {
  private static final int OTHER = HypercallTable.NUMBERS;
  private static final int EXITS = OTHER + 1;

  /** By number, those of no known number; then by {@link Exit}. */
  private final AtomicLongArray counts = new AtomicLongArray(EXITS + Exit.values().length);

  private void count(int index) {
    counts.setOpaque(index, counts.getPlain(index) + 1);
  }

  void hypercall(long number) {
    count(number >= 0 && number < HypercallTable.NUMBERS ? (int) number : OTHER);
  }

  void exit(Exit kind) {
    count(EXITS + kind.ordinal());
  }

  long hypercalls(int number) {
    return counts.getOpaque(number);
  }

  long exits(Exit kind) {
    return counts.getOpaque(EXITS + kind.ordinal());
  }
}

package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongPredicate;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.RawMemory;
import org.javisor.xen.hypervisor.Domain;

/**
 * Where the pages of a saved domain are that has guest-physical addresses.
 *
 * @param runs pairs of a frame number and how many pages there are from there on
 */
record SavedPages(long[] runs) {
  static final StateFormat<SavedPages> FORMAT =
      StateFormat.of("domain-pages", 1, SavedPages.class);

  private static final int PAGE = FrameArena.FRAME_SIZE;
  private static final long MOST = 1L << 28;

  SavedPages {
    if (runs.length % 2 != 0) {
      throw new IllegalArgumentException("a run of pages without its length");
    }
    long end = 0;
    for (int i = 0; i < runs.length; i += 2) {
      if (runs[i] < end || runs[i + 1] <= 0 || runs[i + 1] > MOST || runs[i] > MOST - runs[i + 1]) {
        throw new IllegalArgumentException("an impossible run of pages at " + runs[i]);
      }
      end = runs[i] + runs[i + 1];
    }
  }

  /** The pages that a domain owns, by its map. */
  static SavedPages of(Domain domain) {
    return of(domain.memory().end() / PAGE, gfn -> domain.owns(gfn * PAGE));
  }

  /** The pages below a limit that are there. */
  static SavedPages of(long limit, LongPredicate there) {
    List<Long> runs = new ArrayList<>();
    long from = -1;
    for (long gfn = 0; gfn <= limit; gfn++) {
      boolean own = gfn < limit && there.test(gfn);
      if (own && from < 0) {
        from = gfn;
      } else if (!own && from >= 0) {
        runs.add(from);
        runs.add(gfn - from);
        from = -1;
      }
    }
    return new SavedPages(runs.stream().mapToLong(n -> n).toArray());
  }

  long count() {
    long count = 0;
    for (int i = 1; i < runs.length; i += 2) {
      count += runs[i];
    }
    return count;
  }

  /** Whether a frame number is in one of the runs. */
  boolean contains(long gfn) {
    for (int i = 0; i < runs.length; i += 2) {
      if (gfn >= runs[i] && gfn < runs[i] + runs[i + 1]) {
        return true;
      }
    }
    return false;
  }

  /** What is done with each page: its frame number, and the address of its copy. */
  @FunctionalInterface
  interface Each {
    void page(long gfn, long copy);
  }

  void each(FrameArena copies, Each action) {
    int next = 0;
    for (int i = 0; i < runs.length; i += 2) {
      for (long gfn = runs[i]; gfn < runs[i] + runs[i + 1]; gfn++) {
        action.page(gfn, copies.address(next++));
      }
    }
  }

  void copyOut(GuestMemory memory, FrameArena copies) {
    each(copies, (gfn, copy) -> RawMemory.copy(memory.hostAddress(gfn * PAGE), copy, PAGE));
  }

  void copyIn(FrameArena copies, GuestMemory memory) {
    each(copies, (gfn, copy) -> RawMemory.copy(copy, memory.hostAddress(gfn * PAGE), PAGE));
  }
}

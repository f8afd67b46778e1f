package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.PvMemory;

/**
 * The pages of a PV domain as they are saved. Its page tables and its list of frames name machine
 * frames, of which it will have others: in what is saved, tables name pages of its own instead, and
 * the list is made anew.
 */
final class PvPages {
  private static final int PAGE = FrameArena.FRAME_SIZE;
  private static final int ENTRIES = 512;
  private static final long PRESENT = 1;
  private static final long ADDRESS = (1L << 52) - 1 & -PAGE;
  private static final int NONE = -1;

  /**
   * Which pages are tables, and where the list is.
   *
   * @param tables their pages
   * @param levels of each
   * @param pinned of each
   * @param list the pages of the list of frames, in order; -1 for none
   */
  record Tables(int[] tables, int[] levels, boolean[] pinned, int[] list) {
    static final StateFormat<Tables> FORMAT = StateFormat.of("pv-tables", 1, Tables.class);

    Tables {
      if (levels.length != tables.length || pinned.length != tables.length) {
        throw new IllegalArgumentException("tables without their levels");
      }
      for (int level : levels) {
        if (level < 1 || level > 4) {
          throw new IllegalArgumentException("a table of level " + level);
        }
      }
    }
  }

  private final Domain domain;

  /** Machine frames by page; -1 for none. */
  private final int[] frames;

  /** A domain's pages by what it has said of its frames. */
  PvPages(Domain domain) {
    this.domain = domain;
    PvMemory pv = domain.pv();
    long end = domain.memory().end();
    int[] all = new int[0];
    for (long machine = 0; machine < end; machine += PAGE) {
      if (domain.owns(machine)) {
        int frame = domain.memory().frame(machine);
        long pfn = pv.pfn(frame);
        if (pfn >= 0 && pfn < 1L << 26) {
          if (pfn >= all.length) {
            int old = all.length;
            all = Arrays.copyOf(all, (int) Math.max(pfn + 1, 2L * old));
            Arrays.fill(all, old, all.length, NONE);
          }
          all[(int) pfn] = frame;
        }
      }
    }
    frames = all;
  }

  /** Pages that have been given frames. */
  PvPages(Domain domain, int[] frames) {
    this.domain = domain;
    this.frames = frames;
  }

  SavedPages saved() {
    return SavedPages.of(frames.length, pfn -> frames[(int) pfn] >= 0);
  }

  /** A page's machine frame, or -1. */
  int frame(long pfn) {
    return pfn >= 0 && pfn < frames.length ? frames[(int) pfn] : NONE;
  }

  /** The page that a machine frame of the domain's is, or -1. */
  int page(long frame) {
    if (frame < 0 || frame >= 1L << 27 || !domain.owns(frame * PAGE)) {
      return NONE;
    }
    long pfn = domain.pv().pfn((int) frame);
    return frame(pfn) == frame ? (int) pfn : NONE;
  }

  int[] pages(int[] machineFrames) {
    return Arrays.stream(machineFrames).map(this::page).toArray();
  }

  int[] framesOf(int[] pages) {
    return Arrays.stream(pages).map(this::frame).toArray();
  }

  // ---- Saving ---------------------------------------------------------------------------------

  Tables copyOut(SavedPages pages, FrameArena copies) {
    List<Integer> tables = new ArrayList<>();
    PvMemory pv = domain.pv();
    pages.each(
        copies,
        (pfn, copy) -> {
          int frame = frames[(int) pfn];
          RawMemory.copy(domain.memory().arena().address(frame), copy, PAGE);
          if (pv.level(frame) != 0) {
            tables.add((int) pfn);
            nameByPage(copy, pv.level(frame));
          }
        });
    int[] list = pages(pv.frameListFrames());
    if (list.length == 0) {
      throw new NotSavableException(
          "its kernel does not say where the list of its frames is: only one that does can be saved");
    }
    int[] numbers = tables.stream().mapToInt(n -> n).toArray();
    boolean[] pinned = new boolean[numbers.length];
    int[] levels = new int[numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      levels[i] = pv.level(frames[numbers[i]]);
      pinned[i] = pv.isPinned(frames[numbers[i]]);
    }
    return new Tables(numbers, levels, pinned, list);
  }

  /** What a table says of frames that are not the domain's own, its kernel will say again. */
  private void nameByPage(long copy, int level) {
    for (int i = 0; i < ENTRIES; i++) {
      long entry = RawMemory.get64(copy + 8L * i);
      if ((entry & PRESENT) != 0) {
        int page = page((entry & ADDRESS) >>> FrameArena.FRAME_SHIFT);
        boolean keep = page >= 0 && !PvMemory.isReserved(level, i);
        RawMemory.put64(
            copy + 8L * i, keep ? entry & ~ADDRESS | (long) page << FrameArena.FRAME_SHIFT : 0);
      }
    }
  }

  // ---- Restoring ------------------------------------------------------------------------------

  void copyIn(SavedPages pages, FrameArena copies, Tables tables) throws StateException {
    pages.each(
        copies,
        (pfn, copy) -> RawMemory.copy(
            copy, domain.memory().arena().address(frames[(int) pfn]), PAGE));
    for (int table : tables.tables) {
      nameByFrame(address(table));
    }
    for (int i = 0; i < tables.list.length; i++) {
      if (tables.list[i] >= 0) {
        long address = address(tables.list[i]);
        for (int k = 0; k < ENTRIES; k++) {
          int frame = frame((long) i * ENTRIES + k);
          if (frame >= 0) {
            RawMemory.put64(address + 8L * k, frame);
          }
        }
      }
    }
    for (int i = 0; i < tables.tables.length; i++) {
      if (tables.pinned[i]
          && domain.pv().pin(frame(tables.tables[i]), tables.levels[i]) != 0) {
        throw new StateException("its page table " + tables.tables[i] + " is none");
      }
    }
  }

  private long address(int pfn) throws StateException {
    int frame = frame(pfn);
    if (frame < 0) {
      throw new StateException("it needs page " + pfn + ", which it has not");
    }
    return domain.memory().arena().address(frame);
  }

  private void nameByFrame(long address) {
    for (int i = 0; i < ENTRIES; i++) {
      long entry = RawMemory.get64(address + 8L * i);
      if ((entry & PRESENT) != 0) {
        int frame = frame((entry & ADDRESS) >>> FrameArena.FRAME_SHIFT);
        RawMemory.put64(
            address + 8L * i,
            frame < 0 ? 0 : entry & ~ADDRESS | (long) frame << FrameArena.FRAME_SHIFT);
      }
    }
  }
}

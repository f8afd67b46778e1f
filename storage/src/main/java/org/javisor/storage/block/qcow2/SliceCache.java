package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Pieces ("slices") of L2 tables or of refcount blocks in memory, by their offset in the file.
 *
 * <p>A slice is far smaller than a table, so that a random access reads little and the memory holds
 * what is used. Slots are reused in the order of a clock: those not used since its hand passed last
 * go first. A slice that was changed stays until it has been written.
 *
 * <p>Not thread-safe: the image's lock is held for all methods.
 */
final class SliceCache {
  static final int NONE = -1;

  private static final byte DIRTY = 1;
  private static final byte WRITING = 2;
  private static final byte LOADING = 4;
  private static final byte USED = 8;

  /** Slots whose memory is allocated together. */
  private static final int CHUNK = 64;

  private final int sliceSize;
  private final int limit;
  private final Arena arena;
  private final List<MemorySegment> chunks = new ArrayList<>();

  private int slots;
  private long[] offsets = new long[CHUNK];
  private byte[] flags = new byte[CHUNK];
  /** Chains of slots with the same hash, ended by {@link #NONE}. */
  private int[] next = new int[CHUNK];
  private int[] heads = new int[CHUNK * 2];
  private int hand;
  private int dirty;

  /**
   * @param sliceSize in bytes, a power of two
   * @param limit slots to have at most; more only if all of them wait to be written
   * @param arena for the memory; shared between threads
   */
  SliceCache(int sliceSize, int limit, Arena arena) {
    this.sliceSize = sliceSize;
    this.limit = limit;
    this.arena = arena;
    Arrays.fill(heads, NONE);
  }

  int sliceSize() {
    return sliceSize;
  }

  int dirtyCount() {
    return dirty;
  }

  /** Whether so many slots wait to be written that somebody should write them. */
  boolean isUnderPressure() {
    return dirty > limit / 2;
  }

  private int hash(long offset) {
    long mixed = offset / sliceSize * 0x9e3779b97f4a7c15L;
    return (int) (mixed >>> 40) & heads.length - 1;
  }

  /** The slot that holds the slice at {@code offset} in the file, or {@link #NONE}. */
  int find(long offset) {
    int slot = heads[hash(offset)];
    while (slot != NONE && offsets[slot] != offset) {
      slot = next[slot];
    }
    if (slot != NONE) {
      flags[slot] |= USED;
    }
    return slot;
  }

  boolean isLoading(int slot) {
    return (flags[slot] & LOADING) != 0;
  }

  /**
   * Makes a slot for the slice at {@code offset}, which is not there yet. Its memory is to be filled
   * and {@link #loaded} called; until then it is found, and loading.
   *
   * @param force whether to grow beyond the limit if no slot is clean
   * @return the slot, or {@link #NONE} if none is clean
   */
  int reserve(long offset, boolean force) {
    int slot = slots < limit ? NONE : evict();
    if (slot == NONE) {
      if (slots >= limit && !force) {
        return NONE;
      }
      slot = grow();
    }
    offsets[slot] = offset;
    flags[slot] = (byte) (LOADING | USED);
    int head = hash(offset);
    next[slot] = heads[head];
    heads[head] = slot;
    return slot;
  }

  void loaded(int slot) {
    flags[slot] &= ~LOADING;
  }

  private int grow() {
    if (slots == offsets.length) {
      int length = slots * 2;
      offsets = Arrays.copyOf(offsets, length);
      flags = Arrays.copyOf(flags, length);
      next = Arrays.copyOf(next, length);
      heads = new int[length * 2];
      Arrays.fill(heads, NONE);
      for (int slot = 0; slot < slots; slot++) {
        if (offsets[slot] >= 0) {
          int head = hash(offsets[slot]);
          next[slot] = heads[head];
          heads[head] = slot;
        }
      }
    }
    if (slots == chunks.size() * CHUNK) {
      chunks.add(arena.allocate((long) CHUNK * sliceSize, 4096));
    }
    return slots++;
  }

  private int evict() {
    for (int tries = 2 * slots; tries > 0; tries--) {
      int slot = hand;
      hand = hand + 1 == slots ? 0 : hand + 1;
      byte state = flags[slot];
      if ((state & (DIRTY | WRITING | LOADING)) == 0) {
        if ((state & USED) == 0) {
          forget(slot);
          return slot;
        }
        flags[slot] &= ~USED;
      }
    }
    return NONE;
  }

  /** Makes the slot belong to nobody. The caller uses it or leaves it for the clock's hand. */
  private void forget(int slot) {
    if (offsets[slot] < 0) {
      return;
    }
    int head = hash(offsets[slot]);
    if (heads[head] == slot) {
      heads[head] = next[slot];
    } else {
      int before = heads[head];
      while (next[before] != slot) {
        before = next[before];
      }
      next[before] = next[slot];
    }
    offsets[slot] = NONE;
  }

  /** Forgets a slot whose contents could not be read. */
  void drop(int slot) {
    forget(slot);
    flags[slot] = 0;
  }

  /** Forgets, changes included, what is held of a range that is about to become something else. */
  void dropRange(long offset, long length) {
    for (long at = offset; at < offset + length; at += sliceSize) {
      int slot = find(at);
      if (slot != NONE) {
        if ((flags[slot] & DIRTY) != 0) {
          dirty--;
        }
        // One that is being loaded or written keeps its mark, so that nobody takes it meanwhile.
        flags[slot] &= LOADING | WRITING;
        forget(slot);
      }
    }
  }

  /** The slice's memory. */
  MemorySegment data(int slot) {
    return chunks.get(slot / CHUNK).asSlice((long) (slot % CHUNK) * sliceSize, sliceSize);
  }

  long getLong(int slot, int index) {
    return chunks.get(slot / CHUNK)
        .get(Bytes.LONG, (long) (slot % CHUNK) * sliceSize + index * 8L);
  }

  void putLong(int slot, int index, long value) {
    chunks.get(slot / CHUNK)
        .set(Bytes.LONG, (long) (slot % CHUNK) * sliceSize + index * 8L, value);
    changed(slot);
  }

  void changed(int slot) {
    if ((flags[slot] & DIRTY) == 0) {
      flags[slot] |= DIRTY;
      dirty++;
    }
  }

  /** A slice on its way to the file. */
  record Change(int slot, long offset, MemorySegment contents) {}

  /** Copies what was changed. Each change is to be given back to {@link #written}. */
  List<Change> takeChanges(Arena copies) {
    List<Change> changes = new ArrayList<>(dirty);
    for (int slot = 0; dirty > 0; slot++) {
      if ((flags[slot] & DIRTY) != 0) {
        MemorySegment copy = copies.allocate(sliceSize, 8).copyFrom(data(slot));
        changes.add(new Change(slot, offsets[slot], copy));
        flags[slot] = (byte) (flags[slot] & ~DIRTY | WRITING);
        dirty--;
      }
    }
    return changes;
  }

  /** Says how the writing of changes ended: what is not in the file stays changed. */
  void written(List<Change> changes, boolean successful) {
    for (Change change : changes) {
      int slot = change.slot();
      flags[slot] &= ~WRITING;
      if (!successful && offsets[slot] == change.offset()) {
        changed(slot);
      }
    }
  }
}

package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;
import org.javisor.kvm.host.KvmFd;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * The guest-physical map as KVM memory slots: one for each run of consecutive frames that are alike.
 *
 * <p>A slot cannot be cut or grown; it is deleted and others take its place. Only those that a
 * change touches are, while every vCPU is out of the guest, so that none finds a hole where memory
 * stays. Where nothing was mapped before, slots are added without disturbing anyone. ROM is a slot
 * that the guest cannot write: its writes come out as memory-mapped I/O.
 *
 * <p>Deleting a slot makes the kernel forget its dirty log, so that is collected first.
 */
final class MemorySlots {
  /** Runs are joined with their neighbours only when slots become scarce: joining deletes. */
  private static final int PERCENT_FULL = 75;

  private record Run(long gpa, long size, int frame, boolean writable) {
    long end() {
      return gpa + size;
    }
  }

  private record Slot(int number, Run run) {}

  private final KvmFd vm;
  private final GuestMemory memory;
  private final int limit;
  private final Consumer<Runnable> withoutGuests;
  private final TreeMap<Long, Slot> slots = new TreeMap<>();
  private final BitSet numbers = new BitSet();
  private final BitSet dirty = new BitSet();
  private boolean logging;

  /**
   * @param limit how many slots the kernel takes
   * @param withoutGuests runs something while no vCPU is in the guest
   */
  MemorySlots(KvmFd vm, GuestMemory memory, int limit, Consumer<Runnable> withoutGuests) {
    this.vm = vm;
    this.memory = memory;
    this.limit = limit;
    this.withoutGuests = withoutGuests;
  }

  int count() {
    return slots.size();
  }

  /** A range of the map has changed. */
  synchronized void update(long gpa, long size) {
    if (!tryUpdate(gpa, gpa + size) && !tryUpdate(0, memory.end())) {
      throw new KvmException(
          "the memory map has more than " + limit + " separate pieces, which KVM cannot hold");
    }
  }

  private boolean tryUpdate(long from, long to) {
    List<Slot> touched = touched(from, to);
    for (Slot slot : touched) {
      from = Math.min(from, slot.run.gpa);
      to = Math.max(to, slot.run.end());
    }
    List<Run> wanted = runs(from, to);
    List<Slot> removed = new ArrayList<>();
    for (Slot slot : touched) {
      if (!wanted.remove(slot.run)) {
        removed.add(slot);
      }
    }
    int after = slots.size() - removed.size() + wanted.size();
    boolean everything = from == 0 && to >= memory.end();
    if (after > (everything ? limit : limit / 100 * PERCENT_FULL)) {
      return false;
    }
    if (removed.isEmpty()) {
      wanted.forEach(this::add);
    } else {
      withoutGuests.accept(
          () -> {
            removed.forEach(this::remove);
            wanted.forEach(this::add);
          });
    }
    return true;
  }

  private List<Slot> touched(long from, long to) {
    Map.Entry<Long, Slot> first = slots.floorEntry(from);
    long start = first != null && first.getValue().run.end() > from ? first.getKey() : from;
    return new ArrayList<>(slots.subMap(start, to).values());
  }

  /** The runs in a part of the map. */
  private List<Run> runs(long from, long to) {
    List<Run> runs = new ArrayList<>();
    long end = Math.min(to, memory.end());
    long gpa = from;
    while (gpa < end) {
      int frame = memory.frame(gpa);
      if (frame < 0) {
        gpa += FrameArena.FRAME_SIZE;
        continue;
      }
      boolean writable = memory.writable(gpa);
      long next = gpa + FrameArena.FRAME_SIZE;
      int expected = frame + 1;
      while (next < end && memory.frame(next) == expected && memory.writable(next) == writable) {
        next += FrameArena.FRAME_SIZE;
        expected++;
      }
      runs.add(new Run(gpa, next - gpa, frame, writable));
      gpa = next;
    }
    return runs;
  }

  private void add(Run run) {
    int number = numbers.nextClearBit(0);
    set(number, run, run.size);
    numbers.set(number);
    slots.put(run.gpa, new Slot(number, run));
  }

  private void remove(Slot slot) {
    if (logging) {
      collect(slot);
    }
    set(slot.number, slot.run, 0);
    numbers.clear(slot.number);
    slots.remove(slot.run.gpa);
  }

  /** struct kvm_userspace_memory_region; size 0 deletes. */
  private void set(int number, Run run, long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment region = arena.allocate(32, 8);
      int flags =
          !run.writable ? KvmAbi.MEMORY_READONLY : logging ? KvmAbi.MEMORY_LOG_DIRTY : 0;
      region.set(JAVA_INT, 0, number);
      region.set(JAVA_INT, 4, flags);
      region.set(JAVA_LONG, 8, run.gpa);
      region.set(JAVA_LONG, 16, size);
      region.set(JAVA_LONG, 24, memory.arena().address(run.frame));
      vm.must("KVM_SET_USER_MEMORY_REGION", KvmAbi.SET_USER_MEMORY_REGION, region);
    }
  }

  // ---- Dirty log ----------------------------------------------------------------------------

  /** Begins or ends the log of what guests write; what it holds is forgotten at its beginning. */
  synchronized void setLogging(boolean on) {
    if (logging != on) {
      logging = on;
      dirty.clear();
      for (Slot slot : slots.values()) {
        if (slot.run.writable) {
          set(slot.number, slot.run, slot.run.size);
        }
      }
    }
  }

  /** Takes the guest frame numbers written since the last time. */
  synchronized BitSet takeDirty() {
    if (logging) {
      slots.values().forEach(this::collect);
    }
    BitSet taken = (BitSet) dirty.clone();
    dirty.clear();
    return taken;
  }

  /** struct kvm_dirty_log: slot, padding, address of a bitmap of whole 64-bit words. */
  private void collect(Slot slot) {
    if (!slot.run.writable) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      long pages = slot.run.size >>> FrameArena.FRAME_SHIFT;
      MemorySegment bitmap = arena.allocate((pages + 63) / 64 * 8, 8);
      MemorySegment request = arena.allocate(16, 8);
      request.set(JAVA_INT, 0, slot.number);
      request.set(JAVA_LONG, 8, bitmap.address());
      vm.must("KVM_GET_DIRTY_LOG", KvmAbi.GET_DIRTY_LOG, request);
      int first = (int) (slot.run.gpa >>> FrameArena.FRAME_SHIFT);
      for (int word = 0; word < bitmap.byteSize() / 8; word++) {
        long bits = bitmap.getAtIndex(JAVA_LONG, word);
        while (bits != 0) {
          dirty.set(first + word * 64 + Long.numberOfTrailingZeros(bits));
          bits &= bits - 1;
        }
      }
    }
  }
}

package org.javisor.memory;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A guest's physical address space: a map of guest frame numbers onto machine frames (p2m).
 *
 * <p>Device models use the accessors here for DMA. Guest-given addresses may be anything: an access
 * outside RAM throws {@link BadAddress} before a byte moves. Writes announce themselves to
 * translated code.
 */
public final class GuestMemory {
  private static final int PRESENT = 1;
  private static final int WRITABLE = 2;
  private static final int FRAME_BITS = 4;

  /**
   * Told which range of the map has changed, on the thread that changed it and before its call
   * returns: whoever keeps a copy of the map, as {@code /dev/kvm} does, has let go of the old frames
   * by then. Changes are announced one at a time, in their order; a listener reads the map and does
   * not change it.
   */
  @FunctionalInterface
  public interface MapListener {
    void mapChanged(long gpa, long size);

    /** Something is now where nothing was. */
    default void mapAdded(long gpa, long size) {
      mapChanged(gpa, size);
    }

    /** Something is gone of which translations may be kept for a while; see {@link #unmapLater}. */
    default void mapRemovedLater(long gpa, long size) {
      mapChanged(gpa, size);
    }
  }

  private final FrameArena arena;
  private final List<MapListener> listeners = new CopyOnWriteArrayList<>();
  /**
   * The map: 4 bytes a guest frame, in native memory so that translated code can walk page tables.
   * When it has to grow, the old one stays for who still reads it.
   */
  private volatile long map;

  private volatile int mapped;
  private int capacity;
  private volatile int generation;

  /** What was removed and may be remembered still: guest frames, since all were told to forget. */
  private final Set<Integer> remembered = new HashSet<>();

  /** With so many of them it is time to forget. */
  private static final int MOST_REMEMBERED = 1 << 14;

  private volatile long removals;

  public GuestMemory(FrameArena arena) {
    this.arena = arena;
    grow(1 << 20);
  }

  private void grow(int frames) {
    long table =
        HostMemory.mapAnonymous(
            (long) frames << 2, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    if (mapped > 0) {
      RawMemory.copy(map, table, (long) mapped << 2);
    }
    map = table;
    capacity = frames;
  }

  /** Address of the map: for each guest frame 4 bytes, bit 0 present, bit 1 writable, then the frame. */
  public long table() {
    return map;
  }

  /** How many guest frames the table at {@link #table} has. */
  public int tableFrames() {
    return capacity;
  }

  public FrameArena arena() {
    return arena;
  }

  /** Counts every change of the map: caches of translations compare it. */
  public int generation() {
    return generation;
  }

  /**
   * Tells {@code listener} every change from now on. What is mapped already is announced to it at
   * once, as one range, so that it misses nothing.
   */
  public synchronized void addMapListener(MapListener listener) {
    listeners.add(listener);
    if (mapped > 0) {
      listener.mapChanged(0, end());
    }
  }

  public void removeMapListener(MapListener listener) {
    listeners.remove(listener);
  }

  /** The first address above everything that was ever mapped. */
  public long end() {
    return (long) mapped << FrameArena.FRAME_SHIFT;
  }

  /** Backs {@code [gpa, gpa + size)} with fresh zeroed frames. */
  public void mapRam(long gpa, long size) {
    map(gpa, size, arena.allocate(frameCount(gpa, size)), true);
  }

  /** Backs a range with fresh frames that the guest cannot write; the host fills them. */
  public void mapRom(long gpa, byte[] contents) {
    long size = (contents.length + FrameArena.FRAME_SIZE - 1L) & -FrameArena.FRAME_SIZE;
    int frame = arena.allocate(frameCount(gpa, size));
    RawMemory.copyIn(contents, 0, arena.address(frame), contents.length);
    map(gpa, size, frame, false);
  }

  /** Maps a range onto machine frames that the caller owns. */
  public synchronized void map(long gpa, long size, int firstFrame, boolean writable) {
    int count = frameCount(gpa, size);
    int gfn = (int) (gpa >>> FrameArena.FRAME_SHIFT);
    boolean fresh = gfn + count <= capacity;
    if (!fresh) {
      grow(Math.max(2 * capacity, gfn + count));
    }
    for (int i = 0; i < count; i++) {
      long at = map + ((long) (gfn + i) << 2);
      fresh &= RawMemory.get32(at) == 0 && !remembered.contains(gfn + i);
      RawMemory.put32(
          at, (firstFrame + i) << FRAME_BITS | PRESENT | (writable ? WRITABLE : 0));
    }
    mapped = Math.max(mapped, gfn + count);
    if (fresh) {
      generation++;
      for (MapListener listener : listeners) {
        listener.mapAdded(gpa, size);
      }
    } else {
      changed(gpa, size);
    }
  }

  /** Removes a range from the map; the frames stay allocated. */
  public synchronized void unmap(long gpa, long size) {
    clear(gpa, size);
    changed(gpa, size);
  }

  /**
   * The same, for who uses the frames for nothing else until every vCPU has been out of its run:
   * until then vCPUs may reach them by what they remember, unless something else is mapped there.
   * To forget is dear, and so not done for each page of many.
   */
  public synchronized void unmapLater(long gpa, long size) {
    clear(gpa, size);
    int gfn = (int) (gpa >>> FrameArena.FRAME_SHIFT);
    for (int i = 0; i < frameCount(gpa, size); i++) {
      remembered.add(gfn + i);
    }
    if (remembered.size() > MOST_REMEMBERED) {
      changed(gpa, size);
      return;
    }
    removals++;
    generation++;
    for (MapListener listener : listeners) {
      listener.mapRemovedLater(gpa, size);
    }
  }

  /** Counts such removals: a vCPU that finds another number when it begins to run forgets all. */
  public long removals() {
    return removals;
  }

  private void clear(long gpa, long size) {
    int count = frameCount(gpa, size);
    int gfn = (int) (gpa >>> FrameArena.FRAME_SHIFT);
    int from = Math.min(gfn, mapped);
    int to = Math.min(gfn + count, mapped);
    if (from < to) {
      RawMemory.fill(map + ((long) from << 2), (long) (to - from) << 2, 0);
    }
  }

  /** What frames may be used for has changed: whoever remembers that is to look again. */
  public void forgetTranslations() {
    changed(0, end());
  }

  private synchronized void changed(long gpa, long size) {
    generation++;
    remembered.clear();
    for (MapListener listener : listeners) {
      listener.mapChanged(gpa, size);
    }
  }

  private static int frameCount(long gpa, long size) {
    if (((gpa | size) & (FrameArena.FRAME_SIZE - 1)) != 0 || size <= 0 || gpa < 0
        || gpa + size > 1L << 40) {
      throw new IllegalArgumentException(
          "range %#x+%#x: whole frames below 1 TiB expected".formatted(gpa, size));
    }
    return (int) (size >>> FrameArena.FRAME_SHIFT);
  }

  /** The machine frame behind a guest-physical address, or -1 where no memory is mapped. */
  public int frame(long gpa) {
    int entry = entry(gpa);
    return entry == 0 ? -1 : entry >>> FRAME_BITS;
  }

  /** Whether the guest may write there (false for ROM and for what is not memory). */
  public boolean writable(long gpa) {
    return (entry(gpa) & WRITABLE) != 0;
  }

  private int entry(long gpa) {
    long gfn = gpa >>> FrameArena.FRAME_SHIFT;
    return gfn < mapped ? RawMemory.get32(map + (gfn << 2)) : 0;
  }

  /** The host address behind a guest-physical address, or -1 where no memory is mapped. */
  public long hostAddress(long gpa) {
    int frame = frame(gpa);
    return frame < 0 ? -1 : arena.address(frame) + (gpa & (FrameArena.FRAME_SIZE - 1));
  }

  /** A device was given an address that is not memory. */
  public static final class BadAddress extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final long gpa;

    BadAddress(long gpa) {
      super("no guest memory at %#x".formatted(gpa), null, false, false);
      this.gpa = gpa;
    }

    public long gpa() {
      return gpa;
    }
  }

  private long readable(long gpa) {
    long host = hostAddress(gpa);
    if (host == -1) {
      throw new BadAddress(gpa);
    }
    return host;
  }

  private long writableAddress(long gpa) {
    int entry = entry(gpa);
    if ((entry & WRITABLE) == 0) {
      throw new BadAddress(gpa);
    }
    return arena.address(entry >>> FRAME_BITS) + (gpa & (FrameArena.FRAME_SIZE - 1));
  }

  /** Tells who translated code of a frame, and who logs writes, that it was written. */
  private void written(long gpa, int length) {
    int frame = frame(gpa);
    // A vCPU marks a frame before it reads code from it: one of the two sees the other.
    VarHandle.fullFence();
    if (frame >= 0) {
      arena.written(frame, (int) gpa & (FrameArena.FRAME_SIZE - 1), length);
    }
  }

  private static boolean crosses(long gpa, int size) {
    return (gpa & (FrameArena.FRAME_SIZE - 1)) > FrameArena.FRAME_SIZE - size;
  }

  public int read8(long gpa) {
    return RawMemory.get8(readable(gpa));
  }

  public int read16(long gpa) {
    return crosses(gpa, 2) ? read8(gpa) | read8(gpa + 1) << 8 : RawMemory.get16(readable(gpa));
  }

  public int read32(long gpa) {
    return crosses(gpa, 4) ? read16(gpa) | read16(gpa + 2) << 16 : RawMemory.get32(readable(gpa));
  }

  public long read64(long gpa) {
    return crosses(gpa, 8)
        ? read32(gpa) & 0xffff_ffffL | (long) read32(gpa + 4) << 32
        : RawMemory.get64(readable(gpa));
  }

  public void write8(long gpa, int value) {
    RawMemory.put8(writableAddress(gpa), value);
    written(gpa, 1);
  }

  public void write16(long gpa, int value) {
    if (crosses(gpa, 2)) {
      write8(gpa, value);
      write8(gpa + 1, value >> 8);
    } else {
      RawMemory.put16(writableAddress(gpa), value);
      written(gpa, 2);
    }
  }

  public void write32(long gpa, int value) {
    if (crosses(gpa, 4)) {
      write16(gpa, value);
      write16(gpa + 2, value >> 16);
    } else {
      RawMemory.put32(writableAddress(gpa), value);
      written(gpa, 4);
    }
  }

  public void write64(long gpa, long value) {
    if (crosses(gpa, 8)) {
      write32(gpa, (int) value);
      write32(gpa + 4, (int) (value >> 32));
    } else {
      RawMemory.put64(writableAddress(gpa), value);
      written(gpa, 8);
    }
  }

  /** Reads guest memory into {@code target}. */
  public void read(long gpa, byte[] target, int offset, int length) {
    check(gpa, length, PRESENT);
    while (length > 0) {
      int chunk =
          Math.min(length, FrameArena.FRAME_SIZE - (int) (gpa & (FrameArena.FRAME_SIZE - 1)));
      RawMemory.copyOut(readable(gpa), target, offset, chunk);
      gpa += chunk;
      offset += chunk;
      length -= chunk;
    }
  }

  /** Writes {@code source} into guest memory. */
  public void write(long gpa, byte[] source, int offset, int length) {
    check(gpa, length, WRITABLE);
    while (length > 0) {
      int chunk =
          Math.min(length, FrameArena.FRAME_SIZE - (int) (gpa & (FrameArena.FRAME_SIZE - 1)));
      RawMemory.copyIn(source, offset, writableAddress(gpa), chunk);
      written(gpa, chunk);
      gpa += chunk;
      offset += chunk;
      length -= chunk;
    }
  }

  /** Writes the whole of {@code source}. */
  public void write(long gpa, byte[] source) {
    write(gpa, source, 0, source.length);
  }

  /** Whether all of a range is memory; {@code write}: that the guest could write. */
  public boolean contains(long gpa, long length, boolean write) {
    if (length < 0 || gpa < 0 || gpa + length < 0) {
      return false;
    }
    int need = write ? WRITABLE : PRESENT;
    for (long page = gpa & -FrameArena.FRAME_SIZE; page < gpa + length;
        page += FrameArena.FRAME_SIZE) {
      if ((entry(page) & need) == 0) {
        return false;
      }
    }
    return true;
  }

  /** Reads guest memory into {@code target}, a native segment. */
  public void read(long gpa, MemorySegment target, long offset, long length) {
    // Checks the target once for all parts.
    long to = target.asSlice(offset, length).address();
    while (length > 0) {
      long chunk =
          Math.min(length, FrameArena.FRAME_SIZE - (gpa & (FrameArena.FRAME_SIZE - 1)));
      RawMemory.copy(readable(gpa), to, chunk);
      gpa += chunk;
      to += chunk;
      length -= chunk;
    }
  }

  /** Writes {@code source}, a native segment, into guest memory. */
  public void write(long gpa, MemorySegment source, long offset, long length) {
    long from = source.asSlice(offset, length).address();
    while (length > 0) {
      int chunk =
          (int) Math.min(length, FrameArena.FRAME_SIZE - (gpa & (FrameArena.FRAME_SIZE - 1)));
      RawMemory.copy(from, writableAddress(gpa), chunk);
      written(gpa, chunk);
      gpa += chunk;
      from += chunk;
      length -= chunk;
    }
  }

  /**
   * The guest does not need what is in these whole pages, and the host may have them: they read as
   * zeros, or as before, until they are written again.
   */
  public void discard(long gpa, long size) {
    for (long end = gpa + size; gpa < end;) {
      int first = frame(gpa);
      long next = gpa + FrameArena.FRAME_SIZE;
      while (next < end && first >= 0
          && frame(next) == first + (int) (next - gpa >> FrameArena.FRAME_SHIFT)) {
        next += FrameArena.FRAME_SIZE;
      }
      if (first >= 0) {
        arena.discard(first, (int) (next - gpa >> FrameArena.FRAME_SHIFT));
        for (long page = gpa; page < next; page += FrameArena.FRAME_SIZE) {
          written(page, FrameArena.FRAME_SIZE);
        }
      }
      gpa = next;
    }
  }

  private void check(long gpa, int length, int need) {
    if (length < 0 || gpa < 0 || gpa + length < 0) {
      throw new BadAddress(gpa);
    }
    for (long page = gpa & -FrameArena.FRAME_SIZE; page < gpa + length;
        page += FrameArena.FRAME_SIZE) {
      if ((entry(page) & need) == 0) {
        throw new BadAddress(page);
      }
    }
  }
}

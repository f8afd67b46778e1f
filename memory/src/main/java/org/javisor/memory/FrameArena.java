package org.javisor.memory;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The machine frames of one host process: 4 KiB each, in one mapping that the host backs on first
 * touch, by large pages where it can.
 *
 * <p>Every frame has one byte of flags, in native memory so that emitted code can test it. Frame
 * numbers start at 0; frame {@code f} lives at {@code base() + f * 4096}.
 */
public final class FrameArena {
  public static final int FRAME_SHIFT = 12;
  public static final int FRAME_SIZE = 1 << FRAME_SHIFT;

  /** Instructions of this frame are translated: a write must go through {@link #codeWritten}. */
  public static final int CODE = 1;

  /**
   * Nobody has written to this frame since the flag was set: whoever does, takes it away. Set while
   * those who could write without looking do not run, and followed by {@link
   * GuestMemory#forgetTranslations}.
   */
  public static final int LOG = 2;

  /** The frame is shared copy-on-write. */
  public static final int COPY_ON_WRITE = 4;

  /** The frame must not change owner: a device or a page table holds it. */
  public static final int PINNED = 8;

  /** Told before bytes of a {@link #CODE} frame change. */
  @FunctionalInterface
  public interface CodeWriteListener {
    void codeWritten(int frame, int offset, int length);
  }

  private final int frames;
  private final long base;
  private final long flags;
  /** Keep what is mapped for as long as anybody knows this arena. */
  private final List<MemorySegment> mappings = new ArrayList<>();

  private final BitSet used = new BitSet();
  private final List<CodeWriteListener> listeners = new CopyOnWriteArrayList<>();

  /** Reserves {@code bytes} of machine memory, rounded up to whole frames. */
  public FrameArena(long bytes) {
    long count = (bytes + FRAME_SIZE - 1) >>> FRAME_SHIFT;
    if (count <= 0 || count >= 1L << 27) {
      throw new IllegalArgumentException(
          "arena of " + bytes + " bytes: 1 to 2^27-1 frames expected");
    }
    frames = (int) count;
    long size = count << FRAME_SHIFT;
    base = HostMemory.mapAnonymous(size, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    HostMemory.wantLargePages(base, size);
    flags = HostMemory.mapAnonymous(count, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    keep(base, size);
    keep(flags, count);
  }

  private void keep(long address, long size) {
    mappings.add(
        HostMemory.whileHeld(address, size, gone -> HostMemory.unmap(gone, size)));
  }

  /** Host address of frame 0. */
  public long base() {
    return base;
  }

  /** Host address of the flag bytes, one a frame. */
  public long flagsBase() {
    return flags;
  }

  public int frames() {
    return frames;
  }

  public long address(int frame) {
    return base + ((long) frame << FRAME_SHIFT);
  }

  public int flags(int frame) {
    return RawMemory.get8(flags + frame);
  }

  public synchronized void setFlags(int frame, int bits) {
    RawMemory.put8(flags + frame, flags(frame) | bits);
  }

  public synchronized void clearFlags(int frame, int bits) {
    RawMemory.put8(flags + frame, flags(frame) & ~bits);
  }

  /**
   * Takes {@code count} consecutive frames, zeroed.
   *
   * @return the first frame
   * @throws OutOfFrames when no run of that length is free
   */
  public synchronized int allocate(int count) {
    int from = 0;
    while (true) {
      int start = used.nextClearBit(from);
      if ((long) start + count > frames) {
        throw new OutOfFrames(count);
      }
      int taken = used.nextSetBit(start);
      if (taken < 0 || taken - start >= count) {
        used.set(start, start + count);
        return start;
      }
      from = taken;
    }
  }

  /**
   * The first frame, from {@code frame} on, that may hold anything but zeros; {@link #frames} if there
   * is none. Asks the host, and so costs nothing for memory that nobody ever wrote.
   */
  public int nextWritten(int frame) {
    return frameOf(PageMap.next(address(frame), address(frames), true));
  }

  /** The first frame after {@code frame}, which may hold something, that holds nothing again. */
  public int endOfWritten(int frame) {
    return frameOf(PageMap.next(address(frame), address(frames), false));
  }

  private int frameOf(long address) {
    return (int) (address - base >>> FRAME_SHIFT);
  }

  /** Gives frames back; their contents are cleared at once so that no other guest can read them. */
  public synchronized void free(int first, int count) {
    RawMemory.fill(address(first), (long) count << FRAME_SHIFT, 0);
    RawMemory.fill(flags + first, count, 0);
    used.clear(first, first + count);
  }

  /** Gives the host memory behind frames back; they stay allocated and read as zeros or as before. */
  public void discard(int first, int count) {
    HostMemory.discard(address(first), (long) count << FRAME_SHIFT);
  }

  /**
   * Nobody needs what is in here any more: the host's memory goes back at once. Addresses stay valid
   * for as long as anybody knows this arena, so that whoever comes late does no harm.
   */
  public void release() {
    discard(0, frames);
    HostMemory.discard(flags, frames);
  }

  public void addCodeWriteListener(CodeWriteListener listener) {
    listeners.add(listener);
  }

  public void removeCodeWriteListener(CodeWriteListener listener) {
    listeners.remove(listener);
  }

  /**
   * Announces a write to a {@link #CODE} frame; called by whoever writes, after it has written: who
   * is told may translate the bytes anew at once.
   */
  public void codeWritten(int frame, int offset, int length) {
    for (CodeWriteListener listener : listeners) {
      listener.codeWritten(frame, offset, length);
    }
  }

  /**
   * Bytes of a frame have changed, and not by a vCPU that has looked at its flags: code that was
   * translated of them, and a log of writes, go by that.
   */
  public void written(int frame, int offset, int length) {
    int bits = flags(frame) & (CODE | LOG);
    if ((bits & LOG) != 0) {
      clearFlags(frame, LOG);
    }
    if ((bits & CODE) != 0) {
      codeWritten(frame, offset, length);
    }
  }

  /** No free run of frames is long enough. */
  public static final class OutOfFrames extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OutOfFrames(int count) {
      super("no " + count + " consecutive free frames");
    }
  }
}

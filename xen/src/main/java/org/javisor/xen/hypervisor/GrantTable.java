package org.javisor.xen.hypervisor;

import java.util.Arrays;
import java.util.BitSet;
import java.util.concurrent.atomic.LongAdder;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * What a domain lets others use of its memory: grant table version 1 (public/grant_table.h).
 *
 * <p>While a grant is in use, its entry says so (GTF_reading, GTF_writing) and the frame counts a
 * user: the owner may take its permission back, or give the page up, and the frame still stays what
 * it is until the last user is gone.
 */
public final class GrantTable {
  static final int ENTRY_SIZE = 8;
  static final int ENTRIES_PER_FRAME = FrameArena.FRAME_SIZE / ENTRY_SIZE;

  static final int TYPE_MASK = 3;
  static final int PERMIT_ACCESS = 1;
  static final int READ_ONLY = 1 << 2;
  static final int READING = 1 << 3;
  static final int WRITING = 1 << 4;

  // GNTST_*.
  static final int OKAY = 0;
  static final int GENERAL_ERROR = -1;
  static final int BAD_DOMAIN = -2;
  static final int BAD_REFERENCE = -3;
  static final int BAD_HANDLE = -4;
  static final int BAD_VIRTUAL_ADDRESS = -5;
  static final int NO_DEVICE_SPACE = -7;
  static final int PERMISSION_DENIED = -8;
  static final int BAD_PAGE = -9;
  static final int BAD_COPY_ARGUMENT = -10;

  /** A grant that cannot be used, with its GNTST code. */
  public static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    private final int status;

    Refused(int status) {
      super("grant refused, GNTST " + status, null, false, false);
      this.status = status;
    }

    int status() {
      return status;
    }
  }

  private final Hypervisor host;
  private final Domain domain;
  private final int[] frames;
  private int frameCount;

  /** Of each entry how often it is in use, how often for writing, and the frame it is in use with. */
  private int[] uses = {};

  private int[] writes = {};
  private int[] usedFrames = {};
  private boolean destroyed;
  private final LongAdder mapped = new LongAdder();

  GrantTable(Hypervisor host, Domain domain, int maxFrames) {
    this.host = host;
    this.domain = domain;
    frames = new int[maxFrames];
    grow(1);
  }

  /** Makes the table as long as so many frames; returns whether it is now. */
  synchronized boolean grow(long count) {
    if (count > frames.length || destroyed) {
      return false;
    }
    while (frameCount < count) {
      int frame = host.frames().allocate(FrameTable.HYPERVISOR, 1);
      if (frame < 0) {
        return false;
      }
      frames[frameCount++] = frame;
    }
    uses = Arrays.copyOf(uses, frameCount * ENTRIES_PER_FRAME);
    writes = Arrays.copyOf(writes, uses.length);
    usedFrames = Arrays.copyOf(usedFrames, uses.length);
    return true;
  }

  synchronized int frameCount() {
    return frameCount;
  }

  int maxFrames() {
    return frames.length;
  }

  /** A frame of the table, which may grow by this; -1 if it cannot. */
  synchronized int frame(long index) {
    return index >= 0 && index < frames.length && grow(index + 1) ? frames[(int) index] : -1;
  }

  /** Uses a frame of the table itself, so that it stays; -1 if there is none of that number. */
  synchronized int useFrame(long index) {
    if (destroyed) {
      return -1;
    }
    int frame = frame(index);
    if (frame >= 0) {
      host.frames().use(frame);
    }
    return frame;
  }

  private long entry(long reference) {
    return host.arena().address(frames[(int) (reference / ENTRIES_PER_FRAME)])
        + reference % ENTRIES_PER_FRAME * ENTRY_SIZE;
  }

  /** Writes an entry as the toolstack does for the guest: console and xenstore. */
  public synchronized void permit(int reference, int to, long gfn) {
    long entry = entry(reference);
    RawMemory.put32(entry + 4, (int) gfn);
    RawMemory.putVolatile32(entry, PERMIT_ACCESS | to << 16);
  }

  /**
   * Begins to use a grant of this domain.
   *
   * @param by the number of the domain that uses it
   * @param write whether it will write
   * @return the machine frame; it stays until {@link #release}
   */
  int acquire(long reference, int by, boolean write) throws Refused {
    synchronized (this) {
      if (destroyed || reference < 0 || reference >= (long) frameCount * ENTRIES_PER_FRAME) {
        throw new Refused(BAD_REFERENCE);
      }
      long entry = entry(reference);
      int index = (int) reference;
      while (true) {
        int head = RawMemory.getVolatile32(entry);
        if ((head & TYPE_MASK) != PERMIT_ACCESS || head >>> 16 != by) {
          throw new Refused(uses[index] > 0 ? PERMISSION_DENIED : BAD_REFERENCE);
        }
        if (write && (head & READ_ONLY) != 0) {
          throw new Refused(PERMISSION_DENIED);
        }
        int marked = head | READING | (write ? WRITING : 0);
        if (RawMemory.compareAndSet32(entry, head, marked)) {
          break;
        }
      }
      long gfn = RawMemory.getVolatile32(entry + 4) & 0xffff_ffffL;
      int frame = uses[index] > 0 ? usedFrames[index] : frameOf(gfn, write);
      if (frame < 0 || !host.frames().useOf(frame, domain.id())) {
        unmark(entry, uses[index], writes[index]);
        throw new Refused(BAD_PAGE);
      }
      uses[index]++;
      writes[index] += write ? 1 : 0;
      usedFrames[index] = frame;
      mapped.increment();
      return frame;
    }
  }

  /** The owner's frame; what it has from others it cannot grant. */
  private int frameOf(long gfn, boolean write) {
    if (gfn >= 1L << 28) {
      return -1;
    }
    long gpa = gfn << FrameArena.FRAME_SHIFT;
    int frame = domain.memory().frame(gpa);
    return frame >= 0 && write && !domain.memory().writable(gpa) ? -1 : frame;
  }

  private static void unmark(long entry, int all, int writing) {
    int bits = (all == 0 ? READING : 0) | (writing == 0 ? WRITING : 0);
    if (bits != 0) {
      RawMemory.getAndAnd32(entry, ~bits);
    }
  }

  /** Ends a use that {@link #acquire} began. */
  void release(long reference, int frame, boolean write) {
    synchronized (this) {
      int index = (int) reference;
      assert uses[index] > 0 && usedFrames[index] == frame;
      uses[index]--;
      writes[index] -= write ? 1 : 0;
      if (!destroyed) {
        unmark(entry(reference), uses[index], writes[index]);
      }
    }
    if (write) {
      host.arena().written(frame, 0, FrameArena.FRAME_SIZE);
    }
    host.frames().unuse(frame);
  }

  /** Adds the frames that others may write at any time. */
  synchronized void heldForWriting(BitSet held) {
    for (int i = 0; i < uses.length; i++) {
      if (writes[i] > 0) {
        held.set(usedFrames[i]);
      }
    }
  }

  /** How many grants are in use. */
  public synchronized int inUse() {
    return (int) Arrays.stream(uses).filter(all -> all > 0).count();
  }

  /** Uses a page for a back end of this process, until it is closed. */
  public GrantMapping map(long reference, boolean write) throws Refused {
    int frame = acquire(reference, EventChannels.HOST_DOMAIN, write);
    return new GrantMapping(this, host.arena(), reference, frame, write);
  }

  /** Copies bytes out of a page, which is in use no longer than that. */
  public void copyOut(long reference, int offset, byte[] target, int at, int length)
      throws Refused {
    try (GrantMapping page = map(reference, false)) {
      page.read(offset, target, at, length);
    }
  }

  /** The domain is gone: its table too; frames in use stay until they are not. */
  synchronized void destroy() {
    destroyed = true;
    for (int i = 0; i < frameCount; i++) {
      host.releaseHypervisorFrame(frames[i], domain);
    }
  }

  /** How often grants were taken into use. */
  public long mapped() {
    return mapped.sum();
  }
}

package org.javisor.storage.block.file;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/**
 * An open file (or block device) of the host. Any number of threads may read and write at the same
 * time. Offsets are in bytes; memory segments are native.
 *
 * <p>An error names the file. A host without space is {@link Reason#HOST_DISK_FULL}, another failure
 * {@link Reason#HOST_IO}.
 */
public abstract class HostFile implements AutoCloseable {
  /** What a file is opened for. It is locked accordingly, against QEMU too. */
  public enum Access {
    /** Reading; others may read, nobody may write. */
    READ,
    /** Reading, locking nobody out and not minding writers: for looking at an image in use. */
    PEEK,
    /** Reading and writing; nobody else may write, or read what relies on it. */
    WRITE,
    /** As {@link #WRITE}, and the file is made if it does not exist. Its contents stay. */
    CREATE
  }

  private static final int ZEROES = 256 << 10;

  /** Read-only, for ever zero. */
  private static final MemorySegment ZERO_BYTES =
      Arena.global().allocate(ZEROES, 4096).asReadOnly();

  private final Path path;

  /** Counts writes that have returned, and how many of them are known to be durable. */
  private final AtomicLong written = new AtomicLong();

  private long synced;
  private BlockException syncFailure;
  private final Object syncLock = new Object();
  private volatile boolean volatileContents;

  HostFile(Path path) {
    this.path = path;
  }

  /** Opens and locks a regular file or a block device. */
  public static HostFile open(Path path, Access access) throws BlockException {
    return LinuxFile.isSupported()
        ? LinuxFile.openFile(path, access)
        : ChannelFile.openFile(path, access);
  }

  public final Path path() {
    return path;
  }

  /** Whether nobody needs the contents after a crash: then {@link #sync} does nothing. */
  public final void setVolatile(boolean value) {
    volatileContents = value;
  }

  /** The file's length in bytes. */
  public abstract long size() throws BlockException;

  /** Bytes of the host's disk that the file takes. */
  public abstract long allocatedBytes() throws BlockException;

  /** Reads until {@code into} is full or the file ends; returns the number of bytes. */
  protected abstract long readSome(long offset, MemorySegment into) throws BlockException;

  protected abstract void writeAll(long offset, MemorySegment from) throws BlockException;

  protected abstract void syncNow() throws BlockException;

  /** Makes the file longer, with zeros, or shorter. */
  public abstract void setSize(long size) throws BlockException;

  /**
   * Gives the range back to the host; it reads as zeros. The file's length stays. Returns false if
   * the host cannot, and nothing has changed.
   */
  protected abstract boolean punch(long offset, long length) throws BlockException;

  /** Makes the range read as zeros with storage behind it; otherwise as {@link #punch}. */
  protected abstract boolean zero(long offset, long length) throws BlockException;

  /**
   * The first offset from {@code offset} on that may hold anything but zeros, or {@link
   * Long#MAX_VALUE} if there is none.
   */
  public abstract long nextData(long offset) throws BlockException;

  /** The first offset from {@code offset} on that is in a hole, the end of the file included. */
  public abstract long nextHole(long offset) throws BlockException;

  /** The file's identity on this host, for finding that two paths are one file. */
  public abstract Object identity() throws BlockException;

  /** Changes what the file is locked for, keeping it open. */
  public abstract void lock(Access access) throws BlockException;

  /** Closes without making anything durable. */
  @Override
  public abstract void close();

  /** Fills {@code into}; what lies beyond the end of the file reads as zeros. */
  public final void read(long offset, MemorySegment into) throws BlockException {
    long read = readSome(offset, into);
    if (read < into.byteSize()) {
      into.asSlice(read).fill((byte) 0);
    }
  }

  public final void write(long offset, MemorySegment from) throws BlockException {
    writeAll(offset, from);
    written.incrementAndGet();
  }

  /** Writes zeros, growing the file if the range reaches beyond its end. */
  public final void writeZeroBytes(long offset, long length) throws BlockException {
    for (long done = 0; done < length;) {
      long part = Math.min(ZEROES, length - done);
      writeAll(offset + done, part == ZEROES ? ZERO_BYTES : ZERO_BYTES.asSlice(0, part));
      done += part;
    }
    written.incrementAndGet();
  }

  /** Gives the range back to the host if the host can do so. Returns whether it reads as zeros. */
  public final boolean punchHole(long offset, long length) throws BlockException {
    boolean done = length == 0 || punch(offset, length);
    written.incrementAndGet();
    return done;
  }

  /** Makes a range inside of the file read as zeros. */
  public final void writeZeroes(long offset, long length, boolean mayUnmap)
      throws BlockException {
    boolean done = length == 0 || mayUnmap && punch(offset, length) || zero(offset, length);
    if (!done) {
      writeZeroBytes(offset, length);
    }
    written.incrementAndGet();
  }

  /**
   * Makes all writes that have returned durable. Nothing is asked of the host if there were none.
   * After the host has failed at it once, every call fails: the host may have dropped what it could
   * not write, and says so only once.
   */
  public final void sync() throws BlockException {
    if (volatileContents) {
      return;
    }
    long wanted = written.get();
    synchronized (syncLock) {
      if (syncFailure != null) {
        throw new BlockException(
            syncFailure.reason(),
            path + " lost writes before: " + syncFailure.getMessage(),
            syncFailure);
      }
      if (synced >= wanted) {
        return;
      }
      wanted = written.get();
      try {
        syncNow();
      } catch (BlockException e) {
        syncFailure = e;
        throw e;
      }
      synced = wanted;
    }
  }

  final BlockException failed(String what, String why, boolean full) {
    return full
        ? new BlockException(
            Reason.HOST_DISK_FULL,
            "no space left on the host's disk for " + path + ": make room, then go on")
        : new BlockException(Reason.HOST_IO, "cannot " + what + " " + path + ": " + why);
  }

  final BlockException inUse(boolean forWriting) {
    return new BlockException(
        Reason.IN_USE,
        path + " is in use by another process or disk"
            + (forWriting
                ? ", and two writers would destroy it: end the other one, or use an overlay of an"
                    + " image that nobody writes"
                : " that writes it: end that one first"));
  }
}

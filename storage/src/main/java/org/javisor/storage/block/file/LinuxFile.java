package org.javisor.storage.block.file;

import static org.javisor.storage.block.file.LinuxCalls.EACCES;
import static org.javisor.storage.block.file.LinuxCalls.EAGAIN;
import static org.javisor.storage.block.file.LinuxCalls.EDQUOT;
import static org.javisor.storage.block.file.LinuxCalls.EFBIG;
import static org.javisor.storage.block.file.LinuxCalls.EINTR;
import static org.javisor.storage.block.file.LinuxCalls.EINVAL;
import static org.javisor.storage.block.file.LinuxCalls.EISDIR;
import static org.javisor.storage.block.file.LinuxCalls.ENOENT;
import static org.javisor.storage.block.file.LinuxCalls.ENOSPC;
import static org.javisor.storage.block.file.LinuxCalls.ENXIO;
import static org.javisor.storage.block.file.LinuxCalls.EPERM;
import static org.javisor.storage.block.file.LinuxCalls.EROFS;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/** A file by Linux's system calls. */
final class LinuxFile extends HostFile {
  private static final int TYPE_MASK = 0xf000;
  private static final int REGULAR = 0x8000;
  private static final int BLOCK_DEVICE = 0x6000;
  private static final int FOLDER = 0x4000;

  /** The most bytes one call moves; Linux itself stops at a page below 2 GiB. */
  private static final long CALL_LIMIT = 1 << 30;

  private final int fd;
  private volatile boolean open = true;
  private volatile boolean punches = true;
  private volatile boolean zeroes = true;

  private LinuxFile(Path path, int fd) {
    super(path);
    this.fd = fd;
  }

  static boolean isSupported() {
    return LinuxCalls.isSupported();
  }

  static LinuxFile openFile(Path path, Access access) throws BlockException {
    int flags = LinuxCalls.O_CLOEXEC | LinuxCalls.O_NONBLOCK;
    flags |=
        switch (access) {
          case READ, PEEK -> LinuxCalls.O_RDONLY;
          case WRITE -> LinuxCalls.O_RDWR;
          case CREATE -> LinuxCalls.O_RDWR | LinuxCalls.O_CREAT;
        };
    int fd;
    do {
      fd = LinuxCalls.open(path.toString(), flags, 0644);
    } while (fd == -EINTR);
    if (fd < 0) {
      throw cannotOpen(path, -fd, access);
    }
    LinuxFile file = new LinuxFile(path, fd);
    try {
      file.checkType();
      file.lock(access);
      return file;
    } catch (BlockException e) {
      file.close();
      throw e;
    }
  }

  private static BlockException cannotOpen(Path path, int error, Access access) {
    boolean write = access == Access.WRITE || access == Access.CREATE;
    String how = write ? "writable" : "readable";
    String why =
        switch (error) {
          case ENOENT -> access == Access.CREATE
              ? " cannot be made: its folder does not exist"
              : " does not exist: a " + how + " disk image expected";
          case EACCES, EPERM -> " may not be " + (write ? "written" : "read")
              + " by you: a " + how + " disk image expected";
          case EROFS -> " is on a file system that is mounted read-only: a " + how
              + " disk image expected";
          case EISDIR -> " is a folder: a disk image expected";
          case ENOSPC, EDQUOT -> null;
          default -> " cannot be opened: error " + error + " of the host";
        };
    return why == null
        ? new BlockException(
            Reason.HOST_DISK_FULL, "no space left on the host's disk to make " + path)
        : new BlockException(Reason.UNREADABLE, path + why);
  }

  /** A pipe would make us wait, and a device of another kind does what it likes. */
  private void checkType() throws BlockException {
    int type = (int) stat(LinuxCalls.STATX_MODE, 2) & TYPE_MASK;
    if (type != REGULAR && type != BLOCK_DEVICE) {
      throw new BlockException(
          Reason.UNREADABLE,
          path() + (type == FOLDER ? " is a folder" : " is neither a file nor a block device")
              + ": a disk image expected");
    }
  }

  private long stat(int field, int bytes) throws BlockException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stat = arena.allocate(LinuxCalls.STATX_BYTES, 8);
      int result = LinuxCalls.statx(fd, stat);
      if (result < 0) {
        throw failed("examine", -result);
      }
      return bytes == 2
          ? stat.get(ValueLayout.JAVA_SHORT, field) & 0xffff
          : stat.get(ValueLayout.JAVA_LONG, field);
    }
  }

  private BlockException failed(String what, long error) {
    return failed(what, "error " + error + " of the host", error == ENOSPC || error == EDQUOT);
  }

  private void checkOpen() throws BlockException {
    // A descriptor that was closed may already be another file's.
    if (!open) {
      throw new BlockException(Reason.CLOSED, path() + " is closed");
    }
  }

  @Override
  public void lock(Access access) throws BlockException {
    ImageLock.set(this, fd, access);
  }

  @Override
  public long size() throws BlockException {
    checkOpen();
    long size = LinuxCalls.lseek(fd, 0, LinuxCalls.SEEK_END);
    if (size < 0) {
      throw failed("find the size of", -size);
    }
    return size;
  }

  @Override
  public long allocatedBytes() throws BlockException {
    checkOpen();
    return stat(LinuxCalls.STATX_BLOCKS, 8) * 512;
  }

  /** Inode, then major and minor number of the file system's device. */
  private record Identity(long inode, long device) {}

  @Override
  public Object identity() throws BlockException {
    return new Identity(stat(LinuxCalls.STATX_INODE, 8), stat(LinuxCalls.STATX_DEVICE, 8));
  }

  @Override
  protected long readSome(long offset, MemorySegment into) throws BlockException {
    checkOpen();
    long length = into.byteSize();
    long done = 0;
    while (done < length) {
      MemorySegment rest = done == 0 ? into : into.asSlice(done);
      long result =
          LinuxCalls.pread(fd, rest, Math.min(length - done, CALL_LIMIT), offset + done);
      if (result == 0) {
        break;
      }
      if (result > 0) {
        done += result;
      } else if (result == -EINVAL && offset >= size()) {
        // Beyond what a file can be, so beyond the end of this one.
        break;
      } else if (result != -EINTR && result != -EAGAIN) {
        throw failed("read", -result);
      }
    }
    return done;
  }

  @Override
  protected void writeAll(long offset, MemorySegment from) throws BlockException {
    checkOpen();
    long length = from.byteSize();
    long done = 0;
    while (done < length) {
      MemorySegment rest = done == 0 ? from : from.asSlice(done);
      long result =
          LinuxCalls.pwrite(fd, rest, Math.min(length - done, CALL_LIMIT), offset + done);
      if (result > 0) {
        done += result;
      } else if (result == -EFBIG) {
        throw failed("write", "its file system has no files so long", false);
      } else if (result != -EINTR && result != -EAGAIN) {
        throw failed("write", result == 0 ? ENOSPC : -result);
      }
    }
  }

  @Override
  protected void syncNow() throws BlockException {
    checkOpen();
    int result;
    do {
      result = LinuxCalls.fdatasync(fd);
    } while (result == -EINTR);
    // A file that cannot be synchronised at all says EINVAL.
    if (result < 0 && result != -EINVAL) {
      throw failed("make durable what was written to", -result);
    }
  }

  @Override
  public void setSize(long size) throws BlockException {
    checkOpen();
    int result;
    do {
      result = LinuxCalls.ftruncate(fd, size);
    } while (result == -EINTR);
    if (result == -EFBIG || result == -EINVAL) {
      throw failed("resize", "its file system has no files of " + size + " bytes", false);
    }
    if (result < 0) {
      throw failed("resize", -result);
    }
  }

  @Override
  protected boolean punch(long offset, long length) throws BlockException {
    if (punches) {
      int mode = LinuxCalls.FALLOC_PUNCH_HOLE | LinuxCalls.FALLOC_KEEP_SIZE;
      punches = allocate(mode, offset, length);
    }
    return punches;
  }

  @Override
  protected boolean zero(long offset, long length) throws BlockException {
    if (zeroes) {
      zeroes = allocate(LinuxCalls.FALLOC_ZERO_RANGE, offset, length);
    }
    return zeroes;
  }

  /** Returns false if this file's file system cannot do it. */
  private boolean allocate(int mode, long offset, long length) throws BlockException {
    checkOpen();
    int result;
    do {
      result = LinuxCalls.fallocate(fd, mode, offset, length);
    } while (result == -EINTR);
    if (result == -ENOSPC || result == -EDQUOT) {
      throw failed("write zeros to", -result);
    }
    return result == 0;
  }

  @Override
  public long nextData(long offset) throws BlockException {
    checkOpen();
    long result = LinuxCalls.lseek(fd, offset, LinuxCalls.SEEK_DATA);
    if (result == -ENXIO) {
      return Long.MAX_VALUE;
    }
    return result < 0 ? offset : result;
  }

  @Override
  public long nextHole(long offset) throws BlockException {
    checkOpen();
    long result = LinuxCalls.lseek(fd, offset, LinuxCalls.SEEK_HOLE);
    return result < 0 ? Math.max(offset, size()) : result;
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      LinuxCalls.close(fd);
    }
  }
}

package org.javisor.storage.block.file;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/**
 * A file by what Java offers on every host: without holes, and with one lock on the whole file that
 * only other Java programs and other locks of that kind see.
 */
final class ChannelFile extends HostFile {
  private static final int CALL_LIMIT = 1 << 30;

  private final FileChannel channel;
  private FileLock lock;

  private ChannelFile(Path path, FileChannel channel) {
    super(path);
    this.channel = channel;
  }

  static ChannelFile openFile(Path path, Access access) throws BlockException {
    Set<? extends OpenOption> options =
        switch (access) {
          case READ, PEEK -> Set.of(StandardOpenOption.READ);
          case WRITE -> Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE);
          case CREATE -> Set.of(
              StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
        };
    if (Files.exists(path) && !Files.isRegularFile(path)) {
      throw new BlockException(
          Reason.UNREADABLE, path + " is not a regular file: a disk image expected");
    }
    FileChannel channel;
    try {
      channel = FileChannel.open(path, options);
    } catch (NoSuchFileException e) {
      throw new BlockException(
          Reason.UNREADABLE, path + " does not exist: a disk image expected", e);
    } catch (IOException e) {
      throw new BlockException(Reason.UNREADABLE, path + " cannot be opened: " + e, e);
    }
    ChannelFile file = new ChannelFile(path, channel);
    try {
      file.lock(access);
      return file;
    } catch (BlockException e) {
      file.close();
      throw e;
    }
  }

  @Override
  public void lock(Access access) throws BlockException {
    boolean write = access == Access.WRITE || access == Access.CREATE;
    try {
      if (lock != null) {
        lock.release();
        lock = null;
      }
      if (access != Access.PEEK) {
        lock = channel.tryLock(0, Long.MAX_VALUE, !write);
        if (lock == null) {
          throw inUse(write);
        }
      }
    } catch (OverlappingFileLockException e) {
      // Of this process: Java does not let two readers share, but that harms nobody.
      if (write) {
        throw inUse(true);
      }
    } catch (BlockException e) {
      throw e;
    } catch (IOException e) {
      // A file system without locks.
      lock = null;
    }
  }

  /** Java has no error numbers; on a full disk this is what hosts say. */
  private BlockException failed(String what, IOException e) {
    String why = String.valueOf(e.getMessage());
    boolean full = why.contains("No space left") || why.contains("not enough space")
        || why.contains("quota");
    return failed(what, why, full);
  }

  @Override
  public long size() throws BlockException {
    try {
      return channel.size();
    } catch (IOException e) {
      throw failed("find the size of", e);
    }
  }

  @Override
  public long allocatedBytes() throws BlockException {
    return size();
  }

  @Override
  public Object identity() throws BlockException {
    try {
      return path().toRealPath();
    } catch (IOException e) {
      throw failed("find", e);
    }
  }

  private static ByteBuffer buffer(MemorySegment segment, long from) {
    return segment
        .asSlice(from, Math.min(CALL_LIMIT, segment.byteSize() - from))
        .asByteBuffer();
  }

  @Override
  protected long readSome(long offset, MemorySegment into) throws BlockException {
    long done = 0;
    try {
      while (done < into.byteSize()) {
        int result = channel.read(buffer(into, done), offset + done);
        if (result < 0) {
          break;
        }
        done += result;
      }
    } catch (IOException e) {
      throw failed("read", e);
    }
    return done;
  }

  @Override
  protected void writeAll(long offset, MemorySegment from) throws BlockException {
    long done = 0;
    try {
      while (done < from.byteSize()) {
        done += channel.write(buffer(from, done), offset + done);
      }
    } catch (IOException e) {
      throw failed("write", e);
    }
  }

  @Override
  protected void syncNow() throws BlockException {
    try {
      channel.force(false);
    } catch (IOException e) {
      throw failed("make durable what was written to", e);
    }
  }

  @Override
  public void setSize(long size) throws BlockException {
    try {
      if (size < channel.size()) {
        channel.truncate(size);
      } else if (size > channel.size()) {
        channel.write(ByteBuffer.allocate(1), size - 1);
      }
    } catch (IOException e) {
      throw failed("resize", e);
    }
  }

  @Override
  protected boolean punch(long offset, long length) {
    return false;
  }

  @Override
  protected boolean zero(long offset, long length) {
    return false;
  }

  @Override
  public long nextData(long offset) throws BlockException {
    return offset < size() ? offset : Long.MAX_VALUE;
  }

  @Override
  public long nextHole(long offset) throws BlockException {
    return Math.max(offset, size());
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // What had to be durable was synchronised before.
      lock = null;
    }
  }
}

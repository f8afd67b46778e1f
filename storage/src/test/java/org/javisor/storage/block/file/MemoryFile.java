package org.javisor.storage.block.file;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.javisor.storage.block.BlockException;

/**
 * A file in memory that remembers every change since it was made, so that a test can see it as it
 * would be had we, or the host, died at any moment; and that can be out of space.
 */
public final class MemoryFile extends HostFile {
  private byte[] data;
  private int size;

  /** A change: bytes written at an offset, or a new size, or (both null) a synchronisation. */
  private record Change(int offset, byte[] bytes, Integer newSize) {
    boolean isSync() {
      return bytes == null && newSize == null;
    }
  }

  private final byte[] first;
  private final List<Change> changes = new ArrayList<>();
  private final boolean recording;
  private int writesLeft = Integer.MAX_VALUE;

  public MemoryFile(byte[] contents, boolean recording) {
    super(Path.of("memory"));
    data = contents.clone();
    size = contents.length;
    first = contents.clone();
    this.recording = recording;
  }

  /** Lets so many more changes succeed; then the host is full. */
  public synchronized void setWritesLeft(int writes) {
    writesLeft = writes;
  }

  public synchronized byte[] contents() {
    return Arrays.copyOf(data, size);
  }

  /** How many changes there were. */
  public synchronized int changeCount() {
    return changes.size();
  }

  /** The file as it was after {@code count} changes: what a killed process leaves. */
  public synchronized byte[] afterChanges(int count) {
    MemoryFile copy = new MemoryFile(first, false);
    for (Change change : changes.subList(0, count)) {
      copy.apply(change);
    }
    return copy.contents();
  }

  /**
   * The file as a host without power may leave it after {@code count} changes: all up to the last
   * synchronisation, and any of those since, in sectors.
   */
  public synchronized byte[] afterPowerFailure(int count, Random random) {
    MemoryFile copy = new MemoryFile(first, false);
    int synced = 0;
    for (int i = 0; i < count; i++) {
      synced = changes.get(i).isSync() ? i : synced;
    }
    for (int i = 0; i < count; i++) {
      Change change = changes.get(i);
      if (i < synced || change.newSize() != null) {
        copy.apply(change);
      } else if (!change.isSync()) {
        for (int at = 0; at < change.bytes().length; at += 512) {
          int end = Math.min(change.bytes().length, at + 512);
          if (random.nextInt(3) > 0) {
            byte[] sector = Arrays.copyOfRange(change.bytes(), at, end);
            copy.apply(new Change(change.offset() + at, sector, null));
          }
        }
      }
    }
    return copy.contents();
  }

  private void apply(Change change) {
    if (change.bytes() != null) {
      grow(change.offset() + change.bytes().length);
      System.arraycopy(change.bytes(), 0, data, change.offset(), change.bytes().length);
    } else if (change.newSize() != null) {
      int newSize = change.newSize();
      if (newSize < size) {
        Arrays.fill(data, newSize, size, (byte) 0);
      }
      grow(newSize);
      size = newSize;
    }
  }

  private void grow(int end) {
    if (end > data.length) {
      data = Arrays.copyOf(data, Math.max(end, data.length * 2));
    }
    size = Math.max(size, end);
  }

  private void change(Change change) throws BlockException {
    if (!change.isSync() && writesLeft-- <= 0) {
      writesLeft = 0;
      throw failed("write", "full", true);
    }
    apply(change);
    if (recording) {
      changes.add(change);
    }
  }

  @Override
  public synchronized long size() {
    return size;
  }

  @Override
  public synchronized long allocatedBytes() {
    return size;
  }

  @Override
  protected synchronized long readSome(long offset, MemorySegment into) {
    if (offset >= size) {
      return 0;
    }
    int length = (int) Math.min(into.byteSize(), size - offset);
    MemorySegment.copy(data, (int) offset, into, ValueLayout.JAVA_BYTE, 0, length);
    return length;
  }

  @Override
  protected synchronized void writeAll(long offset, MemorySegment from) throws BlockException {
    if (offset + from.byteSize() > 1 << 29) {
      throw failed("write", "too long for a test", false);
    }
    change(new Change((int) offset, from.toArray(ValueLayout.JAVA_BYTE), null));
  }

  @Override
  protected synchronized void syncNow() throws BlockException {
    change(new Change(0, null, null));
  }

  @Override
  public synchronized void setSize(long newSize) throws BlockException {
    change(new Change(0, null, (int) newSize));
  }

  @Override
  protected synchronized boolean punch(long offset, long length) throws BlockException {
    if (offset < size) {
      byte[] zeros = new byte[(int) Math.min(length, size - offset)];
      change(new Change((int) offset, zeros, null));
    }
    return true;
  }

  @Override
  protected boolean zero(long offset, long length) {
    return false;
  }

  @Override
  public synchronized long nextData(long offset) {
    return offset < size ? offset : Long.MAX_VALUE;
  }

  @Override
  public synchronized long nextHole(long offset) {
    return Math.max(offset, size);
  }

  @Override
  public Object identity() {
    return this;
  }

  @Override
  public void lock(Access access) {}

  @Override
  public void close() {}
}

package org.javisor.storage.image;

import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/** A stream over mapped memory. */
public final class SegmentInputStream extends InputStream {
  private final MemorySegment data;
  private long position;

  public SegmentInputStream(MemorySegment data) {
    this.data = data;
  }

  @Override
  public int read() {
    return position < data.byteSize() ? data.get(ValueLayout.JAVA_BYTE, position++) & 0xff : -1;
  }

  @Override
  public int read(byte[] target, int offset, int length) {
    Objects.checkFromIndexSize(offset, length, target.length);
    int count = available(length);
    if (count == 0 && length > 0) {
      return -1;
    }
    MemorySegment.copy(data, ValueLayout.JAVA_BYTE, position, target, offset, count);
    position += count;
    return count;
  }

  private int available(int wanted) {
    return (int) Math.min(wanted, data.byteSize() - position);
  }

  @Override
  public int available() {
    return available(Integer.MAX_VALUE);
  }

  @Override
  public long skip(long count) {
    long skipped = Math.clamp(count, 0, data.byteSize() - position);
    position += skipped;
    return skipped;
  }
}

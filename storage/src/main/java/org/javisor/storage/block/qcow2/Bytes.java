package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;

/** Big-endian numbers in files and in memory. */
final class Bytes {
  static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG.withOrder(ByteOrder.BIG_ENDIAN).withByteAlignment(8);
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT.withOrder(ByteOrder.BIG_ENDIAN);
  static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.BIG_ENDIAN);

  private Bytes() {}

  /** Reads a small piece of a file. What lies beyond its end is zero. */
  static ByteBuffer read(HostFile file, long offset, int length) throws BlockException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment segment = arena.allocate(Math.max(1, length), 8).asSlice(0, length);
      file.read(offset, segment);
      return ByteBuffer.wrap(segment.toArray(ValueLayout.JAVA_BYTE));
    }
  }

  /** Reads a table of big-endian numbers. */
  static long[] readLongs(HostFile file, long offset, int count) throws BlockException {
    long[] values = new long[count];
    int chunk = 8192;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(chunk * 8L, 8);
      for (int done = 0; done < count; done += chunk) {
        int part = Math.min(chunk, count - done);
        file.read(offset + done * 8L, buffer.asSlice(0, part * 8L));
        MemorySegment.copy(buffer, LONG, 0, values, done, part);
      }
    }
    return values;
  }

  static void write(HostFile file, long offset, ByteBuffer bytes) throws BlockException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment segment = arena.allocate(bytes.remaining(), 8);
      segment.copyFrom(MemorySegment.ofBuffer(bytes));
      file.write(offset, segment);
    }
  }

  static void writeLong(HostFile file, long offset, long value) throws BlockException {
    write(file, offset, ByteBuffer.allocate(8).putLong(0, value));
  }

  /** Writes {@code count} numbers of {@code values}, from {@code first} on. */
  static void writeLongs(HostFile file, long offset, long[] values, int first, int count)
      throws BlockException {
    int chunk = 8192;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(Math.min(chunk, Math.max(1, count)) * 8L, 8);
      for (int done = 0; done < count; done += chunk) {
        int part = Math.min(chunk, count - done);
        MemorySegment.copy(values, first + done, buffer, LONG, 0, part);
        file.write(offset + done * 8L, buffer.asSlice(0, part * 8L));
      }
    }
  }
}

package org.javisor.network.tcp;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/**
 * A ring of bytes. It has memory only while it is in use ({@link #reserve}, {@link #release}), grows
 * when more is reserved, and has room for headers in front of its first byte.
 */
final class ByteRing {
  /** Room before the ring's bytes; also what is saved and restored around a header written there. */
  static final int HEADROOM = 96;

  private final RingPool pool;
  private ByteBuffer buffer;
  private int capacity;
  /** Place of the oldest byte, without headroom. */
  private int head;
  private int size;

  ByteRing(RingPool pool) {
    this.pool = pool;
  }

  int size() {
    return size;
  }

  int capacity() {
    return capacity;
  }

  int free() {
    return capacity - size;
  }

  /**
   * Makes the ring hold at least so many bytes.
   *
   * @return false if there is no memory; the ring is as it was
   */
  boolean reserve(int bytes) {
    if (bytes <= capacity) {
      return true;
    }
    if (bytes > RingPool.LARGEST) {
      return false;
    }
    int wanted = Math.max(RingPool.SMALLEST, Integer.highestOneBit(bytes - 1) << 1);
    ByteBuffer larger = pool.acquire(wanted);
    if (larger == null) {
      return false;
    }
    if (buffer != null) {
      // All of the old ring, not only its size: bytes may have been put beyond that.
      int first = capacity - head;
      buffer.clear();
      larger.put(HEADROOM, buffer, HEADROOM + head, first);
      larger.put(HEADROOM + first, buffer, HEADROOM, head);
      pool.release(buffer);
    }
    head = 0;
    buffer = larger;
    capacity = wanted;
    return true;
  }

  /** Gives the memory back; the ring is empty then. */
  void release() {
    if (buffer != null) {
      pool.release(buffer);
      buffer = null;
      capacity = 0;
    }
    head = 0;
    size = 0;
  }

  /** Index, in {@link #buffer}, of the byte so many behind the oldest. */
  int index(int offset) {
    return HEADROOM + (head + offset & capacity - 1);
  }

  /** How many bytes from there are in one piece. */
  int contiguous(int offset) {
    return capacity - (head + offset & capacity - 1);
  }

  /** The memory; see {@link #index}. */
  ByteBuffer buffer() {
    return buffer;
  }

  /** Reads once from a channel, at most to the ring's end. As {@link ReadableByteChannel#read}. */
  int readFrom(ReadableByteChannel channel) throws IOException {
    int at = index(size);
    buffer.limit(at + Math.min(free(), contiguous(size))).position(at);
    int read = channel.read(buffer);
    if (read > 0) {
      size += read;
    }
    return read;
  }

  /** Writes to a channel until it takes no more. */
  int writeTo(WritableByteChannel channel) throws IOException {
    int total = 0;
    while (size > 0) {
      int at = index(0);
      int piece = Math.min(size, contiguous(0));
      buffer.limit(at + piece).position(at);
      int written = channel.write(buffer);
      total += written;
      consume(written);
      if (written < piece) {
        break;
      }
    }
    return total;
  }

  /** Puts bytes at a place behind the oldest byte, which may be beyond the ring's size. */
  void put(int offset, ByteBuffer source, int index, int length) {
    int first = Math.min(length, contiguous(offset));
    buffer.clear();
    buffer.put(index(offset), source, index, first);
    if (first < length) {
      buffer.put(HEADROOM, source, index + first, length - first);
    }
  }

  /** Says that so many bytes behind the newest have been put. */
  void extend(int bytes) {
    size += bytes;
  }

  /** Moves an empty ring's start over bytes that went another way; what was put ahead stays. */
  void consumeAhead(int bytes) {
    head = head + bytes & capacity - 1;
  }

  /** Forgets the oldest bytes. */
  void consume(int bytes) {
    size -= bytes;
    head = head + bytes & capacity - 1;
  }
}

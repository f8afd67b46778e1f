package org.javisor.virtio.queue;

import static org.javisor.virtio.queue.SplitLayout.DESC_F_INDIRECT;
import static org.javisor.virtio.queue.SplitLayout.DESC_F_NEXT;
import static org.javisor.virtio.queue.SplitLayout.DESC_F_WRITE;
import static org.javisor.virtio.queue.SplitLayout.DESC_LEN;
import static org.javisor.virtio.queue.SplitLayout.DESC_SIZE;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.javisor.memory.GuestMemory;

/**
 * The buffers of one request: first those the device reads, then those it writes, as two streams of
 * bytes. Made once and filled again and again. It is a copy of the descriptors, so what the guest
 * changes in them afterwards changes nothing here.
 */
public final class Chain {
  /** Descriptors in the longest chain; more is taken for a loop. */
  public static final int MAX_DESCRIPTORS = 1024;

  /** Bytes of the largest chain (VirtIO 1.2, section 2.7.5). */
  private static final long MAX_BYTES = 1L << 32;

  private final GuestMemory memory;
  private long[] addresses = new long[8];
  private long[] lengths = new long[8];
  private int head;
  private int readable;
  private int count;
  private long readableBytes;
  private long writableBytes;

  public Chain(GuestMemory memory) {
    this.memory = memory;
  }

  /** The index that goes into the used ring. */
  public int head() {
    return head;
  }

  /** How many buffers there are. */
  public int buffers() {
    return count;
  }

  /** Bytes the device may read. */
  public long readableBytes() {
    return readableBytes;
  }

  /** Bytes the device may write. */
  public long writableBytes() {
    return writableBytes;
  }

  /** How many of the buffers the device may write. */
  public int writableBuffers() {
    return count - readable;
  }

  /** The guest-physical address of buffer {@code i} of those that the device may write. */
  public long writableAddress(int i) {
    return addresses[readable + i];
  }

  public long writableLength(int i) {
    return lengths[readable + i];
  }

  void load(long table, int tableSize, int first, boolean mayBeIndirect) throws DriverFault {
    head = first;
    count = 0;
    readable = 0;
    readableBytes = 0;
    writableBytes = 0;
    boolean indirect = false;
    int index = first;
    for (int seen = 0;; seen++) {
      if (seen > MAX_DESCRIPTORS) {
        throw new DriverFault("a chain of more than " + MAX_DESCRIPTORS + " descriptors");
      }
      if (index >= tableSize) {
        throw new DriverFault("descriptor " + index + " of " + tableSize);
      }
      long at = table + (long) DESC_SIZE * index;
      // Each word is read once: the guest may write it in between.
      long address = memory.read64(at);
      long rest = memory.read64(at + DESC_LEN);
      long length = rest & 0xffff_ffffL;
      int flags = (int) (rest >>> 32) & 0xffff;
      if ((flags & DESC_F_INDIRECT) != 0) {
        if (!mayBeIndirect || indirect || (flags & DESC_F_NEXT) != 0) {
          throw new DriverFault("an indirect descriptor where none may be");
        }
        if (length == 0 || length % DESC_SIZE != 0) {
          throw new DriverFault("an indirect table of " + length + " bytes");
        }
        indirect = true;
        table = address;
        // The field next has 16 bits: more than that cannot be reached.
        tableSize = (int) Math.min(length / DESC_SIZE, 1 << 16);
        checkRam(table, (long) tableSize * DESC_SIZE, false);
        index = 0;
        continue;
      }
      add(address, length, (flags & DESC_F_WRITE) != 0);
      if ((flags & DESC_F_NEXT) == 0) {
        return;
      }
      index = (int) (rest >>> 48);
    }
  }

  private void add(long address, long length, boolean write) throws DriverFault {
    if (write) {
      writableBytes += length;
    } else if (readable < count) {
      throw new DriverFault("a readable buffer after a writable one");
    } else {
      readableBytes += length;
    }
    if (readableBytes + writableBytes > MAX_BYTES) {
      throw new DriverFault("a chain of more than 4 GiB");
    }
    checkRam(address, length, write);
    if (count == addresses.length) {
      addresses = Arrays.copyOf(addresses, 2 * count);
      lengths = Arrays.copyOf(lengths, 2 * count);
    }
    addresses[count] = address;
    lengths[count] = length;
    count++;
    if (!write) {
      readable = count;
    }
  }

  private void checkRam(long address, long length, boolean write) throws DriverFault {
    if (!memory.contains(address, length, write)) {
      throw new DriverFault(
          "a buffer of %d bytes at %#x, where there is no memory".formatted(length, address));
    }
  }

  /**
   * Copies from what the device may read.
   *
   * @param at where to start, in bytes of the readable stream
   * @throws DriverFault if there is less
   */
  public void read(long at, MemorySegment target, long offset, long length) throws DriverFault {
    if (at + length > readableBytes) {
      throw tooShort(readableBytes, at + length);
    }
    for (int i = 0; length > 0; i++) {
      long size = lengths[i];
      if (at < size) {
        long part = Math.min(size - at, length);
        memory.read(addresses[i] + at, target, offset, part);
        at += part;
        offset += part;
        length -= part;
      }
      at -= size;
    }
  }

  /** Copies into what the device may write; see {@link #read}. */
  public void write(long at, MemorySegment source, long offset, long length) throws DriverFault {
    if (at + length > writableBytes) {
      throw tooShort(writableBytes, at + length);
    }
    for (int i = readable; length > 0; i++) {
      long size = lengths[i];
      if (at < size) {
        long part = Math.min(size - at, length);
        memory.write(addresses[i] + at, source, offset, part);
        at += part;
        offset += part;
        length -= part;
      }
      at -= size;
    }
  }

  /** Reads one byte of what the device may read. */
  public int read8(long at) throws DriverFault {
    for (int i = 0; i < readable; i++) {
      if (at < lengths[i]) {
        return memory.read8(addresses[i] + at);
      }
      at -= lengths[i];
    }
    throw tooShort(readableBytes, at + readableBytes + 1);
  }

  public int read16(long at) throws DriverFault {
    return read8(at) | read8(at + 1) << 8;
  }

  public int read32(long at) throws DriverFault {
    if (readable > 0 && at + 4 <= lengths[0]) {
      return memory.read32(addresses[0] + at);
    }
    return read16(at) | read16(at + 2) << 16;
  }

  public long read64(long at) throws DriverFault {
    return read32(at) & 0xffff_ffffL | (long) read32(at + 4) << 32;
  }

  /** Writes one byte of what the device may write. */
  public void write8(long at, int value) throws DriverFault {
    for (int i = readable; i < count; i++) {
      if (at < lengths[i]) {
        memory.write8(addresses[i] + at, value);
        return;
      }
      at -= lengths[i];
    }
    throw tooShort(writableBytes, at + writableBytes + 1);
  }

  public void write32(long at, int value) throws DriverFault {
    for (int i = 0; i < 4; i++) {
      write8(at + i, value >> 8 * i);
    }
  }

  private static DriverFault tooShort(long have, long need) {
    return new DriverFault("a request of " + have + " bytes where " + need + " are needed");
  }
}

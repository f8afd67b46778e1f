package org.javisor.xen.hypervisor;

import java.lang.invoke.VarHandle;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * A granted page in use by a back end of this process. The guest can change its bytes at any time,
 * but cannot take the frame away before this is closed.
 *
 * <p>Offsets are checked: they may come from a guest.
 */
public final class GrantMapping implements AutoCloseable {
  public static final int SIZE = FrameArena.FRAME_SIZE;

  private final GrantTable table;
  private final FrameArena arena;
  private final long reference;
  private final int frame;
  private final boolean writable;
  private final long address;
  private boolean closed;

  GrantMapping(GrantTable table, FrameArena arena, long reference, int frame, boolean writable) {
    this.table = table;
    this.arena = arena;
    this.reference = reference;
    this.frame = frame;
    this.writable = writable;
    this.address = arena.address(frame);
  }

  private long at(int offset, int length) {
    if (offset < 0 || length < 0 || offset > SIZE - length) {
      throw new IndexOutOfBoundsException("granted page at " + offset + "+" + length);
    }
    return address + offset;
  }

  public boolean isWritable() {
    return writable;
  }

  public int get8(int offset) {
    return RawMemory.get8(at(offset, 1));
  }

  public int get16(int offset) {
    return RawMemory.get16(at(offset, 2));
  }

  public int get32(int offset) {
    return RawMemory.get32(at(offset, 4));
  }

  public long get64(int offset) {
    return RawMemory.get64(at(offset, 8));
  }

  /** Reads an index that the guest moves; what it wrote before is seen after this. */
  public int getIndex(int offset) {
    int value = RawMemory.getVolatile32(at(offset, 4));
    VarHandle.fullFence();
    return value;
  }

  public void put8(int offset, int value) {
    RawMemory.put8(at(offset, 1), value);
    written(offset, 1);
  }

  public void put16(int offset, int value) {
    RawMemory.put16(at(offset, 2), value);
    written(offset, 2);
  }

  public void put32(int offset, int value) {
    RawMemory.put32(at(offset, 4), value);
    written(offset, 4);
  }

  public void put64(int offset, long value) {
    RawMemory.put64(at(offset, 8), value);
    written(offset, 8);
  }

  /** Writes an index that the guest watches; what was written before is seen by who sees this. */
  public void putIndex(int offset, int value) {
    VarHandle.fullFence();
    RawMemory.putVolatile32(at(offset, 4), value);
    VarHandle.fullFence();
    written(offset, 4);
  }

  /** Copies bytes out of the page. */
  public void read(int offset, byte[] target, int targetOffset, int length) {
    RawMemory.copyOut(at(offset, length), target, targetOffset, length);
  }

  /** Copies bytes into the page. */
  public void write(int offset, byte[] source, int sourceOffset, int length) {
    RawMemory.copyIn(source, sourceOffset, at(offset, length), length);
    written(offset, length);
  }

  /** Copies bytes out of the page to a native address of the caller's own. */
  public void read(int offset, long target, int length) {
    RawMemory.copy(at(offset, length), target, length);
  }

  /** Copies bytes from a native address of the caller's own into the page. */
  public void write(int offset, long source, int length) {
    RawMemory.copy(source, at(offset, length), length);
    written(offset, length);
  }

  private void written(int offset, int length) {
    VarHandle.fullFence();
    if ((arena.flags(frame) & FrameArena.CODE) != 0) {
      arena.codeWritten(frame, offset, length);
    }
  }

  /** Ends the use. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      table.release(reference, frame, writable);
    }
  }
}

package org.javisor.xen.hypervisor;

import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * Arguments in a guest's memory, at addresses of the calling vCPU's address space. Everything is
 * copied before it is looked at, so that the guest cannot change what has been checked.
 */
public final class GuestArguments {
  /** An address that is not the guest's, or not writable. Answered with {@link Errno#EFAULT}. */
  public static final class BadPointer extends Exception {
    private static final long serialVersionUID = 1L;
    static final BadPointer INSTANCE = new BadPointer();

    private BadPointer() {
      super("bad pointer", null, false, false);
    }
  }

  /** Turns a virtual address into a guest-physical one. */
  @FunctionalInterface
  public interface Translation {
    /** Returns -1 where nothing is mapped. */
    long translate(long linear);
  }

  /**
   * Addresses from here on are in what is lent, while it is: only to calls of 32-bit code, which has
   * no such addresses.
   */
  static final long SCRATCH = 1L << 32;

  private final GuestMemory memory;
  private final Translation translation;

  /** Structures that are not in the guest, or null. */
  private byte[] scratch;

  GuestArguments(GuestMemory memory, Translation translation) {
    this.memory = memory;
    this.translation = translation;
  }

  /** Has what is lent read and written from {@link #SCRATCH} on; null for no more. */
  void lend(byte[] bytes) {
    scratch = bytes;
  }

  /** Where in what is lent an address is, or -1 if it is in the guest. */
  private int lent(long address, int length) throws BadPointer {
    if (scratch == null || address < SCRATCH) {
      return -1;
    }
    if (address - SCRATCH > scratch.length - length) {
      throw BadPointer.INSTANCE;
    }
    return (int) (address - SCRATCH);
  }

  private long physical(long address) throws BadPointer {
    long gpa = translation.translate(address);
    if (gpa < 0 || memory.frame(gpa) < 0) {
      throw BadPointer.INSTANCE;
    }
    return gpa;
  }

  /** Copies bytes out of the guest. */
  public void read(long address, byte[] target, int length) throws BadPointer {
    int lent = lent(address, length);
    if (lent >= 0) {
      System.arraycopy(scratch, lent, target, 0, length);
      return;
    }
    try {
      for (int done = 0; done < length;) {
        long at = address + done;
        int chunk =
            Math.min(length - done, FrameArena.FRAME_SIZE - (int) (at & FrameArena.FRAME_SIZE - 1));
        memory.read(physical(at), target, done, chunk);
        done += chunk;
      }
    } catch (GuestMemory.BadAddress e) {
      throw BadPointer.INSTANCE; // Another vCPU took the page away meanwhile.
    }
  }

  /** Copies a structure out of the guest. */
  public Structure read(long address, int size) throws BadPointer {
    byte[] bytes = new byte[size];
    read(address, bytes, size);
    return new Structure(bytes);
  }

  /** Copies bytes into the guest. */
  public void write(long address, byte[] source, int offset, int length) throws BadPointer {
    int lent = lent(address, length);
    if (lent >= 0) {
      System.arraycopy(source, offset, scratch, lent, length);
      return;
    }
    try {
      for (int done = 0; done < length;) {
        long at = address + done;
        int chunk =
            Math.min(length - done, FrameArena.FRAME_SIZE - (int) (at & FrameArena.FRAME_SIZE - 1));
        memory.write(physical(at), source, offset + done, chunk);
        done += chunk;
      }
    } catch (GuestMemory.BadAddress e) {
      throw BadPointer.INSTANCE;
    }
  }

  /** Copies a whole structure into the guest. */
  public void write(long address, Structure structure) throws BadPointer {
    write(address, structure.bytes(), 0, structure.bytes().length);
  }

  /** Copies one field of a structure back. */
  public void writeField(long address, Structure structure, int offset, int size)
      throws BadPointer {
    write(address + offset, structure.bytes(), offset, size);
  }
}

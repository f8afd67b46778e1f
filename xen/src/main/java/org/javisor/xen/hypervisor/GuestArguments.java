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

  private final GuestMemory memory;
  private final Translation translation;

  GuestArguments(GuestMemory memory, Translation translation) {
    this.memory = memory;
    this.translation = translation;
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

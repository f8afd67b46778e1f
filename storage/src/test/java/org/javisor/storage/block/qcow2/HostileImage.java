package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.MemoryFile;

/**
 * Does with an image everything that can be done. A fuzzer may call {@link
 * #fuzzerTestOneInput}, whose name is Jazzer's, with any bytes.
 */
public final class HostileImage {
  private HostileImage() {}

  /** Must return, or throw nothing but what says that the image is bad. */
  public static void fuzzerTestOneInput(byte[] image) {
    check(image);
    open(image, true);
    open(image, false);
  }

  private static void check(byte[] image) {
    try {
      MemoryFile file = new MemoryFile(image, false);
      Header header = Header.read(file);
      Qcow2Reports.snapshots(file, header);
      new Qcow2Checker(file, header).check();
      new Qcow2Checker(file, header).repair(false);
      CheckReport repaired = new Qcow2Checker(file, Header.read(file)).repair(true);
      if (!repaired.hasErrors()) {
        CheckReport again = new Qcow2Checker(file, Header.read(file)).check();
        if (again.hasErrors()) {
          throw new AssertionError("repaired, and wrong again: " + again.problems());
        }
      }
    } catch (BlockException e) {
      // That is the answer.
      return;
    }
  }

  private static void open(byte[] image, boolean readOnly) {
    MemoryFile file = new MemoryFile(image, false);
    try (DiskImage disk = Qcow2Image.open(file, null, readOnly);
        Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(200_000, 8);
      long size = disk.sizeBytes();
      for (long part = 0; part < 8; part++) {
        long offset = size / 8 * part;
        long length = Math.min(buffer.byteSize(), size - offset);
        tryAll(disk, offset, buffer.asSlice(0, Math.max(0, length)), readOnly);
      }
    } catch (BlockException e) {
      return;
    }
  }

  private interface Attempt {
    void run() throws BlockException;
  }

  private static void attempt(Attempt attempt) {
    try {
      attempt.run();
    } catch (BlockException e) {
      // A bad table stops one request, not the next.
      return;
    }
  }

  private static void tryAll(DiskImage disk, long offset, MemorySegment buffer, boolean readOnly) {
    long length = buffer.byteSize();
    attempt(() -> disk.read(offset, buffer));
    if (length > 0) {
      attempt(() -> disk.extent(offset, length));
    }
    if (!readOnly) {
      attempt(() -> disk.write(offset, buffer));
      attempt(() -> disk.writeZeroes(offset, length / 2, true));
      attempt(() -> disk.writeZeroes(offset + length / 2, length / 2, false));
      attempt(() -> disk.discard(offset, length));
      attempt(disk::flush);
      attempt(() -> disk.write(offset, buffer));
    }
  }
}

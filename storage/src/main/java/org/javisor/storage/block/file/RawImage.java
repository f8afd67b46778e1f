package org.javisor.storage.block.file;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;

/** A disk stored byte for byte. What was never written, or was discarded, takes no space. */
public final class RawImage implements DiskImage {
  private static final int SECTOR = 512;
  private static final ValueLayout.OfInt BIG_ENDIAN =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final int QCOW_MAGIC = 0x514649fb;

  private final HostFile file;
  private final boolean readOnly;
  private final boolean guessed;
  private final long size;

  /**
   * @param file closed together with the image
   * @param guessed whether nobody said that the image is raw. Then a guest must not turn it into
   *     another format, which could name any file of the host as its backing file and would be
   *     believed at the next start.
   */
  public RawImage(HostFile file, boolean readOnly, boolean guessed) throws BlockException {
    this.file = file;
    this.readOnly = readOnly;
    this.guessed = guessed;
    // A last sector that is cut off reads as zeros, and becomes whole when it is written.
    size = (file.size() + SECTOR - 1) & -SECTOR;
  }

  @Override
  public long sizeBytes() {
    return size;
  }

  @Override
  public boolean isReadOnly() {
    return readOnly;
  }

  @Override
  public void read(long offset, MemorySegment into) throws BlockException {
    checkRange(offset, into.byteSize());
    file.read(offset, into);
  }

  @Override
  public void write(long offset, MemorySegment from) throws BlockException {
    checkRange(offset, from.byteSize());
    checkWritable();
    if (guessed && offset < Integer.BYTES) {
      refuseMagic(offset, from);
    }
    file.write(offset, from);
  }

  private void refuseMagic(long offset, MemorySegment from) throws BlockException {
    if (offset == 0 && from.byteSize() >= Integer.BYTES && from.get(BIG_ENDIAN, 0) != QCOW_MAGIC) {
      return;
    }
    // Bytes of the magic one at a time would do as well, so short writes are not trusted either.
    boolean whole = offset == 0 && from.byteSize() >= Integer.BYTES;
    throw new BlockException(
        Reason.READ_ONLY,
        file.path() + (whole
            ? ": the guest writes the beginning of a qcow2 image"
            : ": the guest writes parts of the first four bytes")
            + ", and the format of this image was guessed: say format=raw if that is wanted");
  }

  @Override
  public void flush() throws BlockException {
    file.sync();
  }

  @Override
  public void discard(long offset, long length) throws BlockException {
    checkRange(offset, length);
    checkWritable();
    file.punchHole(offset, length);
  }

  @Override
  public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
    checkRange(offset, length);
    checkWritable();
    file.writeZeroes(offset, length, mayUnmap);
  }

  @Override
  public Extent extent(long offset, long length) throws BlockException {
    checkRange(offset, length);
    long data = file.nextData(offset);
    if (data > offset) {
      return new Extent(Math.min(length, data - offset), true);
    }
    long hole = Math.max(file.nextHole(offset), offset + 1);
    return new Extent(Math.min(length, hole - offset), false);
  }

  @Override
  public void close() throws BlockException {
    try {
      if (!readOnly) {
        file.sync();
      }
    } finally {
      file.close();
    }
  }
}

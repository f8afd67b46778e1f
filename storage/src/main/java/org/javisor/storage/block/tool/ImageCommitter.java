package org.javisor.storage.block.tool;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Image;

/**
 * Moves what an overlay holds into its backing file, and empties the overlay. The overlay is emptied
 * only when the backing file is durable, so it can be tried again after anything.
 */
public final class ImageCommitter {
  private static final int CHUNK = 4 << 20;

  private ImageCommitter() {}

  /**
   * Commits. Returns the backing file.
   *
   * @param empty whether to empty the overlay afterwards
   */
  public static Path commit(Path overlay, boolean empty) throws BlockException {
    Path base;
    ImageFormat format;
    long size;
    try (HostFile file = HostFile.open(overlay, Access.WRITE)) {
      if (ImageFormat.detect(file) != ImageFormat.QCOW2) {
        throw noBacking(overlay);
      }
      Header header = Header.read(file);
      if (header.backingFile() == null) {
        throw noBacking(overlay);
      }
      if (empty && header.snapshotCount() > 0) {
        throw new BlockException(
            Reason.NOT_SUPPORTED,
            overlay + " has internal snapshots, which rely on its backing file as it is: delete"
                + " them first (qemu-img snapshot -d)");
      }
      base = Images.resolve(overlay, header.backingFile());
      format = header.backingFormat() == null ? null : ImageFormat.parse(header.backingFormat());
      size = header.size();
    }
    growBase(base, format, size);
    copy(overlay, base, format);
    if (empty) {
      empty(overlay);
    }
    return base;
  }

  private static BlockException noBacking(Path overlay) {
    return new BlockException(
        Reason.INVALID, overlay + " has no backing file: there is nothing to commit into");
  }

  private static void growBase(Path base, ImageFormat format, long size) throws BlockException {
    if (ImageInfo.of(base, format, Access.READ).virtualSize() < size) {
      ImageResizer.resize(base, format, size, false);
    }
  }

  /** The overlay is read without its backing file, which is open for writing. */
  private static void copy(Path overlay, Path base, ImageFormat format) throws BlockException {
    try (DiskImage target = Images.open(base, format, Access.WRITE);
        Qcow2Image source =
            Qcow2Image.open(HostFile.open(overlay, Access.READ), null, true);
        Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(CHUNK, 4096);
      long size = source.sizeBytes();
      for (long offset = 0; offset < size;) {
        Qcow2Image.Presence presence = source.presence(offset, size - offset);
        if (presence.isPresent()) {
          copyRange(source, target, offset, offset + presence.length(), buffer);
        }
        offset += presence.length();
      }
      target.flush();
    }
  }

  private static void copyRange(
      Qcow2Image source, DiskImage target, long from, long to, MemorySegment buffer)
      throws BlockException {
    for (long at = from; at < to;) {
      DiskImage.Extent extent = source.extent(at, to - at);
      long length = extent.length();
      if (extent.isZero()) {
        target.writeZeroes(at, length, true);
      } else {
        length = Math.min(length, CHUNK);
        MemorySegment part = buffer.asSlice(0, length);
        source.read(at, part);
        target.write(at, part);
      }
      at += length;
    }
  }

  private static void empty(Path overlay) throws BlockException {
    try (Qcow2Image image =
        Qcow2Image.open(HostFile.open(overlay, Access.WRITE), null, false)) {
      image.forgetAll();
    }
  }
}

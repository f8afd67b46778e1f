package org.javisor.storage.block.tool;

import java.nio.file.Path;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Image;

/** Makes disks larger or smaller. */
public final class ImageResizer {
  private ImageResizer() {}

  /**
   * Changes the size of a disk.
   *
   * @param format {@code null} to guess
   * @param size in bytes; rounded up to a sector
   * @param shrink whether the disk may lose what lies beyond its new end
   */
  public static void resize(Path path, ImageFormat format, long size, boolean shrink)
      throws BlockException {
    long rounded = Images.roundUp(size);
    ImageInfo info = ImageInfo.of(path, format, Access.READ);
    if (rounded < info.virtualSize() && !shrink) {
      throw new BlockException(
          Reason.INVALID,
          path + " has " + info.virtualSize() + " bytes, and " + rounded
              + " are fewer: what lies beyond them would be lost; say --shrink if that is wanted");
    }
    switch (info.format()) {
      case RAW -> {
        try (HostFile file = HostFile.open(path, Access.WRITE)) {
          file.setSize(rounded);
          file.sync();
        }
      }
      case QCOW2 -> {
        try (DiskImage image = Images.open(path, ImageFormat.QCOW2, Access.WRITE)) {
          ((Qcow2Image) image).resize(rounded);
        }
      }
    }
  }
}

package org.javisor.machine;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.javisor.accelerator.state.file.Overlay;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.qcow2.Qcow2Image;

/**
 * What the guest wrote to a disk with {@code snapshot}, for a file of the saved machine. The overlay's
 * clusters are as large as the units of such a file.
 *
 * @param number of the disk
 */
record SnapshotOverlay(int number, Qcow2Image image) implements Overlay {
  @Override
  public long sizeBytes() {
    return image.sizeBytes();
  }

  @Override
  public Extent extent(long offset, long length) throws IOException {
    try {
      Qcow2Image.Presence presence = image.presence(offset, length);
      if (!presence.isPresent()) {
        return new Extent(presence.length(), Kind.NOTHING);
      }
      DiskImage.Extent extent = image.extent(offset, presence.length());
      return new Extent(extent.length(), extent.isZero() ? Kind.ZEROS : Kind.DATA);
    } catch (BlockException e) {
      throw failed(e);
    }
  }

  @Override
  public void read(long offset, MemorySegment into) throws IOException {
    try {
      image.read(offset, into);
    } catch (BlockException e) {
      throw failed(e);
    }
  }

  @Override
  public void write(long offset, MemorySegment from) throws IOException {
    try {
      image.write(offset, from);
    } catch (BlockException e) {
      throw failed(e);
    }
  }

  @Override
  public void writeZeroes(long offset, long length) throws IOException {
    try {
      image.writeZeroes(offset, length, true);
    } catch (BlockException e) {
      throw failed(e);
    }
  }

  private static IOException failed(BlockException e) {
    return new IOException(e.getMessage(), e);
  }
}

package org.javisor.machine;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.machine.MachineException.Reason;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.Images;

/** The disks of a machine, with the host's threads that serve them. */
final class Disks implements AutoCloseable {
  /** A disk, and what its owner wanted of it. */
  record Disk(DiskConfig config, BlockDevice device) {}

  private final BlockWorkers workers = new BlockWorkers();
  private final List<Disk> disks = new ArrayList<>();

  private Disks() {}

  /**
   * Opens all images.
   *
   * @throws MachineException if one cannot be had; none is open then
   */
  static Disks open(List<DiskConfig> configs) throws MachineException {
    Disks opened = new Disks();
    try {
      for (DiskConfig config : configs) {
        BlockDevice device = new ImageDevice(image(config), opened.workers);
        opened.disks.add(new Disk(config, device));
      }
      return opened;
    } catch (BlockException e) {
      opened.close();
      throw new MachineException(reason(e), e.getMessage(), e);
    }
  }

  private static DiskImage image(DiskConfig config) throws BlockException {
    boolean reads =
        config.readOnly() || config.snapshot() || config.iface() == DiskConfig.Interface.CDROM;
    DiskImage image =
        Images.open(
            config.image(), config.format().orElse(null), reads ? Access.READ : Access.WRITE);
    return config.snapshot()
        ? Images.openTemporaryOverlay(image, Path.of(System.getProperty("java.io.tmpdir")))
        : image;
  }

  private static Reason reason(BlockException e) {
    return switch (e.reason()) {
      case UNREADABLE -> Reason.UNREADABLE_FILE;
      case IN_USE, HOST_IO, HOST_DISK_FULL -> Reason.HOST_REFUSED;
      default -> Reason.NOT_A_KERNEL;
    };
  }

  List<Disk> all() {
    return List.copyOf(disks);
  }

  /** Finishes what was submitted and closes the images. */
  @Override
  public void close() {
    for (Disk disk : disks) {
      try {
        disk.device().close();
      } catch (BlockException e) {
        // The guest was told of what failed while it ran; nobody is left to be told of this.
        continue;
      }
    }
    workers.close();
  }
}

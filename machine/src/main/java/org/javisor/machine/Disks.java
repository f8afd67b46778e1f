package org.javisor.machine;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import org.javisor.machine.MachineException.Reason;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.HoldingDevice;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.OnDiskError;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Image;
import org.javisor.storage.block.tool.Images;

/** The disks of a machine, with the host's threads that serve them. */
final class Disks implements AutoCloseable {
  /**
   * A disk, and what its owner wanted of it.
   *
   * @param overlay what is thrown away at the end, if that was wanted
   */
  record Disk(DiskConfig config, BlockDevice device, Optional<Qcow2Image> overlay) {}

  private final BlockWorkers workers = new BlockWorkers();
  private final List<Disk> disks = new ArrayList<>();
  private final List<HoldingDevice> holding = new CopyOnWriteArrayList<>();
  private final MachineListener listener;
  private final AtomicBoolean waiting = new AtomicBoolean();
  private volatile Runnable onHeld = () -> {};

  private Disks(MachineListener listener) {
    this.listener = listener;
  }

  /**
   * Opens all images.
   *
   * @param listener told of what the host cannot do
   * @throws MachineException if one cannot be had; none is open then
   */
  static Disks open(List<DiskConfig> configs, MachineListener listener) throws MachineException {
    Disks opened = new Disks(listener);
    try {
      for (DiskConfig config : configs) {
        opened.disks.add(opened.open(config));
      }
      return opened;
    } catch (MachineException e) {
      opened.close();
      throw e;
    }
  }

  /** Opens an image that its caller {@link #close(Disk) closes}. */
  Disk open(DiskConfig config) throws MachineException {
    try {
      DiskImage image = image(config);
      BlockDevice device = new ImageDevice(image, workers);
      if (config.onError() == OnDiskError.STOP) {
        HoldingDevice held = new HoldingDevice(device, this::held);
        holding.add(held);
        device = held;
      }
      return new Disk(
          config, device,
          config.snapshot() && image instanceof Qcow2Image overlay
              ? Optional.of(overlay)
              : Optional.empty());
    } catch (BlockException e) {
      throw new MachineException(reason(e), "--disk: " + e.getMessage() + remedy(config, e), e);
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

  /** What to do about an image that can only be read. */
  private static String remedy(DiskConfig config, BlockException e) {
    boolean readable =
        e.reason() == BlockException.Reason.UNREADABLE
            && Files.isRegularFile(config.image())
            && Files.isReadable(config.image());
    return readable && !Files.isWritable(config.image())
        ? "; with ,ro the guest may read it, with ,snapshot also write what is then thrown away"
        : "";
  }

  private static Reason reason(BlockException e) {
    return switch (e.reason()) {
      case UNREADABLE, READ_ONLY, HOST_IO, HOST_DISK_FULL -> Reason.UNREADABLE_FILE;
      case IN_USE, CLOSED -> Reason.HOST_REFUSED;
      case TOO_LARGE -> Reason.TOO_LITTLE_MEMORY;
      case INVALID, OUT_OF_RANGE -> Reason.BAD_OPTION;
      case DAMAGED, WRONG_FORMAT, NOT_SUPPORTED -> Reason.NOT_A_KERNEL;
    };
  }

  /** Has {@code action} run, on a thread of its own, when a disk waits for the host. */
  void onHeld(Runnable action) {
    onHeld = action;
  }

  /** The first failure is told, and lets the machine stand; more come with it. */
  private void held(BlockException failure) {
    if (waiting.compareAndSet(false, true)) {
      listener.message(
          failure.getMessage() + "; the machine stands, and goes on with javisor resume");
      Thread.ofPlatform().daemon().name("javisor-disk-held").start(onHeld);
    }
  }

  /** Tries again what the host could not do; from any thread. */
  void retry() {
    waiting.set(false);
    for (HoldingDevice device : holding) {
      if (device.heldRequests() > 0) {
        device.retry();
      }
    }
  }

  /** The host's threads that serve disks, and other devices that block. */
  BlockWorkers workers() {
    return workers;
  }

  List<Disk> all() {
    return List.copyOf(disks);
  }

  /** Finishes what was submitted and closes the images. */
  @Override
  public void close() {
    disks.forEach(this::close);
    workers.close();
  }

  /** Finishes what was submitted to one and closes it. */
  void close(Disk disk) {
    if (disk.device() instanceof HoldingDevice device) {
      holding.remove(device);
    }
    try {
      disk.device().close();
    } catch (BlockException e) {
      listener.message("--disk " + disk.config().image() + ": " + e.getMessage());
    }
  }
}

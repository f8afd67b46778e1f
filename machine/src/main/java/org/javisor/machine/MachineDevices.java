package org.javisor.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.MachineException.Reason;
import org.javisor.memory.GuestMemory;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.ata.PiixIde;
import org.javisor.pc.pci.PciBus;
import org.javisor.pc.pci.PciHotplug;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.HoldingDevice;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.OnDiskError;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.Images;
import org.javisor.virtio.balloon.VirtioBalloon;
import org.javisor.virtio.block.VirtioBlock;
import org.javisor.virtio.console.ConsolePortConfig;
import org.javisor.virtio.console.VirtioConsole;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.entropy.VirtioEntropy;
import org.javisor.virtio.fs.FuseServer;
import org.javisor.virtio.fs.VirtioFs;
import org.javisor.virtio.net.VirtioNet;
import org.javisor.virtio.transport.VirtioPci;

/**
 * The disks, networks and other devices that a {@link MachineConfig} names, and what is behind them.
 * Everything of the host's is opened before there is a machine, so that what is missing is said at
 * once; {@link #attach} puts the devices onto the board.
 */
final class MachineDevices implements AutoCloseable {
  private record Disk(DiskConfig config, BlockDevice back) {}

  /** A disk that was added while the machine ran. */
  record Added(String id, int slot, DiskConfig config) {}

  private record AddedDisk(Added added, Disk disk, VirtioPci function) {}

  private record Card(NetConfig config, NetworkPort port) {}

  private record Share(ShareConfig config, FuseServer server) {}

  /** Request queues of a shared folder: that many requests are served side by side. */
  private static final int MAX_SHARE_QUEUES = 4;

  private final MachineConfig config;
  private final MachineListener listener;
  private final Entropy entropy = Entropy.host();
  private final BlockWorkers workers = new BlockWorkers();
  private final List<Disk> disks = new ArrayList<>();
  private final List<HoldingDevice> holding = new ArrayList<>();
  private final List<Card> cards = new ArrayList<>();
  private final List<Share> shares = new ArrayList<>();
  private final List<AddedDisk> added = new ArrayList<>();
  private final List<VirtioPci> functions = new ArrayList<>();
  private VirtioBalloon balloon;

  private MachineDevices(MachineConfig config, MachineListener listener) {
    this.config = config;
    this.listener = listener;
  }

  /**
   * Opens what is behind the devices.
   *
   * @throws MachineException if something cannot be had; nothing is left open then
   */
  static MachineDevices open(MachineConfig config, Clock clock, MachineListener listener)
      throws MachineException {
    MachineDevices devices = new MachineDevices(config, listener);
    boolean opened = false;
    try {
      for (DiskConfig disk : config.disks()) {
        devices.openDisk(disk);
      }
      for (NetConfig net : config.nets()) {
        devices.openNetwork(net, clock);
      }
      for (ShareConfig share : config.shares()) {
        devices.openShare(share);
      }
      opened = true;
      return devices;
    } finally {
      if (!opened) {
        devices.close();
      }
    }
  }

  private void openDisk(DiskConfig disk) throws MachineException {
    disks.add(opened(disk));
  }

  private Disk opened(DiskConfig disk) throws MachineException {
    try {
      boolean written =
          !disk.readOnly() && !disk.snapshot() && disk.iface() != DiskConfig.Interface.CDROM;
      DiskImage image =
          Images.open(
              disk.image(), disk.format().orElse(null), written ? Access.WRITE : Access.READ);
      if (disk.snapshot()) {
        image = Images.openTemporaryOverlay(image, Path.of(System.getProperty("java.io.tmpdir")));
      }
      BlockDevice back = new ImageDevice(image, workers);
      if (disk.onError() == OnDiskError.STOP) {
        HoldingDevice held = new HoldingDevice(back, this::held);
        holding.add(held);
        back = held;
      }
      return new Disk(disk, back);
    } catch (BlockException e) {
      Reason reason =
          switch (e.reason()) {
            case IN_USE -> Reason.HOST_REFUSED;
            case DAMAGED, WRONG_FORMAT, NOT_SUPPORTED -> Reason.NOT_A_KERNEL;
            case TOO_LARGE -> Reason.TOO_LITTLE_MEMORY;
            case INVALID, OUT_OF_RANGE -> Reason.BAD_OPTION;
            default -> Reason.UNREADABLE_FILE;
          };
      throw new MachineException(reason, "--disk: " + e.getMessage(), e);
    }
  }

  private void held(BlockException failure) {
    listener.message(failure.getMessage() + "; the guest's request waits until then");
  }

  private void openNetwork(NetConfig net, Clock clock) throws MachineException {
    if (net.model() != NetConfig.Model.VIRTIO) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--net model=" + net.model().label() + ": there is no such card yet; model=virtio"
              + " expected");
    }
    try {
      Optional<NetworkPort> port = net.network().open(clock, entropy);
      port.ifPresent(p -> cards.add(new Card(net, p)));
    } catch (NetworkException e) {
      Reason reason =
          switch (e.reason()) {
            case BAD_OPTION -> Reason.BAD_OPTION;
            case UNWRITABLE_FILE -> Reason.UNREADABLE_FILE;
            case PORT_TAKEN, HOST_REFUSED -> Reason.HOST_REFUSED;
          };
      String message = e.getMessage();
      throw new MachineException(
          reason, message.startsWith("--net") ? message : "--net: " + message, e);
    }
  }

  private void openShare(ShareConfig share) throws MachineException {
    try {
      shares.add(new Share(share, new FuseServer(share.folder(), share.writable())));
    } catch (IOException e) {
      throw new MachineException(Reason.UNREADABLE_FILE, "--share: " + e.getMessage(), e);
    }
  }

  /**
   * Puts the devices onto the board, in the order in which the guest is to find them.
   *
   * @param ports of the VirtIO console; there is none if they are empty
   * @throws MachineException if there are more than it has room for
   */
  void attach(PcPlatform pc, GuestMemory memory, Trace trace, List<GuestPort> ports)
      throws MachineException {
    attachIde(pc, memory);
    try {
      attachVirtio(pc, memory, trace, ports);
    } catch (IllegalStateException e) {
      throw new MachineException(
          Reason.BAD_OPTION, "too many disks, cards and folders: " + e.getMessage(), e);
    }
  }

  private void attachVirtio(
      PcPlatform pc, GuestMemory memory, Trace trace, List<GuestPort> ports) {
    for (Disk disk : disks) {
      if (disk.config().iface() != DiskConfig.Interface.VIRTIO) {
        continue;
      }
      int queues =
          disk.config().queues() > 0
              ? disk.config().queues()
              : Math.min(config.cpus(), DiskConfig.MAX_QUEUES);
      add(pc, block(disk, queues, memory), memory, trace);
    }
    for (Card card : cards) {
      MacAddress mac = card.config().mac().orElseGet(() -> MacAddress.random(entropy));
      add(pc, new VirtioNet(card.port(), mac, memory), memory, trace);
    }
    for (Share share : shares) {
      int queues = Math.min(config.cpus(), MAX_SHARE_QUEUES);
      add(
          pc,
          new VirtioFs(share.config().tag(), queues, share.server(), workers::run, memory),
          memory,
          trace);
    }
    add(pc, new VirtioEntropy(entropy, workers::run, memory), memory, trace);
    balloon = new VirtioBalloon(workers::run, memory);
    add(pc, balloon, memory, trace);
    if (!ports.isEmpty()) {
      List<ConsolePortConfig> configs =
          ports.stream()
              .map(
                  port -> new ConsolePortConfig(
                      port.name(), port.name().isEmpty(), Machine.backend(port.far())))
              .toList();
      add(pc, new VirtioConsole(configs, memory), memory, trace);
    }
  }

  /** Puts the disks that want it on the board's ATA controller, in their order. */
  private void attachIde(PcPlatform pc, GuestMemory memory) throws MachineException {
    List<Disk> drives =
        disks.stream()
            .filter(d -> d.config().iface() != DiskConfig.Interface.VIRTIO)
            .toList();
    if (drives.isEmpty()) {
      return;
    }
    if (drives.size() > PiixIde.DRIVES) {
      throw new MachineException(
          Reason.BAD_OPTION,
          drives.size() + " disks on IDE: up to " + PiixIde.DRIVES
              + " expected; put others on VirtIO");
    }
    PiixIde ide = new PiixIde(memory, pc.devices(), pc.lines()::isa);
    for (int i = 0; i < drives.size(); i++) {
      DiskConfig drive = drives.get(i).config();
      if (drive.iface() == DiskConfig.Interface.CDROM) {
        ide.attachCdrom(i, drives.get(i).back(), drive.serial());
      } else {
        ide.attachDisk(i, drives.get(i).back(), drive.serial());
      }
    }
    pc.pci().attach(1, PiixIde.FUNCTION, ide);
  }

  private void add(PcPlatform pc, VirtioDevice device, GuestMemory memory, Trace trace) {
    VirtioPci function = new VirtioPci(device, memory, trace);
    functions.add(function);
    pc.pci().attach(function);
  }

  private static VirtioBlock block(Disk disk, int queues, GuestMemory memory) {
    return new VirtioBlock(
        new VirtioBlock.Config(queues, disk.config().serial().orElse("")), disk.back(), memory);
  }

  // ---- While the machine runs -----------------------------------------------------------------

  /** What was added and not removed, the first first. */
  synchronized List<Added> added() {
    return added.stream().map(AddedDisk::added).toList();
  }

  /**
   * Adds a VirtIO disk.
   *
   * @param slot where to put it; empty for the first that is free
   * @return its slot
   */
  synchronized int addDisk(
      PcPlatform pc, GuestMemory memory, Trace trace, String id, DiskConfig disk,
      OptionalInt slot) throws MachineException {
    if (disk.iface() != DiskConfig.Interface.VIRTIO) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "a disk on " + disk.iface().label() + " cannot be added while the machine runs: if=virtio"
              + " expected");
    }
    if (added.stream().anyMatch(each -> each.added.id.equals(id))) {
      throw new MachineException(Reason.HOST_REFUSED, "there is a device " + id + " already");
    }
    int free = slot.orElseGet(() -> pc.pci().freeSlot(PciHotplug.FIRST_SLOT));
    if (free < 0) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "all " + (PciBus.SLOTS - PciHotplug.FIRST_SLOT)
              + " slots for devices that are added are taken");
    }
    Disk opened = opened(disk);
    VirtioPci function = new VirtioPci(block(opened, Math.max(1, disk.queues()), memory), memory, trace);
    pc.pci().attach(free, 0, function);
    added.add(new AddedDisk(new Added(id, free, disk), opened, function));
    return free;
  }

  /** The slot of what was added under this name, or -1. */
  synchronized int slotOf(String id) {
    return added.stream()
        .filter(each -> each.added.id.equals(id))
        .mapToInt(each -> each.added.slot)
        .findFirst()
        .orElse(-1);
  }

  /**
   * The guest gave a slot back: what is in it goes, on a thread that may wait for the host.
   *
   * @param gone told the name, when it is gone
   */
  void ejected(PcPlatform pc, int slot, Consumer<String> gone) {
    workers.run(
        () -> {
          AddedDisk disk = take(slot);
          if (disk != null) {
            pc.pci().detach(slot);
            disk.function.core().reset();
            close(disk.disk);
            gone.accept(disk.added.id);
          }
        });
  }

  private synchronized AddedDisk take(int slot) {
    for (AddedDisk each : added) {
      if (each.added.slot == slot) {
        added.remove(each);
        return each;
      }
    }
    return null;
  }

  /** Disks for a list of them: name, configuration and size in bytes. */
  synchronized List<DiskInfo> disks() {
    List<DiskInfo> all = new ArrayList<>();
    for (int i = 0; i < disks.size(); i++) {
      all.add(new DiskInfo("disk" + i, disks.get(i).config, disks.get(i).back.sizeBytes()));
    }
    for (AddedDisk each : added) {
      all.add(new DiskInfo(each.added.id, each.disk.config, each.disk.back.sizeBytes()));
    }
    return all;
  }

  record DiskInfo(String id, DiskConfig config, long size) {}

  /** The memory balloon, from {@link #attach} on. */
  VirtioBalloon balloon() {
    return balloon;
  }

  /** Has disks try again what the host could not do. */
  void retryDisks() {
    holding.forEach(HoldingDevice::retry);
  }

  /** Ends the use of everything; what the guest wrote is made durable. The vCPUs must be gone. */
  @Override
  public void close() {
    for (VirtioPci function : functions) {
      function.core().reset();
    }
    for (Card card : cards) {
      card.port().close();
    }
    disks.forEach(this::close);
    for (AddedDisk each : added) {
      each.function.core().reset();
      close(each.disk);
    }
    for (Share share : shares) {
      share.server().close();
    }
    workers.close();
  }

  private void close(Disk disk) {
    try {
      disk.back().close();
    } catch (IOException e) {
      listener.message("--disk " + disk.config().image() + ": " + e.getMessage());
    }
  }
}

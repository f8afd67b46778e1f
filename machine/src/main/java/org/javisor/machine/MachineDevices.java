package org.javisor.machine;

import java.io.IOException;
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
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.net.E1000;
import org.javisor.pc.pci.PciBus;
import org.javisor.pc.pci.PciHotplug;
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
  /** Request queues of a shared folder: that many requests are served side by side. */
  private static final int MAX_SHARE_QUEUES = 4;

  private record Card(NetConfig config, NetworkPort port) {}

  private record Share(ShareConfig config, FuseServer server) {}

  private final MachineConfig config;
  private final Entropy entropy = Entropy.host();
  private final Disks disks;
  private final List<Card> cards = new ArrayList<>();
  private final List<Share> shares = new ArrayList<>();
  private final List<VirtioPci> functions = new ArrayList<>();
  private final List<AddedDisk> added = new ArrayList<>();
  private VirtioBalloon balloon;

  /** A disk that was added while the machine ran. */
  record Added(String id, int slot, DiskConfig config) {}

  private record AddedDisk(Added added, Disks.Disk disk, VirtioPci function) {}

  private MachineDevices(MachineConfig config, Disks disks) {
    this.config = config;
    this.disks = disks;
  }

  /**
   * Opens what is behind the devices.
   *
   * @throws MachineException if something cannot be had; nothing is left open then
   */
  static MachineDevices open(MachineConfig config, Clock clock, MachineListener listener)
      throws MachineException {
    checkIde(config.disks());
    MachineDevices devices =
        new MachineDevices(config, Disks.open(config.disks(), listener));
    boolean opened = false;
    try {
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

  private static boolean onIde(DiskConfig disk) {
    return disk.iface() != DiskConfig.Interface.VIRTIO;
  }

  private static void checkIde(List<DiskConfig> disks) throws MachineException {
    long count = disks.stream().filter(MachineDevices::onIde).count();
    if (count > PiixIde.DRIVES) {
      throw new MachineException(
          Reason.BAD_OPTION,
          count + " disks on IDE: up to " + PiixIde.DRIVES
              + " expected; if=virtio takes the others");
    }
  }

  private void openNetwork(NetConfig net, Clock clock) throws MachineException {
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
   * @throws MachineException if there are more than it has room for
   */
  void attach(PcPlatform pc, GuestMemory memory, Trace trace, List<GuestPort> ports)
      throws MachineException {
    attachIde(pc, memory);
    try {
      attachCards(pc, memory, trace, ports);
    } catch (IllegalStateException e) {
      throw new MachineException(
          Reason.BAD_OPTION, "too many disks, cards and folders: " + e.getMessage(), e);
    }
  }

  private void attachCards(
      PcPlatform pc, GuestMemory memory, Trace trace, List<GuestPort> ports) {
    for (Disks.Disk disk : disks.all()) {
      if (!onIde(disk.config())) {
        int queues =
            disk.config().queues() > 0
                ? disk.config().queues()
                : Math.min(config.cpus(), DiskConfig.MAX_QUEUES);
        add(pc, block(disk, queues, memory), memory, trace);
      }
    }
    for (Card card : cards) {
      MacAddress mac = card.config().mac().orElseGet(() -> MacAddress.random(entropy));
      switch (card.config().model()) {
        case VIRTIO -> add(pc, new VirtioNet(card.port(), mac, memory), memory, trace);
        case E1000 -> pc.pci().attach(new E1000(memory, pc.timers(), card.port(), mac));
      }
    }
    for (Share share : shares) {
      int queues = Math.min(config.cpus(), MAX_SHARE_QUEUES);
      add(
          pc,
          new VirtioFs(
              share.config().tag(), queues, share.server(), disks.workers()::run, memory),
          memory,
          trace);
    }
    add(pc, new VirtioEntropy(entropy, disks.workers()::run, memory), memory, trace);
    balloon = new VirtioBalloon(disks.workers()::run, memory);
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

  private void add(PcPlatform pc, VirtioDevice device, GuestMemory memory, Trace trace) {
    VirtioPci function = new VirtioPci(device, memory, trace);
    functions.add(function);
    pc.pci().attach(function);
  }

  /** Puts the disks that want it on the board's ATA controller, in their order. */
  private void attachIde(PcPlatform pc, GuestMemory memory) {
    List<Disks.Disk> drives = disks.all().stream().filter(d -> onIde(d.config())).toList();
    if (drives.isEmpty()) {
      return;
    }
    PiixIde ide = new PiixIde(memory, pc.devices(), pc.lines()::isa);
    for (int i = 0; i < drives.size(); i++) {
      DiskConfig drive = drives.get(i).config();
      if (drive.iface() == DiskConfig.Interface.CDROM) {
        ide.attachCdrom(i, drives.get(i).device(), drive.serial());
      } else {
        ide.attachDisk(i, drives.get(i).device(), drive.serial());
      }
    }
    pc.pci().attach(PcConfig.ISA_BRIDGE_SLOT, PiixIde.FUNCTION, ide);
  }

  private static VirtioBlock block(Disks.Disk disk, int queues, GuestMemory memory) {
    return new VirtioBlock(
        new VirtioBlock.Config(queues, disk.config().serial().orElse("")), disk.device(), memory);
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
    Disks.Disk opened = disks.open(disk);
    VirtioPci function =
        new VirtioPci(block(opened, Math.max(1, disk.queues()), memory), memory, trace);
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
    disks.workers().run(
        () -> {
          AddedDisk disk = take(slot);
          if (disk != null) {
            pc.pci().detach(slot);
            disk.function.core().reset();
            disks.close(disk.disk);
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
  synchronized List<DiskInfo> describeDisks() {
    List<DiskInfo> all = new ArrayList<>();
    List<Disks.Disk> first = disks.all();
    for (int i = 0; i < first.size(); i++) {
      Disks.Disk disk = first.get(i);
      all.add(new DiskInfo("disk" + i, disk.config(), disk.device().sizeBytes()));
    }
    for (AddedDisk each : added) {
      all.add(
          new DiskInfo(each.added.id, each.disk.config(), each.disk.device().sizeBytes()));
    }
    return all;
  }

  /** What travels in the file of the machine when it is saved: the disks with {@code snapshot}. */
  synchronized List<SnapshotOverlay> overlays() {
    List<Disks.Disk> every = new ArrayList<>(disks.all());
    added.forEach(each -> every.add(each.disk));
    List<SnapshotOverlay> overlays = new ArrayList<>();
    for (int i = 0; i < every.size(); i++) {
      int number = i;
      every.get(i).overlay().ifPresent(o -> overlays.add(new SnapshotOverlay(number, o)));
    }
    return overlays;
  }

  record DiskInfo(String id, DiskConfig config, long size) {}

  Disks disks() {
    return disks;
  }

  /** The memory balloon, from {@link #attach} on. */
  VirtioBalloon balloon() {
    return balloon;
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
    for (AddedDisk each : added) {
      each.function.core().reset();
      disks.close(each.disk);
    }
    disks.close();
    for (Share share : shares) {
      share.server().close();
    }
  }
}

package org.javisor.machine;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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
  private VirtioBalloon balloon;

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
    for (Disks.Disk disk : disks.all()) {
      if (disk.config().iface() == DiskConfig.Interface.VIRTIO) {
        int queues =
            disk.config().queues() > 0
                ? disk.config().queues()
                : Math.min(config.cpus(), DiskConfig.MAX_QUEUES);
        VirtioBlock.Config block =
            new VirtioBlock.Config(queues, disk.config().serial().orElse(""));
        add(pc, new VirtioBlock(block, disk.device(), memory), memory, trace);
      }
    }
    for (Card card : cards) {
      MacAddress mac = card.config().mac().orElseGet(() -> MacAddress.random(entropy));
      add(pc, new VirtioNet(card.port(), mac, memory), memory, trace);
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
  private void attachIde(PcPlatform pc, GuestMemory memory) throws MachineException {
    List<Disks.Disk> drives =
        disks.all().stream()
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
        ide.attachCdrom(i, drives.get(i).device(), drive.serial());
      } else {
        ide.attachDisk(i, drives.get(i).device(), drive.serial());
      }
    }
    pc.pci().attach(1, PiixIde.FUNCTION, ide);
  }

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
    disks.close();
    for (Share share : shares) {
      share.server().close();
    }
  }
}

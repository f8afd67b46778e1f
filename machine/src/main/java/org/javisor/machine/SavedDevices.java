package org.javisor.machine;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.network.option.NetOption;
import org.javisor.network.option.OptionParts;
import org.javisor.network.user.Forward;
import org.javisor.pc.pci.PciBus;
import org.javisor.pc.pci.PciHotplug;
import org.javisor.storage.block.OnDiskError;

/**
 * The devices that were named for a saved machine, as the values of the options that name them; paths
 * are absolute.
 *
 * @param onError of each disk
 * @param added disks that were added while the machine ran
 * @param ports of the VirtIO console
 */
record SavedDevices(
    List<String> disks, List<OnDiskError> onError, List<String> nets, List<String> shares,
    List<AddedDisk> added, List<String> ports) {

  /** A disk that was added. */
  record AddedDisk(String id, int slot, String disk, OnDiskError onError) {
    AddedDisk {
      StateCheck.range("the slot of " + id, slot, PciHotplug.FIRST_SLOT, PciBus.SLOTS - 1);
    }
  }

  SavedDevices {
    if (disks.size() != onError.size()) {
      throw new IllegalArgumentException(
          onError.size() + " answers to errors for " + disks.size() + " disks");
    }
  }

  static SavedDevices of(
      MachineConfig config, List<MachineDevices.Added> added, List<GuestPort> ports) {
    return new SavedDevices(
        config.disks().stream().map(SavedDevices::text).toList(),
        config.disks().stream().map(DiskConfig::onError).toList(),
        config.nets().stream().map(SavedDevices::text).toList(),
        config.shares().stream().map(SavedDevices::text).toList(),
        added.stream()
            .map(
                each -> new AddedDisk(
                    each.id(), each.slot(), text(each.config()), each.config().onError()))
            .toList(),
        ports.stream().map(GuestPort::text).toList());
  }

  /** The disks that were added. */
  List<MachineDevices.Added> addedDisks() throws StateException {
    try {
      List<MachineDevices.Added> all = new ArrayList<>();
      for (AddedDisk each : added) {
        all.add(
            new MachineDevices.Added(
                each.id, each.slot, DiskConfig.parse(each.disk).withOnError(each.onError)));
      }
      return all;
    } catch (MachineException e) {
      throw new StateException(e.getMessage(), e);
    }
  }

  /**
   * The configuration with these devices.
   *
   * @throws StateException if a text says nothing
   */
  MachineConfig addTo(MachineConfig config) throws StateException {
    try {
      List<DiskConfig> allDisks = new ArrayList<>();
      for (int i = 0; i < disks.size(); i++) {
        allDisks.add(DiskConfig.parse(disks.get(i)).withOnError(onError.get(i)));
      }
      List<NetConfig> allNets = new ArrayList<>();
      for (String net : nets) {
        NetConfig.parse(net).ifPresent(allNets::add);
      }
      List<ShareConfig> allShares = new ArrayList<>();
      for (String share : shares) {
        allShares.add(ShareConfig.parse(share));
      }
      return config.withDevices(allDisks, allNets, allShares);
    } catch (MachineException e) {
      throw new StateException(e.getMessage(), e);
    }
  }

  private static String absolute(Path path) {
    return path.toAbsolutePath().toString();
  }

  static String text(DiskConfig disk) {
    List<String> parts = new ArrayList<>();
    parts.add(absolute(disk.image()));
    parts.add("if=" + disk.iface().label());
    disk.format().ifPresent(format -> parts.add("format=" + format.label()));
    if (disk.readOnly()) {
      parts.add("ro");
    }
    if (disk.snapshot()) {
      parts.add("snapshot");
    }
    disk.serial().ifPresent(serial -> parts.add("serial=" + serial));
    if (disk.queues() > 0) {
      parts.add("queues=" + disk.queues());
    }
    return OptionParts.join(parts);
  }

  static String text(NetConfig net) {
    List<String> parts = new ArrayList<>();
    Optional<Path> capture = Optional.empty();
    switch (net.network()) {
      case NetOption.None() -> throw new AssertionError("a card that is plugged into nothing");
      case NetOption.User(var user, var file) -> {
        parts.add("user");
        if (user.hostLoopback()) {
          parts.add("host-loopback");
        }
        if (user.restricted()) {
          parts.add("restrict");
        }
        user.forwards().forEach(forward -> parts.add(text(forward)));
        capture = file;
      }
      case NetOption.Shared(var name, var file) -> {
        parts.add("switch=" + name);
        capture = file;
      }
    }
    capture.ifPresent(file -> parts.add("capture=" + absolute(file)));
    parts.add("model=" + net.model().label());
    net.mac().ifPresent(mac -> parts.add("mac=" + mac));
    return OptionParts.join(parts);
  }

  private static String text(Forward forward) {
    String address = forward.listen().getAddress().getHostAddress();
    return "forward=%s:%s:%d:%d".formatted(
        forward.protocol().name().toLowerCase(Locale.ROOT),
        address.contains(":") ? "[" + address + "]" : address,
        forward.listen().getPort(),
        forward.guestPort());
  }

  private static String text(ShareConfig share) {
    List<String> parts = new ArrayList<>();
    parts.add(absolute(share.folder()) + ":" + share.tag());
    if (share.writable()) {
      parts.add("rw");
    }
    return OptionParts.join(parts);
  }
}

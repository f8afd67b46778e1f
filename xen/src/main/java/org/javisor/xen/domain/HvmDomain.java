package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;
import org.javisor.pc.MachineActions;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.ata.PiixIde;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.net.E1000;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * An HVM domain: the whole PC that other machines are, with emulated disks and cards, and beside it
 * what PV drivers need. Its kernel is entered directly, or firmware boots a disk.
 */
public final class HvmDomain extends TranslatedDomain {
  private static final long ACPI_TABLES = 0xe_0000;
  private static final long LOW_RAM_END = 0x9_fc00;
  private static final long LEGACY_END = 0x10_0000;

  /** Where the platform device is on the PCI bus, as under Xen's own device model. */
  private static final int PLATFORM_SLOT = 2;

  /** Room at the top of RAM below 4 GiB for the tables, where firmware fills what is below 1 MiB. */
  private static final long TABLES_SIZE = 0x1_0000;

  private final PcConfig config;
  private final boolean firmware;
  private final AcpiTables.Blob acpi;
  private PcPlatform pc;

  /** Where there are PV drivers to be wanted, or null. */
  private UnplugPorts unplug;

  private HvmDomain(Domain domain, PcConfig config, boolean firmware) {
    super(domain);
    this.config = config;
    this.firmware = firmware;
    acpi = AcpiTables.build(config, firmware ? config.lowRam() - TABLES_SIZE : ACPI_TABLES);
  }

  /**
   * Builds a domain; it is paused.
   *
   * @throws BuildException if it cannot be; nothing is left of it then
   */
  public static BuiltDomain build(
      Machinery machinery, DomainBoot boot, DomainListener listener) throws BuildException {
    PcConfig config =
        PcConfig.of(boot.vcpus(), boot.memoryBytes())
            .withTscHertz(machinery.hypervisor().tscHertz());
    Domain domain = create(machinery, boot, DomainKind.HVM);
    return new HvmDomain(domain, config, boot.kernel().isEmpty())
        .assemble(machinery, boot, listener);
  }

  /** Builds one from what was saved; see {@link #build}. */
  public static BuiltDomain restore(
      Machinery machinery, DomainBoot boot, DomainListener listener, StateReader reader,
      FrameArena copies) throws BuildException, StateException {
    PcConfig config =
        PcConfig.of(boot.vcpus(), boot.memoryBytes())
            .withTscHertz(machinery.hypervisor().tscHertz());
    Domain domain = create(machinery, boot, DomainKind.HVM);
    return new HvmDomain(domain, config, boot.kernel().isEmpty())
        .rebuild(machinery, boot, listener, reader, copies);
  }

  /** What the guest has pulled out of its board. */
  private record Board(int unplugged) {
    static final StateFormat<Board> FORMAT = StateFormat.of("hvm-board", 1, Board.class);
  }

  @Override
  void saveBoard(StateWriter writer) {
    writer.section("board", Board.FORMAT, new Board(unplug == null ? 0 : unplug.unplugged()));
  }

  @Override
  void restoreBoard(StateReader reader) throws StateException {
    Board board = reader.take("board", Board.FORMAT);
    if (unplug != null) {
      unplug.unplug(board.unplugged);
    }
  }

  @Override
  Map<String, Snapshottable<?>> parts() {
    return pc.parts();
  }

  @Override
  void restored() {
    pc.restored();
  }

  @Override
  List<E820Entry> layOut(DomainBoot boot) throws BuildException {
    populate(0, config.lowRam(), boot);
    populate(FOUR_GIB, config.highRam(), boot);
    List<E820Entry> e820 = new ArrayList<>();
    e820.add(new E820Entry(0, LOW_RAM_END, E820Entry.RAM));
    e820.add(new E820Entry(LOW_RAM_END, 0xa_0000 - LOW_RAM_END, E820Entry.RESERVED));
    if (firmware) {
      long end = config.lowRam() - TABLES_SIZE;
      e820.add(new E820Entry(0xc_0000, LEGACY_END - 0xc_0000, E820Entry.RESERVED));
      e820.add(new E820Entry(LEGACY_END, end - LEGACY_END, E820Entry.RAM));
      e820.add(new E820Entry(end, TABLES_SIZE, E820Entry.RESERVED));
    } else {
      e820.add(new E820Entry(ACPI_TABLES, LEGACY_END - ACPI_TABLES, E820Entry.RESERVED));
      e820.add(new E820Entry(LEGACY_END, config.lowRam() - LEGACY_END, E820Entry.RAM));
    }
    e820.add(SPECIAL_PAGES);
    if (config.highRam() > 0) {
      e820.add(new E820Entry(FOUR_GIB, config.highRam(), E820Entry.RAM));
    }
    return e820;
  }

  @Override
  AcpiTables.Blob acpiTables() {
    return acpi;
  }

  @Override
  BootProtocol protocol() {
    return BootProtocol.AUTO;
  }

  @Override
  void placeFirmware(DomainBoot boot, List<E820Entry> e820) throws BuildException {
    byte[] image =
        boot.firmware().orElseThrow(() -> new AssertionError("neither kernel nor firmware"));
    if (!HvmFirmware.fits(image.length)) {
      throw new BuildException(
          BuildException.Reason.NOT_A_KERNEL,
          "the firmware has " + image.length + " bytes: a multiple of 4096 up to 256 KiB expected",
          null);
    }
    HvmFirmware.place(domain().memory(), image, e820, acpi.rsdp());
  }

  @Override
  Bus wire(Machinery machinery, DomainBoot boot) {
    EmulatedDevices devices = boot.devices();
    pc =
        new PcPlatform(
            config,
            new PcPlatform.Environment(
                domain().memory(),
                timers(),
                vcpus(),
                HostBridge440Fx.ShadowControl.NONE,
                List.of(devices.serial()),
                CharacterBackend.NONE,
                actions(),
                machinery.trace()));
    PiixIde ide = attachDrives(devices);
    List<Runnable> detachCards = new ArrayList<>();
    for (EmulatedDevices.Card card : devices.cards()) {
      E1000 device = new E1000(domain().memory(), pc.timers(), card.port(), card.mac());
      int slot = pc.pci().freeSlot(PLATFORM_SLOT + 1);
      pc.pci().attach(slot, 0, device);
      detachCards.add(
          () -> {
            pc.pci().detach(slot);
            card.port().connect(null);
          });
    }
    if (devices.platformDevice()) {
      pc.pci().attach(PLATFORM_SLOT, 0, new PlatformDevice());
      unplug =
          new UnplugPorts(domain(), ide::detachDisks, () -> detachCards.forEach(Runnable::run));
      pc.devices().claimPorts(UnplugPorts.PORT, UnplugPorts.PORTS, unplug);
    }
    if (firmware) {
      HvmFirmware.configure(pc, devices.discFirst());
    }
    for (int i = 0; i < vcpus().size(); i++) {
      int id = i;
      vcpus()
          .get(i)
          .wire(pc.platform(i), pc.platform(i)::requestInterrupt, () -> pc.enter(id));
    }
    return pc.devices();
  }

  private PiixIde attachDrives(EmulatedDevices devices) {
    PiixIde ide = new PiixIde(domain().memory(), pc.devices(), pc.lines()::isa);
    for (EmulatedDevices.Drive drive : devices.drives()) {
      if (drive.cdrom()) {
        ide.attachCdrom(drive.place(), drive.device(), Optional.empty());
      } else {
        ide.attachDisk(drive.place(), drive.device(), Optional.empty());
      }
    }
    pc.pci().attach(PcConfig.ISA_BRIDGE_SLOT, PiixIde.FUNCTION, ide);
    return ide;
  }

  @Override
  void stopDevices() {
    pc.pausables().forEach(Pausable::pause);
    pc.reset();
  }

  /** Presses the power button: a guest that listens shuts down. */
  @Override
  public void pressPowerButton() {
    pc.pressPowerButton();
  }

  private MachineActions actions() {
    return new MachineActions() {
      @Override
      public void powerOff() {
        domain().shutDown(ShutdownReason.POWEROFF);
      }

      @Override
      public void reset() {
        domain().shutDown(ShutdownReason.REBOOT);
      }
    };
  }
}

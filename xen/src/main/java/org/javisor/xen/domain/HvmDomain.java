package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.GuestBus;
import org.javisor.pc.MachineActions;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * An HVM domain: the whole PC that other machines are, and beside it what PV drivers need. Its
 * kernel is entered directly, without firmware.
 */
public final class HvmDomain extends TranslatedDomain {
  private static final long ACPI_TABLES = 0xe_0000;
  private static final long LOW_RAM_END = 0x9_fc00;
  private static final long LEGACY_END = 0x10_0000;

  /** Where the platform device is on the PCI bus, as under Xen's own device model. */
  private static final int PLATFORM_SLOT = 2;

  private final PcConfig config;
  private final AcpiTables.Blob acpi;

  private HvmDomain(Domain domain, PcConfig config) {
    super(domain);
    this.config = config;
    acpi = AcpiTables.build(config, ACPI_TABLES);
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
    return new HvmDomain(create(machinery, boot, DomainKind.HVM), config)
        .assemble(machinery, boot, listener);
  }

  @Override
  List<E820Entry> layOut(DomainBoot boot) throws BuildException {
    populate(0, config.lowRam(), boot);
    populate(FOUR_GIB, config.highRam(), boot);
    List<E820Entry> e820 = new ArrayList<>();
    e820.add(new E820Entry(0, LOW_RAM_END, E820Entry.RAM));
    e820.add(new E820Entry(LOW_RAM_END, 0xa_0000 - LOW_RAM_END, E820Entry.RESERVED));
    e820.add(new E820Entry(ACPI_TABLES, LEGACY_END - ACPI_TABLES, E820Entry.RESERVED));
    e820.add(new E820Entry(LEGACY_END, config.lowRam() - LEGACY_END, E820Entry.RAM));
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
    return BootProtocol.LINUX_64;
  }

  @Override
  GuestBus wire(Machinery machinery) {
    PcPlatform pc =
        new PcPlatform(
            config,
            new PcPlatform.Environment(
                domain().memory(),
                DeviceTimers.of(machinery.hypervisor().timers()),
                vcpus(),
                HostBridge440Fx.ShadowControl.NONE,
                List.of(),
                CharacterBackend.NONE,
                actions(),
                machinery.trace()));
    pc.pci().attach(PLATFORM_SLOT, 0, new PlatformDevice());
    pc.devices().claimPorts(UnplugPorts.PORT, UnplugPorts.PORTS, new UnplugPorts(domain()));
    for (int i = 0; i < vcpus().size(); i++) {
      int id = i;
      vcpus()
          .get(i)
          .wire(pc.platform(i), pc.platform(i)::requestInterrupt, () -> pc.enter(id));
    }
    return pc.bus();
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

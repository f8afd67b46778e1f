package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.MachineActions;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * Domain 0 as a PVH domain: entered at its PVH entry and told that it is privileged and the first. It
 * has what of the PC is not the hypervisor's: tables, an IOAPIC, a PCI bus with real devices, whose
 * interrupts come in the ordinary way. The host's terminal it reaches by hypercalls. Source: Xen
 * docs/misc/pvh.pandoc.
 */
public final class Dom0Domain extends TranslatedDomain {
  private static final UUID HANDLE = new UUID(0, 0);

  private static final long ACPI_TABLES = 0xe_0000;
  private static final long LOW_RAM_END = 0x9_fc00;
  private static final long LEGACY_END = 0x10_0000;

  /** SIF_PRIVILEGED and SIF_INITDOMAIN. */
  private static final int PRIVILEGED_AND_FIRST = 3;

  /** What puts the devices that domain 0 has onto its board. */
  @FunctionalInterface
  public interface Devices {
    void attach(PcPlatform pc);
  }

  private final PcConfig config;
  private final Devices devices;
  private final AcpiTables.Blob acpi;
  private PcPlatform pc;

  private Dom0Domain(Domain domain, PcConfig config, Devices devices) {
    super(domain);
    this.config = config;
    this.devices = devices;
    acpi = AcpiTables.build(config, ACPI_TABLES);
  }

  /**
   * Builds domain 0; it is paused.
   *
   * @throws BuildException if it cannot be; nothing is left of it then
   */
  public static Domain build(
      Machinery machinery, DomainBoot boot, Devices devices, DomainListener listener)
      throws BuildException {
    Hypervisor hypervisor = machinery.hypervisor();
    PcConfig config =
        PcConfig.of(boot.vcpus(), boot.memoryBytes()).withTscHertz(hypervisor.tscHertz());
    Domain domain =
        hypervisor.createInitialDomain(
            new DomainConfig(
                DomainKind.PVH,
                HANDLE,
                boot.vcpus(),
                boot.maxMemoryBytes() / PAGE,
                DomainConfig.DEFAULT_GRANT_FRAMES));
    return new Dom0Domain(domain, config, devices)
        .assemble(machinery, boot, listener)
        .domain();
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
    return BootProtocol.PVH;
  }

  @Override
  int startFlags() {
    return PRIVILEGED_AND_FIRST;
  }

  /** Its console is the host's terminal, and xenstore it serves itself. */
  @Override
  void populateRings(DomainBoot boot) {}

  @Override
  BuiltDomain publish() {
    return new BuiltDomain(domain(), this, 0, 0);
  }

  @Override
  Map<String, Snapshottable<?>> parts() {
    return pc.parts();
  }

  @Override
  Bus wire(Machinery machinery, DomainBoot boot) {
    pc =
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
    devices.attach(pc);
    for (int i = 0; i < vcpus().size(); i++) {
      int id = i;
      vcpus()
          .get(i)
          .wire(pc.platform(i), pc.platform(i)::requestInterrupt, () -> pc.enter(id));
    }
    return pc.devices();
  }

  @Override
  void stopDevices() {
    if (pc != null) {
      pc.pausables().forEach(Pausable::pause);
      pc.reset();
    }
  }

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

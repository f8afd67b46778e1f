package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.memory.FrameArena;
import org.javisor.pc.ApicPlatform;
import org.javisor.pc.ApicWindow;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * A PVH domain: memory, vCPUs with local APICs, tables that say there is nothing else, and a kernel
 * that is entered at its PVH entry. Source: Xen docs/misc/pvh.pandoc.
 */
public final class PvhDomain extends TranslatedDomain {
  /** RAM below 4 GiB ends here at the latest. */
  private static final long LOW_RAM_LIMIT = 0xf000_0000L;

  private static final long ACPI_TABLES = 0xfc00_0000L;

  private final AcpiTables.Blob acpi;

  private PvhDomain(Domain domain) {
    super(domain);
    acpi = AcpiTables.buildReduced(vcpus().size(), ACPI_TABLES, SleepRegisters.PORT);
  }

  /**
   * Builds a domain; it is paused.
   *
   * @throws BuildException if it cannot be; nothing is left of it then
   */
  public static BuiltDomain build(
      Machinery machinery, DomainBoot boot, DomainListener listener) throws BuildException {
    return new PvhDomain(create(machinery, boot, DomainKind.PVH)).assemble(machinery, boot,
        listener);
  }

  /** Builds one from what was saved; see {@link #build}. */
  public static BuiltDomain restore(
      Machinery machinery, DomainBoot boot, DomainListener listener, StateReader reader,
      FrameArena copies) throws BuildException, StateException {
    return new PvhDomain(create(machinery, boot, DomainKind.PVH))
        .rebuild(machinery, boot, listener, reader, copies);
  }

  @Override
  Map<String, Snapshottable<?>> parts() {
    Map<String, Snapshottable<?>> parts = new LinkedHashMap<>();
    for (int i = 0; i < vcpus().size(); i++) {
      parts.put("lapic." + i, vcpus().get(i).localApic().orElseThrow());
    }
    return parts;
  }

  /** Connects a domain that domain 0 has created, and will fill and start. */
  public static void equip(Machinery machinery, Domain domain) {
    PvhDomain made = new PvhDomain(domain);
    made.equip(machinery, made.wire(machinery));
  }

  @Override
  List<E820Entry> layOut(DomainBoot boot) throws BuildException {
    long low = Math.min(boot.memoryBytes(), LOW_RAM_LIMIT);
    long high = boot.memoryBytes() - low;
    long acpiSize = acpi.bytes().length + PAGE - 1 & -PAGE;
    populate(0, low, boot);
    populate(FOUR_GIB, high, boot);
    populate(ACPI_TABLES, acpiSize, boot);
    List<E820Entry> e820 = new ArrayList<>();
    e820.add(new E820Entry(0, low, E820Entry.RAM));
    e820.add(new E820Entry(ACPI_TABLES, acpiSize, E820Entry.ACPI));
    e820.add(SPECIAL_PAGES);
    if (high > 0) {
      e820.add(new E820Entry(FOUR_GIB, high, E820Entry.RAM));
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

  /** Local APICs and the sleep registers. */
  @Override
  Bus wire(Machinery machinery, DomainBoot boot) {
    return wire(machinery);
  }

  private Bus wire(Machinery machinery) {
    Hypervisor hypervisor = machinery.hypervisor();
    Bus bus = new Bus(machinery.trace());
    ApicFabric fabric = new ApicFabric();
    DeviceTimers timers = timers();
    ApicWindow window = new ApicWindow(fabric, vcpus().size());
    bus.claimMmio(LocalApic.DEFAULT_BASE, PAGE, window);
    bus.claimPorts(
        SleepRegisters.PORT,
        SleepRegisters.PORTS,
        new SleepRegisters(() -> domain().shutDown(ShutdownReason.POWEROFF)));
    for (int i = 0; i < vcpus().size(); i++) {
      int id = i;
      AtomicLong tscOffset = new AtomicLong();
      GuestTsc tsc = new GuestTsc(hypervisor.tscHertz(), tscOffset::get);
      TranslatedVcpu vcpu = vcpus().get(i);
      LocalApic apic = fabric.add(vcpu, () -> -1, timers, tsc);
      vcpu.hasApic(apic);
      vcpu.wire(new ApicPlatform(apic, tscOffset), apic::request, () -> window.enter(id));
    }
    return bus;
  }
}

package org.javisor.xen.domain;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.Vm;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.loader.BootConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.loader.KernelFormatException;
import org.javisor.pc.loader.KernelImage;
import org.javisor.pc.loader.KernelLoader;
import org.javisor.pc.loader.LoadedKernel;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.xen.domain.BuildException.Reason;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.DomainPort;
import org.javisor.xen.hypervisor.EventChannels;
import org.javisor.xen.hypervisor.HvmParams;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * A PVH domain: memory, vCPUs with local APICs, tables that say there is nothing else, and a kernel
 * that is entered at its PVH entry. Source: Xen docs/misc/pvh.pandoc.
 */
public final class PvhDomain implements DomainPort {
  /** RAM below 4 GiB ends here at the latest. */
  private static final long LOW_RAM_LIMIT = 0xf000_0000L;

  private static final long ACPI_TABLES = 0xfc00_0000L;
  private static final long STORE_PAGE = 0xfeff_c000L;
  private static final long CONSOLE_PAGE = 0xfeff_f000L;
  private static final long FOUR_GIB = 1L << 32;
  private static final long PAGE = FrameArena.FRAME_SIZE;

  private static final int CALLBACK_TYPE_SHIFT = 56;
  private static final int CALLBACK_VECTOR = 2;

  private final Domain domain;
  private final List<TranslatedVcpu> vcpus = new ArrayList<>();

  private PvhDomain(Domain domain) {
    this.domain = domain;
  }

  /**
   * Builds a domain; it is paused.
   *
   * @throws BuildException if it cannot be; nothing is left of it then
   */
  public static BuiltDomain build(Machinery machinery, DomainBoot boot, DomainListener listener)
      throws BuildException {
    Hypervisor hypervisor = machinery.hypervisor();
    long pages = boot.maxMemoryBytes() / PAGE + 16;
    Domain domain;
    try {
      domain =
          hypervisor.createDomain(
              new DomainConfig(
                  DomainKind.PVH,
                  boot.uuid(),
                  boot.vcpus(),
                  pages,
                  DomainConfig.DEFAULT_GRANT_FRAMES));
    } catch (Hypervisor.OutOfMemory e) {
      throw new BuildException(Reason.TOO_LITTLE_MEMORY, e.getMessage(), e);
    }
    boolean built = false;
    try {
      BuiltDomain result = new PvhDomain(domain).build(machinery, boot, listener, hypervisor);
      built = true;
      return result;
    } finally {
      if (!built) {
        hypervisor.destroyDomain(domain);
      }
    }
  }

  private BuiltDomain build(
      Machinery machinery, DomainBoot boot, DomainListener listener, Hypervisor hypervisor)
      throws BuildException {
    long low = Math.min(boot.memoryBytes(), LOW_RAM_LIMIT);
    long high = boot.memoryBytes() - low;
    AcpiTables.Blob acpi =
        AcpiTables.buildReduced(boot.vcpus(), ACPI_TABLES, SleepRegisters.PORT);
    long acpiSize = acpi.bytes().length + PAGE - 1 & -PAGE;
    populate(0, low, boot);
    populate(FOUR_GIB, high, boot);
    populate(ACPI_TABLES, acpiSize, boot);
    populate(STORE_PAGE, PAGE, boot);
    populate(CONSOLE_PAGE, PAGE, boot);
    List<E820Entry> e820 = new ArrayList<>();
    e820.add(new E820Entry(0, low, E820Entry.RAM));
    e820.add(new E820Entry(ACPI_TABLES, acpiSize, E820Entry.ACPI));
    e820.add(new E820Entry(STORE_PAGE & -0x1_0000L, 0x1_0000, E820Entry.RESERVED));
    if (high > 0) {
      e820.add(new E820Entry(FOUR_GIB, high, E820Entry.RAM));
    }
    domain.setMemoryMap(entries(e820));
    LoadedKernel kernel = load(boot, domain.memory(), e820, acpi);
    wire(machinery, hypervisor);
    domain.attach(this, listener);
    vcpus.getFirst().start(kernel.state());
    domain.vcpus().getFirst().bringUp();

    int storePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    int consolePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    domain.params().set(HvmParams.STORE_PFN, STORE_PAGE / PAGE);
    domain.params().set(HvmParams.STORE_EVTCHN, storePort);
    domain.params().set(HvmParams.CONSOLE_PFN, CONSOLE_PAGE / PAGE);
    domain.params().set(HvmParams.CONSOLE_EVTCHN, consolePort);
    domain.grants().permit(BuiltDomain.CONSOLE_REFERENCE, 0, CONSOLE_PAGE / PAGE);
    domain.grants().permit(BuiltDomain.STORE_REFERENCE, 0, STORE_PAGE / PAGE);
    return new BuiltDomain(domain, storePort, consolePort);
  }

  private void populate(long gpa, long size, DomainBoot boot) throws BuildException {
    if (size > 0 && !domain.populate(gpa, size / PAGE)) {
      throw new BuildException(
          Reason.TOO_LITTLE_MEMORY,
          "the host has %d MiB free, too little for a domain of %d MiB: give it less memory, or"
              .formatted(
                  domain.host().freePages() * PAGE >> 20, boot.memoryBytes() >> 20)
              + " destroy another",
          null);
    }
  }

  /** The memory map as {@code XENMEM_memory_map} gives it. */
  private static byte[] entries(List<E820Entry> e820) {
    ByteBuffer map = ByteBuffer.allocate(20 * e820.size()).order(ByteOrder.LITTLE_ENDIAN);
    e820.forEach(e -> map.putLong(e.base()).putLong(e.size()).putInt(e.type()));
    return map.array();
  }

  private static LoadedKernel load(
      DomainBoot boot, GuestMemory memory, List<E820Entry> e820, AcpiTables.Blob acpi)
      throws BuildException {
    BootConfig config =
        BootConfig.of(e820)
            .withProtocol(BootProtocol.PVH)
            .withRsdp(acpi.rsdp())
            .withCommandLine(boot.commandLine());
    if (boot.ramdisk().isPresent()) {
      config = config.withInitrd(boot.ramdisk().get());
    }
    try (KernelImage image =
        KernelImage.read(boot.kernel(), boot.unpackedKernel().orElse(null))) {
      LoadedKernel loaded = KernelLoader.load(image, memory, config);
      memory.write(acpi.address(), acpi.bytes());
      return loaded;
    } catch (KernelFormatException e) {
      Reason reason =
          switch (e.reason()) {
            case UNREADABLE -> Reason.UNREADABLE_FILE;
            case TOO_LITTLE_MEMORY -> Reason.TOO_LITTLE_MEMORY;
            default -> Reason.NOT_A_KERNEL;
          };
      throw new BuildException(reason, e.getMessage(), e);
    }
  }

  /** Local APICs, the sleep registers, and vCPUs between them and the hypervisor. */
  private void wire(Machinery machinery, Hypervisor hypervisor) {
    Bus bus = new Bus(machinery.trace());
    ApicFabric fabric = new ApicFabric();
    DeviceTimers timers = DeviceTimers.of(hypervisor.timers());
    int count = domain.vcpus().size();
    ApicWindows windows = new ApicWindows(fabric, count);
    bus.claimMmio(LocalApic.DEFAULT_BASE, PAGE, windows);
    bus.claimPorts(
        SleepRegisters.PORT,
        SleepRegisters.PORTS,
        new SleepRegisters(() -> domain.shutDown(ShutdownReason.POWEROFF)));
    for (VirtualCpu v : domain.vcpus()) {
      TranslatedVcpu vcpu = new TranslatedVcpu(domain, v);
      AtomicLong tscOffset = new AtomicLong();
      GuestTsc tsc = new GuestTsc(hypervisor.tscHertz(), tscOffset::get);
      LocalApic apic = fabric.add(vcpu, () -> -1, timers, tsc);
      vcpu.wire(new ApicPlatform(apic, tscOffset), apic, () -> windows.enter(v.id()));
      vcpus.add(vcpu);
    }
    Vm vm =
        machinery
            .accelerator()
            .createVm(
                domain.memory(),
                bus,
                new XenCpuModel(
                    machinery.cpuModels().apply(count), domain.id(), hypervisor.tscHertz()),
                hypervisor.clock(),
                machinery.trace());
    for (int i = 0; i < count; i++) {
      vcpus.get(i).attach(vm.createVcpu(i, vcpus.get(i)));
    }
    this.vm = vm;
  }

  private Vm vm;

  @Override
  public boolean setCallback(long via) {
    int type = (int) (via >>> CALLBACK_TYPE_SHIFT);
    if (type != CALLBACK_VECTOR) {
      // Nothing else exists without a board; 1 only says that vCPUs have vectors of their own.
      vcpus.forEach(v -> v.setCallbackVector(0));
      return via == 0 || via == 1;
    }
    int vector = (int) via & 0xff;
    if (vector < 16) {
      return false;
    }
    vcpus.forEach(v -> v.setCallbackVector(vector));
    return true;
  }

  @Override
  public long initialiseVcpu(int vcpu, byte[] context) {
    return -38;
  }

  @Override
  public int vcpuContextSize() {
    return 0;
  }
}

package org.javisor.xen.domain;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.loader.BootConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.loader.KernelFormatException;
import org.javisor.pc.loader.KernelImage;
import org.javisor.pc.loader.KernelInspector;
import org.javisor.pc.loader.KernelLoader;
import org.javisor.pc.loader.KernelReport;
import org.javisor.pc.loader.LoadedKernel;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.xen.domain.BuildException.Reason;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.DomainPort;
import org.javisor.xen.hypervisor.EventChannels;
import org.javisor.xen.hypervisor.HvmParams;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * What PVH and HVM domains have in common: memory by guest-physical addresses, a kernel placed by a
 * boot protocol, vCPUs of the accelerator, and the pages of console and xenstore.
 */
abstract sealed class TranslatedDomain implements DomainPort, Savable
    permits PvhDomain, HvmDomain, ModelledDomain, Dom0Domain {
  static final long PAGE = FrameArena.FRAME_SIZE;
  static final long FOUR_GIB = 1L << 32;

  private static final long STORE_PAGE = 0xfeff_c000L;
  private static final long CONSOLE_PAGE = 0xfeff_f000L;

  /** Where the pages of console and xenstore are: no RAM, and nothing of a PC. */
  static final E820Entry SPECIAL_PAGES =
      new E820Entry(0xfeff_0000L, 0x1_0000, E820Entry.RESERVED);

  /** Beside its RAM a domain owns the pages of tables, console and xenstore. */
  private static final long EXTRA_PAGES = 64;

  /** The reset vector of firmware in RAM below 1 MiB. */
  private static final int FIRMWARE_SEGMENT = 0xf000;

  private static final int FIRMWARE_ENTRY = 0xfff0;

  private static final int CALLBACK_TYPE_SHIFT = 56;
  private static final int CALLBACK_VECTOR = 2;

  private final Domain domain;
  private final List<TranslatedVcpu> vcpus = new ArrayList<>();
  private Vm vm;
  private Bus bus;

  /** Nanoseconds that its clock is ahead of the host's: it has been saved on another one. */
  private long ahead;

  TranslatedDomain(Domain domain) {
    this.domain = domain;
    for (VirtualCpu v : domain.vcpus()) {
      vcpus.add(new TranslatedVcpu(domain, v));
    }
  }

  final Domain domain() {
    return domain;
  }

  /** Time as the domain sees it. */
  final Clock clock() {
    return Clock.ahead(domain.host().clock(), ahead);
  }

  final DeviceTimers timers() {
    return DeviceTimers.ahead(domain.host().timers(), ahead);
  }

  final List<TranslatedVcpu> vcpus() {
    return vcpus;
  }

  /** A domain without anything in it. */
  static Domain create(Machinery machinery, DomainBoot boot, DomainKind kind)
      throws BuildException {
    long pages = boot.maxMemoryBytes() / PAGE + EXTRA_PAGES;
    if (boot.memoryBytes() / PAGE + EXTRA_PAGES > machinery.hypervisor().freePages()) {
      throw tooLittle(machinery.hypervisor(), boot);
    }
    try {
      return machinery
          .hypervisor()
          .createDomain(
              new DomainConfig(
                  kind, boot.uuid(), boot.vcpus(), pages, DomainConfig.DEFAULT_GRANT_FRAMES));
    } catch (Hypervisor.OutOfMemory e) {
      throw new BuildException(Reason.TOO_LITTLE_MEMORY, e.getMessage(), e);
    }
  }

  /** RAM, and what else the guest finds in memory. */
  abstract List<E820Entry> layOut(DomainBoot boot) throws BuildException;

  abstract AcpiTables.Blob acpiTables();

  abstract BootProtocol protocol();

  /** Puts each vCPU into its surroundings, and says where the guest's accesses to devices go. */
  abstract Bus wire(Machinery machinery, DomainBoot boot);

  /** The vCPUs are gone: no device may reach memory any more, nor be reached by a timer. */
  void stopDevices() {}

  /** Where firmware begins, in the state after a reset but for the place. */
  private CpuState firmwareEntry() {
    CpuState state = vcpus.getFirst().cpu().state();
    state.cs.set(FIRMWARE_SEGMENT, (long) FIRMWARE_SEGMENT << 4, state.cs.limit,
        state.cs.attributes);
    state.rip = FIRMWARE_ENTRY;
    return state;
  }

  /** Builds all of it. If that fails, nothing is left. */
  final BuiltDomain assemble(Machinery machinery, DomainBoot boot, DomainListener listener)
      throws BuildException {
    boolean built = false;
    try {
      List<E820Entry> e820 = layOut(boot);
      populateRings(boot);
      domain.setMemoryMap(entries(e820));
      Optional<CpuState> entry = load(boot, e820);
      start(machinery, wire(machinery, boot));
      domain.attach(this, listener);
      vcpus.getFirst().start(entry.orElseGet(this::firmwareEntry));
      domain.vcpus().getFirst().bringUp();
      BuiltDomain result = publish();
      built = true;
      return result;
    } finally {
      if (!built) {
        machinery.hypervisor().destroyDomain(domain);
      }
    }
  }

  /** The pages of console and xenstore. */
  void populateRings(DomainBoot boot) throws BuildException {
    populate(STORE_PAGE, PAGE, boot);
    populate(CONSOLE_PAGE, PAGE, boot);
  }

  /** Connects a domain that domain 0 builds, without anything in it. */
  final void equip(Machinery machinery, Bus bus) {
    start(machinery, bus);
    domain.attach(this, DomainListener.NONE);
  }

  /** What a kernel is told to be (public/xen.h, SIF_*). */
  int startFlags() {
    return 0;
  }

  final void populate(long gpa, long size, DomainBoot boot) throws BuildException {
    if (size > 0 && !domain.populate(gpa, size / PAGE)) {
      throw tooLittle(domain.host(), boot);
    }
  }

  static BuildException tooLittle(Hypervisor hypervisor, DomainBoot boot) {
    return new BuildException(
        Reason.TOO_LITTLE_MEMORY,
        "domains have %d MiB left, too little for one of %d MiB: give it less memory, destroy"
            .formatted(hypervisor.freePages() * PAGE >> 20, boot.memoryBytes() >> 20)
            + " another, or start the host with more (--host-memory)",
        null);
  }

  /** The memory map as {@code XENMEM_memory_map} gives it. */
  private static byte[] entries(List<E820Entry> e820) {
    ByteBuffer map = ByteBuffer.allocate(20 * e820.size()).order(ByteOrder.LITTLE_ENDIAN);
    e820.forEach(e -> map.putLong(e.base()).putLong(e.size()).putInt(e.type()));
    return map.array();
  }

  /**
   * Puts firmware into memory, which is to be entered at its reset vector below 1 MiB.
   *
   * @throws BuildException if this kind of domain has none
   */
  void placeFirmware(DomainBoot boot, List<E820Entry> e820) throws BuildException {
    throw new BuildException(
        Reason.NOT_A_KERNEL, kind().label() + " domains have no firmware: a kernel expected", null);
  }

  private DomainKind kind() {
    return domain.kind();
  }

  /** Fills memory; the state in which the kernel starts, or nothing if firmware does. */
  private Optional<CpuState> load(DomainBoot boot, List<E820Entry> e820) throws BuildException {
    AcpiTables.Blob acpi = acpiTables();
    if (boot.kernel().isEmpty()) {
      placeFirmware(boot, e820);
      domain.memory().write(acpi.address(), acpi.bytes());
      return Optional.empty();
    }
    BootConfig config =
        BootConfig.of(e820)
            .withProtocol(protocol())
            .withRsdp(acpi.rsdp())
            .withStartFlags(startFlags())
            .withCommandLine(boot.commandLine());
    if (boot.ramdisk().isPresent()) {
      config = config.withInitrd(boot.ramdisk().get());
    }
    try (KernelImage image =
        KernelImage.read(boot.kernel().get(), boot.unpackedKernel().orElse(null))) {
      LoadedKernel loaded = KernelLoader.load(image, domain.memory(), config);
      domain.memory().write(acpi.address(), acpi.bytes());
      return Optional.of(loaded.state());
    } catch (KernelFormatException e) {
      throw refused(e, boot);
    }
  }

  /** A kernel cannot be loaded: why, and as what it could be. */
  static BuildException refused(KernelFormatException e, DomainBoot boot) {
    Reason reason =
        switch (e.reason()) {
          case UNREADABLE -> Reason.UNREADABLE_FILE;
          case TOO_LITTLE_MEMORY -> Reason.TOO_LITTLE_MEMORY;
          default -> Reason.NOT_A_KERNEL;
        };
    String message = e.getMessage();
    if (reason == Reason.NOT_A_KERNEL) {
      message += "; " + possibleKinds(boot.kernel().orElseThrow());
    }
    return new BuildException(reason, message, e);
  }

  /** What a kernel that cannot be this kind of domain can be, for a person. */
  private static String possibleKinds(Path kernel) {
    try {
      KernelReport report = KernelInspector.inspect(kernel);
      List<String> kinds =
          report.answers().entrySet().stream()
              .filter(e -> e.getKey() != KernelReport.Ability.VIRTIO_GUEST)
              .filter(e -> e.getValue().verdict() == KernelReport.Verdict.YES)
              .map(e -> e.getKey().title())
              .toList();
      return kinds.isEmpty()
          ? "its notes do not say that it can be any kind of Xen guest"
          : "by its notes it can be a " + String.join(", ", kinds);
    } catch (KernelFormatException e) {
      return "it can be no kind of Xen guest";
    }
  }

  private void start(Machinery machinery, Bus bus) {
    this.bus = bus;
    Hypervisor hypervisor = machinery.hypervisor();
    int count = vcpus.size();
    vm =
        machinery
            .accelerator()
            .createVm(
                domain.memory(),
                bus,
                new XenCpuModel(
                    machinery.cpuModels().apply(count), domain, hypervisor.tscHertz()),
                clock(),
                machinery.trace());
    for (int i = 0; i < count; i++) {
      vcpus.get(i).attach(vm.createVcpu(i, vcpus.get(i)));
    }
  }

  /** Lets the domain find xenstore and console. */
  BuiltDomain publish() {
    int storePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    int consolePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    domain.params().set(HvmParams.STORE_PFN, STORE_PAGE / PAGE);
    domain.params().set(HvmParams.STORE_EVTCHN, storePort);
    domain.params().set(HvmParams.CONSOLE_PFN, CONSOLE_PAGE / PAGE);
    domain.params().set(HvmParams.CONSOLE_EVTCHN, consolePort);
    domain.grants().permit(BuiltDomain.CONSOLE_REFERENCE, 0, CONSOLE_PAGE / PAGE);
    domain.grants().permit(BuiltDomain.STORE_REFERENCE, 0, STORE_PAGE / PAGE);
    return new BuiltDomain(domain, this, storePort, consolePort);
  }

  // ---- Saved and restored -----------------------------------------------------------------------

  /**
   * What the hypervisor knows of the guest's wishes.
   *
   * @param clock what the domain's clock showed, in nanoseconds
   * @param callback the value of HVM_PARAM_CALLBACK_IRQ
   * @param upcallVectors of the vCPUs
   */
  private record Wishes(long clock, long callback, int[] upcallVectors) {
    static final StateFormat<Wishes> FORMAT = StateFormat.of("domain-wishes", 1, Wishes.class);

    Wishes {
      StateCheck.range("the clock", clock, 0, Long.MAX_VALUE / 2);
      for (int vector : upcallVectors) {
        StateCheck.range("an upcall vector", vector, 0, 255);
      }
    }
  }

  private static final String PAGES = "pages";
  private static final String WISHES = "wishes";

  /** Everything with a state besides memory and vCPUs, by name, in the order of restoring. */
  abstract Map<String, Snapshottable<?>> parts();

  /** All parts and vCPUs have their saved states. */
  void restored() {}

  /** Makes the board what it was before its parts are restored. */
  void restoreBoard(StateReader reader) throws StateException {}

  void saveBoard(StateWriter writer) {}

  @Override
  public final int pages() {
    return (int) SavedPages.of(domain).count();
  }

  @Override
  public final void save(StateWriter writer, FrameArena copies) {
    SavedPages pages = SavedPages.of(domain);
    pages.copyOut(domain.memory(), copies);
    writer.section(PAGES, SavedPages.FORMAT, pages);
    writer.section(
        WISHES,
        Wishes.FORMAT,
        new Wishes(
            clock().nanos(),
            domain.params().get(HvmParams.CALLBACK_IRQ),
            vcpus.stream().mapToInt(TranslatedVcpu::upcallVector).toArray()));
    saveBoard(writer);
    parts().forEach(writer::section);
    for (int i = 0; i < vcpus.size(); i++) {
      writer.section("vcpu." + i, VcpuState.FORMAT, vcpus.get(i).saveState());
    }
  }

  /** Builds a domain from what was saved of one. If that fails, nothing is left. */
  final BuiltDomain rebuild(
      Machinery machinery, DomainBoot boot, DomainListener listener, StateReader reader,
      FrameArena copies) throws BuildException, StateException {
    boolean built = false;
    try {
      SavedPages pages = reader.take(PAGES, SavedPages.FORMAT);
      if (pages.count() > copies.frames()) {
        throw new StateException("it has fewer pages than it says");
      }
      Wishes wishes = reader.take(WISHES, Wishes.FORMAT);
      ahead = wishes.clock - domain.host().clock().nanos();
      List<E820Entry> e820 = layOut(boot);
      populate(STORE_PAGE, PAGE, boot);
      populate(CONSOLE_PAGE, PAGE, boot);
      populateExactly(pages, boot);
      pages.copyIn(copies, domain.memory());
      domain.setMemoryMap(entries(e820));
      start(machinery, wire(machinery, boot));
      domain.attach(this, listener);
      BuiltDomain result = publish();
      setCallback(wishes.callback);
      domain.params().set(HvmParams.CALLBACK_IRQ, wishes.callback);
      restoreBoard(reader);
      for (Map.Entry<String, Snapshottable<?>> part : parts().entrySet()) {
        reader.restore(part.getKey(), part.getValue());
      }
      StateCheck.length("upcall vectors", wishes.upcallVectors.length, vcpus.size());
      for (int i = 0; i < vcpus.size(); i++) {
        vcpus.get(i).setUpcallVector(wishes.upcallVectors[i]);
        vcpus.get(i).restoreState(reader.take("vcpu." + i, VcpuState.FORMAT), ahead);
      }
      reader.requireAllTaken();
      restored();
      built = true;
      return result;
    } catch (IllegalArgumentException e) {
      throw new StateException(e.getMessage(), e);
    } finally {
      if (!built) {
        machinery.hypervisor().destroyDomain(domain);
      }
    }
  }

  /** The domain may have had less when it was saved, or more, than it began with. */
  private void populateExactly(SavedPages pages, DomainBoot boot) throws BuildException {
    long frames = domain.memory().end() / PAGE;
    for (long gfn = 0; gfn < frames; gfn++) {
      if (domain.owns(gfn * PAGE) && !pages.contains(gfn)) {
        domain.removePage(gfn * PAGE);
      }
    }
    long[] runs = pages.runs();
    for (int i = 0; i < runs.length; i += 2) {
      populate(runs[i] * PAGE, runs[i + 1] * PAGE, boot);
    }
  }

  // ---- What the hypervisor asks -----------------------------------------------------------------

  @Override
  public final boolean setCallback(long via) {
    int type = (int) (via >>> CALLBACK_TYPE_SHIFT);
    if (type != CALLBACK_VECTOR) {
      // Lines of a board are not driven for events; 1 only says that vCPUs have vectors of their
      // own.
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

  /** vCPUs of these kinds are started by their local APICs. */
  @Override
  public final int vcpuContextSize() {
    return 0;
  }

  @Override
  public final long initialiseVcpu(int vcpu, byte[] context) {
    throw new AssertionError("no context is read, so none is given");
  }

  @Override
  public final byte[] hypercallPage() {
    return TranslatedVcpu.hypercallPage();
  }

  @Override
  public final long deviceAccesses() {
    return bus == null ? 0 : bus.accesses();
  }

  @Override
  public final void destroyed() {
    stopDevices();
    vm.close();
  }
}

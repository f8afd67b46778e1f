package org.javisor.xen.domain;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.TrapRegisters;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.legacy.SystemPorts;
import org.javisor.pc.loader.Blob;
import org.javisor.pc.loader.KernelFormatException;
import org.javisor.pc.loader.KernelImage;
import org.javisor.pc.loader.PvKernel;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.timer.Pit;
import org.javisor.xen.domain.BuildException.Reason;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.DomainPort;
import org.javisor.xen.hypervisor.EventChannels;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * A PV domain: a kernel in ring 3 that knows its machine frames, entered with page tables that map it
 * and a {@code start_info} that says the rest. Source: public/xen.h, {@code struct start_info} and
 * the notes above it on the order of what a domain begins with.
 */
public final class PvDomain implements DomainPort, Savable {
  private static final int PAGE = FrameArena.FRAME_SIZE;
  private static final int PER_TABLE = 512;

  /** What is mapped ends at a multiple of this, with some room behind what is there. */
  private static final long ALIGNMENT = 4 << 20;

  private static final long ROOM = 512 << 10;

  // Page-table entries: present, writable, user, accessed, dirty.
  private static final long WRITABLE = 0x67;
  private static final long READ_ONLY = 0x65;

  private static final int RAMDISK_BY_FRAME = 8;
  private static final int COMMAND_LINE = 1024;
  private static final String MAGIC = "xen-3.0-x86_64";

  private final Domain domain;
  private final List<PvVcpu> vcpus = new ArrayList<>();
  private Vm vm;

  /** Nanoseconds that its clock is ahead of the host's: it has been saved on another one. */
  private long ahead;

  /** By pseudo-physical frame. */
  private int[] frames = {};

  /** What the kernel begins with, by pseudo-physical addresses; for building only. */
  private GuestMemory contents;

  private PvDomain(Domain domain) {
    this.domain = domain;
    for (VirtualCpu v : domain.vcpus()) {
      vcpus.add(new PvVcpu(domain, v));
    }
  }

  /**
   * Builds a domain; it is paused.
   *
   * @throws BuildException if it cannot be; nothing is left of it then
   */
  public static BuiltDomain build(
      Machinery machinery, DomainBoot boot, DomainListener listener) throws BuildException {
    PvDomain pv = new PvDomain(TranslatedDomain.create(machinery, boot, DomainKind.PV));
    boolean built = false;
    try {
      BuiltDomain result = pv.assemble(machinery, boot, listener);
      built = true;
      return result;
    } finally {
      if (!built) {
        machinery.hypervisor().destroyDomain(pv.domain);
      }
    }
  }

  /** Connects a domain that domain 0 has created, and will fill and start. */
  public static void equip(Machinery machinery, Domain domain) {
    PvDomain made = new PvDomain(domain);
    made.start(machinery);
    domain.attach(made, DomainListener.NONE);
  }

  private BuiltDomain assemble(Machinery machinery, DomainBoot boot, DomainListener listener)
      throws BuildException {
    frames = domain.populateMachine((int) (boot.memoryBytes() / PAGE));
    if (frames == null) {
      throw TranslatedDomain.tooLittle(domain.host(), boot);
    }
    contents = new GuestMemory(domain.host().arena());
    for (int i = 0; i < frames.length; i++) {
      domain.pv().setPfn(frames[i], i);
    }
    map(contents, frames);
    start(machinery);
    domain.attach(this, listener);
    int storePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    int consolePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    try (KernelImage image =
        KernelImage.read(boot.kernel().orElseThrow(), boot.unpackedKernel().orElse(null))) {
      Layout layout = layOut(PvKernel.of(image), boot);
      layout.kernel.load(contents);
      if (boot.ramdisk().isPresent()) {
        PvKernel.copy(Blob.file(boot.ramdisk().get()), contents, layout.ramdisk * PAGE);
      }
      fill(layout, boot, storePort, consolePort);
      enter(layout);
      domain.grants().permit(BuiltDomain.CONSOLE_REFERENCE, 0, frames[layout.info + 2]);
      domain.grants().permit(BuiltDomain.STORE_REFERENCE, 0, frames[layout.info + 1]);
    } catch (KernelFormatException e) {
      throw TranslatedDomain.refused(e, boot);
    }
    contents = null;
    domain.vcpus().forEach(v -> v.maskEvents(true));
    domain.vcpus().getFirst().bringUp();
    return new BuiltDomain(domain, this, storePort, consolePort);
  }

  /** Maps runs of neighbours at once. */
  private static void map(GuestMemory memory, int[] frames) {
    for (int i = 0; i < frames.length;) {
      int run = 1;
      while (i + run < frames.length && frames[i + run] == frames[i] + run) {
        run++;
      }
      memory.map((long) i * PAGE, (long) run * PAGE, frames[i], true);
      i += run;
    }
  }

  private void start(Machinery machinery) {
    Hypervisor hypervisor = machinery.hypervisor();
    int count = vcpus.size();
    CpuModel model =
        new XenCpuModel(
            new PvCpuModel(machinery.cpuModels().apply(count)), domain, hypervisor.tscHertz());
    // A machine address that is not the domain's has nothing behind it. Of a board it finds what
    // Xen shows: the timer that clocks are measured with.
    Bus bus = new Bus(machinery.trace());
    Pit pit = new Pit(DeviceTimers.ahead(hypervisor.timers(), ahead), IrqLine.NONE);
    bus.claimPorts(0x40, 4, pit);
    bus.claimPorts(0x61, 1, new SystemPorts(pit, () -> {}).controlB());
    vm =
        machinery
            .accelerator()
            .createVm(domain.memory(), bus, model, clock(), machinery.trace());
    for (int i = 0; i < count; i++) {
      vcpus.get(i).attach(vm.createVcpu(i, vcpus.get(i)), model, bus);
    }
  }

  // ---- What is where --------------------------------------------------------------------------

  /**
   * By pseudo-physical frames: {@code start_info}, and behind it the pages of xenstore and console;
   * page tables; the stack; ramdisk; and the list of machine frames. The last two are in front of
   * all where a kernel wants them mapped.
   *
   * @param mappedEnd the first frame that is not mapped when the kernel begins
   */
  private record Layout(
      PvKernel kernel,
      int info,
      int tables,
      int tableCount,
      int stack,
      int mappedEnd,
      int ramdisk,
      long ramdiskSize,
      int list,
      int listFrames) {}

  private Layout layOut(PvKernel kernel, DomainBoot boot)
      throws KernelFormatException, BuildException {
    long ramdiskSize =
        boot.ramdisk().isEmpty() ? 0 : PvKernel.copy(Blob.file(boot.ramdisk().get()), null, 0);
    int listFrames = pages(8L * frames.length);
    int ramdisk = (int) (kernel.end() / PAGE);
    int list = ramdisk + (kernel.ramdiskByFrame() ? 0 : pages(ramdiskSize));
    int info = list + (kernel.p2mAddress().isPresent() ? 0 : listFrames);
    int tables = info + 3;
    int tableCount = 0;
    int mappedEnd = 0;
    // The more tables, the more is to be mapped: that settles at once or nearly so.
    for (int needed = 1; needed != tableCount;) {
      tableCount = needed;
      long end = (long) (tables + tableCount + 1) * PAGE + ROOM;
      mappedEnd = (int) ((end + ALIGNMENT - 1) / ALIGNMENT * (ALIGNMENT / PAGE));
      long base = kernel.virtualBase();
      needed = 1 + tables(base, mappedEnd);
      if (kernel.p2mAddress().isPresent()) {
        needed += tables(kernel.p2mAddress().getAsLong(), listFrames);
      }
    }
    int end = mappedEnd;
    if (kernel.ramdiskByFrame()) {
      ramdisk = end;
      end += pages(ramdiskSize);
    }
    if (kernel.p2mAddress().isPresent()) {
      list = end;
      end += listFrames;
    }
    // Of what is mapped the end may be room only.
    if (Math.max(tables + tableCount + 1, end == mappedEnd ? 0 : end) > frames.length) {
      throw new BuildException(
          Reason.TOO_LITTLE_MEMORY,
          "kernel and ramdisk need %d MiB, and the domain has %d MiB: give it more memory"
              .formatted(end * (long) PAGE + (1 << 20) - 1 >> 20, boot.memoryBytes() >> 20),
          null);
    }
    return new Layout(
        kernel, info, tables, tableCount, tables + tableCount, mappedEnd, ramdisk, ramdiskSize,
        list, listFrames);
  }

  private static int pages(long bytes) {
    return (int) ((bytes + PAGE - 1) / PAGE);
  }

  /** How many tables below the top one a range needs. */
  private static int tables(long linear, int count) {
    int all = 0;
    for (int shift = 21; shift <= 39; shift += 9) {
      long first = linear >>> shift;
      long last = linear + (long) count * PAGE - 1 >>> shift;
      all += (int) (last - first + 1);
    }
    return all;
  }

  // ---- Filling --------------------------------------------------------------------------------

  private void fill(Layout layout, DomainBoot boot, int storePort, int consolePort) {
    for (int i = 0; i < frames.length; i++) {
      contents.write64((long) layout.list * PAGE + 8L * i, frames[i]);
    }
    Tables tables = new Tables(layout);
    long base = layout.kernel.virtualBase();
    for (int i = 0; i < layout.mappedEnd; i++) {
      boolean table = i >= layout.tables && i < layout.tables + layout.tableCount;
      // A domain may be smaller than what its first mapping is rounded up to.
      if (i < frames.length) {
        tables.map(base + (long) i * PAGE, i, table ? READ_ONLY : WRITABLE);
      }
    }
    if (layout.kernel.p2mAddress().isPresent()) {
      long list = layout.kernel.p2mAddress().getAsLong();
      for (int i = 0; i < layout.listFrames; i++) {
        tables.map(list + (long) i * PAGE, layout.list + i, WRITABLE);
      }
    }
    if (layout.kernel.hypercallPage().isPresent()) {
      contents.write(layout.kernel.hypercallPage().getAsLong() - base, PvVcpu.hypercallPage());
    }
    startInfo(layout, boot, storePort, consolePort);
  }

  /** Hands out page tables in the order in which they are needed. */
  private final class Tables {
    private final int first;
    private final int end;
    private int used = 1;

    Tables(Layout layout) {
      first = layout.tables;
      end = layout.tables + layout.tableCount;
    }

    void map(long linear, int pfn, long rights) {
      int table = first;
      for (int shift = 39; shift > 12; shift -= 9) {
        long at = (long) table * PAGE + (linear >>> shift & PER_TABLE - 1) * 8;
        long entry = contents.read64(at);
        if (entry == 0) {
          int next = first + used++;
          assert next < end : "page tables are counted wrong";
          contents.write64(at, (long) frames[next] * PAGE | WRITABLE);
          table = next;
        } else {
          table = pfn(entry);
        }
      }
      contents.write64(
          (long) table * PAGE + (linear >>> 12 & PER_TABLE - 1) * 8,
          (long) frames[pfn] * PAGE | rights);
    }

    /** Which of the tables an entry names. */
    private int pfn(long entry) {
      int frame = (int) (entry >>> FrameArena.FRAME_SHIFT);
      for (int i = first; i < first + used; i++) {
        if (frames[i] == frame) {
          return i;
        }
      }
      throw new AssertionError("a table of no table's frame");
    }
  }

  private void startInfo(Layout layout, DomainBoot boot, int storePort, int consolePort) {
    long info = (long) layout.info * PAGE;
    contents.write(info, MAGIC.getBytes(StandardCharsets.US_ASCII));
    contents.write64(info + 32, frames.length);
    contents.write64(info + 40, (long) domain.sharedInfoFrame() * PAGE);
    long base = layout.kernel.virtualBase();
    boolean ramdisk = boot.ramdisk().isPresent();
    boolean byFrame = ramdisk && layout.kernel.ramdiskByFrame();
    contents.write32(info + 48, byFrame ? RAMDISK_BY_FRAME : 0);
    contents.write64(info + 56, frames[layout.info + 1]);
    contents.write32(info + 64, storePort);
    contents.write64(info + 72, frames[layout.info + 2]);
    contents.write32(info + 80, consolePort);
    contents.write64(info + 88, base + (long) layout.tables * PAGE);
    contents.write64(info + 96, layout.tableCount);
    contents.write64(
        info + 104, layout.kernel.p2mAddress().orElse(base + (long) layout.list * PAGE));
    contents.write64(
        info + 112,
        byFrame ? layout.ramdisk : ramdisk ? base + (long) layout.ramdisk * PAGE : 0);
    contents.write64(info + 120, layout.ramdiskSize);
    byte[] line = boot.commandLine().getBytes(StandardCharsets.UTF_8);
    contents.write(info + 128, Arrays.copyOf(line, Math.min(line.length, COMMAND_LINE - 1)));
    if (layout.kernel.p2mAddress().isPresent()) {
      contents.write64(info + 1152, layout.list);
      contents.write64(info + 1160, layout.listFrames);
    }
  }

  /** Pins the page tables and puts the first vCPU at the kernel's entry. */
  private void enter(Layout layout) {
    int top = frames[layout.tables];
    boolean done = domain.pv().pin(top, 4) == 0 && domain.pv().exchangeTop(top, 0);
    assert done : "page tables of our own are refused";
    long base = layout.kernel.virtualBase();
    PvVcpu first = vcpus.getFirst();
    CpuState state = first.newState();
    state.rip = layout.kernel.entry();
    state.gpr[TrapRegisters.RSI] = base + (long) layout.info * PAGE;
    state.gpr[TrapRegisters.RSP] = base + (long) (layout.stack + 1) * PAGE;
    first.start(state, top);
  }

  // ---- Saved and restored ---------------------------------------------------------------------

  /**
   * What else is saved.
   *
   * @param clock what the domain's clock showed, in nanoseconds
   * @param startInfo the page of {@code start_info}
   */
  private record Saved(long clock, int startInfo) {
    static final StateFormat<Saved> FORMAT = StateFormat.of("pv-domain", 1, Saved.class);

    Saved {
      StateCheck.range("the clock", clock, 0, Long.MAX_VALUE / 2);
    }
  }

  private Clock clock() {
    return Clock.ahead(domain.host().clock(), ahead);
  }

  @Override
  public int pages() {
    return (int) new PvPages(domain).saved().count();
  }

  @Override
  public void save(StateWriter writer, FrameArena copies) {
    PvPages pages = new PvPages(domain);
    SavedPages saved = pages.saved();
    // A kernel that suspends itself names this page in its third argument.
    long info = vcpus.getFirst().cpu().state().gpr[TrapRegisters.RDX];
    writer.section("pages", SavedPages.FORMAT, saved);
    writer.section("tables", PvPages.Tables.FORMAT, pages.copyOut(saved, copies));
    writer.section("start-info", Saved.FORMAT, new Saved(clock().nanos(), pages.page(info)));
    for (int i = 0; i < vcpus.size(); i++) {
      writer.section("vcpu." + i, VcpuState.FORMAT, vcpus.get(i).saveRegisters());
      writer.section("pv-vcpu." + i, PvVcpuState.FORMAT, vcpus.get(i).saveState(pages));
    }
  }

  /** Builds one from what was saved; see {@link #build}. */
  public static BuiltDomain restore(
      Machinery machinery, DomainBoot boot, DomainListener listener, StateReader reader,
      FrameArena copies) throws BuildException, StateException {
    PvDomain pv = new PvDomain(TranslatedDomain.create(machinery, boot, DomainKind.PV));
    boolean built = false;
    try {
      BuiltDomain result = pv.rebuild(machinery, boot, listener, reader, copies);
      reader.requireAllTaken();
      built = true;
      return result;
    } catch (IllegalArgumentException e) {
      throw new StateException(e.getMessage(), e);
    } finally {
      if (!built) {
        machinery.hypervisor().destroyDomain(pv.domain);
      }
    }
  }

  private BuiltDomain rebuild(
      Machinery machinery, DomainBoot boot, DomainListener listener, StateReader reader,
      FrameArena copies) throws BuildException, StateException {
    SavedPages saved = reader.take("pages", SavedPages.FORMAT);
    if (saved.count() > copies.frames() || saved.count() > domain.maxPages()) {
      throw new StateException("it has not the pages that it says");
    }
    int[] given = domain.populateMachine((int) saved.count());
    if (given == null) {
      throw TranslatedDomain.tooLittle(domain.host(), boot);
    }
    long[] runs = saved.runs();
    int end = runs.length == 0 ? 0 : (int) (runs[runs.length - 2] + runs[runs.length - 1]);
    int[] byPage = new int[end];
    Arrays.fill(byPage, -1);
    int[] next = new int[1];
    saved.each(
        copies,
        (pfn, copy) -> {
          int frame = given[next[0]++];
          byPage[(int) pfn] = frame;
          domain.pv().setPfn(frame, pfn);
        });
    PvPages pages = new PvPages(domain, byPage);
    pages.copyIn(saved, copies, reader.take("tables", PvPages.Tables.FORMAT));
    Saved rest = reader.take("start-info", Saved.FORMAT);
    ahead = rest.clock - domain.host().clock().nanos();
    start(machinery);
    domain.attach(this, listener);
    int storePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    int consolePort = (int) domain.events().allocateUnbound(EventChannels.HOST_DOMAIN);
    int info = pages.frame(rest.startInfo);
    if (info < 0) {
      throw new StateException("it has no start_info");
    }
    tellAgain((long) info * PAGE, pages, storePort, consolePort);
    for (int i = 0; i < vcpus.size(); i++) {
      CpuState state = reader.take("vcpu." + i, VcpuState.FORMAT).registers();
      if (i == 0) {
        state.gpr[TrapRegisters.RDX] = info;
      }
      vcpus.get(i).restoreState(
          reader.take("pv-vcpu." + i, PvVcpuState.FORMAT), state, pages, ahead);
    }
    domain.events().maskAll();
    domain.vcpus().forEach(v -> v.maskEvents(true));
    return new BuiltDomain(domain, this, storePort, consolePort);
  }

  /** What {@code start_info} says is another now; its pages the kernel has named by its own numbers. */
  private void tellAgain(long info, PvPages pages, int storePort, int consolePort)
      throws StateException {
    GuestMemory memory = domain.memory();
    int store = pages.frame(memory.read64(info + 56));
    int console = pages.frame(memory.read64(info + 72));
    if (store < 0 || console < 0) {
      throw new StateException("it has no pages for xenstore and console");
    }
    memory.write64(info + 40, (long) domain.sharedInfoFrame() * PAGE);
    memory.write64(info + 56, store);
    memory.write32(info + 64, storePort);
    memory.write64(info + 72, console);
    memory.write32(info + 80, consolePort);
    domain.grants().permit(BuiltDomain.CONSOLE_REFERENCE, 0, console);
    domain.grants().permit(BuiltDomain.STORE_REFERENCE, 0, store);
  }

  // ---- What the hypervisor asks ---------------------------------------------------------------

  @Override
  public boolean setCallback(long via) {
    return false; // PV guests have callback_op.
  }

  @Override
  public int vcpuContextSize() {
    return GuestContext.SIZE;
  }

  @Override
  public long initialiseVcpu(int vcpu, byte[] context) {
    return vcpus.get(vcpu).initialise(context);
  }

  @Override
  public byte[] hypercallPage() {
    return PvVcpu.hypercallPage();
  }

  @Override
  public void destroyed() {
    vm.close();
  }
}

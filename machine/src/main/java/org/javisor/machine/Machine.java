package org.javisor.machine;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.accelerator.state.file.SaveFile;
import org.javisor.accelerator.state.file.SaveFileWriter;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.MachineClock;
import org.javisor.accelerator.time.Timers;
import org.javisor.interp.CpuModels;
import org.javisor.kvm.IrqChip;
import org.javisor.kvm.KvmVm;
import org.javisor.kvm.host.KvmException;
import org.javisor.machine.MachineException.Reason;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsolePort;
import org.javisor.machine.gdb.GdbServer;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.HostMemory;
import org.javisor.pc.MachineActions;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.ata.PiixIde;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.firmware.BiosServices;
import org.javisor.pc.firmware.FirmwareRom;
import org.javisor.pc.loader.BootConfig;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.loader.KernelFormatException;
import org.javisor.pc.loader.KernelImage;
import org.javisor.pc.loader.KernelLoader;
import org.javisor.pc.loader.LoadedKernel;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.serial.CharacterPort;
import org.javisor.pc.time.DeviceTimers;

/** A running machine. */
public final class Machine implements AutoCloseable {
  /** Where the ACPI tables lie: in what used to be the BIOS's segment. */
  private static final long ACPI_TABLES = 0xe_0000;

  private static final long LOW_RAM_END = 0x9_fc00;
  private static final long LEGACY_END = 0x10_0000;
  private static final long FOUR_GIB = 1L << 32;

  private final List<VcpuThread> vcpus = new ArrayList<>();
  private final AtomicReference<MachineOutcome> outcome = new AtomicReference<>();
  private final CountDownLatch done = new CountDownLatch(1);
  private volatile Throwable failure;
  private Timers timers;
  private Vm vm;

  /** What the host's kernel has of the board, if anything. */
  private Optional<KernelBoard> kernel = Optional.empty();

  private MachineDebugger debugger;
  private GdbServer gdb;

  private final MachineConfig config;
  private final String accelerator;
  private final String savedAccelerator;
  private final long tscHertz;
  private final VcpuGate gate;
  private final MachineClock clock;
  private GuestMemory memory;
  private PcPlatform pc;
  private Trace trace;
  private boolean paused;
  private volatile Consumer<String> deviceGone = id -> {};

  private final MachineDevices devices;
  private List<GuestPort> ports = List.of();

  private Machine(
      MachineConfig config, AcceleratorChoice choice, MachineClock clock, MachineDevices devices,
      boolean paused) {
    this.config = config;
    accelerator = choice.accelerator().name();
    savedAccelerator = choice.fullName();
    this.clock = clock;
    this.devices = devices;
    this.paused = paused;
    tscHertz = choice.accelerator().tscHertz();
    gate = new VcpuGate(this, vcpus, paused);
  }

  /** Builds a machine without VirtIO console and starts its vCPUs. */
  public static Machine start(
      MachineConfig config, Console console, Optional<Console> debug, MachineListener listener)
      throws MachineException {
    return start(config, console, debug, List.of(), listener, false);
  }

  /** Builds a machine with a VirtIO console and starts its vCPUs. */
  public static Machine start(
      MachineConfig config, Console console, Optional<Console> debug, List<GuestPort> ports,
      MachineListener listener)
      throws MachineException {
    return start(config, console, debug, ports, listener, false);
  }

  /** Builds a machine without VirtIO console; it runs, or stands until {@link #resume}. */
  public static Machine start(
      MachineConfig config, Console console, Optional<Console> debug, MachineListener listener,
      boolean paused)
      throws MachineException {
    return start(config, console, debug, List.of(), listener, paused);
  }

  /**
   * Builds a machine and loads its kernel or its firmware.
   *
   * @param console the far end of the first serial line; the machine attaches to it, and its owner
   *     closes it
   * @param debug takes what the guest writes to the debug ports 0xe9 and 0x402, if anything does
   * @param ports those of its VirtIO console; there is no such device if there are none
   * @param paused whether it stands until {@link #resume}
   * @throws MachineException if it cannot be built; nothing is left running then
   */
  public static Machine start(
      MachineConfig config, Console console, Optional<Console> debug, List<GuestPort> ports,
      MachineListener listener, boolean paused)
      throws MachineException {
    try {
      return build(config, console, debug, ports, listener, Optional.empty(), paused);
    } catch (StateException | IOException e) {
      throw new AssertionError("a new machine has no saved state", e);
    }
  }

  /**
   * Makes a saved machine again. It goes on, or stands until {@link #resume}.
   *
   * @param saved its file, which may be closed afterwards
   * @throws StateException if the file is damaged, or of a machine that is made otherwise
   * @throws MachineException if it cannot be built; nothing is left running then
   */
  public static Machine restore(
      SavedMachine saved, MachineConfig config, Console console, Optional<Console> debug,
      List<GuestPort> ports, MachineListener listener, boolean paused)
      throws MachineException, StateException, IOException {
    return build(config, console, debug, ports, listener, Optional.of(saved), paused);
  }

  /**
   * Does what the first machine of a process would have to wait for: binds the host's functions. May
   * be left out; may run while a machine is being described.
   */
  public static void prepare() {
    SmallGuest.prepare();
  }

  private static Machine build(
      MachineConfig config, Console console, Optional<Console> debug, List<GuestPort> ports,
      MachineListener listener, Optional<SavedMachine> saved, boolean paused)
      throws MachineException, StateException, IOException {
    AcceleratorChoice choice =
        AcceleratorChoice.of(config.accelerator(), config.cpus(), listener::message);
    if (!config.trace().blocks().isEmpty()) {
      choice.requireForTracedBlocks();
    }
    choice.announcement().ifPresent(listener::message);
    Accelerator accelerator = choice.accelerator();
    if (saved.isPresent()) {
      saved.get().requireChips(choice);
      saved.get().requireTsc(accelerator.name(), accelerator.tscHertz());
    }
    MachineClock clock =
        new MachineClock(Clock.host(), saved.map(SavedMachine::clock).orElse(0L));
    MachineDevices devices = MachineDevices.open(config, clock, listener);
    boolean built = false;
    try {
      Machine machine =
          new Machine(config, choice, clock, devices, paused || saved.isPresent());
      machine.build(accelerator, console, debug, ports, listener, saved);
      if (saved.isPresent() && !paused) {
        machine.resume();
      }
      built = true;
      return machine;
    } finally {
      if (!built) {
        devices.close();
      }
    }
  }

  /** Puts everything together, and starts the vCPUs: at work or standing. */
  private void build(
      Accelerator accelerator, Console console, Optional<Console> debug, List<GuestPort> ports,
      MachineListener listener, Optional<SavedMachine> saved)
      throws MachineException, StateException, IOException {
    this.ports = ports;
    trace = new Trace(config.trace(), listener::trace);
    PcConfig pcConfig =
        PcConfig.of(config.cpus(), config.memory())
            .withTscHertz(accelerator.tscHertz())
            .withDebugExitPort(config.debugExitPort().orElse(0));
    Optional<byte[]> firmware = Optional.empty();
    if (config.firmware().isPresent()) {
      firmware = Optional.of(Firmware.read(config.firmware().get()));
    }
    memory = memory(config, pcConfig, firmware.map(f -> f.length).orElse(0));
    Optional<FirmwareRom> rom = firmware.map(bytes -> new FirmwareRom(memory, bytes));
    List<E820Entry> e820 = memoryMap(pcConfig);
    Optional<LoadedKernel> image =
        rom.isPresent() || saved.isPresent()
            ? Optional.empty()
            : Optional.of(load(config, pcConfig, memory, e820));
    timers = new Timers(clock);
    holdTimers();
    Bus bus = new Bus(trace);
    createVm(accelerator, bus);
    for (int i = 0; i < config.cpus(); i++) {
      vcpus.add(new VcpuThread(this, i, kernel.isPresent()));
    }
    CharacterBackend debugOutput = debug.map(Machine::backend).orElse(CharacterBackend.NONE);
    pc =
        new PcPlatform(
            pcConfig,
            new PcPlatform.Environment(
                memory,
                DeviceTimers.of(timers),
                vcpus,
                rom.<HostBridge440Fx.ShadowControl>map(r -> r)
                    .orElse(HostBridge440Fx.ShadowControl.NONE),
                List.of(backend(console)),
                debugOutput,
                actions(),
                trace),
            bus,
            kernel.map(k -> k));
    if (rom.isPresent()) {
      rom.get().install(pc.devices());
      Firmware.configure(pc);
    } else {
      new BiosServices(memory, e820, debugOutput).install(pc.devices(), saved.isEmpty());
      if (saved.isEmpty()) {
        pc.presetByBios();
      }
    }
    Optional<MemoryLoad> loading = saved.map(s -> MemoryLoad.start(s, memory.arena()));
    devices.attach(pc, memory, trace, ports);
    pc.hotplug().onEject(slot -> devices.ejected(pc, slot, id -> deviceGone.accept(id)));
    if (saved.isPresent()) {
      for (MachineDevices.Added disk : saved.get().added()) {
        devices.addDisk(
            pc, memory, trace, disk.id(), disk.config(), OptionalInt.of(disk.slot()));
      }
    }
    try {
      for (int i = 0; i < config.cpus(); i++) {
        vcpus.get(i).attach(pc, vm.createVcpu(i, pc.surroundings(i)));
      }
      if (image.isPresent()) {
        vcpus.get(0).vcpu().setState(image.get().state());
      }
      if (paused) {
        vm.pause();
      }
    } catch (KvmException e) {
      throw refused(e);
    }
    if (saved.isPresent()) {
      load(saved.get(), loading.get());
    }
    if (config.gdb().isPresent()) {
      debug(config.gdb().get(), memory, listener);
    }
    if (paused) {
      vcpus.forEach(VcpuThread::rememberTsc);
    } else {
      clock.resume();
      timers.resume();
    }
    vcpus.forEach(VcpuThread::start);
  }

  /**
   * Makes the virtual machine and decides who has the PC's interrupt controllers: the kernel where the
   * accelerator's machines have theirs there, with messages by irqfd and doorbells by ioeventfd; this
   * process everywhere else. Devices see no difference.
   */
  private void createVm(Accelerator accelerator, Bus bus) throws MachineException {
    CpuModel model = CpuModels.of(config.cpuModel(), config.cpus());
    try {
      vm = accelerator.createVm(memory, bus, model, clock, trace);
      if (vm instanceof KvmVm kvm && kvm.irqChip() == IrqChip.KERNEL) {
        kernel = Optional.of(new KernelBoard(kvm, this::fail));
        bus.setDoorbells(kernel.get());
      }
    } catch (KvmException e) {
      throw refused(e);
    }
  }

  private MachineException refused(KvmException e) {
    abandon();
    return new MachineException(
        Reason.HOST_REFUSED, e.getMessage() + "; --accel interp does without it", e);
  }

  /** Timers rest until the clock runs; none is under way yet. */
  private void holdTimers() {
    try {
      timers.pause();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  // ---- Pause, save, restore -----------------------------------------------------------------

  /** Everything with a state, by name, in the order in which it is restored. */
  private Map<String, Snapshottable<?>> parts() {
    Map<String, Snapshottable<?>> parts = new LinkedHashMap<>(pc.parts());
    vm.addParts(parts);
    vcpus.forEach(vcpu -> parts.put("vcpu." + vcpu.id(), vcpu));
    return parts;
  }

  private void load(SavedMachine saved, MemoryLoad loading) throws StateException, IOException {
    boolean loaded = false;
    try {
      pc.pausables().forEach(Pausable::pause);
      StateReader reader = saved.state();
      loading.await();
      saved.loadDisks(devices.overlays());
      for (Map.Entry<String, Snapshottable<?>> part : parts().entrySet()) {
        reader.restore(part.getKey(), part.getValue());
      }
      reader.requireAllTaken();
      pc.restored();
      loaded = true;
    } finally {
      if (!loaded) {
        abandon();
      }
    }
  }

  VcpuGate gate() {
    return gate;
  }

  /** Whether it stands. */
  public synchronized boolean paused() {
    return paused;
  }

  /**
   * Lets the machine stand: no time passes for the guest until {@link #resume}.
   *
   * @throws MachineException if a debugger says when it stands
   */
  public synchronized void pause() throws MachineException, InterruptedException {
    if (debugger != null) {
      throw new MachineException(
          Reason.HOST_REFUSED, "a debugger decides when this machine stands: use it");
    }
    if (paused) {
      return;
    }
    gate.close();
    pc.pausables().forEach(Pausable::pause);
    timers.pause();
    kernel.ifPresent(KernelBoard::pause);
    vm.pause();
    vcpus.forEach(VcpuThread::rememberTsc);
    clock.pause();
    paused = true;
  }

  /** Lets a paused machine go on. */
  public synchronized void resume() {
    if (!paused) {
      return;
    }
    paused = false;
    clock.resume();
    vcpus.forEach(VcpuThread::resumeTsc);
    vm.resume();
    kernel.ifPresent(KernelBoard::resume);
    timers.resume();
    pc.pausables().forEach(Pausable::resume);
    gate.open();
    devices.disks().retry();
  }

  /** Has {@code action} run, on a thread of its own, when a disk waits for the host. */
  void onDiskHeld(Runnable action) {
    devices.disks().onHeld(action);
  }

  /**
   * Saves a paused machine.
   *
   * @param name of the machine, for whoever restores it
   * @return the size of the file in bytes
   * @throws MachineException if it has a device that cannot be saved
   */
  public synchronized long save(String name, Path target) throws IOException, MachineException {
    if (!paused) {
      throw new IllegalStateException("a running machine cannot be saved");
    }
    StateWriter writer = new StateWriter();
    writer.section(
        SavedConfig.SECTION, SavedConfig.FORMAT,
        SavedConfig.of(
            name, config, devices.added(), ports, savedAccelerator, clock.nanos(), tscHertz));
    try {
      parts().forEach(writer::section);
    } catch (NotSavableException e) {
      throw new MachineException(Reason.HOST_REFUSED, e.getMessage(), e);
    }
    return SaveFileWriter.write(
        target, writer.finish(), memory.arena(), devices.overlays());
  }

  // ---- Devices that come and go -------------------------------------------------------------

  /** Who is told the names of devices that have gone; called on a thread that may wait. */
  public void onDeviceGone(Consumer<String> listener) {
    deviceGone = listener;
  }

  /** Adds a VirtIO disk; a guest that listens finds it. */
  public synchronized void addDisk(String id, DiskConfig disk) throws MachineException {
    int slot = devices.addDisk(pc, memory, trace, id, disk, OptionalInt.empty());
    pc.hotplug().plugged(slot);
  }

  /**
   * Asks the guest to give back what was added under this name.
   *
   * @return false if nothing was
   */
  public boolean removeDevice(String id) {
    int slot = devices.slotOf(id);
    if (slot >= 0) {
      pc.hotplug().requestRemoval(slot);
    }
    return slot >= 0;
  }

  /** What was added and not removed, by name. */
  public Map<String, DiskConfig> addedDisks() {
    Map<String, DiskConfig> added = new LinkedHashMap<>();
    devices.added().forEach(each -> added.put(each.id(), each.config()));
    return added;
  }

  List<MachineDevices.DiskInfo> disks() {
    return devices.describeDisks();
  }

  /** Presses the power button: a guest that listens shuts down. */
  public void pressPowerButton() {
    pc.pressPowerButton();
  }

  public MachineConfig config() {
    return config;
  }

  /** What the machine's clock shows: for how long it has run, in nanoseconds. */
  public long uptimeNanos() {
    return clock.nanos();
  }

  private void debug(InetSocketAddress address, GuestMemory memory, MachineListener listener)
      throws MachineException {
    debugger = new MachineDebugger(this, vcpus, memory);
    try {
      gdb = GdbServer.listen(address, debugger, listener::message);
      String where = address.getHostString() + ":" + gdb.address().getPort();
      listener.message("the machine stands and waits: gdb -ex 'target remote " + where + "'");
    } catch (IOException e) {
      abandon();
      throw new MachineException(
          Reason.HOST_REFUSED,
          "the debugger's port " + address.getHostString() + ":" + address.getPort()
              + " cannot be had (" + e.getMessage() + "): give another with --gdb",
          e);
    }
  }

  /** Gives back what a machine that will not start holds. */
  private void abandon() {
    timers.close();
    kernel.ifPresent(KernelBoard::close);
    if (vm != null) {
      vm.close();
    }
  }

  private static GuestMemory memory(MachineConfig config, PcConfig pc, long rom)
      throws MachineException {
    try {
      GuestMemory memory = new GuestMemory(new FrameArena(config.memory() + rom));
      memory.mapRam(0, pc.lowRam());
      if (pc.highRam() > 0) {
        memory.mapRam(FOUR_GIB, pc.highRam());
      }
      return memory;
    } catch (HostMemory.HostMemoryException e) {
      throw new MachineException(
          Reason.TOO_LITTLE_MEMORY,
          "the host has no " + (config.memory() >> 20) + " MiB for the guest (" + e.getMessage()
              + "): give a smaller --memory",
          e);
    }
  }

  /** What firmware would report of memory (ACPI 6.5, section 15). */
  private static List<E820Entry> memoryMap(PcConfig pc) {
    List<E820Entry> e820 = new ArrayList<>();
    e820.add(new E820Entry(0, LOW_RAM_END, E820Entry.RAM));
    e820.add(new E820Entry(LOW_RAM_END, 0xa_0000 - LOW_RAM_END, E820Entry.RESERVED));
    e820.add(new E820Entry(ACPI_TABLES, LEGACY_END - ACPI_TABLES, E820Entry.RESERVED));
    if (pc.lowRam() > LEGACY_END) {
      e820.add(new E820Entry(LEGACY_END, pc.lowRam() - LEGACY_END, E820Entry.RAM));
    }
    if (pc.highRam() > 0) {
      e820.add(new E820Entry(FOUR_GIB, pc.highRam(), E820Entry.RAM));
    }
    return e820;
  }

  private static LoadedKernel load(
      MachineConfig config, PcConfig pc, GuestMemory memory, List<E820Entry> e820)
      throws MachineException {
    AcpiTables.Blob acpi = AcpiTables.build(pc, ACPI_TABLES);
    BootConfig boot =
        BootConfig.of(e820)
            .withProtocol(config.protocol())
            .withRsdp(acpi.rsdp())
            .withCommandLine(config.commandLine());
    if (config.initrd().isPresent()) {
      boot = boot.withInitrd(config.initrd().get());
    }
    try (KernelImage image =
        KernelImage.read(config.kernel().orElseThrow(), config.unpackedKernel().orElse(null))) {
      LoadedKernel loaded = KernelLoader.load(image, memory, boot);
      memory.write(acpi.address(), acpi.bytes());
      return loaded;
    } catch (KernelFormatException e) {
      Reason reason =
          switch (e.reason()) {
            case UNREADABLE -> Reason.UNREADABLE_FILE;
            case TOO_LITTLE_MEMORY -> Reason.TOO_LITTLE_MEMORY;
            default -> Reason.NOT_A_KERNEL;
          };
      throw new MachineException(reason, e.getMessage(), e);
    } catch (GuestMemory.BadAddress e) {
      throw new MachineException(
          Reason.TOO_LITTLE_MEMORY, "too little memory for the machine's own tables", e);
    }
  }

  static CharacterBackend backend(Console console) {
    return new CharacterBackend() {
      @Override
      public boolean write(int value) {
        return console.write(value);
      }

      @Override
      public void attach(CharacterPort port) {
        console.attach(
            new ConsolePort() {
              @Override
              public int receive(byte[] source, int offset, int length) {
                return port.receive(source, offset, length);
              }

              @Override
              public void outputReady() {
                port.outputReady();
              }

              @Override
              public void receiveBreak() {
                port.receiveBreak();
              }
            });
      }

      @Override
      public void inputReady() {
        console.inputReady();
      }
    };
  }

  private MachineActions actions() {
    return new MachineActions() {
      @Override
      public void powerOff() {
        end(new MachineOutcome.PoweredOff());
      }

      @Override
      public void reset() {
        end(new MachineOutcome.Reset());
      }

      @Override
      public void debugExit(int code) {
        end(new MachineOutcome.DebugExit(code));
      }
    };
  }

  boolean ended() {
    return outcome.get() != null;
  }

  /** Ends the machine; only the first reason counts. */
  void end(MachineOutcome how) {
    if (outcome.compareAndSet(null, how)) {
      done.countDown();
      vcpus.forEach(VcpuThread::kick);
      gate.machineEnded();
      if (debugger != null) {
        debugger.machineEnded(how);
      }
    }
  }

  /** A bug of ours on a vCPU thread: the machine ends, and {@link #await} throws it. */
  void fail(Throwable t) {
    failure = t;
    end(new MachineOutcome.UserQuit());
  }

  /** The debugger, or null if this machine has none. */
  MachineDebugger debugger() {
    return debugger;
  }

  void debugStop(VcpuThread vcpu) {
    if (debugger != null) {
      debugger.stop(vcpu, null);
    }
  }

  void crashed(VcpuThread vcpu, String report) {
    if (debugger == null) {
      end(new MachineOutcome.Crashed(report));
    } else {
      debugger.stop(vcpu, report);
    }
  }

  /** Waits until the machine has ended. */
  public MachineOutcome await() throws InterruptedException {
    done.await();
    return ended(outcome.get());
  }

  /** The same for at most so long; empty if it has not ended by then. */
  public Optional<MachineOutcome> await(long nanos) throws InterruptedException {
    return done.await(nanos, TimeUnit.NANOSECONDS)
        ? Optional.of(ended(outcome.get()))
        : Optional.empty();
  }

  private MachineOutcome ended(MachineOutcome how) {
    if (failure != null) {
      throw new AssertionError("vCPU thread failed", failure);
    }
    return how;
  }

  /** Ends the machine at once, as if its plug were pulled; {@link #await} then returns. */
  public void quit() {
    end(new MachineOutcome.UserQuit());
  }

  /** The name of the accelerator that executes it. */
  public String accelerator() {
    return accelerator;
  }

  /** Instructions executed so far by all vCPUs, or -1 where nobody counts. */
  public long instructions() {
    long sum = 0;
    for (VcpuThread v : vcpus) {
      long n = v.vcpu().instructions();
      if (n < 0) {
        return -1;
      }
      sum += n;
    }
    return sum;
  }

  /** How often the guest has accessed a device so far. */
  public long deviceAccesses() {
    return pc.devices().accesses();
  }

  /** Ends the machine and says where each vCPU was: why a guest hangs is told by that. */
  public String stop() throws InterruptedException {
    List<String> lines = new ArrayList<>();
    for (VcpuThread v : vcpus) {
      lines.add(v.describe());
    }
    quit();
    for (int i = 0; i < vcpus.size(); i++) {
      vcpus.get(i).thread().join();
      CpuState s = vcpus.get(i).vcpu().state();
      lines.set(
          i,
          lines.get(i)
              + ", rip %#x, rflags %#x, rsp %#x, cr3 %#x".formatted(s.rip, s.rflags, s.gpr[4],
                  s.cr3));
    }
    return String.join("\n", lines);
  }

  /** Ends the machine if it runs and gives back everything it holds. */
  @Override
  public void close() {
    quit();
    boolean interrupted = false;
    for (VcpuThread v : vcpus) {
      try {
        v.thread().join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (gdb != null) {
      try {
        gdb.close();
      } catch (IOException e) {
        // Nobody can connect any more; that was the purpose.
        gdb = null;
      }
    }
    devices.close();
    timers.close();
    kernel.ifPresent(KernelBoard::close);
    vm.close();
    // Without this a machine that is reset again and again would keep every memory it ever had.
    memory.arena().release();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}

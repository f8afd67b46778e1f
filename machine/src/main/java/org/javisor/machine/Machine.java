package org.javisor.machine;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.javisor.interp.CpuModels;
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
  private MachineDebugger debugger;
  private GdbServer gdb;

  private final String accelerator;
  private final MachineDevices devices;

  private Machine(String accelerator, MachineDevices devices) {
    this.accelerator = accelerator;
    this.devices = devices;
  }

  /**
   * Builds a machine, loads its kernel or its firmware and starts its vCPUs.
   *
   * @param console the far end of the first serial line; the machine attaches to it, and its owner
   *     closes it
   * @param debug takes what the guest writes to the debug ports 0xe9 and 0x402, if anything does
   * @throws MachineException if it cannot be built; nothing is left running then
   */
  public static Machine start(
      MachineConfig config, Console console, Optional<Console> debug, MachineListener listener)
      throws MachineException {
    return start(config, console, debug, List.of(), listener);
  }

  /**
   * The same with a VirtIO console.
   *
   * @param ports its ports; there is no such device if there are none
   */
  public static Machine start(
      MachineConfig config,
      Console console,
      Optional<Console> debug,
      List<GuestPort> ports,
      MachineListener listener)
      throws MachineException {
    AcceleratorChoice choice = AcceleratorChoice.of(config.accelerator());
    choice.announcement().ifPresent(listener::message);
    Accelerator accelerator = choice.accelerator();
    Clock clock = Clock.host();
    MachineDevices devices = MachineDevices.open(config, clock, listener);
    try {
      return start(config, accelerator, clock, devices, console, debug, ports, listener);
    } catch (MachineException | RuntimeException | Error e) {
      devices.close();
      throw e;
    }
  }

  private static Machine start(
      MachineConfig config,
      Accelerator accelerator,
      Clock clock,
      MachineDevices devices,
      Console console,
      Optional<Console> debug,
      List<GuestPort> ports,
      MachineListener listener)
      throws MachineException {
    Machine machine = new Machine(accelerator.name(), devices);
    Trace trace = new Trace(config.trace(), listener::trace);
    PcConfig pcConfig =
        PcConfig.of(config.cpus(), config.memory())
            .withTscHertz(accelerator.tscHertz())
            .withDebugExitPort(config.debugExitPort().orElse(0));
    Optional<byte[]> firmware = Optional.empty();
    if (config.firmware().isPresent()) {
      firmware = Optional.of(Firmware.read(config.firmware().get()));
    }
    GuestMemory memory = memory(config, pcConfig, firmware.map(f -> f.length).orElse(0));
    Optional<FirmwareRom> rom = firmware.map(image -> new FirmwareRom(memory, image));
    List<E820Entry> e820 = memoryMap(pcConfig);
    Optional<LoadedKernel> kernel =
        rom.isPresent()
            ? Optional.empty()
            : Optional.of(load(config, pcConfig, memory, e820));
    machine.timers = new Timers(clock);
    for (int i = 0; i < config.cpus(); i++) {
      machine.vcpus.add(new VcpuThread(machine, i));
    }
    CharacterBackend debugOutput = debug.map(Machine::backend).orElse(CharacterBackend.NONE);
    PcPlatform pc =
        new PcPlatform(
            pcConfig,
            new PcPlatform.Environment(
                memory,
                DeviceTimers.of(machine.timers),
                machine.vcpus,
                rom.<HostBridge440Fx.ShadowControl>map(r -> r)
                    .orElse(HostBridge440Fx.ShadowControl.NONE),
                List.of(backend(console)),
                debugOutput,
                machine.actions(),
                trace));
    if (rom.isPresent()) {
      rom.get().install(pc.devices());
      Firmware.configure(pc);
    } else {
      new BiosServices(memory, e820, debugOutput).install(pc.devices());
    }
    devices.attach(pc, memory, trace, ports);
    CpuModel model = CpuModels.of(config.cpuModel(), config.cpus());
    try {
      machine.vm = accelerator.createVm(memory, pc.bus(), model, clock, trace);
      for (int i = 0; i < config.cpus(); i++) {
        machine.vcpus.get(i).attach(pc, machine.vm.createVcpu(i, pc.platform(i)));
      }
      if (kernel.isPresent()) {
        machine.vcpus.get(0).vcpu().setState(kernel.get().state());
      }
    } catch (KvmException e) {
      machine.abandon();
      throw new MachineException(
          Reason.HOST_REFUSED, e.getMessage() + "; --accel interp does without it", e);
    }
    if (config.gdb().isPresent()) {
      machine.debug(config.gdb().get(), memory, listener);
    }
    machine.vcpus.forEach(VcpuThread::start);
    return machine;
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
    if (failure != null) {
      throw new AssertionError("vCPU thread failed", failure);
    }
    return outcome.get();
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
    vm.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}

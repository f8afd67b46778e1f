package org.javisor.machine;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.javisor.accelerator.state.StateException;
import org.javisor.machine.MachineException.Reason;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsoleHub;
import org.javisor.machine.control.ControlEvent;
import org.javisor.machine.control.ControlException;
import org.javisor.machine.control.ControlException.ErrorClass;
import org.javisor.machine.control.ControlTarget;
import org.javisor.machine.control.RuntimeFolder;
import org.javisor.storage.block.tool.ImageFormat;

/**
 * A machine over its whole life, with a name: started or restored, reset and started again, paused,
 * saved, ended. This is what its owner runs and what its control socket talks to.
 */
public final class ManagedMachine implements ControlTarget {
  private static final String KIND = "vm";

  /** What device_add can add, by QEMU's name, and the argument that says more of it. */
  public static final String DISK_DRIVER = "virtio-blk-pci";

  public static final String DISK_ARGUMENT = "x-javisor-disk";

  private final String name;
  private final ConsoleHub console;
  private final Optional<Console> debug;
  private final List<GuestPort> ports;
  private final MachineListener listener;
  private final List<Listener> listeners = new CopyOnWriteArrayList<>();

  // Guarded by this.
  private MachineConfig config;
  private Machine machine;
  private boolean paused;
  private boolean begun;
  private boolean ended;

  /** For how long the machine ran until it was last reset. */
  private long uptimeBefore;

  /** Who asked for the reset or the end that comes now; empty if it was the guest. */
  private Optional<String> asked = Optional.empty();

  /**
   * A machine that does not run yet.
   *
   * @param debug takes what the guest writes to the debug ports, if anything does
   * @param ports of a VirtIO console; there is none if they are empty
   */
  public ManagedMachine(
      String name, MachineConfig config, ConsoleHub console, Optional<Console> debug,
      List<GuestPort> ports, MachineListener listener) {
    this.name = name;
    this.config = config;
    this.console = console;
    this.debug = debug;
    this.ports = List.copyOf(ports);
    this.listener = listener;
  }

  /** Starts the machine. */
  public synchronized void start(boolean startPaused) throws MachineException {
    paused = startPaused;
    started(Machine.start(config, console, debug, ports, listener, paused));
  }

  /** Makes a saved machine again; it goes on. */
  public synchronized void restore(Path file, SavedMachine saved, boolean startPaused)
      throws MachineException {
    paused = startPaused;
    try {
      started(Machine.restore(saved, config, console, debug, ports, listener, paused));
    } catch (StateException e) {
      throw SavedMachine.invalid(file, e);
    } catch (IOException e) {
      throw new MachineException(
          Reason.UNREADABLE_FILE, file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private void started(Machine now) {
    machine = now;
    begun = true;
    now.onDeviceGone(this::gone);
    now.onDiskHeld(this::diskHeld);
    // A machine that starts again is the same machine, and its choice is no news.
    config = config.withAccelerator(now.accelerator());
    notifyAll();
  }

  /**
   * Waits until the machine has ended.
   *
   * @param reboots whether it starts again when it is reset
   */
  public MachineOutcome await(boolean reboots) throws MachineException, InterruptedException {
    while (true) {
      Machine current;
      synchronized (this) {
        current = machine;
      }
      MachineOutcome outcome = current.await();
      synchronized (this) {
        machine = null;
        Optional<String> why = asked;
        asked = Optional.empty();
        if (outcome instanceof MachineOutcome.Reset && reboots) {
          uptimeBefore += current.uptimeNanos();
          current.close();
          tell(ControlEvent.reset(why.isEmpty(), why.orElse("guest-reset")));
          if (why.isEmpty()) {
            listener.message("the guest reset the machine: it starts again");
          }
          restart(current.addedDisks());
          continue;
        }
        ended = true;
        notifyAll();
        tell(shutdown(outcome, why));
        instructions = current.instructions();
        current.close();
        return outcome;
      }
    }
  }

  /** The same machine again, with what was added to it. */
  private void restart(Map<String, DiskConfig> added) throws MachineException {
    Machine next = Machine.start(config, console, debug, ports, listener, true);
    for (Map.Entry<String, DiskConfig> disk : added.entrySet()) {
      next.addDisk(disk.getKey(), disk.getValue());
    }
    started(next);
    if (!paused) {
      next.resume();
    }
  }

  /** The host cannot serve a disk that is to wait for it: nothing goes on until somebody resumes. */
  private void diskHeld() {
    try {
      pause();
    } catch (ControlException e) {
      listener.message("the machine cannot be paused: " + e.getMessage());
    }
  }

  private void gone(String id) {
    tell(ControlEvent.deviceDeleted(id));
  }

  private static ControlEvent shutdown(MachineOutcome outcome, Optional<String> why) {
    return switch (outcome) {
      case MachineOutcome.PoweredOff() -> ControlEvent.shutdown(true, "guest-shutdown");
      case MachineOutcome.Reset() -> ControlEvent.shutdown(true, "guest-reset");
      case MachineOutcome.Crashed(String _) -> ControlEvent.shutdown(true, "guest-panic");
      case MachineOutcome.DebugExit(int _) -> ControlEvent.shutdown(true, "guest-shutdown");
      case MachineOutcome.Saved(Path _) -> ControlEvent.shutdown(false, "x-javisor-saved");
      case MachineOutcome.UserQuit() ->
          ControlEvent.shutdown(false, why.orElse("host-ui"));
    };
  }

  private long instructions = -1;

  /** Instructions executed by the machine that ended, or -1 where nobody counts. */
  public synchronized long instructions() {
    return instructions;
  }

  private void tell(ControlEvent event) {
    listeners.forEach(each -> each.happened(event));
  }

  /** The machine, which may be about to start again. */
  private Machine machine() throws ControlException {
    boolean interrupted = false;
    while (machine == null && !ended) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (machine == null) {
      throw new ControlException("the machine has ended");
    }
    return machine;
  }

  // ---- Asked by the control socket ----------------------------------------------------------

  @Override
  public void addListener(Listener who) {
    listeners.add(who);
  }

  @Override
  public void removeListener(Listener who) {
    listeners.remove(who);
  }

  @Override
  public synchronized Info info() {
    RunState state =
        ended
            ? RunState.SHUTDOWN
            : !begun ? RunState.PRELAUNCH : paused ? RunState.PAUSED : RunState.RUNNING;
    return new Info(
        name,
        KIND,
        state,
        config.cpus(),
        config.memory(),
        cpuTime(),
        uptimeBefore + (machine == null ? 0 : machine.uptimeNanos()),
        ProcessHandle.current().pid(),
        config.accelerator(),
        machine == null ? instructions : machine.instructions(),
        machine == null ? 0 : machine.deviceAccesses());
  }

  /** The process has one machine: all its CPU time is the machine's. */
  private static long cpuTime() {
    return ProcessHandle.current()
        .info()
        .totalCpuDuration()
        .map(Duration::toNanos)
        .orElse(ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime());
  }

  @Override
  public List<Cpu> cpus() {
    Map<String, Integer> threads = HostThreads.byName();
    List<Cpu> cpus = new ArrayList<>();
    for (int i = 0; i < config.cpus(); i++) {
      Integer thread = threads.get(VcpuThread.threadName(i));
      cpus.add(new Cpu(i, thread == null ? OptionalInt.empty() : OptionalInt.of(thread)));
    }
    return cpus;
  }

  @Override
  public synchronized List<Disk> disks() {
    List<Disk> disks = new ArrayList<>();
    if (machine != null) {
      for (MachineDevices.DiskInfo each : machine.disks()) {
        disks.add(
            new Disk(
                each.id(),
                each.config().image().toString(),
                each.config().format().map(ImageFormat::label).orElse("auto"),
                each.config().readOnly(),
                each.size()));
      }
    }
    return disks;
  }

  @Override
  public synchronized void pause() throws ControlException {
    if (paused) {
      return;
    }
    try {
      machine().pause();
      paused = true;
      tell(ControlEvent.STOP);
    } catch (MachineException e) {
      throw new ControlException(e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ControlException("interrupted", e);
    }
  }

  @Override
  public synchronized void resume() throws ControlException {
    if (paused) {
      paused = false;
      machine().resume();
      tell(ControlEvent.RESUME);
    }
  }

  @Override
  public synchronized void powerButton() throws ControlException {
    machine().pressPowerButton();
    tell(ControlEvent.POWERDOWN);
  }

  @Override
  public synchronized void reset() throws ControlException {
    Machine current = machine();
    asked = Optional.of("host-qmp-system-reset");
    current.end(new MachineOutcome.Reset());
  }

  @Override
  public synchronized void quit() {
    end("host-qmp-quit");
  }

  /** Ends the machine at once, because the person in front of it wants so. */
  public synchronized void leave() {
    end("host-ui");
  }

  private void end(String why) {
    if (machine != null) {
      asked = Optional.of(why);
      machine.quit();
    }
  }

  @Override
  public synchronized Saved save(Path file, boolean running) throws ControlException {
    Machine current = machine();
    boolean wasPaused = paused;
    if (Files.isDirectory(file)) {
      throw new ControlException(file + " is a folder: the name of a file expected");
    }
    pause();
    boolean done = false;
    try {
      long size = current.save(name, file);
      done = true;
      return new Saved(size,
          running ? () -> {} : () -> current.end(new MachineOutcome.Saved(file)));
    } catch (IOException e) {
      throw new ControlException(file + " cannot be written: " + reason(e), e);
    } catch (MachineException e) {
      throw new ControlException(e.getMessage(), e);
    } finally {
      if (!wasPaused && (running || !done)) {
        resume();
      }
    }
  }

  private static String reason(IOException e) {
    return e instanceof java.nio.file.NoSuchFileException
        ? "there is no such folder"
        : e instanceof java.nio.file.AccessDeniedException
            ? "permission denied"
            : e.getMessage();
  }

  @Override
  public ConsoleLink console(ConsoleOutput output) {
    ConsoleHub.Attached attached = console.attach(output::write);
    return new ConsoleLink() {
      @Override
      public boolean feed(byte[] source, int offset, int length) throws InterruptedException {
        return attached.feed(source, offset, length);
      }

      @Override
      public void close() {
        attached.close();
      }
    };
  }

  @Override
  public synchronized void addDevice(String driver, String id, Map<String, Object> arguments)
      throws ControlException {
    if (!driver.equals(DISK_DRIVER)) {
      throw new ControlException("'" + driver + "' is not a valid device model name");
    }
    if (!RuntimeFolder.isName(id)) {
      throw new ControlException("Parameter 'id' expects an identifier");
    }
    Map<String, Object> left = new HashMap<>(arguments);
    Object text = left.remove(DISK_ARGUMENT);
    if (!left.isEmpty()) {
      throw new ControlException(
          "Property '" + driver + "." + left.keySet().iterator().next() + "' not found");
    }
    if (!(text instanceof String disk)) {
      throw new ControlException(
          "'" + DISK_ARGUMENT + "' is missing: a value as of --disk expected");
    }
    try {
      machine().addDisk(id, DiskConfig.parse(disk));
    } catch (MachineException e) {
      throw new ControlException(e.getMessage(), e);
    }
  }

  @Override
  public synchronized void removeDevice(String id) throws ControlException {
    if (!machine().removeDevice(id)) {
      String others = String.join(", ", machine().addedDisks().keySet());
      throw new ControlException(
          ErrorClass.DEVICE_NOT_FOUND,
          "Device '" + id + "' not found: "
              + (others.isEmpty() ? "none was added" : "one that was added expected, " + others));
    }
  }

  /** The host's numbers of this process's threads. */
  private static final class HostThreads {
    private static final Path TASKS = Path.of("/proc/self/task");

    static Map<String, Integer> byName() {
      Map<String, Integer> found = new java.util.HashMap<>();
      try (Stream<Path> tasks = Files.list(TASKS)) {
        for (Path task : tasks.toList()) {
          found.put(
              Files.readString(task.resolve("comm")).strip(),
              Integer.parseInt(task.getFileName().toString()));
        }
      } catch (IOException | java.io.UncheckedIOException e) {
        return found; // Not a Linux, or a thread that ended meanwhile: what is known is told.
      }
      return found;
    }
  }
}

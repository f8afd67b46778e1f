package org.javisor.xen.hypervisor;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;
import org.javisor.xen.hypervisor.scheduler.Scheduler;

/** The host: its memory, its physical CPUs and its domains. */
public final class Hypervisor implements AutoCloseable {
  /** What guests are told: they choose workarounds by it. */
  public static final int VERSION_MAJOR = 4;

  public static final int VERSION_MINOR = 17;
  public static final String VERSION_EXTRA = ".0-javisor";

  private final FrameArena arena;
  private final FrameTable frames;
  private final Timers timers;
  private final Scheduler scheduler;
  private final TimeScale timeScale;
  private final long tscHertz;
  private final ConsoleLog console;
  private final HypercallTable hypercalls;
  private final Object eventLock = new Object();
  private final long placeholder;
  private final BiConsumer<Domain, Throwable> bugs;

  // Made for the first PV domain; under this object's lock.
  private TableKinds tableKinds;
  private MachineToPhysical machineToPhysical;
  private int descriptorFrame = -1;

  /** By number; under this lock. */
  private final Map<Integer, Domain> domains = new TreeMap<>();

  private int nextId = 1;

  /**
   * Starts the physical CPUs.
   *
   * @param memoryBytes of all domains together
   * @param pcpus physical CPUs, 1 to 64
   * @param tscHertz frequency of the guests' time-stamp counters
   * @param bugs is told of errors of ours that a vCPU's thread ran into; its domain has crashed
   */
  public Hypervisor(
      long memoryBytes,
      int pcpus,
      long tscHertz,
      Clock clock,
      BiConsumer<Domain, Throwable> bugs) {
    this.bugs = bugs;
    this.tscHertz = tscHertz;
    arena = new FrameArena(memoryBytes);
    frames = new FrameTable(arena);
    timers = new Timers(clock);
    scheduler = new Scheduler(pcpus, timers);
    timeScale = TimeScale.of(tscHertz);
    console = new ConsoleLog();
    hypercalls = new HypercallTable();
    placeholder = arena.address(hypervisorFrame());
  }

  public FrameArena arena() {
    return arena;
  }

  FrameTable frames() {
    return frames;
  }

  public Clock clock() {
    return timers.clock();
  }

  public Timers timers() {
    return timers;
  }

  Scheduler scheduler() {
    return scheduler;
  }

  public int pcpus() {
    return scheduler.pcpus();
  }

  TimeScale timeScale() {
    return timeScale;
  }

  public long tscHertz() {
    return tscHertz;
  }

  /** What guests and hypervisor have said. */
  public ConsoleLog console() {
    return console;
  }

  /** Where hypercalls enter. */
  public HypercallTable hypercalls() {
    return hypercalls;
  }

  Object eventLock() {
    return eventLock;
  }

  /** Where vCPUs without a place in the shared page have their information until they say. */
  long placeholderInfo() {
    return placeholder;
  }

  /** Wall-clock time at system time zero, in nanoseconds since 1970. */
  long wallClockOrigin() {
    return clock().wallNanos() - clock().nanos();
  }

  /** Pages of the host that belong to nobody. */
  public long freePages() {
    return frames.free();
  }

  public long totalPages() {
    return frames.total();
  }

  synchronized TableKinds tableKinds() {
    if (tableKinds == null) {
      tableKinds = new TableKinds(arena.frames());
    }
    return tableKinds;
  }

  /** The table of all PV domains, or null if there is no memory for it. */
  synchronized MachineToPhysical machineToPhysical() {
    if (machineToPhysical == null) {
      machineToPhysical = MachineToPhysical.make(frames);
    }
    return machineToPhysical;
  }

  /** The page of descriptors behind every PV guest's own. */
  synchronized int descriptorFrame() {
    if (descriptorFrame < 0) {
      descriptorFrame = hypervisorFrame();
      long[] own = Descriptor.own();
      for (int i = 0; i < own.length; i++) {
        RawMemory.put64(arena.address(descriptorFrame) + 8L * i, own[i]);
      }
    }
    return descriptorFrame;
  }

  /** Takes a zeroed frame for the hypervisor's own use. */
  int hypervisorFrame() {
    int frame = frames.allocate(FrameTable.HYPERVISOR, 1);
    if (frame < 0) {
      throw new OutOfMemory();
    }
    return frame;
  }

  /** Gives such a frame back, which the domain may have had in its map. */
  void releaseHypervisorFrame(int frame, Domain domain) {
    frames.giveUp(frame, domain);
  }

  /** The host has no memory left for a domain. */
  public static final class OutOfMemory extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OutOfMemory() {
      super("no memory is left for another domain");
    }
  }

  /** Creates a domain, paused and without memory. */
  public Domain createDomain(DomainConfig config) {
    synchronized (domains) {
      int id = nextId;
      while (domains.containsKey(id)) {
        id = id + 1 < Domain.FIRST_RESERVED ? id + 1 : 1;
      }
      nextId = id + 1 < Domain.FIRST_RESERVED ? id + 1 : 1;
      Domain domain = new Domain(this, id, config);
      domain.createdPaused();
      domains.put(id, domain);
      return domain;
    }
  }

  /** Ends a domain and gives back all that it has. Not on a physical CPU's thread. */
  public void destroyDomain(Domain domain) {
    domain.shutDown(ShutdownReason.POWEROFF);
    domain.pause();
    synchronized (domains) {
      if (domains.remove(domain.id()) == null) {
        return;
      }
    }
    domain.destroy();
  }

  public Optional<Domain> domain(int id) {
    synchronized (domains) {
      return Optional.ofNullable(domains.get(id));
    }
  }

  /** All domains, by number. */
  public Collection<Domain> domains() {
    synchronized (domains) {
      return List.copyOf(new ArrayList<>(domains.values()));
    }
  }

  /** An error of ours on a vCPU's thread: the domain ends, and it is reported. */
  void bug(Domain domain, Throwable error) {
    domain.crash("a bug of Javisor: " + error);
    bugs.accept(domain, error);
  }

  @Override
  public void close() {
    for (Domain domain : domains()) {
      destroyDomain(domain);
    }
    scheduler.close();
    timers.close();
  }
}

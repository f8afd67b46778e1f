package org.javisor.xen.hypervisor;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
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

  /** The number of the privileged domain that the host starts. */
  public static final int INITIAL_DOMAIN = 0;

  private final FrameArena arena;
  private final FrameTable frames;
  private final Timers timers;
  private final Scheduler scheduler;
  private final TimeScale timeScale;
  private final long tscHertz;
  private final ConsoleLog console;
  private final HostConsole terminal = new HostConsole();
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

  /** Does what must not happen on a vCPU's thread. */
  private final ExecutorService undertaker =
      Executors.newSingleThreadExecutor(
          r -> Thread.ofPlatform().daemon().name("javisor-undertaker").unstarted(r));

  /** By how much the guests' wall clock differs from this process's. */
  private final AtomicLong wallClockShift = new AtomicLong();

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
    terminal.onInput(() -> raiseGlobalVirq(EventChannels.VIRQ_CONSOLE));
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

  /** Nanoseconds that a physical CPU had nothing to do. */
  public long idleNanos(int pcpu) {
    return scheduler.idle(pcpu);
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

  /** The host's terminal, which the privileged domain has. */
  public HostConsole terminal() {
    return terminal;
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
    return clock().wallNanos() - clock().nanos() + wallClockShift.get();
  }

  /** The privileged domain knows better what time it was; all domains are told. */
  public void setWallClockOrigin(long nanosSinceEpoch) {
    wallClockShift.addAndGet(nanosSinceEpoch - wallClockOrigin());
    domains().forEach(d -> d.sharedInfo().setWallClock(nanosSinceEpoch));
  }

  /** Raises a virtual interrupt of the whole host: for the privileged domain, if there is one. */
  void raiseGlobalVirq(int virq) {
    domain(INITIAL_DOMAIN)
        .filter(Domain::isPrivileged)
        .ifPresent(d -> d.events().raiseVirq(d.vcpu(0), virq));
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

  /** Makes what all PV domains share, so that the first one takes no more of the host than others. */
  public void prepareForPv() {
    if (machineToPhysical() == null) {
      throw new OutOfMemory();
    }
    descriptorFrame();
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
    return createDomain(0, config).orElseThrow();
  }

  /**
   * Creates a domain in the same way.
   *
   * @param number what it is to have, or no domain's number for any
   * @return nothing if that number is taken
   */
  public Optional<Domain> createDomain(int number, DomainConfig config) {
    synchronized (domains) {
      boolean asked = number > 0 && number < Domain.FIRST_RESERVED;
      if (asked && domains.containsKey(number)) {
        return Optional.empty();
      }
      int id = asked ? number : nextId;
      while (domains.containsKey(id)) {
        id = id + 1 < Domain.FIRST_RESERVED ? id + 1 : 1;
      }
      nextId = id + 1 < Domain.FIRST_RESERVED ? id + 1 : 1;
      Domain domain = new Domain(this, id, config, false);
      domain.createdPaused();
      domains.put(id, domain);
      return Optional.of(domain);
    }
  }

  /**
   * Ends a domain on a thread that may wait.
   *
   * @return whether all of it is gone by now
   */
  public boolean endInBackground(Domain domain) {
    if (domain.beginEnd()) {
      undertaker.execute(
          () -> {
            destroyDomain(domain);
            raiseGlobalVirq(EventChannels.VIRQ_DOM_EXC);
          });
    }
    return domain.isGone();
  }

  /** Creates domain 0, which administers the host; paused and without memory. There is one. */
  public Domain createInitialDomain(DomainConfig config) {
    synchronized (domains) {
      if (domains.containsKey(INITIAL_DOMAIN)) {
        throw new IllegalStateException("there is a domain 0 already");
      }
      Domain domain = new Domain(this, INITIAL_DOMAIN, config, true);
      domain.createdPaused();
      domains.put(INITIAL_DOMAIN, domain);
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
    undertaker.shutdown();
    scheduler.close();
    timers.close();
  }
}

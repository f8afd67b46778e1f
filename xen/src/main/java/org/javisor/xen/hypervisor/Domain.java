package org.javisor.xen.hypervisor;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.xen.hypervisor.scheduler.SchedDomain;

/** A guest: its memory, its vCPUs, and what it shares with others. */
public final class Domain {
  /** {@code DOMID_SELF}: who asks. */
  public static final int SELF = 0x7ff0;

  /** Higher numbers are no domains (public/xen.h). */
  static final int FIRST_RESERVED = 0x7ff0;

  private static final int FEATURE_DOM0 = 1 << 11;

  private static final int PAGE = FrameArena.FRAME_SIZE;

  private final Hypervisor host;
  private final int id;
  private final DomainConfig config;
  private final boolean privileged;
  private final GuestMemory memory;
  private final SharedInfo sharedInfo;
  private final EventChannels events;
  private final GrantTable grants;
  private final ForeignMaps foreignMaps = new ForeignMaps(this);
  private final HvmParams params = new HvmParams();
  private final DirtyLog dirtyLog = new DirtyLog(this);
  private final IoreqServers ioreqServers = new IoreqServers(this);
  private final List<VirtualCpu> vcpus = new ArrayList<>();
  private final SchedDomain schedDomain = new SchedDomain();
  private final AtomicLong mapGeneration = new AtomicLong();

  private final PvMemory pv;
  private final long createdNanos;
  private volatile byte[] memoryMap = {};
  private volatile CpuidFilter cpuidFilter = CpuidFilter.NONE;
  private DomainPort port;
  private DomainListener listener = DomainListener.NONE;

  // Under the domain's lock.
  private final Map<Long, Integer> foreignPages = new HashMap<>();

  /**
   * Where pages are mapped that are not the domain's own there: grants, its grant table. The frame may
   * be its own all the same, which it has granted to itself, and has at another address.
   */
  private final Set<Long> borrowedPages = new HashSet<>();
  private long pages;
  private long maxPages;
  private int pauses;
  private ShutdownReason shutdown;
  private boolean dying;
  private boolean ends;
  private volatile boolean gone;
  private String report = "";

  Domain(Hypervisor host, int id, DomainConfig config, boolean privileged) {
    this.host = host;
    this.id = id;
    this.config = config;
    this.privileged = privileged;
    maxPages = config.maxPages();
    memory = new GuestMemory(host.arena());
    int frame = host.hypervisorFrame();
    sharedInfo = new SharedInfo(frame, host.arena().address(frame));
    sharedInfo.setWallClock(host.wallClockOrigin());
    events = new EventChannels(this, host.eventLock());
    grants = new GrantTable(host, this, config.maxGrantFrames());
    createdNanos = host.clock().nanos();
    for (int i = 0; i < config.vcpus(); i++) {
      vcpus.add(new VirtualCpu(host, this, i));
    }
    pv = kind() == DomainKind.PV ? PvMemory.make(this) : null;
    if (kind() == DomainKind.PV && pv == null) {
      throw new Hypervisor.OutOfMemory();
    }
  }

  public int id() {
    return id;
  }

  public DomainConfig config() {
    return config;
  }

  /** Whether it may act for the host and for other domains; see {@link Privilege}. */
  public boolean isPrivileged() {
    return privileged;
  }

  public DomainKind kind() {
    return config.kind();
  }

  /** The first word of its features (public/features.h). */
  int features() {
    return config.kind().features() | (privileged ? FEATURE_DOM0 : 0);
  }

  public Hypervisor host() {
    return host;
  }

  /** The guest-physical map. Change it with the methods here, which count. */
  public GuestMemory memory() {
    return memory;
  }

  /** Code of a page by which its guest makes hypercalls. */
  public byte[] hypercallPage() {
    return port.hypercallPage();
  }

  /** What is special of a PV domain's memory, or null of others. */
  public PvMemory pv() {
    return pv;
  }

  /** The frame of the shared page, which PV guests map themselves. */
  public int sharedInfoFrame() {
    return sharedInfo.frame();
  }

  SharedInfo sharedInfo() {
    return sharedInfo;
  }

  public EventChannels events() {
    return events;
  }

  public GrantTable grants() {
    return grants;
  }

  ForeignMaps foreignMaps() {
    return foreignMaps;
  }

  /** Which of its pages were written. */
  public DirtyLog dirtyLog() {
    return dirtyLog;
  }

  /** The device models of other domains that its accesses go to. */
  public IoreqServers ioreqServers() {
    return ioreqServers;
  }

  public HvmParams params() {
    return params;
  }

  public List<VirtualCpu> vcpus() {
    return List.copyOf(vcpus);
  }

  int vcpuCount() {
    return vcpus.size();
  }

  VirtualCpu vcpu(int number) {
    return vcpus.get(number);
  }

  SchedDomain schedDomain() {
    return schedDomain;
  }

  /** The code of its kind. */
  public DomainPort port() {
    return port;
  }

  /** Connects the domain with the code of its kind; before it runs. */
  public void attach(DomainPort kindPort, DomainListener domainListener) {
    port = kindPort;
    listener = domainListener;
  }

  /** When it was created, by the host's clock. */
  public long createdNanos() {
    return createdNanos;
  }

  // ---- Memory -----------------------------------------------------------------------------

  long newMapGeneration() {
    return mapGeneration.incrementAndGet();
  }

  long mapGeneration() {
    return mapGeneration.get();
  }

  /** Whether no vCPU can have a translation from before this generation of the map. */
  boolean allVcpusHaveSeen(long generation) {
    for (VirtualCpu vcpu : vcpus) {
      if (!vcpu.hasSeen(generation)) {
        return false;
      }
    }
    return true;
  }

  /** Pages it owns. */
  public synchronized long pages() {
    return pages;
  }

  public synchronized long maxPages() {
    return maxPages;
  }

  public synchronized void setMaxPages(long count) {
    maxPages = count;
  }

  /**
   * Gives the domain memory.
   *
   * @param gpa page aligned; what is mapped there already stays
   * @return whether all of it was there to be given; if not, some may have been
   */
  public boolean populate(long gpa, long count) {
    long done = 0;
    while (done < count) {
      long at = gpa + done * PAGE;
      if (memory.frame(at) >= 0) {
        done++;
        continue;
      }
      int run = 1;
      while (done + run < count && run < 512 && memory.frame(at + (long) run * PAGE) < 0) {
        run++;
      }
      if (!populateRun(at, run)) {
        return false;
      }
      done += run;
    }
    return true;
  }

  /** Frames need not be neighbours, so a fragmented host only makes more and smaller runs. */
  private boolean populateRun(long gpa, int count) {
    synchronized (this) {
      if (dying || pages + count > maxPages) {
        return false;
      }
      pages += count;
    }
    int frame = host.frames().allocate(id, count);
    if (frame >= 0) {
      memory.map(gpa, (long) count * PAGE, frame, true);
      return true;
    }
    synchronized (this) {
      pages -= count;
    }
    return count > 1
        && populateRun(gpa, count / 2)
        && populateRun(gpa + (long) (count / 2) * PAGE, count - count / 2);
  }

  /**
   * Gives a PV domain frames of its own, wherever they are.
   *
   * @return them, or null if they are not there to be given
   */
  public int[] populateMachine(int count) {
    synchronized (this) {
      if (dying || pages + count > maxPages) {
        return null;
      }
      pages += count;
    }
    int[] given = new int[count];
    int done = 0;
    for (int run = Math.min(count, 512); done < count && run > 0;) {
      int frame = host.frames().allocate(id, Math.min(run, count - done));
      if (frame < 0) {
        run /= 2;
        continue;
      }
      int size = Math.min(run, count - done);
      memory.map((long) frame * PAGE, (long) size * PAGE, frame, true);
      for (int i = 0; i < size; i++) {
        given[done++] = frame + i;
      }
    }
    if (done == count) {
      return given;
    }
    synchronized (this) {
      pages -= count - done;
    }
    for (int i = 0; i < done; i++) {
      removePage((long) given[i] * PAGE);
    }
    return null;
  }

  /**
   * Gives a PV domain frames that are neighbours.
   *
   * @return the first, or -1 if there are none such to be given
   */
  int populateNeighbours(int count) {
    synchronized (this) {
      if (dying || pages + count > maxPages) {
        return -1;
      }
      pages += count;
    }
    int first = host.frames().allocate(id, count);
    if (first < 0) {
      synchronized (this) {
        pages -= count;
      }
      return -1;
    }
    memory.map((long) first * PAGE, (long) count * PAGE, first, true);
    return first;
  }

  /**
   * Takes a page out of the domain's map; it is given up if it was the domain's own.
   *
   * @return whether there was one
   */
  public boolean removePage(long gpa) {
    int frame;
    synchronized (this) {
      frame = memory.frame(gpa);
      if (frame < 0) {
        return false;
      }
      memory.unmapLater(gpa, PAGE);
      if (foreignPages.remove(gpa) != null) {
        host.frames().unuseWhenSeen(frame, this);
        return true;
      }
      if (!borrowedPages.remove(gpa) && host.frames().owner(frame) == id) {
        pages--;
        if (pv != null) {
          pv.forget(frame);
        }
      } else {
        newMapGeneration();
        return true;
      }
    }
    host.frames().giveUp(frame, this);
    return true;
  }

  /** Maps a frame that is not the domain's own; what was there goes. */
  void mapForeign(long gpa, int frame, boolean writable) {
    removePage(gpa);
    synchronized (this) {
      memory.map(gpa, PAGE, frame, writable);
      borrowedPages.add(gpa);
    }
  }

  /** Whether a page is there and the domain's own. */
  public boolean owns(long gpa) {
    int frame = memory.frame(gpa);
    return frame >= 0 && host.frames().owner(frame) == id;
  }

  /** The same for a frame of which a use was counted, which ends when it is not mapped any more. */
  void mapUsed(long gpa, int frame, boolean writable) {
    removePage(gpa);
    synchronized (this) {
      memory.map(gpa, PAGE, frame, writable);
      foreignPages.put(gpa, frame);
    }
  }

  /** Lets a PV domain reach a frame that is not its own, or says anew whether it may write it. */
  synchronized void reachForeign(int frame, boolean writable) {
    long machine = (long) frame * PAGE;
    if (memory.frame(machine) < 0 || memory.writable(machine) != writable) {
      memory.map(machine, PAGE, frame, writable);
      newMapGeneration();
    }
  }

  /** It cannot reach it any more. */
  synchronized void leaveForeign(int frame) {
    memory.unmap((long) frame * PAGE, PAGE);
    newMapGeneration();
  }

  private synchronized void releaseForeignPages() {
    foreignPages.forEach(
        (gpa, frame) -> {
          memory.unmap(gpa, PAGE);
          host.frames().unuseWhenSeen(frame, this);
        });
    foreignPages.clear();
  }

  /**
   * Lets the guest write a page of its own, or no longer.
   *
   * @return whether there is one
   */
  public synchronized boolean setWritable(long gfn, boolean writable) {
    long gpa = gfn << FrameArena.FRAME_SHIFT;
    if (!ownsPage(gfn) || borrowedPages.contains(gpa) || foreignPages.containsKey(gpa)) {
      return false;
    }
    if (memory.writable(gpa) != writable) {
      int frame = memory.frame(gpa);
      memory.unmap(gpa, PAGE);
      memory.map(gpa, PAGE, frame, writable);
      newMapGeneration();
    }
    return true;
  }

  /** A page of its own was written by somebody who does not count that himself. */
  public void pageWritten(long gfn) {
    if (ownsPage(gfn)) {
      host.arena().written(memory.frame(gfn << FrameArena.FRAME_SHIFT), 0, PAGE);
    }
  }

  /** Moves a page of its own to another address; what was there goes. */
  public boolean movePage(long from, long to) {
    int frame;
    synchronized (this) {
      frame = memory.frame(from);
      if (frame < 0
          || host.frames().owner(frame) != id
          || borrowedPages.contains(from)
          || foreignPages.containsKey(from)
          || from == to) {
        return false;
      }
      memory.unmap(from, PAGE);
    }
    removePage(to);
    memory.map(to, PAGE, frame, true);
    return true;
  }

  /**
   * Uses a page of its own, so that it stays.
   *
   * @return its frame, or -1 if there is none, or one that may not be written
   */
  synchronized int useOwn(long gfn, boolean write) {
    long gpa = gfn << FrameArena.FRAME_SHIFT;
    if (gfn < 0 || gfn >= 1L << 28 || memory.frame(gpa) < 0 || write && !memory.writable(gpa)) {
      return -1;
    }
    int frame = memory.frame(gpa);
    return host.frames().useOf(frame, id) ? frame : -1;
  }

  /** The same for the shared page, which is there until the domain is not. */
  synchronized int useSharedInfo() {
    if (dying) {
      return -1;
    }
    host.frames().use(sharedInfo.frame());
    return sharedInfo.frame();
  }

  /** Whether a page of its own is at a guest frame number. */
  public boolean ownsPage(long gfn) {
    return gfn >= 0 && gfn < 1L << 28 && owns(gfn << FrameArena.FRAME_SHIFT);
  }

  /** What {@code XENMEM_memory_map} answers: entries of 20 bytes; empty if the domain needs none. */
  byte[] memoryMap() {
    return memoryMap;
  }

  public void setMemoryMap(byte[] entries) {
    memoryMap = entries.clone();
  }

  /** Takes away of CPUID's answer what the toolstack has taken away. */
  public int[] restrictCpuid(int leaf, int subleaf, int[] registers) {
    return cpuidFilter.restrict(leaf, subleaf, registers);
  }

  public CpuidFilter cpuidFilter() {
    return cpuidFilter;
  }

  public void setCpuidFilter(CpuidFilter filter) {
    cpuidFilter = filter;
  }

  // ---- Life -------------------------------------------------------------------------------

  /** Lets the domain run; it was created paused. Counts against {@link #pause}. */
  public void unpause() {
    synchronized (this) {
      if (pauses == 0) {
        return;
      }
      pauses--;
    }
    vcpus.forEach(VirtualCpu::unpause);
  }

  /** Keeps all vCPUs from running, and returns when none does. */
  public void pause() {
    synchronized (this) {
      pauses++;
    }
    vcpus.forEach(VirtualCpu::pause);
    vcpus.forEach(VirtualCpu::awaitOutside);
  }

  void createdPaused() {
    pauses = 1;
    vcpus.forEach(VirtualCpu::pause);
  }

  public synchronized boolean isPaused() {
    return pauses > 0 && shutdown == null;
  }

  /** Why it shut down, or null if it has not. */
  public synchronized ShutdownReason shutdownReason() {
    return shutdown;
  }

  public synchronized boolean isDying() {
    return dying;
  }

  /** What led to its crash, for a person; empty if nothing did. */
  public synchronized String report() {
    return report;
  }

  /** Stops all vCPUs for good and tells who watches; only the first reason counts. */
  public void shutDown(ShutdownReason reason) {
    synchronized (this) {
      if (shutdown != null) {
        return;
      }
      shutdown = reason;
      pauses++;
    }
    vcpus.forEach(VirtualCpu::pause);
    vcpus.forEach(VirtualCpu::kick);
    listener.shutDown(this, reason);
    host.raiseGlobalVirq(EventChannels.VIRQ_DOM_EXC);
  }

  /** Lets a domain that has shut down go on where it was: one that was suspended and stays here. */
  public void resume() {
    synchronized (this) {
      if (shutdown == null || dying) {
        return;
      }
      shutdown = null;
      pauses--;
    }
    vcpus.forEach(VirtualCpu::unpause);
  }

  /** With its last vCPU a domain powers off. */
  void vcpuWentOffline() {
    if (vcpus.stream().noneMatch(VirtualCpu::isOnline)) {
      shutDown(ShutdownReason.POWEROFF);
    }
  }

  /** How often it has accessed emulated devices so far. */
  public long deviceAccesses() {
    return port == null ? 0 : port.deviceAccesses();
  }

  /** Presses the power button, if the domain has one: a guest that listens shuts down. */
  public void pressPowerButton() {
    port.pressPowerButton();
  }

  /** The domain broke the rules of the machine: it ends alone, with a report. */
  public void crash(String why) {
    synchronized (this) {
      if (shutdown != null) {
        return;
      }
      report = why;
    }
    host.console().log("(XEN) d" + id + " crashed:");
    why.lines().forEach(line -> host.console().log("(XEN) " + line));
    shutDown(ShutdownReason.CRASH);
  }

  /** Gives back all that the domain has. It does not run any more. */
  void destroy() {
    synchronized (this) {
      dying = true;
    }
    vcpus.forEach(VirtualCpu::destroy);
    if (port != null) {
      port.destroyed();
    }
    vcpus.forEach(VirtualCpu::leaveForGood);
    ioreqServers.destroyAll();
    events.closeAll();
    foreignMaps.releaseAll();
    releaseForeignPages();
    grants.destroy();
    if (pv != null) {
      pv.destroy();
    }
    host.frames().giveUpAll(this, memory);
    host.releaseHypervisorFrame(sharedInfo.frame(), this);
    synchronized (this) {
      pages = 0;
    }
    gone = true;
  }

  /** Whether this is the first to want it ended. */
  synchronized boolean beginEnd() {
    boolean first = !ends;
    ends = true;
    return first;
  }

  /** Whether nothing is left of it. */
  boolean isGone() {
    return gone;
  }

  // ---- Figures ----------------------------------------------------------------------------

  /** Pages of others that it has mapped: by grants, and as a toolstack does. */
  public int mappedPages() {
    int granted = foreignMaps.count();
    synchronized (this) {
      return granted + foreignPages.size();
    }
  }

  /** How often a hypercall was made, by itself or in a multicall. */
  public long hypercalls(int number) {
    return vcpus.stream().mapToLong(v -> v.exits().hypercalls(number)).sum();
  }

  /** How often its vCPUs left its code in this way. */
  public long exits(Exit kind) {
    return vcpus.stream().mapToLong(v -> v.exits().exits(kind)).sum();
  }

  /** Nanoseconds that all vCPUs have run. */
  public long cpuNanos() {
    return vcpus.stream().mapToLong(VirtualCpu::usedNanos).sum();
  }

  /** Percent of a physical CPU, and weight; see credit2. */
  public int cap() {
    return host.scheduler().cap(schedDomain);
  }

  public int weight() {
    return host.scheduler().weight(schedDomain);
  }

  public void setCap(int percent) {
    host.scheduler().setCap(schedDomain, percent);
  }

  public void setWeight(int weight) {
    host.scheduler().setWeight(schedDomain, weight);
  }

  @Override
  public String toString() {
    return "d" + id;
  }
}

package org.javisor.xen.control;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.javisor.accelerator.CpuModel;
import org.javisor.memory.FrameArena;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.HypercallFamily;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.Privilege;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.hypervisor.VirtualCpu;

/** {@code domctl} (public/domctl.h): how the privileged domain makes, watches and ends domains. */
final class DomctlCalls implements HypercallFamily {
  private static final int INTERFACE_VERSION = 0x15;
  private static final int SIZE = 144;

  /** Where an operation's own fields begin. */
  private static final int U = 16;

  /** Bytes of {@code struct xen_domctl_getdomaininfo}. */
  static final int INFO_SIZE = 112;

  private static final int CREATE_HVM = 1;
  private static final int CREATE_HAP = 2;
  private static final int EMULATED_LOCAL_APIC = 1;

  /** Everything of a PC that a hypervisor emulates, but PCI. */
  private static final int EMULATED_PC = 0x3ff;

  private static final int DYING = 1;
  private static final int HVM_GUEST = 1 << 1;
  private static final int SHUT_DOWN = 1 << 2;
  private static final int PAUSED = 1 << 3;
  private static final int BLOCKED = 1 << 4;
  private static final int RUNNING = 1 << 5;
  private static final int HAP = 1 << 8;
  private static final int SHUTDOWN_SHIFT = 16;

  private static final int AFFINITY_HARD = 1;
  private static final int AFFINITY_SOFT = 2;

  private static final int TRIGGER_POWER = 3;
  private static final int TRIGGER_NMI = 0;

  /** Longest saved state of a domain's devices and CPUs that is taken. */
  private static final int MOST_CONTEXT = 1 << 20;

  /** Entries {@code xen_msr_entry_t} of a policy: number, flags, value. */
  private static final int MOST_MSRS = 16;

  private static final int MSR_SIZE = 16;

  /** Pages whose types are asked for at once. */
  private static final int MOST_PAGE_TYPES = 1024;

  /** {@code XEN_DOMCTL_PFINFO_XTAB}. */
  private static final long NO_PAGE = 0xfL << 28;

  private static final int TYPE_SHIFT = 28;
  private static final long PINNED = 1L << 31;

  private static final long PAGE = FrameArena.FRAME_SIZE;

  /** What is being ended, by the vCPU whose call waits for that. */
  private final Map<VirtualCpu, Domain> ending = new ConcurrentHashMap<>();

  private final DomainMaker maker;
  private final VcpuStateCalls vcpuStates;

  DomctlCalls(DomainMaker maker) {
    this.maker = maker;
    vcpuStates = new VcpuStateCalls(maker.cpuModel());
  }

  @Override
  public long call(Call call)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    Structure s = call.structure(0, SIZE);
    if (s.u32(4) != INTERFACE_VERSION) {
      return Errno.EACCES;
    }
    int operation = s.i32(0);
    int domid = s.u16(8);
    long result =
        switch (operation) {
          case 1 -> create(call, s);
          case 2 -> destroy(call, domid);
          case 5 -> info(call, s);
          default -> with(call, Privilege.target(call, domid), operation, s);
        };
    if (result >= 0) {
      call.memory().write(call.argument(0), s);
    }
    return result;
  }

  private long with(Call call, Domain domain, int operation, Structure s)
      throws GuestArguments.BadPointer, Call.Refused {
    return switch (operation) {
      case 3 -> pause(call, domain);
      case 4 -> unpause(domain);
      case 9 -> setAffinity(call, domain, s);
      case 10 -> DirtyLogCalls.call(call, domain, s);
      case 11 -> setMaxMemory(domain, s);
      case 12, 13, 42, 43, 62, 63, 72, 73 -> vcpuStates.call(call, domain, operation, s);
      case 14 -> vcpuInfo(domain, s);
      case 15 -> maxVcpus(domain, s);
      case 16 -> scheduler(domain, s);
      case 22 -> hypercallPage(domain, s);
      case 25 -> affinity(call, domain, s);
      case 27 -> resume(domain);
      case 28 -> trigger(domain, s);
      case 33 -> context(call, domain, s);
      case 34 -> setContext(call, domain, s);
      case 35 -> setAddressSize(domain, s);
      case 36 -> addressSize(domain, s);
      case 59 -> tscInfo(domain, s);
      case 60 -> setTscInfo(s);
      case 61 -> pageTypes(call, domain, s);
      case 68 -> setNodeAffinity(call, s);
      case 69 -> nodeAffinity(call, s);
      case 82 -> cpuPolicy(call, domain, s);
      case 83 -> setCpuPolicy(call, domain, s);
      case 85 -> pagingPool(domain, s);
      case 86 -> setPagingPool(domain, s);
      default -> Errno.EOPNOTSUPP;
    };
  }

  // ---- Life -------------------------------------------------------------------------------

  /**
   * {@code struct xen_domctl_createdomain}: handle, flags, vCPUs, limits, what is emulated. A number
   * that is given is taken if it is free.
   */
  private long create(Call call, Structure s) {
    Hypervisor host = call.host();
    long vcpus = s.u32(U + 28);
    int grants = s.i32(U + 36);
    boolean hvm = (s.u32(U + 20) & CREATE_HVM) != 0;
    boolean pc = hvm && s.u32(U + 56) == EMULATED_PC;
    DomainKind kind = !hvm ? DomainKind.PV : pc ? DomainKind.HVM : DomainKind.PVH;
    if (vcpus < 1
        || vcpus > DomainConfig.MAX_VCPUS
        || (s.u32(U + 20) & ~(CREATE_HVM | CREATE_HAP)) != 0
        || s.u32(U + 52) != 0
        || !maker.makes(kind)
        || s.u32(U + 56) != emulated(kind)) {
      return Errno.EINVAL;
    }
    int grantFrames =
        grants < 0
            ? DomainConfig.DEFAULT_GRANT_FRAMES
            : Math.clamp(grants, 1, DomainConfig.DEFAULT_GRANT_FRAMES);
    UUID uuid =
        new UUID(Long.reverseBytes(s.u64(U + 4)), Long.reverseBytes(s.u64(U + 12)));
    DomainConfig config = new DomainConfig(kind, uuid, (int) vcpus, 1, grantFrames);
    try {
      Optional<Domain> made = host.createDomain(s.u16(8), config);
      if (made.isEmpty()) {
        return Errno.EEXIST;
      }
      equip(host, made.get());
      s.put16(8, made.get().id());
      return 0;
    } catch (Hypervisor.OutOfMemory e) {
      return Errno.ENOMEM;
    }
  }

  /** What is emulated for a kind of domain, in the bits of {@code XEN_X86_EMU_*}. */
  private static int emulated(DomainKind kind) {
    return switch (kind) {
      case PV -> 0;
      case PVH -> EMULATED_LOCAL_APIC;
      case HVM -> EMULATED_PC;
    };
  }

  private void equip(Hypervisor host, Domain domain) {
    boolean equipped = false;
    try {
      maker.equip(domain);
      equipped = true;
    } finally {
      if (!equipped) {
        host.endInBackground(domain);
      }
    }
  }

  /** Waiting for other physical CPUs and giving memory back is not done on this one's thread. */
  private long destroy(Call call, int domid) throws Call.Continued, Call.Refused {
    Domain domain = ending.get(call.vcpu);
    if (domain == null || domain.id() != domid) {
      domain = Privilege.other(call, domid);
      ending.put(call.vcpu, domain);
    }
    if (call.host().endInBackground(domain)) {
      ending.remove(call.vcpu);
      return 0;
    }
    throw Call.Continued.INSTANCE;
  }

  private static long pause(Call call, Domain domain) {
    if (domain == call.domain) {
      return Errno.EINVAL;
    }
    domain.pause();
    return 0;
  }

  private static long unpause(Domain domain) {
    if (!domain.isPaused()) {
      return Errno.EINVAL;
    }
    domain.unpause();
    return 0;
  }

  private static long resume(Domain domain) {
    domain.resume();
    return 0;
  }

  /** {@code struct xen_domctl_sendtrigger}: which, to which vCPU. */
  private static long trigger(Domain domain, Structure s) {
    if (s.u32(U + 4) >= domain.vcpus().size()) {
      return Errno.ESRCH;
    }
    switch (s.i32(U)) {
      case TRIGGER_POWER -> domain.pressPowerButton();
      case TRIGGER_NMI -> domain.vcpus().get((int) s.u32(U + 4)).port().nmi();
      default -> {
        return Errno.ENOSYS;
      }
    }
    return 0;
  }

  // ---- What there is ----------------------------------------------------------------------

  /** The domain of that number, or the next one that there is. */
  private static long info(Call call, Structure s) {
    for (Domain domain : call.host().domains()) {
      if (domain.id() >= s.u16(8)) {
        s.put16(8, domain.id());
        describe(domain, s, U);
        return 0;
      }
    }
    return Errno.ESRCH;
  }

  /** Fills in a {@code struct xen_domctl_getdomaininfo}. */
  static void describe(Domain domain, Structure s, int at) {
    List<VirtualCpu> online = domain.vcpus().stream().filter(VirtualCpu::isOnline).toList();
    ShutdownReason reason = domain.shutdownReason();
    int flags = domain.isDying() ? DYING : 0;
    if (domain.kind().isTranslated()) {
      flags |= HVM_GUEST | HAP;
    }
    if (reason != null) {
      flags |= SHUT_DOWN | reason.ordinal() << SHUTDOWN_SHIFT;
    }
    flags |= domain.isPaused() ? PAUSED : 0;
    flags |= online.stream().anyMatch(VirtualCpu::isRunnable) ? 0 : BLOCKED;
    flags |= online.stream().anyMatch(v -> v.runningOn() >= 0) ? RUNNING : 0;
    s.put16(at, domain.id());
    s.put32(at + 4, flags);
    s.put64(at + 8, domain.pages());
    s.put64(at + 16, domain.maxPages());
    s.put64(at + 24, 0);
    s.put64(at + 32, 0);
    s.put64(at + 40, 0);
    // Translated guests put the shared page where they like.
    s.put64(at + 48, domain.kind().isTranslated() ? -1 : domain.sharedInfoFrame());
    s.put64(at + 56, domain.cpuNanos());
    s.put32(at + 64, online.size());
    s.put32(at + 68, domain.vcpus().size() - 1);
    s.put32(at + 72, 0);
    UUID uuid = domain.config().uuid();
    s.put64(at + 76, Long.reverseBytes(uuid.getMostSignificantBits()));
    s.put64(at + 84, Long.reverseBytes(uuid.getLeastSignificantBits()));
    s.put32(at + 92, 0);
    s.put8(at + 96, 40);
    s.put32(at + 104, emulated(domain.kind()));
    s.put32(at + 108, 0);
  }

  private static VirtualCpu vcpu(Domain domain, Structure s) throws Call.Refused {
    if (s.u32(U) >= domain.vcpus().size()) {
      throw new Call.Refused(Errno.ESRCH);
    }
    return domain.vcpus().get((int) s.u32(U));
  }

  /** {@code struct xen_domctl_getvcpuinfo}. */
  private static long vcpuInfo(Domain domain, Structure s) throws Call.Refused {
    VirtualCpu vcpu = vcpu(domain, s);
    s.put8(U + 4, vcpu.isOnline() ? 1 : 0);
    s.put8(U + 5, vcpu.isRunnable() ? 0 : 1);
    s.put8(U + 6, vcpu.runningOn() >= 0 ? 1 : 0);
    s.put64(U + 8, vcpu.usedNanos());
    s.put32(U + 16, Math.max(0, vcpu.lastRanOn()));
    return 0;
  }

  /** All vCPUs were made with the domain. */
  private static long maxVcpus(Domain domain, Structure s) {
    return s.u32(U) == domain.vcpus().size() ? 0 : Errno.EINVAL;
  }

  // ---- Scheduling -------------------------------------------------------------------------

  /** {@code struct xen_domctl_vcpuaffinity}: vCPU, which of both, where it may and should run. */
  private static long setAffinity(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer, Call.Refused {
    VirtualCpu vcpu = vcpu(domain, s);
    long flags = s.u32(U + 4);
    long hard = vcpu.hardAffinity();
    long soft = vcpu.softAffinity();
    if ((flags & AFFINITY_HARD) != 0) {
      hard = SysctlCalls.bitmap(call, s, U + 8);
      if (hard == 0) {
        return Errno.EINVAL;
      }
    }
    if ((flags & AFFINITY_SOFT) != 0) {
      soft = SysctlCalls.bitmap(call, s, U + 24);
    }
    vcpu.setAffinity(hard, soft);
    putAffinity(call, s, hard, hard & soft);
    return 0;
  }

  private static long affinity(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer, Call.Refused {
    VirtualCpu vcpu = vcpu(domain, s);
    putAffinity(call, s, vcpu.hardAffinity(), vcpu.softAffinity());
    return 0;
  }

  private static void putAffinity(Call call, Structure s, long hard, long soft)
      throws GuestArguments.BadPointer {
    if ((s.u32(U + 4) & AFFINITY_HARD) != 0) {
      SysctlCalls.putBitmap(call, s, U + 8, hard);
    }
    if ((s.u32(U + 4) & AFFINITY_SOFT) != 0) {
      SysctlCalls.putBitmap(call, s, U + 24, soft);
    }
  }

  /** {@code struct xen_domctl_scheduler_op}: scheduler, put or get, weight, cap. */
  private static long scheduler(Domain domain, Structure s) {
    if (s.u32(U) != SysctlCalls.CREDIT2) {
      return Errno.EINVAL;
    }
    switch (s.i32(U + 4)) {
      case 0 -> {
        if (s.u16(U + 8) != 0) {
          domain.setWeight(s.u16(U + 8));
        }
        if (s.u16(U + 10) != 0xffff) {
          domain.setCap(s.u16(U + 10));
        }
      }
      case 1 -> {
        s.put16(U + 8, domain.weight());
        s.put16(U + 10, domain.cap());
      }
      default -> {
        return Errno.EINVAL;
      }
    }
    return 0;
  }

  /** There is one node. */
  private static long setNodeAffinity(Call call, Structure s)
      throws GuestArguments.BadPointer {
    return (SysctlCalls.bitmap(call, s, U) & 1) != 0 ? 0 : Errno.EINVAL;
  }

  private static long nodeAffinity(Call call, Structure s) throws GuestArguments.BadPointer {
    SysctlCalls.putBitmap(call, s, U, 1);
    return 0;
  }

  // ---- Memory -----------------------------------------------------------------------------

  private static long setMaxMemory(Domain domain, Structure s) {
    long kib = s.u64(U);
    if (kib < 0 || kib > 1L << 40) {
      return Errno.EINVAL;
    }
    domain.setMaxPages(kib * 1024 / PAGE);
    return 0;
  }

  /** {@code struct xen_domctl_getpageframeinfo3}: frame numbers, which are replaced by types. */
  private static long pageTypes(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    if (s.u64(U) < 0 || s.u64(U) > MOST_PAGE_TYPES) {
      return Errno.E2BIG;
    }
    Structure all = call.memory().read(s.u64(U + 8), 8 * (int) s.u64(U));
    for (int i = 0; i < s.u64(U); i++) {
      all.put64(8 * i, pageType(domain, all.u64(8 * i)));
    }
    call.memory().write(s.u64(U + 8), all);
    return 0;
  }

  /** What a page is: for PV domains, which name frames, the level of a table, and whether pinned. */
  private static long pageType(Domain domain, long page) {
    if (!domain.ownsPage(page)) {
      return NO_PAGE;
    }
    if (domain.pv() == null) {
      return 0;
    }
    int frame = (int) page;
    return (long) domain.pv().level(frame) << TYPE_SHIFT
        | (domain.pv().isPinned(frame) ? PINNED : 0);
  }

  /** Fills a page of the guest's own with code for hypercalls. */
  private static long hypercallPage(Domain domain, Structure s) {
    long page = s.u64(U);
    if (!domain.ownsPage(page) || domain.pv() != null && domain.pv().level((int) page) != 0) {
      return Errno.EINVAL;
    }
    domain.memory().write(page * PAGE, domain.hypercallPage());
    return 0;
  }

  /** Memory for the tables that translate addresses, of which there are none to be paid for. */
  private static long pagingPool(Domain domain, Structure s) {
    s.put64(U, 0);
    return domain.kind().isTranslated() ? 0 : Errno.EOPNOTSUPP;
  }

  private static long setPagingPool(Domain domain, Structure s) {
    return domain.kind().isTranslated() && s.u64(U) % PAGE == 0 ? 0 : Errno.EINVAL;
  }

  // ---- CPUs -------------------------------------------------------------------------------

  private static long addressSize(Domain domain, Structure s) {
    s.put32(U, 64);
    return domain.kind().isTranslated() ? Errno.EINVAL : 0;
  }

  /** Only kernels of 64 bits can be PV guests. */
  private static long setAddressSize(Domain domain, Structure s) {
    return domain.kind().isTranslated() || s.u32(U) != 64 ? Errno.EINVAL : 0;
  }

  /** {@code struct xen_domctl_tsc_info}: mode, frequency, how often it changed, what has passed. */
  private static long tscInfo(Domain domain, Structure s) {
    s.put32(U, 0);
    s.put32(U + 4, (int) (domain.host().tscHertz() / 1000));
    s.put32(U + 8, 0);
    s.put64(U + 16, domain.host().clock().nanos() - domain.createdNanos());
    return 0;
  }

  /** The counter is the host's; of the modes those that leave it so can be had. */
  private static long setTscInfo(Structure s) {
    return s.u32(U) == 0 || s.u32(U) == 2 ? 0 : Errno.EOPNOTSUPP;
  }

  /** {@code struct xen_domctl_hvmcontext}: size, buffer; without a buffer, the size alone. */
  private long context(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    if (!domain.kind().isTranslated() || domain == call.domain) {
      return Errno.EINVAL;
    }
    byte[] saved = HvmContext.save(domain, maker.cpuModel());
    if (s.u64(U + 8) != 0) {
      if (s.u32(U) < saved.length) {
        return Errno.ENOSPC;
      }
      call.memory().write(s.u64(U + 8), saved, 0, saved.length);
    }
    s.put32(U, saved.length);
    return 0;
  }

  private static long setContext(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    if (!domain.kind().isTranslated() || domain == call.domain || s.u32(U) > MOST_CONTEXT) {
      return Errno.EINVAL;
    }
    byte[] saved = new byte[(int) s.u32(U)];
    call.memory().read(s.u64(U + 8), saved, saved.length);
    return HvmContext.load(domain, saved);
  }

  /** {@code struct xen_domctl_cpu_policy}: leaves, MSRs, where both are, what was wrong. */
  private long cpuPolicy(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    CpuModel policy =
        domain.cpuidFilter() instanceof CpuPolicy own ? own : maker.cpuModel();
    s.put32(U + 4, s.u64(U + 16) == 0 ? 2 : 0);
    return CpuPolicy.give(call, s, U, U + 8, CpuPolicy.leaves(policy));
  }

  private long setCpuPolicy(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    if (s.u32(U) > CpuPolicy.MAX_LEAVES) {
      return Errno.E2BIG;
    }
    if (s.u32(U + 4) > MOST_MSRS || domain == call.domain) {
      return Errno.EINVAL;
    }
    int msrs = (int) s.u32(U + 4);
    Structure values = call.memory().read(s.u64(U + 16), MSR_SIZE * msrs);
    for (int i = 0; i < msrs; i++) {
      // Of features that are told by MSRs there are none, so none can be given.
      if (values.u64(MSR_SIZE * i + 8) != 0) {
        return Errno.EINVAL;
      }
    }
    int count = (int) s.u32(U);
    Structure all = call.memory().read(s.u64(U + 8), CpuPolicy.Leaf.SIZE * count);
    domain.setCpuidFilter(CpuPolicy.read(maker.cpuModel(), all, count));
    return 0;
  }
}

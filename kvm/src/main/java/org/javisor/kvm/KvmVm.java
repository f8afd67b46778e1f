package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.time.Clock;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmDevice;
import org.javisor.kvm.host.KvmDevice.CpuidEntry;
import org.javisor.kvm.host.KvmFd;
import org.javisor.memory.GuestMemory;

/**
 * A virtual machine of {@code /dev/kvm}.
 *
 * <p>Beyond the seam it offers what only KVM has, for devices that want it: interrupts and
 * doorbells as event file descriptors ({@link #interrupts}, {@link #doorbells}), the log of written
 * pages, and the clock that the kernel shows to guests.
 */
public final class KvmVm implements Vm {
  // Where Intel CPUs without "unrestricted guest" put what they need for real mode: four pages below
  // the firmware's window that no device and no RAM of the PC uses.
  private static final long IDENTITY_MAP = 0xfeff_c000L;
  private static final long TASK_STATE = 0xfeff_d000L;

  private static final int MSR_TSC_DEADLINE = 0x6e0;

  /** KVM_CAP_X86_USER_SPACE_MSR: hand over accesses that are invalid, unknown or filtered. */
  private static final int MSR_EXITS = 1 | 2 | 4;

  private static final int MSR_FILTER_SIZE = 392;

  private final KvmFd fd;
  private final GuestMemory memory;
  private final GuestBus bus;
  private final CpuModel model;
  private final Trace trace;
  private final IrqChip irqChip;
  private final int sharedSize;
  private final List<CpuidEntry> supportedCpuid;
  private final List<Integer> transferableMsrs;
  private final long tscHertz;
  private final boolean msrExits;
  private final RunGate gate = new RunGate();
  private final MemorySlots slots;
  private final KvmInterrupts interrupts;
  private final KvmDoorbells doorbells;
  private final List<KvmVcpu> vcpus = new CopyOnWriteArrayList<>();
  private final Arena arena = Arena.ofShared();
  private final GuestMemory.MapListener mapListener;
  private final KernelState kernelState;
  private final TscReference tscReference;

  KvmVm(
      KvmDevice device,
      GuestMemory memory,
      GuestBus bus,
      CpuModel model,
      Clock clock,
      Trace trace,
      IrqChip irqChip,
      long tscHertz) {
    this.memory = memory;
    this.bus = bus;
    this.model = model;
    this.trace = trace;
    this.irqChip = irqChip;
    this.tscHertz = tscHertz;
    tscReference = new TscReference(clock, tscHertz);
    sharedSize = device.sharedSize();
    supportedCpuid = device.supportedCpuid();
    transferableMsrs = device.transferableMsrs();
    fd = device.createVm();
    slots =
        new MemorySlots(
            fd,
            memory,
            Math.max(32, fd.extension(KvmAbi.CAP_NR_MEMSLOTS)),
            action -> gate.withoutGuests(vcpus, action));
    mapListener = slots::update;
    try {
      placeRealModeHelpers();
      interrupts = new KvmInterrupts(fd, irqChip);
      if (irqChip == IrqChip.KERNEL) {
        interrupts.createChips();
      }
      msrExits = enableMsrExits();
      doorbells = new KvmDoorbells(fd);
      kernelState = new KernelState(this);
      memory.addMapListener(mapListener);
    } catch (RuntimeException e) {
      memory.removeMapListener(mapListener);
      fd.close();
      arena.close();
      throw e;
    }
  }

  private void placeRealModeHelpers() {
    MemorySegment address = arena.allocateFrom(JAVA_LONG, IDENTITY_MAP);
    fd.must("KVM_SET_IDENTITY_MAP_ADDR", KvmAbi.SET_IDENTITY_MAP_ADDR, address);
    fd.must("KVM_SET_TSS_ADDR", KvmAbi.SET_TSS_ADDR, TASK_STATE);
  }

  private void enable(String name, int capability, long argument) {
    fd.must("KVM_ENABLE_CAP of " + name, KvmAbi.ENABLE_CAP, capability(capability, argument));
  }

  /** struct kvm_enable_cap: capability, flags, arguments. */
  private MemorySegment capability(int capability, long argument) {
    MemorySegment request = arena.allocate(104, 8);
    request.set(JAVA_INT, 0, capability);
    request.set(JAVA_LONG, 8, argument);
    return request;
  }

  /**
   * Asks for registers that KVM does not know or that belong to the platform.
   *
   * @return whether the local APIC can have x2APIC and TSC-deadline registers: the platform's if its
   *     registers are asked for, the kernel's if it says so
   */
  private boolean enableMsrExits() {
    boolean kernels =
        irqChip == IrqChip.KERNEL && fd.extension(KvmAbi.CAP_TSC_DEADLINE_TIMER) != 0;
    if (fd.extension(KvmAbi.CAP_X86_USER_SPACE_MSR) == 0
        || fd.extension(KvmAbi.CAP_X86_MSR_FILTER) == 0) {
      return kernels;
    }
    enable("KVM_CAP_X86_USER_SPACE_MSR", KvmAbi.CAP_X86_USER_SPACE_MSR, MSR_EXITS);
    if (irqChip == IrqChip.USER) {
      // KVM answers the deadline register itself, with 0, even where it has no local APIC. The
      // x2APIC registers need no filter: without a local APIC they are invalid.
      MemorySegment bitmap = arena.allocate(8, 8);
      MemorySegment filter = arena.allocate(MSR_FILTER_SIZE, 8);
      filter.set(JAVA_INT, 8, 3); // reads and writes
      filter.set(JAVA_INT, 12, 1);
      filter.set(JAVA_INT, 16, MSR_TSC_DEADLINE);
      filter.set(JAVA_LONG, 24, bitmap.address());
      fd.must("KVM_X86_SET_MSR_FILTER", KvmAbi.X86_SET_MSR_FILTER, filter);
    }
    return irqChip == IrqChip.USER || kernels;
  }

  @Override
  public GuestMemory memory() {
    return memory;
  }

  GuestBus bus() {
    return bus;
  }

  /** Who has its interrupt controllers. */
  public IrqChip irqChip() {
    return irqChip;
  }

  Trace trace() {
    return trace;
  }

  long tscHertz() {
    return tscHertz;
  }

  RunGate gate() {
    return gate;
  }

  List<Integer> transferableMsrs() {
    return transferableMsrs;
  }

  TscReference tscReference() {
    return tscReference;
  }

  @Override
  public KvmVcpu createVcpu(int id, VcpuPlatform platform) {
    KvmFd vcpuFd = new KvmFd(fd.must("KVM_CREATE_VCPU", KvmAbi.CREATE_VCPU, id));
    try {
      setCpuid(vcpuFd, cpuid(id));
      KvmVcpu vcpu = new KvmVcpu(this, id, platform, vcpuFd, sharedSize, arena);
      vcpu.reset();
      vcpus.add(vcpu);
      return vcpu;
    } catch (RuntimeException e) {
      vcpuFd.close();
      throw e;
    }
  }

  /** The CPUID answers of a vCPU. */
  List<CpuidEntry> cpuid(int id) {
    return new KvmCpuid(model, supportedCpuid, tscHertz, irqChip == IrqChip.KERNEL, msrExits)
        .table(id);
  }

  /** Gives a vCPU its CPUID answers; before it runs. */
  static void setCpuid(KvmFd vcpu, List<CpuidEntry> table) {
    try (Arena local = Arena.ofConfined()) {
      vcpu.must("KVM_SET_CPUID2", KvmAbi.SET_CPUID2, KvmCpuid.structure(table, local));
    }
  }

  /** Those that were created, in that order. */
  public List<KvmVcpu> vcpus() {
    return List.copyOf(vcpus);
  }

  /** Interrupts by line, message and event file descriptor. */
  public KvmInterrupts interrupts() {
    return interrupts;
  }

  /** Guest writes that become signals of an event file descriptor. */
  public KvmDoorbells doorbells() {
    return doorbells;
  }

  /** How many memory slots the machine's map takes. */
  public int memorySlots() {
    return slots.count();
  }

  /**
   * Begins or ends the log of pages that vCPUs write. What devices of this process write through
   * {@link GuestMemory} is not in it.
   */
  public void setDirtyLog(boolean on) {
    slots.setLogging(on);
  }

  /** Takes the guest frame numbers written since the last time; may hold a few that were not. */
  public BitSet takeDirtyPages() {
    return slots.takeDirty();
  }

  /** The nanoseconds that kvm-clock shows the guest. */
  public long guestClock() {
    try (Arena local = Arena.ofConfined()) {
      MemorySegment data = local.allocate(48, 8);
      fd.must("KVM_GET_CLOCK", KvmAbi.GET_CLOCK, data);
      return data.get(JAVA_LONG, 0);
    }
  }

  /** Sets what kvm-clock shows from now on, as after a pause that the guest is not to see. */
  public void setGuestClock(long nanos) {
    try (Arena local = Arena.ofConfined()) {
      MemorySegment data = local.allocate(48, 8);
      data.set(JAVA_LONG, 0, nanos);
      fd.must("KVM_SET_CLOCK", KvmAbi.SET_CLOCK, data);
    }
  }

  @Override
  public void pause() {
    tscReference.forget();
    kernelState.pause();
  }

  @Override
  public void resume() {
    kernelState.resume();
  }

  @Override
  public void addParts(Map<String, Snapshottable<?>> parts) {
    kernelState.addParts(parts);
  }

  @Override
  public void close() {
    memory.removeMapListener(mapListener);
    vcpus.forEach(KvmVcpu::close);
    fd.close();
    arena.close();
  }
}

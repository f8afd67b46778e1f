package org.javisor.conformance.guest;

import java.util.HexFormat;
import java.util.function.LongConsumer;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * 64-bit code at CPL 3 in a machine of some memory that is mapped onto itself. At {@link #DEVICE} is
 * a device that hands on what is written to it. A page fault ends at a HLT in ring 0. The same on
 * every accelerator, and for up to {@value #MAX_VCPUS} vCPUs.
 */
public final class FlatGuest implements EmptyBus, BarePlatform {
  public static final int MAX_VCPUS = 8;

  public static final long CODE = 0x1_0000;
  public static final long DATA = 0x2_0000;

  /** Where memory of the test's own begins, if there is more than {@link #SMALL}. */
  public static final long FREE = 0x20_0000;

  /** The device. */
  public static final long DEVICE = 0x3fe0_0000L;

  /** Not mapped: who touches it ends. */
  public static final long NOWHERE = 0x4000_0000L;

  /** Enough for code and a little data. */
  public static final long SMALL = 2 << 20;

  private static final long PAGE = 2 << 20;
  private static final long PML4 = 0x1000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;
  private static final long GDT = 0x6000;
  private static final long IDT = 0x7000;
  private static final long TSS = 0x9000;
  private static final long TSS_SIZE = 0x80;
  private static final long HANDLER = 0xa000;
  private static final long KERNEL_STACK = 0xf000;
  private static final long USER_STACK = 0x1_f000;
  private static final long STACK_SIZE = 0x800;

  private LongConsumer device = value -> {};
  private final GuestMemory memory;

  public FlatGuest(String hexCode) {
    this(SMALL);
    memory.write(CODE, HexFormat.of().parseHex(hexCode));
  }

  /**
   * A guest without code as yet.
   *
   * @param ram bytes, a multiple of 2 MiB
   */
  public FlatGuest(long ram) {
    memory = new GuestMemory(new FrameArena(ram));
    memory.mapRam(0, ram);
    memory.write64(PML4, PDPT | 7);
    memory.write64(PDPT, PD | 7);
    for (long at = 0; at < ram; at += PAGE) {
      map(at);
    }
    map(DEVICE);
    memory.write64(GDT + 8, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + 0x18, 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + 0x20, 0x00af_fb00_0000_ffffL);
    memory.write64(IDT + 14 * 16, HANDLER & 0xffff | 8L << 16 | 0x8e00L << 32);
    for (int i = 0; i < MAX_VCPUS; i++) {
      memory.write64(TSS + i * TSS_SIZE + 4, KERNEL_STACK - i * STACK_SIZE);
    }
    memory.write8(HANDLER, 0xf4);
  }

  /** Maps 2 MiB onto themselves for everybody. */
  private void map(long at) {
    memory.write64(PD + 8 * (at / PAGE), at | 0x87);
  }

  public GuestMemory memory() {
    return memory;
  }

  /** Hands what the guest writes to {@link #DEVICE} to someone, on the vCPU's thread. */
  public void onDeviceWrite(LongConsumer listener) {
    device = listener;
  }

  /** The state in which the code begins. */
  public CpuState start() {
    return start(0);
  }

  /** The same for one of several vCPUs: each has stacks of its own. */
  public CpuState start(int vcpu) {
    CpuState s = new CpuState();
    for (CpuState.Segment segment : s.segments()) {
      segment.set(0x1b, 0, -1, 0xc0f3);
    }
    s.cs.set(0x23, 0, -1, 0xa0fb);
    s.ldtr.set(0, 0, 0xffff, 0x82);
    s.tr.set(0x28, TSS + vcpu * TSS_SIZE, 0x67, 0x8b);
    s.gdtBase = GDT;
    s.gdtLimit = 0x3f;
    s.idtBase = IDT;
    s.idtLimit = 0xfff;
    s.cr0 = 0x8001_0033L;
    s.cr3 = PML4;
    s.cr4 = 0x620;
    s.efer = 0x501;
    s.dr[6] = 0xffff_0ff0L;
    s.dr[7] = 0x400;
    s.fxsave[0] = 0x7f;
    s.fxsave[1] = 0x03;
    s.fxsave[24] = (byte) 0x80;
    s.fxsave[25] = 0x1f;
    s.rip = CODE;
    s.gpr[4] = USER_STACK - vcpu * STACK_SIZE;
    return s;
  }

  @Override
  public void writeMmio(long gpa, int size, long value) {
    device.accept(value);
  }

  @Override
  public long apicBase() {
    return 0xfee0_0900L;
  }
}

package org.javisor.conformance;

import java.util.HexFormat;
import java.util.function.LongConsumer;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * 64-bit code at CPL 3 in a machine of 2 MiB that is mapped onto itself. Behind that is a device
 * that hands on what is written to it. A page fault ends at a HLT in ring 0. The same on every
 * accelerator.
 */
final class FlatGuest implements EmptyBus, BarePlatform {
  static final long CODE = 0x1_0000;
  static final long DATA = 0x2_0000;

  /** The device. */
  static final long DEVICE = 0x20_0000;

  /** Not mapped: who touches it ends. */
  static final long NOWHERE = 0x4000_0000L;

  private static final long RAM = 2 << 20;
  private static final long PML4 = 0x1000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;
  private static final long GDT = 0x6000;
  private static final long IDT = 0x7000;
  private static final long TSS = 0x9000;
  private static final long HANDLER = 0xa000;
  private static final long KERNEL_STACK = 0xf000;
  private static final long USER_STACK = 0x1_f000;

  private LongConsumer device = value -> {};
  private final GuestMemory memory = new GuestMemory(new FrameArena(RAM));

  FlatGuest(String hexCode) {
    memory.mapRam(0, RAM);
    memory.write64(PML4, PDPT | 7);
    memory.write64(PDPT, PD | 7);
    memory.write64(PD, 0x87); // 2 MiB for everybody
    memory.write64(PD + 8, DEVICE | 0x87);
    memory.write64(GDT + 8, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + 0x18, 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + 0x20, 0x00af_fb00_0000_ffffL);
    memory.write64(IDT + 14 * 16, HANDLER & 0xffff | 8L << 16 | 0x8e00L << 32);
    memory.write64(TSS + 4, KERNEL_STACK);
    memory.write8(HANDLER, 0xf4);
    memory.write(CODE, HexFormat.of().parseHex(hexCode));
  }

  GuestMemory memory() {
    return memory;
  }

  /** Hands what the guest writes to {@link #DEVICE} to someone, on the vCPU's thread. */
  void onDeviceWrite(LongConsumer listener) {
    device = listener;
  }

  /** The state in which the code begins. */
  CpuState start() {
    CpuState s = new CpuState();
    for (CpuState.Segment segment : s.segments()) {
      segment.set(0x1b, 0, -1, 0xc0f3);
    }
    s.cs.set(0x23, 0, -1, 0xa0fb);
    s.ldtr.set(0, 0, 0xffff, 0x82);
    s.tr.set(0x28, TSS, 0x67, 0x8b);
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
    s.gpr[4] = USER_STACK;
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

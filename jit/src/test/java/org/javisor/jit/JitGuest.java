package org.javisor.jit;

import java.util.HexFormat;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.CpuModels;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * vCPUs that run translated kernel code round by round: each round begins behind one HLT and ends
 * with the next, so that what was translated, linked and looked up in one is there in the next.
 *
 * <p>Linear addresses of the first 2 MiB are physical ones, by pages of 4 KiB, in two address spaces
 * ({@link #PML4} and {@link #OTHER_PML4}).
 */
final class JitGuest implements AutoCloseable {
  static final long PML4 = 0x1000;
  static final long OTHER_PML4 = 0x5000;
  private static final long GDT = 0xa000;
  private static final long IDT = 0xb000;
  private static final long HANDLERS = 0xc000;
  static final long STACK = 0x1_f000;
  static final long CODE = 0x2_0000;

  /** Where the function under test is mapped, and two frames to map there. */
  static final long FUNCTION = 0x4_0000;

  static final long FRAME_A = 0x5_0000;
  static final long FRAME_B = 0x6_0000;
  static final long DATA = 0x8_0000;

  static final int CR4_PGE = 1 << 7;
  static final int CR4_PCIDE = 1 << 17;
  static final int GLOBAL = 1 << 8;

  final GuestMemory memory = new GuestMemory(new FrameArena(1 << 20));
  private final Vm vm;
  final CpuState start = new CpuState();
  private final Vcpu vcpu;
  volatile boolean interrupt;

  JitGuest() {
    this(new JitAccelerator());
  }

  JitGuest(Accelerator accelerator) {
    memory.mapRam(0, 1 << 20);
    vm =
        accelerator
            .createVm(
                memory, new EmptyBus() {}, CpuModels.of("x86-64-v3", 1), Clock.host(), Trace.NONE);
    for (long top : new long[] {PML4, OTHER_PML4}) {
      memory.write64(top, top + 0x1000 | 0x67);
      memory.write64(top + 0x1000, top + 0x2000 | 0x67);
      memory.write64(top + 0x2000, top + 0x3000 | 0x67);
      for (long page = 0; page < 1 << 20; page += 4096) {
        map(top, page, page | 0x63);
      }
    }
    memory.write64(GDT + 0x08, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00cf_9300_0000_ffffL);
    for (int i = 0; i < 256; i++) {
      long handler = HANDLERS + 4L * i;
      memory.write64(IDT + 16L * i, handler & 0xffff | 0x08L << 16 | 0x8e00L << 32);
      memory.write8(handler, 0xf4);
    }
    start.cr0 = 0x8001_0033L;
    start.cr3 = PML4;
    start.cr4 = 0x6a0; // PAE, PGE, OSFXSR, OSXMMEXCPT
    start.efer = 0xd01;
    start.gdtBase = GDT;
    start.gdtLimit = 0x1f;
    start.idtBase = IDT;
    start.idtLimit = 0xfff;
    start.cs.set(0x08, 0, -1, 0xa09b);
    for (CpuState.Segment data : new CpuState.Segment[] {start.ss, start.ds, start.es}) {
      data.set(0x10, 0, -1, 0xc093);
    }
    start.gpr[4] = STACK;
    start.fxsave[0] = 0x7f;
    start.fxsave[1] = 3;
    start.fxsave[24] = (byte) 0x80;
    start.fxsave[25] = 0x1f;
    start.rip = CODE;
    vcpu = createVcpu(0);
  }

  Vcpu createVcpu(int id) {
    return vm.createVcpu(
        id,
        new BarePlatform() {
          @Override
          public boolean hasInterrupt() {
            return interrupt;
          }

          @Override
          public int acknowledgeInterrupt() {
            interrupt = false;
            return 0x40;
          }
        });
  }

  /** Maps a page in an address space; the entry is one of {@code top}'s only table. */
  void map(long top, long linear, long entry) {
    memory.write64(top + 0x3000 + (linear >>> 12) * 8, entry);
  }

  void code(long at, String hex) {
    memory.write(at, HexFormat.of().parseHex(hex.replace(" ", "")));
  }

  /** mov eax, value; ret. */
  static String returning(int value) {
    return "b8 %02x 00 00 00 c3".formatted(value);
  }

  /** call from, as at an address, to another. */
  static String call(long from, long to) {
    int distance = Integer.reverseBytes((int) (to - from - 5));
    return "e8 %08x".formatted(distance);
  }

  /** Begins at {@link #start}, to the first HLT. */
  CpuState first() {
    vcpu.setState(start);
    return toHalt(vcpu);
  }

  /** Goes on behind the HLT to the next one. */
  CpuState next() {
    vcpu.unhalt();
    return toHalt(vcpu);
  }

  Vcpu vcpu() {
    return vcpu;
  }

  static CpuState toHalt(Vcpu vcpu) {
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    if (!(exit instanceof VmExit.Halt)) {
      throw new AssertionError("ended with " + exit);
    }
    return vcpu.state();
  }

  /** The vector whose handler has halted. */
  static int vector(CpuState s) {
    return (int) (s.rip - 1 - HANDLERS) >> 2;
  }

  @Override
  public void close() {
    vm.close();
  }
}

package org.javisor.interp;

import java.util.HexFormat;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * A vCPU in 64-bit mode for tests of single instructions at CPL 0 or 3. Linear addresses are
 * physical ones: the first 2 MiB belong to the supervisor, the next to the user, each mapped by 4
 * KiB pages whose entries a test may change. Every exception halts; what runs through meets INT3.
 */
final class Bench {
  static final long KERNEL_CODE = 0x1_0000;
  static final long KERNEL_DATA = 0x2_0000;
  static final long USER_CODE = 0x20_0000;
  static final long USER_DATA = 0x21_0000;

  /** Another frame with other contents, to map in place of one of the above. */
  static final long OTHER = 0x30_0000;

  static final int NONE = -1;

  private static final long PML4 = 0x1000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;
  private static final long PT = 0x4000; // and 0x5000
  static final long GDT = 0x6000;
  private static final long IDT = 0x7000;
  private static final long HANDLERS = 0x8000;
  private static final long TSS = 0x9000;
  private static final long STACK = 0xf000;

  static final int CR4_START = 0x6a0; // PGE, PAE, OSFXSR, OSXMMEXCPT

  final GuestMemory memory = new GuestMemory(new FrameArena(4 << 20));
  final Vcpu vcpu;

  /** What the next {@link #run} starts with; tests change it. */
  final CpuState state = new CpuState();

  // What the last run came to.
  int vector;
  int errorCode;

  /** Relative to the code's first byte. */
  long rip;

  CpuState after;

  Bench(CpuModel model) {
    this(model, new InterpAccelerator());
  }

  Bench(CpuModel model, Accelerator accelerator) {
    this(model, accelerator, new BarePlatform() {});
  }

  Bench(CpuModel model, Accelerator accelerator, VcpuPlatform platform) {
    memory.mapRam(0, 4 << 20);
    vcpu =
        accelerator
            .createVm(memory, new EmptyBus() {}, model, Clock.host(), Trace.NONE)
            .createVcpu(0, platform);
    memory.write64(PML4, PDPT | 7);
    memory.write64(PDPT, PD | 7);
    memory.write64(PD, PT | 7);
    memory.write64(PD + 8, PT + 0x1000 | 7);
    for (int i = 0; i < 1024; i++) {
      map(i * 4096L, i * 4096L, i < 512 ? 3 : 7);
    }
    memory.write64(GDT + 0x08, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + 0x18, 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + 0x20, 0x00af_fb00_0000_ffffL);
    for (int i = 0; i < 256; i++) {
      long handler = HANDLERS + 16L * i;
      memory.write64(IDT + 16L * i, handler & 0xffff | 0x08L << 16 | 0xee00L << 32);
      memory.write8(handler, 0xf4);
    }
    memory.write64(TSS + 4, STACK);
    memory.write64(OTHER, 0x2222);
    state.cr0 = 0x8001_0033L;
    state.cr3 = PML4;
    state.cr4 = CR4_START;
    state.efer = 0xd01;
    state.gdtBase = GDT;
    state.gdtLimit = 0x3f;
    state.idtBase = IDT;
    state.idtLimit = 0xfff;
    state.tr.set(0x28, TSS, 0x67, 0x8b);
    state.fxsave[0] = 0x7f;
    state.fxsave[1] = 3;
    state.fxsave[24] = (byte) 0x80;
    state.fxsave[25] = 0x1f;
  }

  /** Sets the page-table entry of a page. */
  void map(long linear, long physical, long flags) {
    memory.write64(entry(linear), physical | flags);
  }

  static long entry(long linear) {
    return PT + (linear >>> 12) * 8;
  }

  /** Runs code, in hexadecimal, at CPL 0 or 3, to its end or an exception. */
  Bench run(int cpl, String hex) {
    byte[] code = HexFormat.of().parseHex(hex.replace(" ", "") + "cccc");
    long at = cpl == 0 ? KERNEL_CODE : USER_CODE;
    memory.write(at, code);
    state.cs.set(cpl == 0 ? 0x08 : 0x23, 0, -1, cpl == 0 ? 0xa09b : 0xa0fb);
    for (CpuState.Segment data : new CpuState.Segment[] {state.ss, state.ds, state.es}) {
      data.set(cpl == 0 ? 0x10 : 0x1b, 0, -1, cpl == 0 ? 0xc093 : 0xc0f3);
    }
    state.gpr[4] = cpl == 0 ? STACK - 0x800 : USER_DATA + 0x800;
    state.rip = at;
    vcpu.setState(state);
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    if (!(exit instanceof VmExit.Halt)) {
      throw new AssertionError("ended with " + exit);
    }
    after = vcpu.state();
    vector = (int) (after.rip - 1 - HANDLERS >> 4);
    boolean error = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
    long sp = after.gpr[4];
    errorCode = error ? (int) memory.read64(sp) : 0;
    rip = memory.read64(error ? sp + 8 : sp) - at;
    after.rflags = memory.read64((error ? sp + 8 : sp) + 16);
    if (vector == 3 && rip == code.length - 1) {
      vector = NONE;
    }
    return this;
  }
}

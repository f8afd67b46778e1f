package org.javisor.machine;

import java.util.HexFormat;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.CpuModels;
import org.javisor.jit.JitAccelerator;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * A guest of a few instructions, for who trains a cache of loaded classes: what a real guest's first second needs of the
 * translator has been loaded and linked when it halts.
 */
public final class SmallGuest {
  private static final int SIZE = 1 << 20;
  private static final long CODE = 0x8000;
  private static final long STACK = 0x7000;

  /**
   * A loop of loads, stores, pushes, a call, a division, a string instruction and SSE; then a
   * system register and HLT.
   */
  private static final String INSTRUCTIONS =
      "b910270000" // mov ecx, 10000
          + "50 4154 e819000000 415c 58" // push rax; push r12; call f; pop r12; pop rax
          + "ffc9 75ef" // dec ecx; jnz
          + "0f20d8 0f22d8" // mov rax, cr3; mov cr3, rax
          + "0fa2 0f31 0f01f8 fa f4" // cpuid; rdtsc; swapgs; cli; hlt
          + "9090909090"
          // f: mov [0x6000], rax; mov rdx, [0x6008]; xor edx, edx; mov eax, 9; mov ebx, 2; div ebx
          + "4889042500600000 488b142508600000 31d2 b809000000 bb02000000 f7f3"
          // mov edi, 0x6100; stosb; movups xmm0, [0x6200]; addps xmm0, xmm1; ret
          + "bf00610000 aa 0f10042500620000 0f58c1 c3";

  private SmallGuest() {}

  /** Has all that a translator and memory need of the host bound. */
  static void prepare() {
    if (JitAccelerator.unavailable().isPresent()) {
      return;
    }
    GuestMemory memory = new GuestMemory(new FrameArena(SIZE));
    try (Vm vm =
        new JitAccelerator()
            .createVm(
                memory, new EmptyBus() {}, CpuModels.of("x86-64-v2", 1), Clock.host(),
                Trace.NONE)) {
      vm.createVcpu(0, new BarePlatform() {});
    }
  }

  /** Runs it, if this host can translate. */
  public static void run() {
    if (JitAccelerator.unavailable().isPresent()) {
      return;
    }
    GuestMemory memory = new GuestMemory(new FrameArena(SIZE));
    memory.mapRam(0, SIZE);
    memory.write64(0x1000, 0x2003);
    memory.write64(0x2000, 0x3003);
    memory.write64(0x3000, 0x83); // 2 MiB as they are
    memory.write(CODE, HexFormat.of().parseHex(INSTRUCTIONS.replace(" ", "")));
    CpuState state = new CpuState();
    state.cs.set(8, 0, -1, 0xa09b);
    for (CpuState.Segment data : new CpuState.Segment[] {state.ss, state.ds, state.es}) {
      data.set(16, 0, -1, 0xc093);
    }
    state.tr.set(24, 0, 0x67, 0x8b);
    state.cr0 = 0x8001_0033L;
    state.cr3 = 0x1000;
    state.cr4 = 0x6a0;
    state.efer = 0xd01;
    state.gpr[4] = STACK;
    state.rip = CODE;
    try (Vm vm =
        new JitAccelerator()
            .createVm(
                memory, new EmptyBus() {}, CpuModels.of("x86-64-v2", 1), Clock.host(),
                Trace.NONE)) {
      Vcpu vcpu = vm.createVcpu(0, new BarePlatform() {});
      vcpu.setState(state);
      VmExit exit = vcpu.run();
      while (exit instanceof VmExit.Kicked) {
        exit = vcpu.run();
      }
    }
  }
}

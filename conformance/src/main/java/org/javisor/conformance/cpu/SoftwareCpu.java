package org.javisor.conformance.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Set;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.CpuModels;
import org.javisor.isa.CpuFeature;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * Runs a {@link CpuCase} on a vCPU of an accelerator, at CPL 3, with the same addresses mapped and
 * the same selectors as {@link HostCpu} has them: those of Linux. Every exception ends at a HLT of
 * its own in ring 0.
 */
public final class SoftwareCpu {
  /**
   * Where the kernel is mapped, in the high half, so that what the host has not mapped is not mapped
   * here either.
   */
  private static final long KERNEL = 0xffff_8000_0000_0000L;

  // Guest-physical layout.
  private static final long PML4 = 0x1000;
  private static final long KERNEL_PDPT = 0xa000;
  private static final long KERNEL_PD = 0xb000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;
  private static final long PT_WINDOW = 0x4000;
  private static final long PT_CODE = 0x5000;
  private static final long GDT = 0x6000;
  private static final long IDT = 0x7000;
  private static final long HANDLERS = 0x8000;
  private static final long TSS = 0x9000;
  private static final long KERNEL_STACK = 0xf000;
  private static final long CODE = 0x10000;
  private static final long WINDOW = 0x20000;

  private static final int USER_PAGE = 7;
  private static final long NX = Long.MIN_VALUE;
  private static final int CODE_OFFSET = (int) CpuCase.CODE_ADDRESS & 0xfff;
  private static final int USER_CS32 = 0x23;
  private static final int USER_DS = 0x2b;
  private static final int USER_CS64 = 0x33;

  private static final int CR4 = 0x620; // PAE, OSFXSR, OSXMMEXCPT
  private static final int CR4_FSGSBASE = 1 << 16;
  private static final int CR4_OSXSAVE = 1 << 18;

  private final GuestMemory memory;
  private final Vcpu vcpu;
  private final Set<CpuFeature> features;
  private final byte[] zeros = new byte[CpuCase.WINDOW_SIZE];
  private final byte[] window = new byte[CpuCase.WINDOW_SIZE];
  private final byte[] code = new byte[CpuCase.CODE_MAX];
  private boolean windowDirty = true;

  public SoftwareCpu(Accelerator accelerator, CpuModel model) {
    memory = new GuestMemory(new FrameArena(1 << 20));
    memory.mapRam(0, 1 << 20);
    features = CpuModels.features(model);
    vcpu =
        accelerator.createVm(memory, new EmptyBus() {}, model, Clock.host(), Trace.NONE)
            .createVcpu(0, new BarePlatform() {});
    tables();
  }

  private void tables() {
    memory.write64(PML4, PDPT | USER_PAGE);
    memory.write64(PDPT, PD | USER_PAGE);
    memory.write64(PML4 + 8 * 256, KERNEL_PDPT | 3);
    memory.write64(KERNEL_PDPT, KERNEL_PD | 3);
    memory.write64(KERNEL_PD, 0x83); // 2 MiB for the supervisor
    memory.write64(PD + 8 * (CpuCase.WINDOW_ADDRESS >> 21), PT_WINDOW | USER_PAGE);
    memory.write64(PD + 8 * (CpuCase.CODE_ADDRESS >> 21), PT_CODE | USER_PAGE);
    long windowPte = PT_WINDOW + 8 * (CpuCase.WINDOW_ADDRESS >> 12 & 511);
    memory.write64(windowPte, WINDOW | USER_PAGE | NX);
    memory.write64(windowPte + 8, WINDOW + 0x1000 | USER_PAGE | NX);
    memory.write64(PT_CODE + 8 * (CpuCase.CODE_ADDRESS >> 12 & 511), CODE | USER_PAGE);
    memory.write64(GDT + 0x08, 0x00cf_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x18, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + 0x20, 0x00cf_fb00_0000_ffffL);
    memory.write64(GDT + 0x28, 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + 0x30, 0x00af_fb00_0000_ffffL);
    memory.write64(GDT + 0x78, 0x0000_f500_0000_0000L); // Linux keeps the CPU's number as its limit
    for (int i = 0; i < 256; i++) {
      long handler = HANDLERS + 16L * i;
      boolean software = i == 3 || i == 4 || i == 0x80;
      long gate = software ? 0xee00 : 0x8e00;
      memory.write64(
          IDT + 16L * i,
          handler & 0xffff | 0x10L << 16 | gate << 32 | (KERNEL >>> 16 & 0xffff) << 48);
      memory.write64(IDT + 16L * i + 8, KERNEL >>> 32);
    }
    byte[] halts = new byte[0x1000];
    Arrays.fill(halts, (byte) 0xf4);
    memory.write(HANDLERS, halts);
    memory.write64(TSS + 4, KERNEL + KERNEL_STACK);
    memory.write16(TSS + 102, 0x68); // no I/O permission map
    byte[] breakpoints = new byte[0x1000];
    Arrays.fill(breakpoints, (byte) 0xcc);
    memory.write(CODE, breakpoints);
  }

  private CpuState initial(CpuCase input) {
    CpuState s = new CpuState();
    if (input.codeSize() == 64) {
      s.cs.set(USER_CS64, 0, -1, 0xa0fb);
    } else {
      s.cs.set(USER_CS32, 0, -1, 0xc0fb);
    }
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es}) {
      data.set(USER_DS, 0, -1, 0xc0f3);
    }
    s.fs.set(0, input.fsBase(), 0, 0);
    s.gs.set(0, input.gsBase(), 0, 0);
    s.tr.set(0x40, KERNEL + TSS, 0x67, 0x8b);
    s.gdtBase = KERNEL + GDT;
    s.gdtLimit = 0x7f;
    s.idtBase = KERNEL + IDT;
    s.idtLimit = 0xfff;
    s.cr0 = 0x8005_0033L;
    s.cr3 = PML4;
    s.cr4 = CR4;
    if (features.contains(CpuFeature.FSGSBASE)) {
      s.cr4 |= CR4_FSGSBASE;
    }
    if (features.contains(CpuFeature.XSAVE)) {
      s.cr4 |= CR4_OSXSAVE;
      s.xcr0 = features.contains(CpuFeature.AVX) ? 7 : 3;
    }
    s.efer = 0xd01;
    MemorySegment image = input.xsave();
    MemorySegment.copy(image, ValueLayout.JAVA_BYTE, 0, s.fxsave, 0, 512);
    MemorySegment.copy(image, ValueLayout.JAVA_BYTE, 576, s.ymmHigh, 0, 256);
    for (int i = 0; i < 16; i++) {
      s.gpr[i] = input.gpr(i);
    }
    s.rflags = input.rflags() & CpuCase.FLAGS | 0x202;
    s.rip = CpuCase.CODE_ADDRESS;
    return s;
  }

  /** Runs one case to its end; the result has what the input had and no case can change. */
  public void run(CpuCase input, CpuCase result) {
    int length = input.codeLength();
    Arrays.fill(code, (byte) 0xcc);
    input.code(code);
    memory.write(CODE + CODE_OFFSET, code);
    if (windowDirty) {
      memory.write(WINDOW, zeros);
    }
    MemorySegment data = input.memory();
    int from = input.memoryOffset();
    int bytes = (int) data.byteSize();
    MemorySegment.copy(data, ValueLayout.JAVA_BYTE, 0, window, 0, bytes);
    memory.write(WINDOW + from, window, 0, bytes);
    vcpu.setState(initial(input));
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    if (!(exit instanceof VmExit.Halt)) {
      throw new AssertionError("case ended with " + exit);
    }
    CpuState s = vcpu.state();
    result.copyFrom(input);
    finish(s, length, result);
    memory.read(WINDOW, window, 0, CpuCase.WINDOW_SIZE);
    MemorySegment.copy(window, from, result.memory(), ValueLayout.JAVA_BYTE, 0, bytes);
    boolean outside =
        Arrays.mismatch(window, 0, from, zeros, 0, from) >= 0
            || Arrays.mismatch(
                window, from + bytes, CpuCase.WINDOW_SIZE, zeros, from + bytes,
                CpuCase.WINDOW_SIZE) >= 0;
    result.wroteOutside(outside);
    memory.write(WINDOW + from, zeros, 0, bytes);
    windowDirty = outside;
  }

  /** Takes the state of the case from the frame that its end has left on the kernel's stack. */
  private void finish(CpuState s, int length, CpuCase result) {
    int vector = (int) (s.rip - 1 - KERNEL - HANDLERS >> 4);
    long sp = s.gpr[4] - KERNEL;
    boolean error = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
    int errorCode = error ? (int) memory.read64(sp) : 0;
    long frame = error ? sp + 8 : sp;
    long rip = memory.read64(frame) - CpuCase.CODE_ADDRESS;
    s.gpr[4] = memory.read64(frame + 24);
    if (vector == 3 && rip == length + 1) {
      vector = CpuCase.NO_EXCEPTION;
      rip = length;
    }
    result.exception(vector, errorCode, s.cr2);
    result.rip(rip);
    result.rflags(memory.read64(frame + 16) & CpuCase.FLAGS | 2);
    for (int i = 0; i < 16; i++) {
      result.gpr(i, s.gpr[i]);
    }
    result.fsBase(s.fs.base);
    result.gsBase(s.gs.base);
    MemorySegment image = result.xsave();
    MemorySegment.copy(s.fxsave, 0, image, ValueLayout.JAVA_BYTE, 0, 512);
    MemorySegment.copy(s.ymmHigh, 0, image, ValueLayout.JAVA_BYTE, 576, 256);
  }
}

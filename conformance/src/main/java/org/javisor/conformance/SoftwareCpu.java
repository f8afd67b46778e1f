package org.javisor.conformance;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * Runs a {@link CpuCase} on a vCPU of ours: 64-bit code at CPL 3, with the same addresses mapped as
 * {@link HostCpu} has them. Every exception ends at a HLT of its own in ring 0.
 */
public final class SoftwareCpu {
  // Guest-physical layout.
  private static final long PML4 = 0x1000;
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
  private static final int CODE_OFFSET = (int) CpuCase.CODE_ADDRESS & 0xfff;

  private final GuestMemory memory;
  private final Vcpu vcpu;
  private final byte[] zeros = new byte[CpuCase.WINDOW_SIZE];

  /** What a case came to; as {@link CpuCase} has it. */
  public record Result(
      int vector, int errorCode, long cr2, long rip, long rflags, long[] gpr, byte[] memory) {}

  public SoftwareCpu(Accelerator accelerator, CpuModel model) {
    memory = new GuestMemory(new FrameArena(1 << 20));
    memory.mapRam(0, 1 << 20);
    GuestBus bus =
        new GuestBus() {
          @Override
          public int readPort(int port, int size) {
            return -1;
          }

          @Override
          public void writePort(int port, int size, int value) {}

          @Override
          public long readMmio(long gpa, int size) {
            return -1;
          }

          @Override
          public void writeMmio(long gpa, int size, long value) {}
        };
    VcpuPlatform platform =
        new VcpuPlatform() {
          @Override
          public boolean hasInterrupt() {
            return false;
          }

          @Override
          public int acknowledgeInterrupt() {
            return -1;
          }

          @Override
          public int taskPriority() {
            return 0;
          }

          @Override
          public void setTaskPriority(int value) {}

          @Override
          public long apicBase() {
            return 0;
          }

          @Override
          public long readMsr(int msr) throws UnknownMsr {
            throw UnknownMsr.INSTANCE;
          }

          @Override
          public void writeMsr(int msr, long value) throws UnknownMsr {
            throw UnknownMsr.INSTANCE;
          }
        };
    vcpu =
        accelerator.createVm(memory, bus, model, Clock.host(), Trace.NONE).createVcpu(0, platform);
    tables();
  }

  private void tables() {
    memory.write64(PML4, PDPT | USER_PAGE);
    memory.write64(PDPT, PD | USER_PAGE);
    memory.write64(PD, 0x83); // 2 MiB for the supervisor
    memory.write64(PD + 8 * (CpuCase.WINDOW_ADDRESS >> 21), PT_WINDOW | USER_PAGE);
    memory.write64(PD + 8 * (CpuCase.CODE_ADDRESS >> 21), PT_CODE | USER_PAGE);
    long windowPte = PT_WINDOW + 8 * (CpuCase.WINDOW_ADDRESS >> 12 & 511);
    memory.write64(windowPte, WINDOW | USER_PAGE);
    memory.write64(windowPte + 8, WINDOW + 0x1000 | USER_PAGE);
    memory.write64(PT_CODE + 8 * (CpuCase.CODE_ADDRESS >> 12 & 511), CODE | 5);
    memory.write64(GDT + 8, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + 0x10, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + 0x18, 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + 0x20, 0x00af_fb00_0000_ffffL);
    for (int i = 0; i < 256; i++) {
      long handler = HANDLERS + 16L * i;
      memory.write64(IDT + 16L * i, handler & 0xffff | 0x08L << 16 | 0xee00L << 32);
    }
    byte[] halts = new byte[0x1000];
    Arrays.fill(halts, (byte) 0xf4);
    memory.write(HANDLERS, halts);
    memory.write64(TSS + 4, KERNEL_STACK);
    byte[] breakpoints = new byte[0x1000];
    Arrays.fill(breakpoints, (byte) 0xcc);
    memory.write(CODE, breakpoints);
  }

  private CpuState initial(CpuCase input) {
    CpuState s = vcpu.state();
    s.cs.set(0x23, 0, -1, 0xa0fb);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es}) {
      data.set(0x1b, 0, -1, 0xc0f3);
    }
    s.fs.set(0, 0, 0, 0);
    s.gs.set(0, 0, 0, 0);
    s.tr.set(0x28, TSS, 0x67, 0x8b);
    s.gdtBase = GDT;
    s.gdtLimit = 0x3f;
    s.idtBase = IDT;
    s.idtLimit = 0xfff;
    s.cr0 = 0x8001_0033L;
    s.cr3 = PML4;
    s.cr4 = 0x620;
    s.efer = 0xd01;
    System.arraycopy(
        input.xsave().asSlice(0, 512).toArray(ValueLayout.JAVA_BYTE), 0, s.fxsave, 0, 512);
    for (int i = 0; i < 16; i++) {
      s.gpr[i] = input.gpr(i);
    }
    s.rflags = input.rflags() & CpuCase.FLAGS | 0x202;
    s.rip = CpuCase.CODE_ADDRESS;
    return s;
  }

  /** Runs one case to its end. */
  public Result run(CpuCase input) {
    byte[] code = input.code();
    byte[] around = new byte[CpuCase.CODE_MAX];
    Arrays.fill(around, (byte) 0xcc);
    System.arraycopy(code, 0, around, 0, code.length);
    memory.write(CODE + CODE_OFFSET, around);
    memory.write(WINDOW, zeros);
    MemorySegment data = input.memory();
    memory.write(WINDOW + input.memoryOffset(), data.toArray(ValueLayout.JAVA_BYTE));
    vcpu.setState(initial(input));
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    if (!(exit instanceof VmExit.Halt)) {
      throw new AssertionError("case ended with " + exit);
    }
    CpuState s = vcpu.state();
    int vector = (int) (s.rip - 1 - HANDLERS >> 4);
    long sp = s.gpr[4];
    boolean error = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
    int errorCode = error ? (int) memory.read64(sp) : 0;
    long frame = error ? sp + 8 : sp;
    long rip = memory.read64(frame) - CpuCase.CODE_ADDRESS;
    s.gpr[4] = memory.read64(frame + 24);
    if (vector == 3 && rip == code.length + 1) {
      vector = CpuCase.NO_EXCEPTION;
    }
    byte[] after = new byte[(int) data.byteSize()];
    memory.read(WINDOW + input.memoryOffset(), after, 0, after.length);
    return new Result(
        vector, errorCode, s.cr2, rip, memory.read64(frame + 16), s.gpr, after);
  }
}

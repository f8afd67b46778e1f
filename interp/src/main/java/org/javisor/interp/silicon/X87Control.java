package org.javisor.interp.silicon;

import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/**
 * The x87 control instructions, EMMS, VZEROUPPER and VZEROALL: they move state and compute nothing.
 * Source: Intel SDM volume 1, sections 8.1 and 9.6; volume 2, the instructions' pages.
 */
public final class X87Control extends Prepared {
  private enum Control {
    FLDCW,
    FNSTCW,
    FNSTSW,
    FNSTSW_AX,
    FNCLEX,
    FNINIT,
    FLDENV,
    FNSTENV,
    FRSTOR,
    FNSAVE,
    NOTHING,
    EMMS,
    VZEROUPPER,
    VZEROALL
  }

  private static final int FOP = VcpuBlock.FX + 6;
  private static final int FTW = VcpuBlock.FX + 4;
  private static final int FIP = VcpuBlock.FX + 8;
  private static final int FDP = VcpuBlock.FX + 16;
  private static final int ES_B = 0x8080;
  private static final int EXCEPTIONS = 0x3f;

  private final Control control;
  private final int operandSize;
  private final int registers;

  private X87Control(Instruction in, Control control) {
    super(in);
    this.control = control;
    this.operandSize = in.operandSize;
    this.registers = in.codeSize == 64 ? 16 : 8;
  }

  /** Prepares a control instruction; null if it is none. */
  static X87Control of(Instruction in) {
    Control control =
        switch (in.form.mnemonic()) {
          case "fldcw" -> Control.FLDCW;
          case "fnstcw" -> Control.FNSTCW;
          case "fnstsw" -> in.isMemory() ? Control.FNSTSW : Control.FNSTSW_AX;
          case "fnclex" -> Control.FNCLEX;
          case "fninit" -> Control.FNINIT;
          case "fldenv" -> Control.FLDENV;
          case "fnstenv" -> Control.FNSTENV;
          case "frstor" -> Control.FRSTOR;
          case "fnsave" -> Control.FNSAVE;
          case "fneni", "fndisi", "fnsetpm" -> Control.NOTHING;
          case "emms" -> Control.EMMS;
          case "vzeroupper" -> Control.VZEROUPPER;
          case "vzeroall" -> Control.VZEROALL;
          default -> null;
        };
    return control == null ? null : new X87Control(in, control);
  }

  @Override
  public boolean waits() {
    return switch (control) {
      case FLDCW, FLDENV, FRSTOR, EMMS -> true;
      default -> false;
    };
  }

  @Override
  int run(long block) {
    if (waits() && SiliconUnit.x87Pending(block)) {
      return SiliconUnit.X87_EXCEPTION;
    }
    long memory = block + memoryOffset();
    switch (control) {
      case FLDCW -> loadControl(block, RawMemory.get16(memory));
      case FNSTCW -> RawMemory.put16(memory, RawMemory.get16(block + VcpuBlock.FCW));
      case FNSTSW -> RawMemory.put16(memory, RawMemory.get16(block + VcpuBlock.FSW));
      case FNSTSW_AX ->
          RawMemory.put16(block + VcpuBlock.GPR, RawMemory.get16(block + VcpuBlock.FSW));
      case FNCLEX ->
          RawMemory.put16(
              block + VcpuBlock.FSW, RawMemory.get16(block + VcpuBlock.FSW) & 0x7f00);
      case FNINIT -> {
        setTop(block, 0);
        initialize(block);
      }
      case FLDENV -> loadEnvironment(block, memory);
      case FNSTENV -> {
        storeEnvironment(block, memory);
        loadControl(block, RawMemory.get16(block + VcpuBlock.FCW) | EXCEPTIONS);
      }
      case FRSTOR -> {
        loadEnvironment(block, memory);
        long from = memory + (operandSize == 2 ? 14 : 28);
        for (int i = 0; i < 8; i++) {
          RawMemory.copy(from + 10 * i, block + VcpuBlock.ST + 16 * i, 10);
        }
      }
      case FNSAVE -> {
        storeEnvironment(block, memory);
        long to = memory + (operandSize == 2 ? 14 : 28);
        for (int i = 0; i < 8; i++) {
          RawMemory.copy(block + VcpuBlock.ST + 16 * i, to + 10 * i, 10);
        }
        setTop(block, 0);
        initialize(block);
      }
      case NOTHING -> {}
      case EMMS -> {
        // All registers empty, and as after any MMX instruction TOP is 0.
        setTop(block, 0);
        RawMemory.put16(block + FTW, 0);
      }
      case VZEROUPPER -> RawMemory.fill(block + VcpuBlock.YMM_HIGH, 16 * registers, 0);
      case VZEROALL -> {
        RawMemory.fill(block + VcpuBlock.XMM, 16 * registers, 0);
        RawMemory.fill(block + VcpuBlock.YMM_HIGH, 16 * registers, 0);
      }
    }
    return SiliconUnit.OK;
  }

  /** The state that FNINIT leaves, but for the contents of the registers. */
  public static void initialize(long block) {
    RawMemory.put16(block + VcpuBlock.FCW, 0x37f);
    RawMemory.put16(block + VcpuBlock.FSW, 0);
    RawMemory.put16(block + FTW, 0);
    RawMemory.put16(block + FOP, 0);
    RawMemory.put64(block + FIP, 0);
    RawMemory.put64(block + FDP, 0);
  }

  /** Sets the control word; reserved bits 15–13 and 7 read as 0, bit 6 as 1. */
  public static void loadControl(long block, int value) {
    RawMemory.put16(block + VcpuBlock.FCW, value & 0x1f3f | 0x40);
    int status = RawMemory.get16(block + VcpuBlock.FSW) & ~ES_B;
    boolean pending = (status & ~value & EXCEPTIONS) != 0;
    RawMemory.put16(block + VcpuBlock.FSW, pending ? status | ES_B : status);
  }

  /**
   * The physical registers stay where they are when TOP changes, and the image holds them in the
   * order of the stack: turn it.
   */
  static void setTop(long block, int top) {
    int status = RawMemory.get16(block + VcpuBlock.FSW);
    int turn = top - (status >> 11 & 7) & 7;
    if (turn != 0) {
      long st = block + VcpuBlock.ST;
      long[] old = new long[16];
      for (int i = 0; i < 16; i++) {
        old[i] = RawMemory.get64(st + 8 * i);
      }
      for (int i = 0; i < 16; i++) {
        RawMemory.put64(st + 8 * i, old[i + 2 * turn & 15]);
      }
    }
    RawMemory.put16(block + VcpuBlock.FSW, status & ~0x3800 | top << 11);
  }

  private static boolean realMode(long block) {
    return RawMemory.get32(block + SiliconArea.X87_REAL_MODE) != 0;
  }

  // The four formats: Intel SDM volume 1, figures 8-9 to 8-12. The selectors of the last
  // instruction and operand are not kept and stored as 0.

  private void storeEnvironment(long block, long to) {
    int control = RawMemory.get16(block + VcpuBlock.FCW);
    int status = RawMemory.get16(block + VcpuBlock.FSW);
    int tags = fullTags(block);
    int fop = RawMemory.get16(block + FOP) & 0x7ff;
    int fip = RawMemory.get32(block + FIP);
    int fdp = RawMemory.get32(block + FDP);
    boolean real = realMode(block);
    if (operandSize == 2) {
      RawMemory.put16(to, control);
      RawMemory.put16(to + 2, status);
      RawMemory.put16(to + 4, tags);
      RawMemory.put16(to + 6, fip);
      RawMemory.put16(to + 8, real ? fip >> 16 << 12 | fop : 0);
      RawMemory.put16(to + 10, fdp);
      RawMemory.put16(to + 12, real ? fdp >> 16 << 12 : 0);
      return;
    }
    RawMemory.put32(to, control | 0xffff_0000);
    RawMemory.put32(to + 4, status | 0xffff_0000);
    RawMemory.put32(to + 8, tags | 0xffff_0000);
    RawMemory.put32(to + 12, real ? fip & 0xffff | 0xffff_0000 : fip);
    RawMemory.put32(to + 16, real ? fip >>> 16 << 12 | fop : fop << 16);
    RawMemory.put32(to + 20, real ? fdp & 0xffff | 0xffff_0000 : fdp);
    RawMemory.put32(to + 24, real ? fdp >>> 16 << 12 : 0xffff_0000);
  }

  private void loadEnvironment(long block, long from) {
    boolean narrow = operandSize == 2;
    int step = narrow ? 2 : 4;
    int tags = RawMemory.get16(from + 2 * step);
    setTop(block, RawMemory.get16(from + step) >> 11 & 7);
    int abridged = 0;
    for (int i = 0; i < 8; i++) {
      if ((tags >> 2 * i & 3) != 3) {
        abridged |= 1 << i;
      }
    }
    RawMemory.put16(block + FTW, abridged);
    RawMemory.put16(block + VcpuBlock.FSW, RawMemory.get16(from + step));
    loadControl(block, RawMemory.get16(from));
    int ip = narrow ? RawMemory.get16(from + 6) : RawMemory.get32(from + 12);
    int ip2 = narrow ? RawMemory.get16(from + 8) : RawMemory.get32(from + 16);
    int dp = narrow ? RawMemory.get16(from + 10) : RawMemory.get32(from + 20);
    int dp2 = narrow ? RawMemory.get16(from + 12) : RawMemory.get32(from + 24);
    boolean real = realMode(block);
    int fop = 0;
    if (real) {
      fop = ip2 & 0x7ff;
      ip = ip & 0xffff | ip2 >>> 12 << 16;
      dp = dp & 0xffff | dp2 >>> 12 << 16;
    } else if (!narrow) {
      fop = ip2 >> 16 & 0x7ff;
    }
    RawMemory.put16(block + FOP, fop);
    RawMemory.put64(block + FIP, ip & 0xffff_ffffL);
    RawMemory.put64(block + FDP, dp & 0xffff_ffffL);
  }

  /** The two-bit tags that FNSTENV stores, from the abridged ones and the registers. */
  static int fullTags(long block) {
    int abridged = RawMemory.get8(block + FTW);
    int top = RawMemory.get16(block + VcpuBlock.FSW) >> 11 & 7;
    int tags = 0;
    for (int i = 0; i < 8; i++) {
      int tag = 3;
      if ((abridged >> i & 1) != 0) {
        long st = block + VcpuBlock.ST + 16 * (i - top & 7);
        long significand = RawMemory.get64(st);
        int exponent = RawMemory.get16(st + 8) & 0x7fff;
        if (exponent == 0) {
          tag = significand == 0 ? 1 : 2;
        } else {
          tag = exponent == 0x7fff || significand >= 0 ? 2 : 0;
        }
      }
      tags |= tag << 2 * i;
    }
    return tags;
  }
}

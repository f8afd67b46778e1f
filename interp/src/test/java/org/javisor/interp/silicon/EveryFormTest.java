package org.javisor.interp.silicon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Every row of the table that runs on the silicon, with random registers and contents. */
final class EveryFormTest {
  private static final int ROUNDS = Integer.getInteger("javisor.silicon.rounds", 40);
  private static final int REGISTERS_END = VcpuBlock.YMM_HIGH + 256;

  private final Random random = new Random(7);
  private final Guest g = new Guest();

  @BeforeAll
  static void host() {
    Guest.requireHost();
  }

  private Instruction instruction(Form form) {
    Instruction in = new Instruction();
    in.form = form;
    in.codeSize = 64;
    in.addressSize = 8;
    in.operandSize = 4;
    in.opcode = form.opcode();
    in.reg = form.digit() >= 0 ? form.digit() : random.nextInt(16);
    in.rm = form.rm() >= 0 ? form.rm() : random.nextInt(16);
    in.mod = form.registerForm() == 1 ? 3 : form.registerForm() == 0 ? 1 : random.nextInt(2) * 3;
    if (!form.hasModRm()) {
      in.mod = 3;
    }
    // With W the row with a quadword operand is another.
    boolean narrow = form.operands().contains(Operand.Ed);
    boolean wide = form.w() >= 0 ? form.w() == 1 : !narrow && random.nextBoolean();
    if (form.vex()) {
      in.vexW = wide;
      in.vexL = form.l() >= 0 ? form.l() == 1 : random.nextBoolean();
    } else {
      in.rexW = wide;
    }
    for (Operand operand : form.operands()) {
      switch (operand.kind()) {
        case XMM_VVVV -> in.vvvv = random.nextInt(16);
        case MMX_REG -> in.reg &= 7;
        case MMX_RM, MMX_RM_REGISTER, ST_RM -> in.rm &= 7;
        case IMMEDIATE, XMM_IMMEDIATE -> in.immediate = (byte) random.nextInt();
        default -> {}
      }
    }
    return in;
  }

  /** Random bits, and numbers among them that make the units work. */
  private void contents() {
    g.randomize(random);
    for (int i = 0; i < 64; i++) {
      int n = random.nextInt(17);
      int at = random.nextInt(4);
      long value =
          switch (random.nextInt(4)) {
            case 0 -> Double.doubleToRawLongBits(random.nextGaussian());
            case 1 ->
                Float.floatToRawIntBits((float) random.nextGaussian()) * 0x1_0000_0001L;
            case 2 -> random.nextInt(16) - 8;
            default -> Double.doubleToRawLongBits(random.nextInt(1000));
          };
      if (n == 16) {
        g.mem(at, value);
      } else {
        g.ymm(n, at, value);
      }
    }
    g.rflags(0x202 | random.nextInt() & 0x8d5);
    for (int i = 0; i < 8; i++) {
      RawMemory.put64(
          g.block + VcpuBlock.ST + 16 * i, 1L << 63 | random.nextLong() << random.nextInt(64));
      RawMemory.put64(
          g.block + VcpuBlock.ST + 16 * i + 8,
          0x3ff0 + random.nextInt(32) | random.nextInt(2) << 15);
    }
    RawMemory.put16(g.block + VcpuBlock.FX + 4, random.nextInt(256));
    RawMemory.put16(g.block + VcpuBlock.FSW, random.nextInt() & 0x7f00);
  }

  private static boolean runsOnSilicon(Form form) {
    return form.op() == Op.X87 || form.op() == Op.MMX || form.op() == Op.SIMD;
  }

  /** Nothing changes but what the row names; the host's state is its own again. */
  @Test
  void leavesAllElseAlone() {
    int executed = 0;
    for (Form form : InstructionTable.all()) {
      if (!runsOnSilicon(form)) {
        continue;
      }
      for (int round = 0; round < ROUNDS; round++) {
        Instruction in = instruction(form);
        Prepared p = g.unit.prepare(in);
        if (p == null) {
          break;
        }
        contents();
        g.mxcsr(round % 2 == 0 ? 0x1f80 : random.nextInt() & 0xff80);
        g.fcw(round % 4 < 3 ? 0x37f : 0x340 | random.nextInt() & 0xf3f);
        byte[] old = g.snapshot();
        int result = g.unit.execute(p, g.block);
        g.assertHostStateClean(form.toString());
        byte[] now = g.snapshot();
        allow(in, old, now, result);
        assertArrayEquals(old, now, () -> form + " " + firstDifference(old, now));
        executed++;
      }
    }
    assertTrue(executed > 10_000, "executed " + executed);
  }

  private static String firstDifference(byte[] old, byte[] now) {
    return "at " + Arrays.mismatch(old, now);
  }

  /** Makes equal what the instruction may change. */
  private void allow(Instruction in, byte[] old, byte[] now, int result) {
    Form form = in.form;
    copy(old, now, VcpuBlock.MXCSR, form.usesMxcsr() ? 1 : 0);
    copy(old, now, VcpuBlock.FX + 28, 4);
    if (form.op() != Op.SIMD) {
      copy(old, now, VcpuBlock.FX, 24);
      copy(old, now, VcpuBlock.ST, 128);
    }
    if (result == SiliconUnit.SIMD_EXCEPTION) {
      return;
    }
    if (form.flagsWritten() != 0) {
      int mask = form.flagsWritten();
      for (int i = 0; i < 2; i++) {
        int at = VcpuBlock.RFLAGS + i;
        now[at] = (byte) (now[at] & ~(mask >> 8 * i) | old[at] & mask >> 8 * i);
      }
    }
    String name = form.mnemonic();
    if (name.contains("zeroupper") || name.contains("zeroall")) {
      copy(old, now, VcpuBlock.XMM, REGISTERS_END - VcpuBlock.XMM);
    } else if (name.endsWith("stri")) {
      copy(old, now, VcpuBlock.GPR + 8, 8);
    } else if (name.endsWith("strm")) {
      vector(old, now, 0, form.vex());
    } else if (form.writesDestination() && !form.operands().isEmpty()) {
      switch (form.operand(0).kind()) {
        case XMM_REG -> vector(old, now, in.reg, form.vex());
        case XMM_VVVV -> vector(old, now, in.vvvv, form.vex());
        case XMM_RM, XMM_RM_REGISTER -> {
          if (!in.isMemory()) {
            vector(old, now, in.rm, form.vex());
          }
        }
        case REG -> copy(old, now, VcpuBlock.GPR + 8 * in.reg, 8);
        case RM -> copy(old, now, VcpuBlock.GPR + 8 * in.rm, in.isMemory() ? 0 : 8);
        case FIXED -> copy(old, now, VcpuBlock.GPR, 2);
        default -> {}
      }
    }
  }

  private static void vector(byte[] old, byte[] now, int n, boolean vex) {
    copy(old, now, VcpuBlock.XMM + 16 * n, 16);
    if (vex) {
      copy(old, now, VcpuBlock.YMM_HIGH + 16 * n, 16);
    }
  }

  private static void copy(byte[] old, byte[] now, int offset, int length) {
    System.arraycopy(old, offset, now, offset, length);
  }

  /** What Java does in place of the silicon, the silicon does the same. */
  @Test
  void fastPathsAgreeWithTheSilicon() {
    int compared = 0;
    byte[] scratch = new byte[64];
    for (Form form : InstructionTable.all()) {
      for (int round = 0; form.op() == Op.SIMD && round < 5 * ROUNDS; round++) {
        Instruction in = instruction(form);
        Prepared stub = null;
        FastPath fast = FastPath.of(in);
        if (fast == null || g.unit.prepare(in) == null) {
          continue;
        }
        stub = new VectorStub(in, StubCompiler.compile(in));
        contents();
        byte[] old = g.snapshot();
        RawMemory.copyOut(g.block + VcpuBlock.SCRATCH, scratch, 0, 64);
        stub.run(g.block);
        byte[] expected = g.snapshot();
        byte[] stored = new byte[64];
        RawMemory.copyOut(g.block + VcpuBlock.SCRATCH, stored, 0, 64);
        g.restore(old);
        RawMemory.copyIn(scratch, 0, g.block + VcpuBlock.SCRATCH, 64);
        assertEquals(SiliconUnit.OK, fast.run(g.block));
        assertArrayEquals(expected, g.snapshot(), form.toString());
        byte[] now = new byte[64];
        RawMemory.copyOut(g.block + VcpuBlock.SCRATCH, now, 0, 64);
        int bytes = fast.memoryBytes();
        assertArrayEquals(Arrays.copyOf(stored, bytes), Arrays.copyOf(now, bytes), form.toString());
        compared++;
      }
    }
    assertTrue(compared > 1000, "compared " + compared);
  }
}

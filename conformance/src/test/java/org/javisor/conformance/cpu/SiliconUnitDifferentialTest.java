package org.javisor.conformance.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.javisor.interp.VcpuBlock;
import org.javisor.interp.silicon.Prepared;
import org.javisor.interp.silicon.SiliconArea;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.Test;

/**
 * Every x87, MMX, SSE and AVX row, executed by the silicon unit and by the host's CPU itself, with
 * exceptions unmasked at random: what the unit does with masks, stubs and Java must come to the
 * same state.
 */
final class SiliconUnitDifferentialTest {
  private static final int PER_FORM = Integer.getInteger("javisor.silicon.perForm", 64);
  private static final int MEMORY = 0x1000;
  private static final int BATCH = 1024;

  private final Random random = new Random(Long.getLong("javisor.seed", 3));
  private final Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
  private final Map<String, String> failures = new TreeMap<>();
  private final long block =
      HostMemory.mapAnonymous(VcpuBlock.SIZE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);

  @Test
  void agreesWithTheHost() throws Exception {
    assumeTrue(HostCpu.unavailable().isEmpty(), () -> HostCpu.unavailable().get());
    assumeTrue(SiliconUnit.unavailable().isEmpty(), () -> SiliconUnit.unavailable().get());
    int compared = 0;
    try (HostCpu cpu = new HostCpu(BATCH)) {
      List<Instruction> batch = new ArrayList<>();
      for (Form form : InstructionTable.all()) {
        if (form.op() != Op.SIMD && form.op() != Op.MMX && form.op() != Op.X87) {
          continue;
        }
        for (int i = 0; i < PER_FORM; i++) {
          byte[] code = encode(form);
          Instruction in = new Instruction();
          int length = decoder.decode(code, 0, code.length, 64, in);
          if (length <= 0 || in.form != form || SiliconUnit.get().prepare(in) == null) {
            continue;
          }
          fill(cpu.input(batch.size()), in, Arrays.copyOf(code, length));
          batch.add(in);
          if (batch.size() == BATCH) {
            compared += compare(cpu, batch);
          }
        }
      }
      compared += compare(cpu, batch);
    }
    StringBuilder report = new StringBuilder();
    failures.forEach((form, text) -> report.append(form).append(": ").append(text).append('\n'));
    assertEquals("", report.toString(), failures.size() + " forms differ of " + compared);
    assertTrue(compared > 20 * PER_FORM, "compared " + compared);
  }

  // ---- cases ------------------------------------------------------------------------------

  /** A random 64-bit encoding; a memory operand is [rax]. */
  private byte[] encode(Form form) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    boolean memory =
        form.registerForm() == 0
            || form.registerForm() < 0 && form.rm() < 0 && random.nextBoolean();
    int w = form.w() >= 0 ? form.w() : random.nextInt(2);
    int r = random.nextInt(2);
    int b = memory ? 0 : random.nextInt(2);
    if (form.vex()) {
      boolean vvvv = false;
      for (Operand operand : form.operands()) {
        vvvv |= operand.kind() == Operand.Kind.XMM_VVVV;
      }
      int l = form.l() >= 0 ? form.l() : random.nextInt(2);
      int[] pp = {0, 1, 2, 3};
      out.write(0xc4);
      out.write((r == 0 ? 0x80 : 0) | 0x40 | (b == 0 ? 0x20 : 0) | form.map());
      out.write(w << 7 | (vvvv ? random.nextInt(16) << 3 : 0x78) | l << 2 | pp[form.prefix()]);
    } else {
      switch (form.prefix()) {
        case Form.PREFIX_66 -> out.write(0x66);
        case Form.PREFIX_F3 -> out.write(0xf3);
        case Form.PREFIX_F2 -> out.write(0xf2);
        default -> {}
      }
      if (w == 1 || r == 1 || b == 1) {
        out.write(0x40 | w << 3 | r << 2 | b);
      }
      switch (form.map()) {
        case Form.MAP_0F -> out.write(0x0f);
        case Form.MAP_0F38 -> {
          out.write(0x0f);
          out.write(0x38);
        }
        case Form.MAP_0F3A -> {
          out.write(0x0f);
          out.write(0x3a);
        }
        default -> {}
      }
    }
    out.write(form.opcode());
    if (form.hasModRm()) {
      int reg = form.digit() >= 0 ? form.digit() : random.nextInt(8);
      int rm = memory ? 0 : form.rm() >= 0 ? form.rm() : random.nextInt(8);
      out.write((memory ? 0 : 0xc0) | reg << 3 | rm);
    }
    out.write(random.nextInt());
    return out.toByteArray();
  }

  private long element() {
    return switch (random.nextInt(10)) {
      case 0 -> Double.doubleToRawLongBits(random.nextGaussian());
      case 1 -> Double.doubleToRawLongBits(random.nextInt(100) - 50);
      case 2 -> Float.floatToRawIntBits((float) random.nextGaussian()) * 0x1_0000_0001L;
      case 3 -> Float.floatToRawIntBits(random.nextInt(100) - 50) * 0x1_0000_0001L;
      case 4 -> (long) Float.floatToRawIntBits(Float.MIN_NORMAL / 2) << 32 | 0x3f80_0000;
      case 5 -> Double.doubleToRawLongBits(Double.MIN_NORMAL * random.nextDouble());
      case 6 -> Double.doubleToRawLongBits(Double.MAX_VALUE / (1 + random.nextInt(3)));
      case 7 -> random.nextLong() & 0x0303_0303_0303_0303L;
      case 8 -> {
        long[] special = {
          0, 1L << 63, 0x7ff0L << 48, 0x7ff8L << 48, 0x7ff4L << 48, 0x7f80_0000_7fa0_0000L, -1
        };
        yield special[random.nextInt(special.length)];
      }
      default -> random.nextLong();
    };
  }

  private void fill(CpuCase in, Instruction instruction, byte[] code) {
    in.clear().code(64, code);
    for (int i = 0; i < 16; i++) {
      in.gpr(i, random.nextInt(4) == 0 ? random.nextInt(40) - 20 : random.nextLong());
      for (int j = 0; j < 4; j++) {
        in.ymm(i, j, element());
      }
    }
    in.gpr(0, CpuCase.WINDOW_ADDRESS + MEMORY);
    in.rflags(random.nextInt() & 0x8d5);
    boolean masked = random.nextBoolean();
    in.mxcsr(masked ? 0x1f80 | random.nextInt() & 0xe040 : random.nextInt() & 0xffc0);
    MemorySegment x = in.xsave();
    int fcw =
        0x40 | random.nextInt() & 0xf00 | (random.nextBoolean() ? 0x3f : random.nextInt() & 0x3f);
    x.set(ValueLayout.JAVA_SHORT, 0, (short) fcw);
    int fsw = random.nextInt() & 0x7f00;
    if (random.nextInt(8) == 0) {
      fsw |= random.nextInt() & 0x7f;
      if ((fsw & ~fcw & 0x3f) != 0) {
        fsw |= 0x8080;
      }
    }
    x.set(ValueLayout.JAVA_SHORT, 2, (short) fsw);
    x.set(
        ValueLayout.JAVA_BYTE, 4, (byte) (random.nextInt(4) == 0 ? random.nextInt() : -1));
    for (int i = 0; i < 8; i++) {
      int exponent =
          random.nextInt(4) == 0 ? random.nextInt() & 0xffff : 0x3fff + random.nextInt(24) - 8;
      long significand = random.nextLong() << random.nextInt(64) | 1L << 63;
      if (random.nextInt(16) == 0) {
        significand = random.nextLong();
        exponent = random.nextInt(3) == 0 ? 0x7fff : random.nextInt(3) == 0 ? 0 : exponent;
      }
      x.set(ValueLayout.JAVA_LONG, 32 + 16 * i, significand);
      x.set(
          ValueLayout.JAVA_SHORT,
          40 + 16 * i,
          (short) (exponent | random.nextInt(2) << 15));
    }
    byte[] data = new byte[128];
    MemorySegment memory = MemorySegment.ofArray(data);
    for (int i = 0; i < 16; i++) {
      memory.set(ValueLayout.JAVA_LONG_UNALIGNED, 8 * i, element());
    }
    if (instruction.form.mnemonic().equals("fbld") || random.nextInt(8) == 0) {
      for (int i = 0; i < 10; i++) {
        data[i] = (byte) (random.nextInt(10) << 4 | random.nextInt(10));
      }
    }
    in.memory(MEMORY, data);
  }

  // ---- comparison -------------------------------------------------------------------------

  private int compare(HostCpu cpu, List<Instruction> batch) {
    cpu.run(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      CpuCase in = cpu.input(i);
      Instruction instruction = batch.get(i);
      String difference = execute(instruction, in, cpu.result(i));
      if (difference != null && !known(instruction, in, cpu.result(i), difference)) {
        failures.putIfAbsent(
            instruction.form + " " + difference.replaceAll("[ :].*", ""),
            HexFormat.of().formatHex(in.code())
                + " " + Disassembler.text(instruction, 0)
                + " mxcsr %04x fcw %04x fsw %04x".formatted(
                    in.mxcsr(), word(in, 0), word(in, 2))
                + "\n    " + difference);
      }
    }
    int count = batch.size();
    batch.clear();
    return count;
  }

  /** Differences that VectorStub's comments own up to. */
  private boolean known(Instruction in, CpuCase input, CpuCase host, String difference) {
    boolean unmasked = (input.mxcsr() & 0x1f80) != 0x1f80;
    if (unmasked && in.form.mnemonic().matches("v?dpp[sd]")) {
      return true;
    }
    int ours = RawMemory.get32(block + VcpuBlock.MXCSR);
    int overflow = host.mxcsr() & ~(input.mxcsr() >> 7) & 0x18;
    return difference.startsWith("word24")
        && host.vector() == 19
        && overflow != 0
        && (ours ^ host.mxcsr()) == 0x20;
  }

  private static int word(CpuCase c, int offset) {
    return c.xsave().get(ValueLayout.JAVA_SHORT, offset) & 0xffff;
  }

  /** Runs a case on the unit and says how it differs from the host's result, or null. */
  private String execute(Instruction in, CpuCase input, CpuCase host) {
    for (int i = 0; i < 16; i++) {
      RawMemory.put64(block + VcpuBlock.GPR + 8 * i, input.gpr(i));
    }
    RawMemory.put64(block + VcpuBlock.RFLAGS, input.rflags() | 2);
    MemorySegment image = RawMemory.segment(block + VcpuBlock.FX, 832);
    image.copyFrom(input.xsave());
    RawMemory.put64(block + SiliconArea.X87_IP, CpuCase.CODE_ADDRESS);
    RawMemory.put64(block + SiliconArea.X87_DP, CpuCase.WINDOW_ADDRESS + MEMORY);
    byte[] memory = input.memory().toArray(ValueLayout.JAVA_BYTE);
    Prepared p = SiliconUnit.get().prepare(in);
    if (p.readsMemory()) {
      RawMemory.copyIn(memory, 0, block + p.memoryOffset(), p.memoryBytes());
    }
    int result = SiliconUnit.get().execute(p, block);
    if (p.writesMemory() && result == SiliconUnit.OK) {
      RawMemory.copyOut(block + p.memoryOffset(), memory, 0, p.memoryBytes());
    }
    int vector =
        switch (result) {
          case SiliconUnit.SIMD_EXCEPTION -> 19;
          case SiliconUnit.X87_EXCEPTION -> 16;
          default -> CpuCase.NO_EXCEPTION;
        };
    if (vector != host.vector()) {
      return "vector: " + vector + " host " + host.vector();
    }
    for (int i = 0; i < 16; i++) {
      long ours = RawMemory.get64(block + VcpuBlock.GPR + 8 * i);
      if (ours != host.gpr(i)) {
        return "gpr %d: %x host %x".formatted(i, ours, host.gpr(i));
      }
    }
    long flags = RawMemory.get64(block + VcpuBlock.RFLAGS) & CpuCase.FLAGS;
    if (flags != (host.rflags() & CpuCase.FLAGS)) {
      return "flags: %x host %x".formatted(flags, host.rflags());
    }
    for (int i = 0; i < 832; i += 2) {
      // The last instruction's pointers, MXCSR_MASK, what is reserved, and the XSAVE header.
      if (i == 6 || i >= 8 && i < 24 || i >= 28 && i < 32 || i >= 416 && i < 576) {
        continue;
      }
      if (i >= 32 && i < 160 && (i & 15) >= 10) {
        continue;
      }
      int ours = image.get(ValueLayout.JAVA_SHORT, i) & 0xffff;
      int theirs = word(host, i);
      if (ours != theirs) {
        String name =
            i < 32 ? "word" + i : i < 160 ? "st" + (i - 32) / 16
                : i < 416 ? "xmm" + (i - 160) / 16 : "ymm" + (i - 576) / 16;
        return "%s at %d: %04x host %04x".formatted(name, i, ours, theirs);
      }
    }
    MemorySegment theirs = host.memory();
    long mismatch = MemorySegment.ofArray(memory).mismatch(theirs);
    return mismatch < 0 || in.form.operands().contains(Operand.Menv)
        || in.form.operands().contains(Operand.Mfpu)
            ? null
            : "memory at " + mismatch;
  }
}

package org.javisor.conformance.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.javisor.accelerator.CpuModel;
import org.javisor.interp.CpuModels;
import org.javisor.interp.InterpAccelerator;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;
import org.javisor.isa.Op;
import org.junit.jupiter.api.Test;

/**
 * The interpreter against the host's CPU, general-purpose instructions at random with a fixed seed:
 * any wrong result, flag, exception or error code that the manual does not call undefined breaks it.
 */
class InterpreterDifferentialTest {
  private static final int PER_FORM = Integer.getInteger("javisor.differential.perForm", 100);
  private static final int BATCH = 1024;

  private final Random random = new Random(Long.getLong("javisor.seed", 5));
  private final CpuModel model = CpuModels.of("x86-64-v2", 1);
  private final SoftwareCpu ours = new SoftwareCpu(new InterpAccelerator(), model);
  private final Map<String, String> failures = new TreeMap<>();
  private int differing;

  private Set<CpuFeature> features() {
    Set<CpuFeature> set = EnumSet.noneOf(CpuFeature.class);
    for (CpuFeature f : CpuFeature.values()) {
      if ((model.cpuid(f.leaf(), f.subleaf())[f.register()] >>> f.bit() & 1) != 0) {
        set.add(f);
      }
    }
    return set;
  }

  @Test
  void agreesWithTheHost() throws Exception {
    assumeTrue(HostCpu.unavailable().isEmpty(), () -> HostCpu.unavailable().get());
    IntegerCases cases = new IntegerCases(random);
    Decoder decoder = new Decoder(features());
    int compared = 0;
    try (HostCpu host = new HostCpu(BATCH)) {
      List<Instruction> batch = new ArrayList<>();
      for (Form form : InstructionTable.all()) {
        if (!IntegerCases.covers(form)) {
          continue;
        }
        for (int i = 0; i < PER_FORM; i++) {
          byte[] code = cases.encode(form);
          Instruction in = new Instruction();
          int length = decoder.decode(code, 0, code.length, 64, in);
          if (length <= 0 || in.form != form) {
            continue;
          }
          cases.fill(host.input(batch.size()), in, Arrays.copyOf(code, length));
          batch.add(in);
          if (batch.size() == BATCH) {
            compared += compare(host, batch);
          }
        }
      }
      compared += compare(host, batch);
    }
    StringBuilder report = new StringBuilder();
    failures.forEach((form, text) -> report.append(form).append(": ").append(text).append('\n'));
    assertEquals("", report.toString(), differing + " cases differ of " + compared);
    assertTrue(compared > 100 * PER_FORM, "compared " + compared);
  }

  private int compare(HostCpu host, List<Instruction> batch) {
    int n = batch.size();
    host.run(n);
    for (int i = 0; i < n; i++) {
      String difference = difference(host.input(i), host.result(i), batch.get(i));
      if (!difference.isEmpty()) {
        differing++;
        failures.putIfAbsent(batch.get(i).form.toString(), difference);
      }
    }
    batch.clear();
    return n;
  }

  /** Flags the manual leaves undefined here, beyond what the table says of the form. */
  private static long undefined(CpuCase input, Instruction in) {
    long undefined = in.form.flagsUndefined();
    boolean shift =
        switch (in.form.op()) {
          case SHL, SAL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD -> true;
          default -> false;
        };
    if (shift && in.operandBytes(0) < 4) {
      undefined |= Form.CF; // of counts beyond the operand
    }
    return undefined;
  }

  private static boolean undefinedResult(CpuCase input, Instruction in) {
    if ((in.form.op() == Op.SHLD || in.form.op() == Op.SHRD) && in.operandSize == 2) {
      boolean byCl = in.form.opcode() == 0xa5 || in.form.opcode() == 0xad;
      long count = (byCl ? input.gpr(1) : in.immediate) & 31;
      return count > 16;
    }
    return in.form.op() == Op.BSWAP && in.operandSize == 2;
  }

  private String difference(CpuCase input, CpuCase theirs, Instruction in) {
    if (undefinedResult(input, in)) {
      return "";
    }
    SoftwareCpu.Result r = ours.run(input);
    StringBuilder text = new StringBuilder();
    boolean exception = theirs.vector() != CpuCase.NO_EXCEPTION && theirs.vector() != 3;
    note(text, "vector", r.vector(), theirs.vector());
    if (r.vector() == theirs.vector()) {
      note(text, "rip", r.rip(), exception || theirs.vector() == 3 ? theirs.rip() : r.rip());
      if (exception && theirs.vector() >= 10 && theirs.vector() <= 14) {
        note(text, "error", r.errorCode(), theirs.errorCode());
      }
      if (theirs.vector() == 14) {
        note(text, "cr2", r.cr2(), theirs.cr2());
      }
      for (int i = 0; i < 16; i++) {
        note(text, "r" + i, r.gpr()[i], theirs.gpr(i));
      }
      long mask = CpuCase.FLAGS & ~(exception ? 0 : undefined(input, in));
      note(text, "flags", r.rflags() & mask, theirs.rflags() & mask);
      byte[] memory = theirs.memory().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
      int at = Arrays.mismatch(r.memory(), memory);
      if (at >= 0) {
        note(text, "memory[" + at + "]", r.memory()[at], memory[at]);
      }
    }
    if (text.isEmpty()) {
      return "";
    }
    return "%s (%s) rflags %x:%s"
        .formatted(
            Disassembler.text(in, CpuCase.CODE_ADDRESS),
            HexFormat.of().formatHex(input.code()),
            input.rflags(),
            text);
  }

  private static void note(StringBuilder text, String what, long ours, long theirs) {
    if (ours != theirs) {
      text.append(" %s ours %x host %x".formatted(what, ours, theirs));
    }
  }
}

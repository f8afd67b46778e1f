package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.javisor.isa.Instruction;
import org.junit.jupiter.api.Test;

/** Breaks if a rehearsal leaves a trace, or if a difference after it passes unseen. */
class RehearsalTest {
  /** What a test does in place of a translator, before the interpreter goes on. */
  private interface Action {
    void accept(Core core, Rehearsal rehearsal);
  }

  private static final class Rehearsing implements Translator {
    private final Core core;
    private final Rehearsal rehearsal;
    private Action action;

    Rehearsing(Core core, Action action) {
      this.core = core;
      this.action = action;
      rehearsal = core.rehearsal();
    }

    @Override
    public void run() {
      if (core.rip() == Bench.KERNEL_CODE && action != null) {
        Action once = action;
        action = null;
        once.accept(core, rehearsal);
      } else {
        core.interpret();
      }
    }

    @Override
    public void invalidate(int frame, int offset, int length) {}

    @Override
    public long covered(int frame) {
      return 0;
    }

    @Override
    public boolean readsInPlace(int frame, int offset, int length) {
      return false;
    }

    @Override
    public void flush() {}

    @Override
    public void switchAddressSpace(int pcid, boolean keep) {}

    @Override
    public void flushPage(long va) {}

    @Override
    public void forget() {}

    @Override
    public void close() {
      rehearsal.close();
    }
  }

  private final List<Core.Slow> steps = new ArrayList<>();
  private final List<Instruction> instructions = new ArrayList<>();

  private Bench bench(Action action) {
    Bench b =
        new Bench(
            CpuModels.of("x86-64-v3", 1),
            new InterpAccelerator("rehearsing", core -> new Rehearsing(core, action)));
    b.state.gpr[3] = Bench.KERNEL_DATA;
    return b;
  }

  private void prepare(Core core, String hex) {
    byte[] code = HexFormat.of().parseHex(hex.replace(" ", ""));
    for (int at = 0; at < code.length;) {
      Instruction in = new Instruction();
      int length = core.decoder().decode(code, at, code.length, 64, in);
      instructions.add(in);
      steps.add(core.prepare(in, Bench.KERNEL_CODE + at));
      at += length;
    }
  }

  @Test
  void nothingIsLeftAndTheSameAgainIsNoDifference() {
    // inc eax; mov [rbx], eax; cmp eax, 1
    String code = "ff c0 89 03 83 f8 01";
    Bench b =
        bench(
            (core, rehearsal) -> {
              prepare(core, code);
              assertEquals(3, rehearsal.perform(steps, instructions));
              assertEquals(Bench.KERNEL_CODE + 7, rehearsal.rip());
              assertEquals(Bench.KERNEL_CODE, core.rip());
              assertEquals(0, core.memory().read32(Bench.KERNEL_DATA));
              String difference = rehearsal.difference(null);
              assertNotNull(difference);
              assertTrue(difference.contains("r0 "), difference);
              assertTrue(difference.contains("memory"), difference);
              assertTrue(difference.contains("rip"), difference);
              steps.forEach(core::execute);
              assertNull(rehearsal.difference(null));
              rehearsal.end();
            });
    b.run(0, code);
    assertEquals(1, b.after.gpr[0]);
    assertEquals(1, b.memory.read32(Bench.KERNEL_DATA));
  }

  @Test
  void storeBesideWhatWasStoredIsADifference() {
    String code = "89 03"; // mov [rbx], eax
    bench(
        (core, rehearsal) -> {
          prepare(core, code);
          rehearsal.perform(steps, instructions);
          steps.forEach(core::execute);
          core.memory().write8(Bench.KERNEL_DATA + 4, 1);
          String difference = rehearsal.difference(null);
          assertNotNull(difference);
          assertTrue(difference.contains("memory"), difference);
          rehearsal.takeBack();
          assertEquals(Bench.KERNEL_CODE, core.rip());
          rehearsal.end();
        })
        .run(0, code);
  }

  @Test
  void faultKeepsWhatCameBeforeItForTheComparison() {
    String code = "ff c0 89 83 00 00 00 40"; // inc eax; mov [rbx + 40000000h], eax
    Bench b =
        bench(
            (core, rehearsal) -> {
              prepare(core, code);
              assertEquals(2, rehearsal.perform(steps, instructions));
              assertTrue(rehearsal.faulted());
              assertNotNull(rehearsal.difference(null));
              core.execute(steps.getFirst());
              GuestFault fault = null;
              try {
                core.execute(steps.get(1));
              } catch (GuestFault f) {
                fault = f;
              }
              assertNull(rehearsal.difference(fault));
              rehearsal.end();
              throw fault;
            });
    b.run(0, code);
    assertEquals(14, b.vector);
    assertEquals(Bench.KERNEL_DATA + 0x4000_0000L, b.after.cr2);
    assertEquals(2, b.rip);
  }

  @Test
  void devicesAreNotReached() {
    String code = "ff c0 89 03"; // inc eax; mov [rbx], eax
    Bench b =
        bench(
            (core, rehearsal) -> {
              prepare(core, code);
              assertEquals(1, rehearsal.perform(steps, instructions));
              assertFalse(rehearsal.faulted());
              rehearsal.end();
            });
    b.map(Bench.KERNEL_DATA, 0x1000_0000, 3);
    b.run(0, code);
    assertEquals(Bench.NONE, b.vector);
  }

  /** AF is undefined after SHR, and stays so behind a shift by zero. */
  @Test
  void undefinedFlagsAreNotCompared() {
    String code = "c1 e8 02 d3 e0"; // shr eax, 2; shl eax, cl
    bench(
        (core, rehearsal) -> {
          prepare(core, code);
          rehearsal.perform(steps, instructions);
          steps.forEach(core::execute);
          core.setArithmeticFlags(core.arithmeticFlags() ^ Cpu.AF);
          assertNull(rehearsal.difference(null));
          core.setArithmeticFlags(core.arithmeticFlags() ^ Cpu.ZF);
          assertNotNull(rehearsal.difference(null));
          rehearsal.end();
        })
        .run(0, code);
  }
}

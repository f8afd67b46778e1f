package org.javisor.conformance.block;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.conformance.cpu.Dice;
import org.javisor.interp.CpuModels;
import org.javisor.interp.InterpAccelerator;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;

/**
 * Runs random blocks in the interpreter and on another accelerator: there twice, so that the second
 * time finds what the first has left of translations.
 */
final class BlockDifferential implements AutoCloseable {
  /** The interpreter needs microseconds; what has not ended by then is left out. */
  private static final long PATIENCE_MILLIS = 50;

  /**
   * How many times as patient to be with the accelerator under test: code that writes itself takes a
   * translator longer.
   */
  private static final int MORE_PATIENCE = 600;
  private static final int LISTED = 40;
  private static final int REPORTED = 30;

  private final BlockMachine reference;
  private final BlockMachine subject;
  private final BlockGenerator generator;
  private final Decoder decoder;
  private final BlockComparison comparison = new BlockComparison();
  private final Consumer<String> report;
  private volatile boolean closed;

  long compared;
  long mismatches;

  /** Cases that differ, and that show flags which the manuals leave undefined. */
  long undefined;

  /**
   * Cases that differ from themselves: a jump into the middle of an instruction has found one that
   * reads a clock or random numbers, which the generator leaves out.
   */
  long unrepeatable;

  /** Cases that did not end. */
  long endless;

  /** How often each vector ended a case. */
  final Map<Integer, Long> ends = new TreeMap<>();

  BlockDifferential(Accelerator accelerator, CpuModel model, Consumer<String> report) {
    this.report = report;
    reference = new BlockMachine(new InterpAccelerator(), model);
    subject = new BlockMachine(accelerator, model);
    generator = new BlockGenerator(CpuModels.features(model));
    decoder = new Decoder(CpuModels.features(model));
    Thread.ofPlatform().daemon().name("patience").start(this::watch);
  }

  private void watch() {
    long first = 0;
    long second = 0;
    int seen = 0;
    while (!closed) {
      try {
        Thread.sleep(PATIENCE_MILLIS);
      } catch (InterruptedException e) {
        return;
      }
      if ((reference.turn() & 1) != 0) {
        if (reference.turn() == first) {
          reference.giveUp(first);
        }
      }
      if ((subject.turn() & 1) != 0) {
        seen = subject.turn() == second ? seen + 1 : 0;
        if (seen == MORE_PATIENCE) {
          subject.giveUp(second);
        }
      }
      first = reference.turn();
      second = subject.turn();
    }
  }

  void run(long cases, long seed, Consumer<Long> progress) {
    for (long i = 0; i < cases; i++) {
      runOne(Dice.seedOf(seed, i), false);
      if ((i & 0xffff) == 0xffff) {
        progress.accept(i + 1);
      }
    }
  }

  /** Runs one case; returns what differs, or nothing. */
  String runOne(long seed, boolean verbose) {
    BlockCase c = generator.make(seed);
    BlockMachine.Outcome expected = reference.run(c);
    compared++;
    if (expected.end().equals("Kicked")) {
      endless++;
      return "";
    }
    ends.merge(World.vector(expected.state()), 1L, Long::sum);
    for (int turn = 1; turn <= 2; turn++) {
      String difference;
      try {
        difference = comparison.differences(expected, subject.run(c));
      } catch (RuntimeException | AssertionError e) {
        difference = " " + e;
        if (verbose) {
          e.printStackTrace();
        }
      }
      if (!difference.isEmpty()) {
        if (reference.showsUndefined(c, decoder)) {
          undefined++;
          return "";
        }
        if (!comparison.differences(expected, reference.run(c)).isEmpty()) {
          unrepeatable++;
          return "";
        }
        if (mismatches++ < REPORTED) {
          report.accept(
              "turn %d%s; replay with --replay %x".formatted(turn, difference, c.seed));
        }
        return difference;
      }
    }
    return "";
  }

  /** What a case is, for a person. */
  String describe(long seed) {
    BlockCase c = generator.make(seed);
    StringBuilder text = new StringBuilder();
    CpuState s = c.state;
    text.append("cr4 %x rflags %x sfmask %x%s%n".formatted(
        s.cr4, s.rflags, s.sfmask, c.interrupt ? ", an interrupt waits" : ""));
    for (int i = 0; i < 16; i++) {
      text.append(" r%d=%x".formatted(i, s.gpr[i]));
    }
    text.append('\n');
    for (int i = 0; i < World.DATA_PAGES; i++) {
      long page = World.USER_DATA + i * 4096L;
      text.append(" %x: %x".formatted(page, World.get64(c.memory, World.entry(page))));
    }
    text.append('\n');
    if (c.user()) {
      list(c, World.USER_CODE, World.USER_TEXT, text);
    }
    list(c, World.KERNEL_CODE, World.KERNEL + World.KERNEL_CODE, text);
    BlockMachine.Outcome end = reference.run(c);
    text.append("ends with %s at %x, vector %d%n".formatted(
        end.end(), end.state().rip, World.vector(end.state())));
    return text.toString();
  }

  private void list(BlockCase c, int physical, long linear, StringBuilder text) {
    Instruction in = new Instruction();
    int at = physical;
    for (int i = 0; i < LISTED && at < World.MEMORY; i++) {
      int length = decoder.decode(c.memory, at, Math.min(at + 15, World.MEMORY), 64, in);
      long rip = linear + at - physical;
      text.append(
          "  %x  %s%n".formatted(rip, length <= 0 ? "?" : Disassembler.text(in, rip)));
      if (length > 0 && at == physical && (c.memory[at] & 0xff) == 0xe9) {
        at += length + (int) in.immediate;
        continue;
      }
      if (length > 0 && (c.memory[at] & 0xff) == 0xcc) {
        break;
      }
      at += Math.max(length, 1);
    }
  }

  @Override
  public void close() {
    closed = true;
    reference.close();
    subject.close();
  }
}

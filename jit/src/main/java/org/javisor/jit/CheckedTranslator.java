package org.javisor.jit;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.javisor.interp.Core;
import org.javisor.interp.Rehearsal;
import org.javisor.interp.Translator;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;

/**
 * Runs each block twice: in the interpreter, whose effects are noted and taken back, and as
 * translated code, whose effects stay and must be the same. Blocks are not linked to each other here.
 *
 * <p>What cannot be done twice (devices, the clock, changes of code) and what the translator leaves
 * to the interpreter anyway is executed once: a block ends before such an instruction.
 */
final class CheckedTranslator implements Translator {
  /** Devices and a debugger write memory, too: what differs again and again is a difference. */
  private static final int ATTEMPTS = 5;

  /** What is needed to run a block in the interpreter. */
  static final class Steps {
    final List<Core.Slow> slow = new ArrayList<>();
    final List<Instruction> instructions = new ArrayList<>();

    /** Its first instruction cannot be taken back. */
    boolean once;
  }

  private final Core core;
  private final JitTranslator jit;
  private final Rehearsal rehearsal;
  private final Consumer<String> report;

  // Blocks and instructions compared, comparisons repeated, and instructions executed once.
  private long blocks;
  private long instructions;
  private long repeated;
  private long once;

  CheckedTranslator(Core core, Consumer<String> report) {
    this.core = core;
    this.report = report;
    jit = new JitTranslator(core, JitTranslator.MODE_APART);
    rehearsal = core.rehearsal();
  }

  @Override
  public void run() {
    int part = core.part();
    JitBlock b = null;
    if (part >= 0) {
      jit.begin();
      b = jit.block(core.rip(), part);
    }
    if (b == null) {
      once++;
      core.interpret();
      return;
    }
    if (b.interpreted) {
      once++;
      core.execute(jit.prepareSlow(b, 0));
      return;
    }
    if (b.steps == null) {
      b.steps = steps(b);
    }
    Steps s = b.steps;
    if (s.once) {
      once++;
      core.execute(s.slow.getFirst());
      return;
    }
    check(b, s, part);
  }

  private Steps steps(JitBlock b) {
    Steps s = new Steps();
    for (int i = 0; i < b.count; i++) {
      s.slow.add(jit.prepareSlow(b, i));
      s.instructions.add(jit.decode(b, i));
    }
    return s;
  }

  private void check(JitBlock b, Steps s, int part) {
    for (int attempt = 1;; attempt++) {
      int done = rehearsal.perform(s.slow, s.instructions);
      if (done == Rehearsal.INTERRUPTED) {
        rehearsal.end();
        core.interpret();
        return;
      }
      if (done < b.count && !rehearsal.faulted()) {
        rehearsal.end();
        if (done == 0) {
          s.once = true;
        } else {
          jit.shorten(b, part, done);
        }
        return;
      }
      RuntimeException fault = null;
      try {
        runTranslated(b, s, part);
      } catch (RuntimeException e) {
        if (!Core.isFault(e)) {
          rehearsal.end();
          throw e; // an event in the middle of an instruction
        }
        fault = e;
      }
      String difference = rehearsal.difference(fault);
      if (difference == null) {
        rehearsal.end();
        blocks++;
        instructions += done;
        if (fault != null) {
          throw fault;
        }
        return;
      }
      if (attempt == ATTEMPTS) {
        throw new AssertionError(describe(b, s, difference));
      }
      repeated++;
      rehearsal.takeBack();
    }
  }

  private void runTranslated(JitBlock b, Steps s, int part) {
    long end = rehearsal.rip();
    jit.finishAt(end, true);
    try {
      long code = b.entry;
      while (code != 0) {
        int site = jit.enter(code);
        if (site == JitTranslator.FINISHED) {
          core.setRip(end);
        }
        code = jit.exitWithin(site, part);
      }
    } finally {
      jit.finishAt(end, false);
    }
    // Where the translator leaves the rest of a block to the interpreter.
    for (int i = 1; i < b.count && (core.rip() != end || rehearsal.faulted()); i++) {
      if (core.rip() == b.ripOf(i)) {
        core.execute(s.slow.get(i));
      }
    }
  }

  private String describe(JitBlock b, Steps s, String difference) {
    StringBuilder text = new StringBuilder("translated code differs from the interpreter\n");
    text.append(difference).append(rehearsal.describeBefore()).append('\n');
    for (int i = 0; i < b.count; i++) {
      long rip = b.ripOf(i);
      text.append("  %x  %s%n".formatted(rip, Disassembler.text(s.instructions.get(i), rip)));
    }
    return text.toString();
  }

  // ---- changes ----------------------------------------------------------------------------

  @Override
  public void invalidate(int frame, int offset, int length) {
    jit.invalidate(frame, offset, length);
  }

  @Override
  public boolean readsInPlace(int frame, int offset, int length) {
    return false;
  }

  @Override
  public long covered(int frame) {
    return jit.covered(frame);
  }

  @Override
  public void flush() {
    jit.flush();
  }

  @Override
  public void switchAddressSpace(int pcid, boolean keep) {
    jit.switchAddressSpace(pcid, keep);
  }

  @Override
  public void flushPage(long va) {
    jit.flushPage(va);
  }

  @Override
  public void forget() {
    jit.forget();
  }

  @Override
  public void close() {
    report.accept(
        "vCPU %d: %,d blocks of %,d instructions compared, none differs; %,d once more, and %,d instructions executed once"
            .formatted(core.id(), blocks, instructions, repeated, once));
    rehearsal.close();
    jit.close();
  }
}

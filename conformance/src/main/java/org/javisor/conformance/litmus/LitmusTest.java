package org.javisor.conformance.litmus;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.conformance.cpu.Dice;

/**
 * A few instructions for each of several vCPUs, on variables that are zero at first. Its outcome is
 * what each instruction that reads has read, in order, and what the variables hold at the end.
 *
 * @param threads what each vCPU executes
 */
record LitmusTest(String name, List<List<Op>> threads) {
  static final int MAX_THREADS = 4;
  static final int MAX_READS = 4;
  static final String VARIABLES = "xyzw";

  /** Values fit half a byte, so that an outcome fits a long. */
  private static final int MAX_VALUE = 15;

  private static final Pattern STORE = Pattern.compile("([xyzw])=(\\d+)");
  private static final Pattern LOAD = Pattern.compile("([xyzw])\\?");
  private static final Pattern EXCHANGE = Pattern.compile("([xyzw])<>(\\d+)");
  private static final Pattern ADD = Pattern.compile("([xyzw])\\+(\\d+)");
  private static final Pattern COMPARE = Pattern.compile("([xyzw]):(\\d+)>(\\d+)");

  /**
   * The tests of the literature. Names from Sewell and others, Intel's memory ordering white paper
   * (iwp) and AMD's manual (amd); volume 2, section 7.2 of the latter has most of them in words.
   */
  static final List<LitmusTest> NAMED =
      List.of(
          of("store-buffering", "x=1 y? | y=1 x?"),
          of("store-buffering-fenced", "x=1 mf y? | y=1 mf x?"),
          of("store-buffering-half-fenced", "x=1 mf y? | y=1 x?"),
          of("store-buffering-locked", "x<>1 y? | y<>1 x?"),
          of("store-buffering-xadd-between", "x=1 z+1 y? | y=1 w+1 x?"),
          of("store-buffering-3", "x=1 y? | y=1 z? | z=1 x?"),
          of("message-passing", "x=1 y=1 | y? x?"),
          of("message-passing-locked", "x=1 y<>1 | y? x?"),
          of("message-passing-reader-locked", "x=1 y=1 | y+0 x?"),
          of("message-passing-cmpxchg", "x=1 y:0>1 | y:1>2 x?"),
          of("load-buffering", "x? y=1 | y? x=1"),
          of("iriw", "x=1 | y=1 | x? y? | y? x?"),
          of("iriw-locked", "x<>1 | y<>1 | x? y? | y? x?"),
          of("write-to-read-causality", "x=1 | x? y=1 | y? x?"),
          of("read-to-write-causality", "x=1 | x? y? | y=1 x?"),
          of("read-to-write-causality-fenced", "x=1 | x? mf y? | y=1 mf x?"),
          of("2+2w", "x=1 y=2 | y=1 x=2"),
          of("s", "x=2 y=1 | y? x=1"),
          of("r", "x=1 y=1 | y=2 x?"),
          of("r-fenced", "x=1 mf y=1 | y=2 mf x?"),
          of("iwp-2.3b-own-store", "x=1 x? | y=1 y?"),
          of("iwp-2.4-forwarding", "x=1 x? y? | y=1 y? x?"),
          of("amd-9-forwarding-then-store", "x=1 y? | y=1 x? x?"),
          of("n2", "x=1 y=1 | y=2 z=1 | z? z? x?"),
          of("n4", "x=1 x? x? | x=2 x? x?"),
          of("n5", "x=1 x? | x=2 x?"),
          of("n6", "x=1 x? y? | y=1 x=2"),
          of("n7", "x=1 x? y? | y=1 | y? x?"),
          of("coherence-rr", "x=1 x=2 | x? x?"),
          of("coherence-rw", "x=1 | x? x=2 | x? x?"),
          of("coherence-2-readers", "x=1 | x=2 | x? x? | x? x?"),
          of("locked-sum", "x+1 x+2 | x+3 x+4"),
          of("locked-exchange-chain", "x<>1 | x<>2 | x<>3 | x<>4"),
          of("locked-one-winner", "x:0>1 | x:0>2 | x:0>3 | x:0>4"),
          of("dekker-xchg-flags", "x<>1 y? z+1 | y<>1 x? z+1"),
          of("locked-beside-plain", "x+1 y=1 x+1 | y=2 x? y?"));

  LitmusTest {
    threads = threads.stream().map(List::copyOf).toList();
  }

  /**
   * Reads a test: vCPUs apart by bars, instructions by blanks; {@code x=1} stores, {@code x?} loads,
   * {@code mf} fences, {@code x<>1} exchanges, {@code x+1} adds, {@code x:0>1} compares and
   * exchanges.
   */
  static LitmusTest of(String name, String text) {
    List<List<Op>> threads = new ArrayList<>();
    for (String thread : text.split("\\|")) {
      List<Op> ops = new ArrayList<>();
      for (String op : thread.strip().split(" +")) {
        ops.add(op(op));
      }
      threads.add(ops);
    }
    LitmusTest test = new LitmusTest(name, threads);
    if (threads.size() > MAX_THREADS
        || threads.stream().anyMatch(t -> t.stream().filter(Op::reads).count() > MAX_READS)) {
      throw new IllegalArgumentException(text + ": too many vCPUs or reads");
    }
    return test;
  }

  private static Op op(String text) {
    if (text.equals("mf")) {
      return new Op.Fence();
    }
    Matcher m = STORE.matcher(text);
    if (m.matches()) {
      return new Op.Store(variable(m), value(m, 2));
    }
    m = LOAD.matcher(text);
    if (m.matches()) {
      return new Op.Load(variable(m));
    }
    m = EXCHANGE.matcher(text);
    if (m.matches()) {
      return new Op.Exchange(variable(m), value(m, 2));
    }
    m = ADD.matcher(text);
    if (m.matches()) {
      return new Op.Add(variable(m), value(m, 2));
    }
    m = COMPARE.matcher(text);
    if (m.matches()) {
      return new Op.CompareExchange(variable(m), value(m, 2), value(m, 3));
    }
    throw new IllegalArgumentException(text + ": no instruction of a litmus test");
  }

  private static int variable(Matcher m) {
    return VARIABLES.indexOf(m.group(1));
  }

  private static int value(Matcher m, int group) {
    int value = Integer.parseInt(m.group(group));
    if (value > MAX_VALUE) {
      throw new IllegalArgumentException(m.group() + ": values up to " + MAX_VALUE + " expected");
    }
    return value;
  }

  /** A test drawn at random: the same seed draws the same one. */
  static LitmusTest random(long seed) {
    Dice dice = new Dice();
    dice.seed(seed);
    int threads = 2 + dice.below(3);
    int variables = 2 + dice.below(2);
    int next = 1;
    List<List<Op>> all = new ArrayList<>();
    for (int t = 0; t < threads; t++) {
      List<Op> ops = new ArrayList<>();
      int count = threads == 4 ? 2 : 2 + dice.below(3);
      for (int i = 0; i < count; i++) {
        int v = dice.below(variables);
        // Sums of locked additions must stay small; everything else is told apart by its value.
        Op op =
            switch (dice.below(10)) {
              case 0, 1, 2 -> new Op.Store(v, Math.min(next++, 9));
              case 3, 4, 5, 6 -> new Op.Load(v);
              case 7 -> new Op.Exchange(v, Math.min(next++, 9));
              case 8 -> new Op.Add(v, dice.below(2));
              default -> dice.below(3) == 0
                  ? new Op.CompareExchange(v, dice.below(2), Math.min(next++, 9))
                  : new Op.Fence();
            };
        ops.add(op);
      }
      all.add(ops);
    }
    return new LitmusTest("random-" + seed, all);
  }

  /** How many variables there are. */
  int variables() {
    Set<Integer> used = new HashSet<>();
    for (List<Op> thread : threads) {
      for (Op op : thread) {
        switch (op) {
          case Op.Store(int v, _) -> used.add(v);
          case Op.Load(int v) -> used.add(v);
          case Op.Exchange(int v, _) -> used.add(v);
          case Op.Add(int v, _) -> used.add(v);
          case Op.CompareExchange(int v, _, _) -> used.add(v);
          case Op.Fence() -> {}
        }
      }
    }
    return used.stream().mapToInt(v -> v + 1).max().orElse(1);
  }

  /** How many values of an outcome are reads of one vCPU. */
  int reads(int thread) {
    return (int) threads.get(thread).stream().filter(Op::reads).count();
  }

  /** Puts the values of an outcome into one number: 4 bits each, reads first, the last one lowest. */
  static long outcome(int[] values) {
    long outcome = 0;
    for (int value : values) {
      outcome = outcome << 4 | value & MAX_VALUE;
    }
    return outcome;
  }

  /** How many values an outcome has. */
  int values() {
    int n = variables();
    for (int t = 0; t < threads.size(); t++) {
      n += reads(t);
    }
    return n;
  }

  /** An outcome for people: what each vCPU has read, then what is left in memory. */
  String describe(long outcome) {
    StringBuilder text = new StringBuilder();
    int shift = 4 * values();
    for (int t = 0; t < threads.size(); t++) {
      text.append(t == 0 ? "" : "| ");
      for (Op op : threads.get(t)) {
        if (op.reads()) {
          shift -= 4;
          text.append(outcome >>> shift & MAX_VALUE).append(' ');
        }
      }
    }
    text.append("=> ");
    for (int v = 0; v < variables(); v++) {
      shift -= 4;
      text.append(VARIABLES.charAt(v)).append('=').append(outcome >>> shift & MAX_VALUE)
          .append(' ');
    }
    return text.toString().strip();
  }

  /** The test as {@link #of} reads it. */
  String text() {
    StringBuilder text = new StringBuilder();
    for (List<Op> thread : threads) {
      text.append(text.isEmpty() ? "" : "| ");
      for (Op op : thread) {
        text.append(text(op)).append(' ');
      }
    }
    return text.toString().strip();
  }

  private static String text(Op op) {
    return switch (op) {
      case Op.Store(int v, int value) -> VARIABLES.charAt(v) + "=" + value;
      case Op.Load(int v) -> VARIABLES.charAt(v) + "?";
      case Op.Exchange(int v, int value) -> VARIABLES.charAt(v) + "<>" + value;
      case Op.Add(int v, int value) -> VARIABLES.charAt(v) + "+" + value;
      case Op.CompareExchange(int v, int expected, int value) ->
          VARIABLES.charAt(v) + ":" + expected + ">" + value;
      case Op.Fence() -> "mf";
    };
  }
}

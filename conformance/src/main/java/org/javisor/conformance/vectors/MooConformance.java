package org.javisor.conformance.vectors;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.cpu.Dice;
import org.javisor.conformance.tool.Accelerators;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;
import org.javisor.interp.CpuModels;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Undefined;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * {@code javisor-conformance moo}: instructions in real mode as an 80286 was recorded to execute
 * them, by the files of SingleStepTests/80286. What an 80286 and a CPU of today define differently
 * is counted, with its reason, and not compared.
 *
 * <p>Exit codes: 0 all agree, 1 some do not, 2 a wrong option, 3 a file cannot be read.
 */
public final class MooConformance implements EmptyBus, BarePlatform {
  private static final String HELP =
      """
      usage: javisor-conformance moo FILE|FOLDER... [options]
        FILE           a file of recorded tests, *.MOO or *.MOO.gz; of a folder, all of them
        --sample N     only N files, drawn at random
        --seed S       other files (default 1)
        --show N       how many mismatches of each file are told (default 3)
        --accel NAME   the accelerator under test: interp (default)
      """;

  private static final int RAM = 2 << 20;
  private static final int HLT = 0xf4;

  /** Where real mode's table has the handlers of exceptions 12 and 13. */
  private static final int STACK_VECTOR = 12 * 4;

  private static final int PROTECTION_VECTOR = 13 * 4;

  /** A repeated instruction has 65,535 elements at most; what takes longer has lost its way. */
  private static final int MOST_STEPS = 100_000;

  /** What a 286 cannot set in real mode, or does not have. */
  private static final int OLD_FLAGS = 0x0fd7;

  private final PrintStream out;
  private final GuestMemory memory = new GuestMemory(new FrameArena(RAM));
  private final Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
  private final Instruction in = new Instruction();
  private final Map<String, Integer> excluded = new TreeMap<>();
  private final List<Path> files = new ArrayList<>();
  private long sample;
  private long seed = 1;
  private long show = 3;
  private String accelerator = "interp";
  private Vcpu vcpu;
  private long compared;
  private long mismatches;

  private MooConformance(PrintStream out) {
    this.out = out;
    memory.mapRam(0, RAM);
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    MooConformance verb = new MooConformance(out);
    Options options = new Options(HELP).operands("FILE or FOLDER");
    return options
        .number("--sample", v -> verb.sample = v)
        .number("--seed", v -> verb.seed = v)
        .number("--show", v -> verb.show = v)
        .text("--accel", v -> verb.accelerator = v)
        .run(arguments, out, () -> verb.run(options.operands()));
  }

  private int run(List<String> operands) throws UsageException {
    try {
      return compareAll(operands);
    } catch (IOException e) {
      System.err.println("javisor-conformance: cannot be read: " + e.getMessage());
      return Exit.FILE;
    }
  }

  private int compareAll(List<String> operands) throws IOException, UsageException {
    for (String operand : operands) {
      Path path = Path.of(operand);
      if (Files.isDirectory(path)) {
        try (Stream<Path> all = Files.list(path)) {
          all.filter(f -> f.toString().matches(".*\\.MOO(\\.gz)?")).sorted().forEach(files::add);
        }
      } else {
        files.add(path);
      }
    }
    draw();
    try (Vm vm =
        Accelerators.of(accelerator)
            .createVm(memory, this, CpuModels.of("x86-64-v1", 1), Clock.host(), Trace.NONE)) {
      vcpu = vm.createVcpu(0, this);
      vcpu.reset();
      for (Path file : files) {
        file(file);
      }
    }
    excluded.forEach((why, n) -> out.printf("not compared, %,d times: %s%n", n, why));
    out.printf("%d files, %,d tests compared, %,d mismatches%n", files.size(), compared,
        mismatches);
    return mismatches == 0 && compared > 0 ? Exit.OK : Exit.MISMATCH;
  }

  /** Leaves as many files as wanted, at random. */
  private void draw() {
    Dice dice = new Dice();
    dice.seed(seed);
    while (sample > 0 && files.size() > sample) {
      files.remove(dice.below(files.size()));
    }
  }

  private void file(Path file) throws IOException {
    long before = mismatches;
    for (MooFile.Test test : MooFile.read(file)) {
      String why = otherwise(test);
      if (why != null) {
        excluded.merge(why, 1, Integer::sum);
        continue;
      }
      compared++;
      List<String> wrong = execute(test);
      if (!wrong.isEmpty()) {
        mismatches++;
        if (mismatches - before <= show) {
          out.printf(
              "%s: %s (%s), %s: %s%n",
              file.getFileName(), test.name(), HexFormat.of().formatHex(test.code()),
              test.exception() < 0 ? "no exception" : "exception " + test.exception(),
              String.join(", ", wrong));
        }
      }
    }
    if (mismatches > before) {
      out.printf("%s: %,d mismatches%n", file.getFileName(), mismatches - before);
    }
  }

  /** Why a test tells nothing about a CPU of today, or null. */
  private String otherwise(MooFile.Test test) {
    int length =
        decoder.decode(Arrays.copyOf(test.code(), Math.max(test.code().length, 16)), 0, 16, 16, in);
    if (length <= 0) {
      return in.lock
          ? "LOCK before an instruction that cannot be locked: later CPUs have #UD"
          : "no instruction of later CPUs";
    }
    if (length > 10) {
      return "longer than ten bytes: #UD on an 80286";
    }
    MooFile.State before = test.before();
    int handler = handler(test);
    if (test.exception() >= 0 && before.memory().getOrDefault(handler, HLT) != HLT) {
      return "an exception whose handler is among the operands";
    }
    if (Old.overrunsStack(test, in) && before.memory().containsKey(STACK_VECTOR)) {
      return "a stack overrun whose vector is among the operands";
    }
    return Old.differs(test, in);
  }

  /** Where the instruction was fetched that follows the one under test. */
  private static int handler(MooFile.Test test) {
    Map<String, Integer> after = test.after().registers();
    int cs = after.getOrDefault("cs", test.before().registers().get("cs"));
    int ip = after.getOrDefault("ip", test.before().registers().get("ip"));
    return (cs << 4) + (ip - 1 & 0xffff);
  }

  private List<String> execute(MooFile.Test test) {
    MooFile.State before = test.before();
    before.memory().forEach((at, value) -> memory.write8(at, value));
    Map<String, Integer> expected = new TreeMap<>(before.registers());
    expected.putAll(test.after().registers());
    int end = handler(test);
    // The recorder put a HLT on the bus where an exception's handler was fetched.
    boolean halts = test.exception() >= 0 || in.form.op() == Op.HLT;
    if (test.exception() >= 0) {
      memory.write8(end, HLT);
    }
    boolean overrun = Old.overrunsStack(test, in);
    if (overrun) {
      memory.write32(STACK_VECTOR, memory.read32(PROTECTION_VECTOR));
    }
    vcpu.setState(state(before.registers()));
    vcpu.setSingleStep(true);
    VmExit exit;
    int steps = 0;
    do {
      exit = vcpu.run();
      steps++;
    } while (steps < MOST_STEPS
        && (exit instanceof VmExit.Kicked
            || (halts ? exit instanceof VmExit.Debug : repeats(vcpu.state(), before.registers()))));
    CpuState s = vcpu.state();
    List<String> wrong = new ArrayList<>();
    if (halts != exit instanceof VmExit.Halt) {
      wrong.add("ended with " + exit.getClass().getSimpleName());
    }
    if (Old.movesOn(test, in)) {
      Old.takeBack(expected, before.registers(), (int) s.gpr[1] & 0xffff, in);
    }
    if (overrun) {
      memory.write32(STACK_VECTOR, 0);
    }
    compare(test, expected, s, halts, wrong);
    for (Map.Entry<Integer, Integer> byteBefore : before.memory().entrySet()) {
      check(test, byteBefore.getKey(), byteBefore.getValue(), wrong);
    }
    before.memory().keySet().forEach(at -> memory.write8(at, 0));
    test.after().memory().keySet().forEach(at -> memory.write8(at, 0));
    memory.write8(end, 0);
    return wrong;
  }

  /** Whether a repeated string instruction stands where it began, with something left to do. */
  private boolean repeats(CpuState s, Map<String, Integer> before) {
    return (in.rep || in.repne)
        && s.cs.selector == before.get("cs")
        && (s.rip & 0xffff) == before.get("ip")
        && (s.gpr[1] & 0xffff) != 0;
  }

  private CpuState state(Map<String, Integer> registers) {
    vcpu.reset();
    CpuState s = vcpu.state();
    String[] order = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    for (int i = 0; i < 8; i++) {
      s.gpr[i] = registers.get(order[i]);
    }
    segment(s.cs, registers.get("cs"));
    segment(s.ss, registers.get("ss"));
    segment(s.ds, registers.get("ds"));
    segment(s.es, registers.get("es"));
    s.rip = registers.get("ip");
    s.rflags = registers.get("flags") & OLD_FLAGS | 2;
    return s;
  }

  private static void segment(CpuState.Segment segment, int selector) {
    segment.set(selector, (long) selector << 4, segment.limit, segment.attributes);
  }

  private void compare(
      MooFile.Test test, Map<String, Integer> expected, CpuState s, boolean halted,
      List<String> wrong) {
    int[] actual = {
      (int) s.gpr[0], (int) s.gpr[3], (int) s.gpr[1], (int) s.gpr[2], s.cs.selector, s.ss.selector,
      s.ds.selector, s.es.selector, (int) s.gpr[4], (int) s.gpr[5], (int) s.gpr[6], (int) s.gpr[7],
      (int) s.rip + (halted ? 0 : 1), (int) s.rflags
    };
    for (int i = 0; i < actual.length; i++) {
      String name = MooFile.REGISTERS.get(i);
      int mask = 0xffff;
      if (name.equals("flags")) {
        mask = OLD_FLAGS & ~Undefined.flags(in, test.before().registers().get("cx"));
      }
      if (((actual[i] ^ expected.get(name)) & mask) != 0) {
        wrong.add(
            "%s %04x instead of %04x".formatted(name, actual[i] & mask, expected.get(name) & mask));
      }
    }
    if (test.exception() < 0) {
      test.after().memory().forEach(
          (at, value) -> {
            if (!test.before().memory().containsKey(at)) {
              check(test, at, value, wrong);
            }
          });
    } else {
      test.after().memory().keySet().forEach(at -> check(test, at, 0, wrong));
    }
  }

  private void check(MooFile.Test test, int at, int before, List<String> wrong) {
    int value = test.after().memory().getOrDefault(at, before);
    int mask = 0xff;
    if (test.exception() >= 0 && (at == test.flagsAddress() || at == test.flagsAddress() + 1)) {
      int flags = OLD_FLAGS & ~Undefined.flags(in, test.before().registers().get("cx"));
      mask = at == test.flagsAddress() ? flags & 0xff : flags >> 8;
    }
    int actual = memory.read8(at);
    if (((actual ^ value) & mask) != 0) {
      wrong.add("byte at %x %02x instead of %02x".formatted(at, actual, value));
    }
  }
}

package org.javisor.conformance.vectors;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.javisor.conformance.tool.Accelerators;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;
import org.javisor.interp.CpuModels;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * {@code javisor-conformance rom}: a ROM that tests the CPU it runs on, as test386.asm does, instead
 * of a BIOS; around it there is a megabyte of memory, a port for its progress and one for its text.
 *
 * <p>Exit codes: 0 it came to its last progress code and printed what was expected, 1 it did not, 2 a
 * wrong option, 3 a file cannot be read.
 */
public final class RomConformance implements EmptyBus, BarePlatform {
  private static final String HELP =
      """
      usage: javisor-conformance rom FILE [options]
        FILE             a flat image of whole 64 KiB, at most 256, whose last bytes are at the reset
                         vector; as test386.asm assembled with OUT_PORT equ 0x91
        --expect FILE    what it must print
        --accel NAME     the accelerator under test: interp (default) or kvm
        --seconds N      how long it may take (default 600)
        --last N         if it fails, tells the last N blocks of code and exceptions (default 0;
                         remembering them takes ten times as long)
      """;

  private static final int RAM = 1 << 20;
  private static final long FOUR_GIB = 1L << 32;
  private static final int MAX_ROM = 256 << 10;

  /** Where progress codes go; {@code POST_PORT} of test386.asm as it comes. */
  private static final int PROGRESS_PORT = 0x190;

  private static final int TEXT_PORT = 0x91;
  private static final int DONE = 0xff;

  private static final Set<TraceCategory> WANTED =
      Set.of(TraceCategory.BLOCKS, TraceCategory.EXCEPTIONS, TraceCategory.UNKNOWN);

  private final List<Integer> progress = new ArrayList<>();
  private final StringBuilder text = new StringBuilder();

  private final Deque<String> trace = new ArrayDeque<>();
  private final PrintStream out;
  private String expect = "";
  private String accelerator = "interp";
  private long seconds = 600;
  private long last;

  private RomConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    RomConformance verb = new RomConformance(out);
    Options options = new Options(HELP).operand("FILE");
    return options
        .text("--expect", v -> verb.expect = v)
        .text("--accel", v -> verb.accelerator = v)
        .number("--seconds", v -> verb.seconds = v)
        .number("--last", v -> verb.last = v)
        .run(arguments, out, () -> verb.run(options.operands().getFirst()));
  }

  private int run(String file) throws UsageException {
    try {
      byte[] rom = Files.readAllBytes(Path.of(file));
      if (rom.length == 0 || rom.length % (64 << 10) != 0 || rom.length > MAX_ROM) {
        throw new UsageException(
            file + " has " + rom.length + " bytes: whole 64 KiB, at most 256, expected");
      }
      String expected = expect.isEmpty() ? null : Files.readString(Path.of(expect));
      return report(boot(rom), expected);
    } catch (IOException e) {
      System.err.println("javisor-conformance: cannot be read: " + e.getMessage());
      return Exit.FILE;
    }
  }

  /** Runs the ROM until it halts; returns how it ended. */
  private String boot(byte[] rom) throws UsageException {
    GuestMemory memory = new GuestMemory(new FrameArena(RAM + 2L * rom.length));
    memory.mapRam(0, RAM - rom.length);
    memory.mapRom(RAM - rom.length, rom);
    memory.mapRom(FOUR_GIB - rom.length, rom);
    Clock clock = Clock.host();
    try (Vm vm =
        Accelerators.of(accelerator)
            .createVm(memory, this, CpuModels.of("x86-64-v2", 1), clock,
                last > 0 ? new Trace(WANTED, this::trace) : Trace.NONE);
        Timers timers = new Timers(clock)) {
      Vcpu vcpu = vm.createVcpu(0, this);
      timers.create(vcpu::kick).set(clock.nanos() + seconds * 1_000_000_000L);
      VmExit exit = vcpu.run();
      CpuState s = vcpu.state();
      String where = " at %04x:%08x".formatted(s.cs.selector, s.rip);
      return switch (exit) {
        case VmExit.Halt() -> "halted" + where;
        case VmExit.Kicked() -> "still ran after " + seconds + " s" + where;
        case VmExit.Shutdown(String crash) -> "crashed: " + crash;
        case VmExit.Debug() -> "stopped" + where;
      };
    }
  }

  private void trace(TraceCategory category, String line) {
    if (trace.size() == last) {
      trace.pollFirst();
    }
    trace.addLast(category.label() + ": " + line);
  }

  private int report(String end, String expected) {
    out.print("progress");
    progress.forEach(code -> out.printf(" %02x", code));
    out.printf("; %s%n", end);
    boolean done = !progress.isEmpty() && progress.getLast() == DONE;
    boolean same = true;
    if (expected != null) {
      List<String> printed = text.toString().lines().toList();
      List<String> wanted = expected.lines().toList();
      int i = 0;
      while (i < printed.size() && i < wanted.size() && printed.get(i).equals(wanted.get(i))) {
        i++;
      }
      same = i == printed.size() && i == wanted.size();
      if (same) {
        out.printf("%,d lines printed, all as expected%n", i);
      } else {
        out.printf(
            "line %d of %d: '%s' printed, '%s' expected%n",
            i + 1, wanted.size(), i < printed.size() ? printed.get(i) : "nothing",
            i < wanted.size() ? wanted.get(i) : "nothing");
      }
    }
    if (!done) {
      trace.forEach(out::println);
    }
    return done && same ? Exit.OK : Exit.MISMATCH;
  }

  @Override
  public void writePort(int port, int size, int value) {
    if (port == PROGRESS_PORT) {
      progress.add(value & 0xff);
    } else if (port == TEXT_PORT) {
      text.append(new String(new byte[] {(byte) value}, StandardCharsets.ISO_8859_1));
    }
  }
}

package org.javisor.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.accelerator.time.Clock;

/**
 * A process that reports in lines with an "@" in front, and is told in lines when to go on: an
 * emulator with a guest, whose serial line is its standard streams, or a row on the host. A
 * report is stamped with both times as soon as it arrives.
 */
final class Dialogue implements AutoCloseable {
  /** What guests are expected to say; firmware and kernels may say something in front of it. */
  private static final Pattern REPORT =
      Pattern.compile("@(first|userland|idle|ready|done|sum|failed)\\b *(.*)");

  private static final int TAIL = 1500;

  private static final Clock CLOCK = Clock.host();

  /**
   * A moment in the life of the process.
   *
   * @param wallNanos since it was started
   * @param cpuNanos used by it, all its threads together, and by those processes that count with it
   */
  record Moment(long wallNanos, long cpuNanos) {}

  /**
   * A line of the process.
   *
   * @param kind the word behind the "@"; empty at the end of the output
   * @param rest what follows it
   * @param at when it came
   */
  record Report(String kind, String rest, Moment at) {}

  private final String name;
  private final long start;
  private final Process process;
  private volatile List<ProcessClock> clocks;
  private final OutputStream input;
  private final Thread reaper;
  private final BlockingQueue<Report> reports = new LinkedBlockingQueue<>();
  private final StringBuffer tail = new StringBuffer();

  /**
   * Starts the process.
   *
   * @param name for messages
   * @param environment variables to set on top of this process' own
   */
  Dialogue(String name, List<String> command, Map<String, String> environment)
      throws SubjectFailure {
    this.name = name;
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(environment);
    start = CLOCK.nanos();
    try {
      process = builder.start();
    } catch (IOException e) {
      throw new SubjectFailure(name + " cannot be started: " + e.getMessage());
    }
    clocks = List.of(new ProcessClock(process.pid()));
    input = process.getOutputStream();
    // Whoever ends the benchmark in the middle does not want a guest left behind.
    reaper = new Thread(process::destroyForcibly, "javisor-bench-reaper");
    Runtime.getRuntime().addShutdownHook(reaper);
    Thread.ofPlatform().daemon().name("javisor-bench-" + name).start(this::listen);
  }

  private void listen() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.ISO_8859_1))) {
      for (String line; (line = lines.readLine()) != null;) {
        Matcher report = REPORT.matcher(line);
        if (report.find()) {
          reports.add(new Report(report.group(1), report.group(2).strip(), now()));
        }
        tail.append(line).append('\n');
        if (tail.length() > 2 * TAIL) {
          tail.delete(0, tail.length() - TAIL);
        }
      }
    } catch (IOException e) {
      tail.append(e.getMessage());
    }
    reports.add(new Report("", "", now()));
  }

  /** Both times, now. */
  Moment now() {
    return new Moment(
        CLOCK.nanos() - start, clocks.stream().mapToLong(ProcessClock::nanos).sum());
  }

  /** From now on the CPU time is that of the process and of those that it has started, too. */
  void countDescendants() {
    List<ProcessClock> all = new ArrayList<>(List.of(new ProcessClock(process.pid())));
    process.descendants().forEach(each -> all.add(new ProcessClock(each.pid())));
    clocks = List.copyOf(all);
  }

  /** Waits for a report; nothing else but idleness may come before it. */
  Report await(String kind, int seconds) throws SubjectFailure, InterruptedException {
    while (true) {
      Report report = reports.poll(seconds, TimeUnit.SECONDS);
      if (report == null) {
        throw failure("said nothing for " + seconds + " s where @" + kind + " was expected");
      }
      if (report.kind().equals(kind)) {
        return report;
      }
      switch (report.kind()) {
        case "" -> throw failure("ended where @" + kind + " was expected");
        case "idle", "userland", "first", "ready" -> {}
        default -> throw failure(
            "said @" + report.kind() + " " + report.rest() + " where @" + kind + " was expected");
      }
    }
  }

  private SubjectFailure failure(String what) {
    String last = tail.toString();
    return new SubjectFailure(
        name + " " + what + "; its last words:\n"
            + last.substring(Math.max(0, last.length() - TAIL)).strip());
  }

  /** Sends a line. */
  void say(String line) throws SubjectFailure {
    try {
      input.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
      input.flush();
    } catch (IOException e) {
      throw failure("does not listen (" + e.getMessage() + ")");
    }
  }

  long pid() {
    return process.pid();
  }

  /** Ends the process if it has not ended. */
  @Override
  public void close() {
    process.destroy();
    try {
      if (!process.waitFor(5, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
    try {
      Runtime.getRuntime().removeShutdownHook(reaper);
    } catch (IllegalStateException e) {
      // It is at work.
    }
  }
}

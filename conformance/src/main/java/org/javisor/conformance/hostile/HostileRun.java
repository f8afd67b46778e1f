package org.javisor.conformance.hostile;

import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.cpu.Dice;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.XenMachine;
import org.javisor.xen.toolstack.ToolException;
import org.javisor.xen.toolstack.XenHost;

/**
 * Pairs of hostile domains of all kinds, one after the other, on a host where two others look on. At
 * the end those are what they were, nobody has read their memory, the host has met no bug of its own
 * and has all of its memory back.
 */
final class HostileRun {
  /** What the memory of those who look on is filled with. */
  private static final long MARK = 0x5bd1_e995_c3a5_c85cL;

  private static final List<String> KINDS = List.of("pvh", "pv", "hvm");

  private static final long HOST_MEMORY = 256L << 20;
  private static final long PATIENCE_NANOS = 10_000_000_000L;
  private static final int DISK_BYTES = 1 << 20;

  /** Attempts of a domain before its successor gets its turn. */
  private static final int LIFE = 600;

  /** Those who look on are looked at after so many lives. */
  private static final int LOOK = 16;

  /** The first page of theirs that is not their kernel's. */
  private static final int FIRST_MARKED = 0x400;

  private final Path folder;
  private final Path kernel;
  private final String accelerator;
  private final long seed;
  private final PrintStream out;
  private final List<String> findings = new ArrayList<>();
  private final AtomicReference<Throwable> bug = new AtomicReference<>();
  private long attempts;
  private long lives;

  /** Prepares a run; the folder is for its files. */
  HostileRun(Path folder, String accelerator, long seed, PrintStream out) throws IOException {
    this.folder = folder;
    this.accelerator = accelerator;
    this.seed = seed;
    this.out = out;
    kernel = PuppetKernel.write(folder.resolve("puppet"));
  }

  /** What was attempted so far. */
  long attempts() {
    return attempts;
  }

  /** Domains that were hostile so far. */
  long lives() {
    return lives;
  }

  /**
   * Attacks until there have been so many attempts and so much time has passed.
   *
   * @return what is wrong; empty if nothing is
   */
  List<String> run(long wanted, long seconds)
      throws MachineException, ToolException, IOException, InterruptedException {
    Clock clock = Clock.host();
    long end = clock.nanos() + seconds * 1_000_000_000L;
    try (XenMachine machine =
        XenMachine.start(
            new XenMachine.Config(
                folder.resolve("xen"), accelerator, MachineConfig.DEFAULT_CPU_MODEL, HOST_MEMORY,
                2),
            e -> bug.compareAndSet(null, e))) {
      XenHost host = machine.host();
      List<Puppet> lookOn =
          List.of(
              Puppet.start(host, kernel, "onlooker-pvh", "pvh", ""),
              Puppet.start(host, kernel, "onlooker-pv", "pv", ""));
      lookOn.forEach(HostileRun::mark);
      long free = host.hypervisor().freePages();
      for (int pair = 0; findings.isEmpty() && (attempts < wanted || clock.nanos() < end); pair++) {
        pair(host, lookOn, pair);
        pages(host, free, "after pair " + pair);
        if (pair % LOOK == LOOK - 1) {
          look(lookOn);
          out.printf("%,d attempts of %,d domains%n", attempts, lives);
        }
      }
      look(lookOn);
      for (Puppet puppet : lookOn) {
        if (puppet.call(17, 0).orElse(-1) != (4 << 16 | 17)) {
          findings.add(puppet.domain() + " does not answer any more");
        }
      }
    }
    if (bug.get() != null) {
      findings.add("a bug on the way: " + bug.get());
      bug.get().printStackTrace(out);
    }
    return findings;
  }

  /** All pages are to be there again; those that a vCPU may still know, when it has been outside. */
  private void pages(XenHost host, long free, String when) {
    Clock clock = Clock.host();
    long end = clock.nanos() + PATIENCE_NANOS;
    long left = host.hypervisor().freePages();
    while (left != free && clock.nanos() < end) {
      LockSupport.parkNanos(1_000_000);
      left = host.hypervisor().freePages();
    }
    if (left != free) {
      findings.add("%s %d pages are free, and %d were before".formatted(when, left, free));
    }
  }

  private static void mark(Puppet puppet) {
    for (int page = FIRST_MARKED; page < Puppet.PAGES; page++) {
      for (int i = 0; i < Puppet.PAGE; i += 8) {
        puppet.write((long) page * Puppet.PAGE + i, MARK);
      }
    }
  }

  private void look(List<Puppet> lookOn) {
    for (Puppet puppet : lookOn) {
      for (int page = FIRST_MARKED; page < Puppet.PAGES; page++) {
        for (int i = 0; i < Puppet.PAGE; i += 8) {
          long address = (long) page * Puppet.PAGE + i;
          if (puppet.read(address) != MARK) {
            findings.add(
                "%s has %#x at %#x".formatted(puppet.domain(), puppet.read(address), address));
            return;
          }
        }
      }
    }
  }

  /** Two domains that know each other and both who look on, at the same time. */
  private void pair(XenHost host, List<Puppet> lookOn, int number)
      throws ToolException, IOException, InterruptedException {
    List<Puppet> two = new ArrayList<>();
    try {
      for (int i = 0; i < 2; i++) {
        String kind = KINDS.get((number + i * (1 + number / 3)) % KINDS.size());
        two.add(Puppet.start(host, kernel, "hostile-" + i, kind, devices(i)));
      }
      List<Thread> threads = new ArrayList<>();
      long[] done = new long[2];
      AtomicReference<Throwable> failure = new AtomicReference<>();
      for (int i = 0; i < 2; i++) {
        int which = i;
        Dice dice = new Dice();
        dice.seed(Dice.seedOf(seed, 2L * number + i));
        List<Puppet> known = new ArrayList<>(lookOn);
        known.add(two.get(1 - i));
        known.add(two.get(i));
        Attack attack = new Attack(two.get(i), dice, host.store(), known, MARK);
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        done[which] = attack.live(LIFE);
                        if (attack.readings() > 0) {
                          throw new IllegalStateException("another's memory was read");
                        }
                      } catch (RuntimeException | Error e) {
                        failure.set(e);
                      }
                    }));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      attempts += done[0] + done[1];
      lives += 2;
      if (failure.get() != null) {
        failure.get().printStackTrace(out);
        findings.add("pair " + number + ": " + failure.get());
      }
      for (Puppet puppet : two) {
        if (puppet.count(MARK) > 0) {
          findings.add("pair " + number + ": " + puppet.domain() + " has another's memory");
        }
      }
    } finally {
      two.forEach(Puppet::close);
    }
  }

  private String devices(int which) throws IOException {
    Path disk = folder.resolve("disk-" + which);
    if (!Files.exists(disk)) {
      try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
        file.setLength(DISK_BYTES);
      }
    }
    return "disk = [ '%s,raw,xvda,w' ]\nvif = [ 'net=user,restrict' ]".formatted(disk);
  }
}

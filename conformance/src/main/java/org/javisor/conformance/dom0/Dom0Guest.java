package org.javisor.conformance.dom0;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.Dom0Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.MachineListener;
import org.javisor.machine.NetConfig;
import org.javisor.machine.ShareConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DeviceModelTools;
import org.javisor.storage.packages.Progress;
import org.javisor.xen.hypervisor.HostAccounts;
import org.javisor.xen.hypervisor.ShutdownReason;

/** A host with Debian's domain 0 under test: what its terminal showed, and a hand at its keyboard. */
public final class Dom0Guest implements AutoCloseable {
  private static final Clock CLOCK = Clock.host();
  private static final int TAIL = 3000;
  private static final long DOM0_MEMORY = 512L << 20;
  private static final long HOST_MEMORY = 1536L << 20;

  /** The shell's prompt, of domain 0 and of the domains in it. */
  private static final String PROMPT = "~ #";

  /** What leaves a console in domain 0: Ctrl-]. */
  private static final byte[] LEAVE = {0x1d};

  private static final int LEAVE_MILLIS = 500;
  private static final int ASK_SECONDS = 5;

  // Names of hosts, as shells tell them.
  private static final String DOM0 = "dom0";
  private static final String DOMU = "javisor";

  private final StringBuilder output = new StringBuilder();
  private final AtomicReference<Throwable> bug = new AtomicReference<>();
  private final Dom0Machine machine;
  private final int answerSeconds;
  private final Consumer<byte[]> log;
  private int seen;
  private int commands;

  /**
   * Starts a host and waits until domain 0 is at its prompt.
   *
   * @param disks raw images: /dev/vda and so on in domain 0
   * @param accelerator who executes all domains
   * @param bootSeconds how long it may take
   * @param answerSeconds how long a command may take
   * @param log takes what the terminal shows, too
   */
  public Dom0Guest(
      List<Path> disks, String accelerator, int bootSeconds, int answerSeconds,
      Progress progress, Consumer<byte[]> log)
      throws Exception {
    this.answerSeconds = answerSeconds;
    this.log = log;
    DefaultGuest.GuestFiles files = DefaultGuest.dom0(progress).obtain();
    Path lent = new DefaultGuest(progress).obtain().kernel().getParent();
    Path deviceModel = DeviceModelTools.obtain(progress);
    machine =
        Dom0Machine.start(
            new Dom0Machine.Config(
                new MachineConfig(
                    Optional.of(files.kernel()),
                    Optional.empty(),
                    Optional.of(files.vmlinux()),
                    Optional.of(files.initrd()),
                    BootProtocol.PVH,
                    "console=hvc0 quiet loglevel=0",
                    DOM0_MEMORY,
                    2,
                    MachineConfig.DEFAULT_CPU_MODEL,
                    accelerator,
                    TraceSelection.NONE,
                    Optional.empty(),
                    OptionalInt.empty(),
                    disks(disks),
                    List.of(NetConfig.byDefault().withMac(Entropy.host())),
                    List.of(
                        new ShareConfig(lent, "guest", false),
                        new ShareConfig(deviceModel, "device-model", false))),
                HOST_MEMORY,
                2),
            this::show,
            new MachineListener() {
              @Override
              public void message(String line) {}

              @Override
              public void trace(TraceCategory category, String line) {}
            },
            (domain, error) -> bug.set(error));
    boolean booted = false;
    try {
      await("Javisor domain 0 ready", bootSeconds);
      await(PROMPT, answerSeconds);
      booted = true;
    } finally {
      if (!booted) {
        machine.close();
      }
    }
  }

  private static List<DiskConfig> disks(List<Path> files) throws MachineException {
    DiskConfig[] disks = new DiskConfig[files.size()];
    for (int i = 0; i < disks.length; i++) {
      disks[i] = DiskConfig.parse(files.get(i) + ",format=raw");
    }
    return List.of(disks);
  }

  private void show(byte[] bytes) {
    log.accept(bytes);
    synchronized (output) {
      output.append(new String(bytes, StandardCharsets.ISO_8859_1));
      output.notifyAll();
    }
  }

  /** Waits for a text behind what was seen last; returns what was before it. */
  public String await(String text, int seconds) throws InterruptedException, TimeoutException {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (output) {
      while (true) {
        int at = output.indexOf(text, seen);
        if (at >= 0) {
          String before = output.substring(seen, at);
          seen = at + text.length();
          return before.replace("\r", "");
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - CLOCK.nanos());
        if (left <= 0 || bug.get() != null) {
          throw new TimeoutException(
              "no '" + text + "' in " + seconds + " s; the end of what came:\n"
                  + output.substring(Math.max(0, output.length() - TAIL))
                  + (bug.get() == null ? "" : bug.get()));
        }
        output.wait(Math.min(left, 1000));
      }
    }
  }

  /** Types a line. */
  public void type(String line) {
    machine.type((line + "\r").getBytes(StandardCharsets.US_ASCII));
  }

  /** Runs a command in domain 0, or on the console that is open; returns what it printed. */
  public String run(String command) throws InterruptedException, TimeoutException {
    int number = ++commands;
    // What is typed is echoed; in two halves it does not pass for the answer.
    type("echo be''gin" + number + "; " + command + "; echo e''nd" + number);
    await("begin" + number + "\r\n", answerSeconds);
    return await("end" + number + "\r\n", answerSeconds).strip();
  }

  /** Opens the console of a domain that shows a prompt, or will; {@link #leave} it afterwards. */
  public void attach(String domain) throws InterruptedException, TimeoutException {
    type("xl console -t pv " + domain);
    awaitShellOf(DOMU);
  }

  /** Leaves a console for domain 0's shell. */
  public void leave() throws InterruptedException, TimeoutException {
    machine.type(LEAVE);
    // Only alone it is what leaves the console.
    Thread.sleep(LEAVE_MILLIS);
    awaitShellOf(DOM0);
  }

  /**
   * Asks until the shell of that host answers. What is typed before a console is open is lost, or
   * another shell's.
   */
  private void awaitShellOf(String host) throws InterruptedException, TimeoutException {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(answerSeconds);
    boolean there = false;
    while (!there) {
      type("echo who=$(cat /proc/sys/kernel/hostname)=");
      try {
        await("who=" + host + "=", ASK_SECONDS);
        there = true;
      } catch (TimeoutException e) {
        if (CLOCK.nanos() > end || bug.get() != null) {
          throw e;
        }
      }
    }
  }

  /** Runs a command on the console of a domain; returns what it printed. */
  public String runIn(String domain, String command) throws InterruptedException, TimeoutException {
    attach(domain);
    String answer = run(command);
    leave();
    return answer;
  }

  /** Writes a file of some short lines in domain 0. */
  public void write(String path, String text) throws InterruptedException, TimeoutException {
    run(": > " + path);
    for (String line : text.split("\n")) {
      run("echo \"" + line + "\" >> " + path);
    }
  }

  public HostAccounts accounts() {
    return HostAccounts.of(machine.hypervisor());
  }

  /** A bug of ours that was met on the way. */
  public Optional<Throwable> bug() {
    return Optional.ofNullable(bug.get());
  }

  /** Has domain 0 power off; returns how it ended. */
  public ShutdownReason powerOff() throws InterruptedException {
    type("poweroff");
    return machine.await();
  }

  @Override
  public void close() {
    machine.close();
  }
}

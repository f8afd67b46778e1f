package org.javisor.conformance.hostile;

import java.lang.invoke.VarHandle;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.toolstack.ConfigException;
import org.javisor.xen.toolstack.GuestConfig;
import org.javisor.xen.toolstack.GuestDomain;
import org.javisor.xen.toolstack.ToolException;
import org.javisor.xen.toolstack.XenHost;

/** A domain whose kernel does what it is told. One thread tells it. */
final class Puppet implements AutoCloseable {
  static final int PAGE = FrameArena.FRAME_SIZE;
  static final int MEBIBYTES = 8;
  static final int PAGES = MEBIBYTES << 20 >> FrameArena.FRAME_SHIFT;

  /** A vCPU that is not runnable for so long has put itself to sleep. */
  private static final long ASLEEP_NANOS = 20_000_000L;

  /** Nothing that a domain can ask for takes so long, on the busiest host. */
  private static final long HANGS_NANOS = 120_000_000_000L;

  private static final long PAUSE_NANOS = 20_000;
  private static final int SPINS = 2000;

  private static final Clock CLOCK = Clock.host();

  private final XenHost host;
  private final GuestDomain guest;
  private final Domain domain;

  /** Of a PV domain, its machine frames by page; empty if addresses are as the guest says them. */
  private final int[] frames;

  private boolean alive = true;

  private Puppet(XenHost host, GuestDomain guest) {
    this.host = host;
    this.guest = guest;
    domain = guest.domain();
    frames = domain.kind() == DomainKind.PV ? frames(domain) : new int[0];
  }

  private static int[] frames(Domain domain) {
    int[] frames = new int[PAGES];
    Arrays.fill(frames, -1);
    for (long gpa = 0; gpa < domain.memory().end(); gpa += PAGE) {
      if (domain.owns(gpa)) {
        long pfn = domain.pv().pfn(domain.memory().frame(gpa));
        if (pfn >= 0 && pfn < PAGES) {
          frames[(int) pfn] = domain.memory().frame(gpa);
        }
      }
    }
    return frames;
  }

  /**
   * Starts one.
   *
   * @param devices further lines of its configuration
   */
  static Puppet start(XenHost host, Path kernel, String name, String type, String devices)
      throws ToolException {
    String text =
        """
        name = "%s"
        type = "%s"
        memory = %d
        kernel = "%s"
        on_poweroff = "preserve"
        on_reboot = "preserve"
        on_crash = "preserve"
        %s
        """
            .formatted(name, type, MEBIBYTES, kernel, devices);
    try {
      GuestConfig config =
          GuestConfig.parse(name, text, kernel.toAbsolutePath().getParent(), warning -> {});
      Puppet puppet = new Puppet(host, host.create(config));
      puppet.domain.unpause();
      return puppet;
    } catch (ConfigException e) {
      throw new AssertionError("a configuration of our own", e);
    }
  }

  Domain domain() {
    return domain;
  }

  int id() {
    return domain.id();
  }

  boolean isPv() {
    return frames.length > 0;
  }

  /** Whether it still does what it is told. */
  boolean isAlive() {
    return alive && domain.shutdownReason() == null;
  }

  /** The machine frame of a page, whoever has it by now; -1 if it has none. */
  int frame(int page) {
    return isPv() ? frames[page] : domain.memory().frame((long) page * PAGE);
  }

  // ---- Its memory -----------------------------------------------------------------------------

  /** Where the hypervisor finds what the guest has at a linear address. */
  private long at(long linear) {
    int page = (int) (linear / PAGE);
    return isPv() && page < PAGES ? (long) frames[page] * PAGE + linear % PAGE : linear;
  }

  long read(long linear) {
    try {
      return domain.memory().read64(at(linear));
    } catch (GuestMemory.BadAddress e) {
      alive &= linear / PAGE != PuppetKernel.MAILBOX / PAGE;
      return -1;
    }
  }

  /** Writes to its memory, as the guest itself could; what is not there stays as it is. */
  void write(long linear, long... words) {
    for (int i = 0; i < words.length; i++) {
      writeMachine(at(linear + 8L * i), words[i]);
    }
  }

  /** The same at an address that the hypervisor gave it: of a PV domain, one of the machine. */
  void writeMachine(long address, long word) {
    try {
      domain.memory().write64(address, word);
    } catch (GuestMemory.BadAddress e) {
      alive &= address / PAGE != at(PuppetKernel.MAILBOX) / PAGE;
    }
  }

  // ---- What it does ---------------------------------------------------------------------------

  /** Makes a hypercall; empty if it was its last. */
  OptionalLong call(int number, long... arguments) {
    return command(PuppetKernel.HYPERCALL, number, arguments);
  }

  /** Stores a word at a linear address. */
  boolean store(long linear, long word) {
    return command(PuppetKernel.STORE, 0, linear, word).isPresent();
  }

  /** Loads a word. */
  OptionalLong load(long linear) {
    return command(PuppetKernel.LOAD_WORD, 0, linear);
  }

  private OptionalLong command(int command, int number, long... arguments) {
    if (!isAlive()) {
      return OptionalLong.empty();
    }
    write(PuppetKernel.MAILBOX + PuppetKernel.NUMBER, number);
    write(PuppetKernel.MAILBOX + PuppetKernel.FIRST_ARGUMENT, arguments);
    VarHandle.fullFence();
    write(PuppetKernel.MAILBOX + PuppetKernel.COMMAND, command);
    long begin = CLOCK.nanos();
    long asleepSince = -1;
    for (int turn = 0;; turn++) {
      VarHandle.fullFence();
      if (read(PuppetKernel.MAILBOX + PuppetKernel.COMMAND) == 0) {
        return OptionalLong.of(read(PuppetKernel.MAILBOX + PuppetKernel.RESULT));
      }
      if (!isAlive()) {
        return OptionalLong.empty();
      }
      if (turn < SPINS) {
        Thread.onSpinWait();
        continue;
      }
      LockSupport.parkNanos(PAUSE_NANOS);
      long now = CLOCK.nanos();
      if (domain.vcpus().getFirst().isRunnable()) {
        asleepSince = -1;
      } else if (asleepSince < 0) {
        asleepSince = now;
      } else if (now - asleepSince > ASLEEP_NANOS) {
        alive = false;
        return OptionalLong.empty();
      }
      if (now - begin > HANGS_NANOS) {
        throw new IllegalStateException(
            domain + " hangs: command " + command + ", number " + number + " "
                + Arrays.toString(arguments));
      }
    }
  }

  /** Its words of memory that are this one. */
  long count(long word) {
    long found = 0;
    GuestMemory memory = domain.memory();
    for (long gpa = 0; gpa < memory.end(); gpa += PAGE) {
      if (!domain.owns(gpa)) {
        continue;
      }
      for (int i = 0; i < PAGE; i += 8) {
        found += memory.read64(gpa + i) == word ? 1 : 0;
      }
    }
    return found;
  }

  /** Ends it, whatever it does. */
  @Override
  public void close() {
    alive = false;
    host.destroy(guest);
  }
}

package org.javisor.conformance.boot;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.TraceSelection;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineOutcome;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;

/**
 * The default guest's userland on some kernel: what is asked of it, and how it is known to be well.
 */
public record DebianBoot(
    Path kernel,
    Optional<Path> unpacked,
    Path initrd,
    BootProtocol protocol,
    int cpus,
    String machine,
    String accelerator,
    String cpuModel,
    long memory) {

  /** How long a guest may take to its shell, unless somebody knows better. */
  public static final int BOOT_SECONDS = 300;

  /** How long it may take to an answer; not what is computed, but that it hangs is to be found. */
  private static final int ANSWER_SECONDS = 120;

  private static final long MEMORY = 512L << 20;

  /** A guest of x86-64, on the accelerator that a person gets. */
  public static DebianBoot of(DefaultGuest.GuestFiles files, int cpus) {
    return new DebianBoot(
        files.kernel(), Optional.of(files.vmlinux()), files.initrd(), BootProtocol.AUTO, cpus,
        "x86_64", MachineConfig.AUTO, MachineConfig.DEFAULT_CPU_MODEL, MEMORY);
  }

  /** The same guest with another kernel file, or entered in another way. */
  public DebianBoot with(Path otherKernel, BootProtocol otherProtocol) {
    return new DebianBoot(
        otherKernel, Optional.empty(), initrd, otherProtocol, cpus, machine, accelerator, cpuModel,
        memory);
  }

  /** The same guest as {@code uname -m} names it when it is not x86-64. */
  public DebianBoot of32Bits() {
    return new DebianBoot(
        kernel, unpacked, initrd, protocol, cpus, "i686", accelerator, cpuModel, memory);
  }

  /** The same guest on another accelerator and CPU. */
  public DebianBoot on(String otherAccelerator, String otherModel) {
    return new DebianBoot(
        kernel, unpacked, initrd, protocol, cpus, machine, otherAccelerator, otherModel, memory);
  }

  /** Starts the machine. */
  public BootedGuest start() throws Exception {
    return new BootedGuest(
        new MachineConfig(
            Optional.of(kernel),
            Optional.empty(),
            unpacked,
            Optional.of(initrd),
            protocol,
            "console=ttyS0",
            memory,
            cpus,
            cpuModel,
            accelerator,
            TraceSelection.NONE,
            Optional.empty(),
            OptionalInt.empty(),
            List.of(),
            List.of(),
            List.of()));
  }

  /** Waits for the shell; returns where the console is then. */
  public int awaitShell(BootedGuest guest) throws InterruptedException, TimeoutException {
    return awaitShell(guest, BOOT_SECONDS);
  }

  /** The same, for at most so long. */
  public int awaitShell(BootedGuest guest, int seconds)
      throws InterruptedException, TimeoutException {
    int at = guest.await("Javisor guest ready: Linux", 0, seconds);
    return guest.await("~ #", at, ANSWER_SECONDS);
  }

  /** Uses the shell: it computes, knows its machine and has all its CPUs. */
  public void use(BootedGuest guest, int from) throws InterruptedException, TimeoutException {
    // The answer differs from what is typed, so that the echo does not pass for it.
    guest.type("echo $((6 * 7)) $(uname -m) $(busybox cat /proc/1/comm)");
    int at = guest.await("42 " + machine + " init", from, ANSWER_SECONDS);
    guest.type("echo cpus=$(nproc)=");
    guest.await("cpus=" + cpus + "=", at, ANSWER_SECONDS);
  }

  /** Has the guest power itself off; returns whether the machine ended so, in time. */
  public boolean powerOff(BootedGuest guest) throws InterruptedException {
    guest.type("poweroff");
    return guest.outcome(ANSWER_SECONDS).orElse(null) instanceof MachineOutcome.PoweredOff;
  }
}

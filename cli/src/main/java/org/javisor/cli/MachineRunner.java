package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.MachineOutcome;
import org.javisor.machine.ManagedMachine;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsoleHub;
import org.javisor.machine.control.QmpServer;
import org.javisor.machine.control.RuntimeFolder;

/** Runs a machine from its beginning to its end, with its consoles and its control socket. */
final class MachineRunner {
  private static final long QUIT_NANOS = 2_000_000_000L;

  private final Messages messages;
  private final ControlOptions options;
  private final ConsoleTarget console;
  private final ConsoleTarget debugConsole;
  private final List<String> ports;
  private final boolean goesOn;
  private final AtomicReference<ManagedMachine> running = new AtomicReference<>();

  /** How the machine begins. */
  @FunctionalInterface
  interface Beginning {
    void begin(ManagedMachine machine) throws MachineException;
  }

  /**
   * @param debugConsole null for none
   * @param ports those of a VirtIO console, as {@code --virtio-console} names them
   * @param goesOn the machine ran before: what its ports wrote into files stays
   */
  MachineRunner(
      Messages messages, ControlOptions options, ConsoleTarget console,
      ConsoleTarget debugConsole, List<String> ports, boolean goesOn) {
    this.messages = messages;
    this.options = options;
    this.console = console;
    this.debugConsole = debugConsole;
    this.ports = ports;
    this.goesOn = goesOn;
  }

  /** Runs the machine and returns the program's exit code. */
  int run(MachineConfig config, Beginning beginning, boolean reboots) throws Exception {
    return run(config, ControlOptions.ownName(), beginning, reboots);
  }

  /** Runs a machine that has this name if none was given. */
  int run(MachineConfig config, String ownName, Beginning beginning, boolean reboots)
      throws Exception {
    String name = options.nameOr(ownName);
    RuntimeFolder.Claim claim = claim(name);
    try (ConsoleHub far = new ConsoleHub(openFirst());
        Console debug = open("--debug-console", debugConsole);
        VirtioPorts virtio = VirtioPorts.open(ports, goesOn, this::quit)) {
      ManagedMachine machine =
          new ManagedMachine(name, config, far, Optional.ofNullable(debug), virtio.all(), messages);
      running.set(machine);
      try (QmpServer qmp = listen(claim, machine)) {
        beginning.begin(machine);
        MachineOutcome outcome = machine.await(reboots);
        // The terminal is as it was before anything is said about the end.
        far.close();
        return end(outcome, machine.instructions(), messages);
      }
    } finally {
      claim.close();
    }
  }

  private static RuntimeFolder.Claim claim(String name) throws UserError {
    try {
      return RuntimeFolder.ofUser()
          .claim(name)
          .orElseThrow(
              () -> new UserError(
                  ExitCode.HOST_REFUSED,
                  "a machine named " + name + " runs already: give another --name"));
    } catch (IOException e) {
      throw cannotListen(e);
    }
  }

  private static QmpServer listen(RuntimeFolder.Claim claim, ManagedMachine machine)
      throws UserError {
    try {
      return QmpServer.open(claim, machine, Clock.host());
    } catch (IOException e) {
      throw cannotListen(e);
    }
  }

  private static UserError cannotListen(IOException e) {
    return new UserError(
        ExitCode.HOST_REFUSED,
        "the machine's control socket cannot be made (" + e.getMessage()
            + "): set XDG_RUNTIME_DIR to a folder of yours",
        e);
  }

  /** The console given; none for a machine in the background that was given none. */
  private Optional<Console> openFirst() throws UserError {
    if (options.isDetached() && console instanceof ConsoleTarget.Stdio) {
      return Optional.empty();
    }
    return Optional.of(open("--console", console));
  }

  private Console open(String option, ConsoleTarget target) throws UserError {
    return target == null ? null : Consoles.open(option, target, this::quit);
  }

  /** Ctrl-A x: the machine's plug is pulled; if that does not help, the program's. */
  private void quit() {
    ManagedMachine machine = running.get();
    Thread.ofPlatform()
        .daemon()
        .name("javisor-quit")
        .start(
            () -> {
              if (machine != null) {
                LockSupport.parkNanos(QUIT_NANOS);
              }
              System.exit(ExitCode.OK.code());
            });
    if (machine != null) {
      machine.leave();
    }
  }

  private static int end(MachineOutcome outcome, long instructions, Messages messages) {
    ExitCode code =
        outcome instanceof MachineOutcome.Crashed ? ExitCode.GUEST_CRASHED : ExitCode.OK;
    int exit = outcome instanceof MachineOutcome.DebugExit(int asked) ? asked & 0xff : code.code();
    String name =
        switch (outcome) {
          case MachineOutcome.PoweredOff() -> "powered-off";
          case MachineOutcome.Reset() -> "reset";
          case MachineOutcome.Crashed(String _) -> "crashed";
          case MachineOutcome.DebugExit(int _) -> "debug-exit";
          case MachineOutcome.Saved(Path _) -> "saved";
          case MachineOutcome.UserQuit() -> "quit";
        };
    String report =
        switch (outcome) {
          case MachineOutcome.Crashed(String text) -> text;
          case MachineOutcome.Saved(Path file) ->
              "javisor: the machine was saved; javisor restore " + file + " goes on with it";
          default -> "";
        };
    messages.ended(name, report, code, exit, instructions);
    return exit;
  }
}

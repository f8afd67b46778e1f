package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.console.ConsoleHub;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import org.javisor.machine.control.QmpServer;
import org.javisor.machine.control.RuntimeFolder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A machine and its control socket. */
@Timeout(120)
class ControlSocketTest {
  @TempDir private Path folder;

  /** A machine that runs on a thread of its own until it ends. */
  private final class Running implements AutoCloseable {
    final TinyKernel.Output output = new TinyKernel.Output();
    final ManagedMachine machine;
    final RuntimeFolder.Claim claim;
    final CompletableFuture<MachineOutcome> end = new CompletableFuture<>();

    Running(Optional<Path> saved) throws Exception {
      MachineListener nobody =
          new MachineListener() {
            @Override
            public void message(String line) {}

            @Override
            public void trace(TraceCategory category, String line) {}
          };
      claim = new RuntimeFolder(folder.resolve("run")).claim("tiny").orElseThrow();
      machine =
          new ManagedMachine(
              "tiny",
              TinyKernel.config(TinyKernel.write(folder)),
              new ConsoleHub(Optional.of(output)),
              Optional.empty(),
              List.of(),
              nobody);
      QmpServer server = QmpServer.open(claim, machine, Clock.host());
      if (saved.isPresent()) {
        try (SavedMachine file = SavedMachine.open(saved.get())) {
          machine.restore(saved.get(), file, false);
        }
      } else {
        machine.start(false);
      }
      Thread.ofPlatform()
          .daemon()
          .start(
              () -> {
                try {
                  MachineOutcome outcome;
                  try (server) {
                    outcome = machine.await(true);
                  }
                  end.complete(outcome);
                } catch (Throwable e) {
                  end.completeExceptionally(e);
                }
              });
    }

    ControlClient connect() throws IOException {
      return ControlClient.connect(claim.socket());
    }

    MachineOutcome outcome() throws Exception {
      return end.get(60, TimeUnit.SECONDS);
    }

    @Override
    public void close() throws Exception {
      machine.leave();
      outcome();
    }
  }

  private static void converse(String recording, Path socket) throws Exception {
    Process socat;
    try {
      socat =
          new ProcessBuilder("socat", "-t", "30", "STDIO", "UNIX-CONNECT:" + socket).start();
    } catch (IOException e) {
      assumeTrue(false, "socat is not installed");
      return;
    }
    List<String> lines =
        new String(
            ControlSocketTest.class.getResourceAsStream(recording).readAllBytes(),
            StandardCharsets.UTF_8)
            .lines()
            .toList();
    try (Writer in = socat.outputWriter();
        BufferedReader out = socat.inputReader()) {
      for (String line : lines) {
        if (line.startsWith("> ")) {
          in.write(line.substring(2) + "\n");
          in.flush();
        } else if (line.startsWith("< ")) {
          String said = out.readLine();
          assertEquals(line.substring(2), said == null ? null : withoutNumbers(said, line));
        }
      }
    } finally {
      socat.destroy();
    }
  }

  /** Numbers become #, except where the recording has them. */
  private static String withoutNumbers(String said, String recorded) {
    return recorded.contains("#") ? said.replaceAll("(?<=:)-?\\d+(?=[,}])", "#") : said;
  }

  @Test
  void aConversationThatEndsWithThePowerButton() throws Exception {
    try (Running running = new Running(Optional.empty())) {
      running.output.take(3);
      converse("conversation-powerdown.txt", running.claim.socket());
      assertEquals(new MachineOutcome.PoweredOff(), running.outcome());
    }
  }

  @Test
  void aConversationThatEndsWithQuit() throws Exception {
    try (Running running = new Running(Optional.empty())) {
      converse("conversation-quit.txt", running.claim.socket());
      assertEquals(new MachineOutcome.UserQuit(), running.outcome());
    }
  }

  @Test
  void onlyTheOwnerMayConnect() throws Exception {
    try (Running running = new Running(Optional.empty())) {
      assertEquals(
          "rw-------",
          PosixFilePermissions.toString(
              Files.getPosixFilePermissions(running.claim.socket())));
      assertEquals(
          "rwx------",
          PosixFilePermissions.toString(
              Files.getPosixFilePermissions(running.claim.socket().getParent())));
      running.close();
      assertFalse(Files.exists(running.claim.socket()));
    }
  }

  /** Breaks if a reset leaves anything of the memory, or the guest does not boot again. */
  @Test
  void aResetStartsTheGuestAnew() throws Exception {
    try (Running running = new Running(Optional.empty());
        ControlClient client = running.connect()) {
      running.output.take(30);
      client.execute("stop");
      client.execute("system_reset");
      assertTrue(client.await("RESET"));
      running.output.take(0);
      Map<?, ?> status = (Map<?, ?>) client.execute("query-status");
      assertEquals("paused", status.get("status"), "a paused machine stays paused");
      client.execute("cont");
      assertTrue(running.output.take(3).startsWith("123"), "the count begins anew");
    }
  }

  @Test
  void aSavedMachineEndsAndGoesOnInAnotherProcess() throws Exception {
    Path file = folder.resolve("saved");
    String seen;
    try (Running running = new Running(Optional.empty());
        ControlClient client = running.connect()) {
      seen = running.output.take(10);
      Map<?, ?> answer =
          (Map<?, ?>) client.execute(
              "x-javisor-save", Map.of("file", file.toString(), "running", true));
      assertEquals(Files.size(file), answer.get("size"));
      seen += running.output.take(5);
      client.execute("x-javisor-save", Map.of("file", file.toString()));
      assertTrue(client.await("SHUTDOWN"));
      assertEquals(new MachineOutcome.Saved(file), running.outcome());
      seen += running.output.take(0);
    }
    try (Running running = new Running(Optional.of(file))) {
      assertTrue(TinyKernel.counts(seen + running.output.take(10)), seen);
    }
  }

  @Test
  void whatCannotBeSavedIsSaidAndTheMachineGoesOn() throws Exception {
    try (Running running = new Running(Optional.empty());
        ControlClient client = running.connect()) {
      String message =
          assertThrows(
              ControlException.class,
              () -> client.execute(
                  "x-javisor-save", Map.of("file", folder.resolve("no/where").toString())))
              .getMessage();
      assertTrue(message.endsWith("there is no such folder"), message);
      running.output.take(0);
      running.output.take(3);
      assertEquals(
          "'here': an absolute path expected",
          assertThrows(
              ControlException.class,
              () -> client.execute("x-javisor-save", Map.of("file", "here")))
              .getMessage());
    }
  }

  /** Breaks if someone at the console misses output, or a second one takes it from the first. */
  @Test
  void theConsoleCanBeAttachedTo() throws Exception {
    try (Running running = new Running(Optional.empty());
        ControlClient client = running.connect()) {
      running.output.take(3);
      client.execute("x-javisor-console");
      StringBuilder seen =
          new StringBuilder(new String(client.readAhead(), StandardCharsets.ISO_8859_1));
      ByteBuffer buffer = ByteBuffer.allocate(64);
      while (seen.length() < 20) {
        assertTrue(client.channel().read(buffer.clear()) > 0);
        seen.append(new String(buffer.array(), 0, buffer.position(), StandardCharsets.ISO_8859_1));
      }
      assertTrue(TinyKernel.counts(seen.toString()), seen.toString());
      assertTrue(TinyKernel.counts(running.output.take(5)));
    }
  }

  @Test
  void aNameBelongsToOneMachine() throws Exception {
    RuntimeFolder names = new RuntimeFolder(folder.resolve("run"));
    try (Running running = new Running(Optional.empty())) {
      assertEquals(List.of("tiny"), names.names());
      assertTrue(names.claim("tiny").isEmpty());
      running.close();
      assertEquals(List.of(), names.names());
      names.claim("tiny").orElseThrow().close();
    }
  }

  @Test
  void whatDeadMachinesLeftBehindIsRemoved() throws Exception {
    RuntimeFolder names = new RuntimeFolder(folder.resolve("run"));
    names.claim("other").orElseThrow().close();
    Path socket = names.socket("dead");
    try (var server =
        java.nio.channels.ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      server.bind(java.net.UnixDomainSocketAddress.of(socket));
    }
    assertTrue(Files.exists(socket), "as a killed process leaves it");
    assertEquals(List.of(), names.names());
    assertFalse(Files.exists(socket));
  }

  @Test
  void aFolderThatOthersCanWriteIsNotUsed() throws Exception {
    Path shared = Files.createDirectory(folder.resolve("shared"));
    Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
    new RuntimeFolder(shared).claim("x").orElseThrow().close();
    assertEquals(
        "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(shared)));
    Path link = Files.createSymbolicLink(folder.resolve("link"), shared);
    assertThrows(IOException.class, () -> new RuntimeFolder(link).claim("x"));
    assertFalse(RuntimeFolder.isName("../x"));
    assertFalse(RuntimeFolder.isName(""));
    assertTrue(RuntimeFolder.isName("web-1.test_2"));
  }
}

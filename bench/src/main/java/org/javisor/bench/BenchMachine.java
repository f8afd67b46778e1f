package org.javisor.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.javisor.bench.Dialogue.Moment;
import org.javisor.bench.Dialogue.Report;
import org.javisor.bench.KindUnderTest.Parts;
import org.javisor.xen.toolstack.XenClient;

/** A virtual machine of one of the kinds, with the benchmark's guest in it. */
final class BenchMachine implements AutoCloseable {
  private static final int BOOT_SECONDS = 600;
  private static final int SECONDS = 900;

  private final KindUnderTest kind;
  private final Path launcher;
  private final Path folder;
  private final Dialogue guest;
  private final Moment userland;

  private BenchMachine(
      KindUnderTest kind, Path launcher, Path folder, Dialogue guest, Moment userland) {
    this.kind = kind;
    this.launcher = launcher;
    this.folder = folder;
    this.guest = guest;
    this.userland = userland;
  }

  /** Starts one and waits until its guest takes orders. */
  static BenchMachine boot(KindUnderTest kind, Path launcher, Parts parts, Path folder)
      throws SubjectFailure, InterruptedException, IOException {
    Path file = folder.resolve(kind.label() + ".cfg");
    if (kind.isDomain()) {
      Files.writeString(file, kind.configuration(parts));
    }
    Map<String, String> environment =
        Map.of(
            "JAVISOR_NO_BUILD", "1",
            "XDG_RUNTIME_DIR", folder.toString(),
            XenClient.FOLDER_VARIABLE, folder.toString());
    Dialogue guest =
        new Dialogue(kind.label(), kind.command(launcher, parts, file), environment);
    try {
      guest.await("userland", BOOT_SECONDS);
      // A domain's host is a process that the one on the console has started.
      guest.countDescendants();
      Moment userland = guest.now();
      guest.await("idle", BOOT_SECONDS);
      return new BenchMachine(kind, launcher, folder, guest, userland);
    } catch (SubjectFailure | InterruptedException e) {
      guest.close();
      throw e;
    }
  }

  /** When the guest's first program began, since the machine was started. */
  Moment userland() {
    return userland;
  }

  /** Runs a row to its end. */
  KindSample run(String row) throws SubjectFailure, InterruptedException, BenchException {
    guest.say("row " + row);
    guest.await("ready", SECONDS);
    Exits before = exits();
    Moment begin = guest.now();
    guest.say("go");
    Report done = guest.await("done", SECONDS);
    Exits then = exits();
    guest.say("go");
    String checksum = guest.await("sum", SECONDS).rest().split(" ")[1];
    guest.await("idle", SECONDS);
    return new KindSample(
        checksum,
        Long.parseLong(done.rest().split(" ")[3]),
        done.at().wallNanos() - begin.wallNanos(),
        done.at().cpuNanos() - begin.cpuNanos(),
        then.since(before));
  }

  /** How often the guest has left its own code for the machine's so far. */
  private Exits exits() throws SubjectFailure, BenchException, InterruptedException {
    return switch (kind) {
      case QEMU -> Exits.UNKNOWN;
      case VIRTIO -> Exits.ofMachine(
          GuestPrograms.run(
              List.of(
                  "env", "XDG_RUNTIME_DIR=" + folder, launcher.toString(), "stats", "--json",
                  kind.name()),
              "javisor stats must work"));
      default -> Exits.ofDomain(xl("top"));
    };
  }

  private String xl(String... words) throws SubjectFailure {
    return xl(folder, List.of(words));
  }

  /** Has a domains' host carry out a command; returns what it printed. */
  static String xl(Path folder, List<String> words) throws SubjectFailure {
    StringBuilder text = new StringBuilder();
    try (XenClient client =
        XenClient.connect(folder)
            .orElseThrow(() -> new SubjectFailure("no Xen host listens in " + folder))) {
      client.run(
          words,
          new XenClient.Terminal() {
            @Override
            public void out(byte[] bytes) {
              text.append(new String(bytes, StandardCharsets.UTF_8));
            }

            @Override
            public void error(byte[] bytes) {
              out(bytes);
            }

            @Override
            public void console(XenClient attached) {
              throw new IllegalStateException("no console was asked for");
            }
          });
      return text.toString();
    } catch (IOException e) {
      throw new SubjectFailure("the Xen host has gone: " + e.getMessage());
    }
  }

  @Override
  public void close() {
    if (kind.isDomain()) {
      try {
        xl("destroy", "bench-" + kind.label());
      } catch (SubjectFailure e) {
        // It is gone, which was the purpose.
        guest.close();
      }
    }
    guest.close();
  }
}

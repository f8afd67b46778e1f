package org.javisor.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GuestProgramsTest {
  @TempDir static Path folder;

  private static GuestPrograms programs;

  @BeforeAll
  static void compile() throws Exception {
    assumeTrue(
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(path -> Files.isExecutable(Path.of(path, "gcc"))),
        "gcc is needed to compile the guest's programs");
    programs = GuestPrograms.compile(folder);
  }

  @Test
  void everyRowOfTheComparisonIsThere() {
    assertEquals(
        List.of(
            "integer", "sieve", "fib", "bytecode", "muldiv", "sha256", "memcpy", "rep-movsb",
            "memset", "chase", "nbody", "sse2-double", "sse2-integer", "x87", "getppid", "pipe",
            "fork-exec", "page-faults", "mprotect", "signals", "patch-code", "fresh-code", "gzip",
            "unxz", "shell"),
        programs.names());
  }

  @Test
  void everyRowOfADeviceSaysHowMuchItDoes() {
    assertEquals(
        List.of(
            "disk-write", "disk-read", "disk-random-write", "disk-random-read",
            "disk-single-write", "disk-single-read", "tcp-send", "tcp-receive", "tcp-round-trip"),
        programs.deviceRows().stream().map(GuestPrograms.DeviceRow::name).toList());
    for (GuestPrograms.DeviceRow row : programs.deviceRows()) {
      assertTrue(row.amount() >= 1000, row.toString());
      assertEquals(row.name().matches("disk-(read|write)|tcp-(send|receive)"),
          row.label().equals("MiB/s"), row.toString());
    }
  }

  /** Breaks if the two ends of the network's rows do not mean the same. */
  @Test
  void theNetworksRowsAgreeWithTheirPeer() throws Exception {
    try (Peer peer = Peer.open()) {
      Map<String, String> environment = Map.of("rows_peer", "127.0.0.1:" + peer.port());
      for (GuestPrograms.DeviceRow row : programs.deviceRows()) {
        if (!row.name().startsWith("tcp-")) {
          continue;
        }
        try (Dialogue process =
            new Dialogue(
                "row", List.of(programs.rows().toString(), "row", row.name()), environment)) {
          process.await("done", 60);
          process.await("sum", 60);
        }
      }
    }
  }

  /** Breaks if a row's result depends on anything but its instructions. */
  @Test
  void aRowGivesTheSameResultAlways() throws Exception {
    GuestFiles none = new GuestFiles(folder, folder, folder, "", "");
    BenchImage image = new BenchImage(none, folder, folder, folder);
    try (HostSubject host = new HostSubject(programs, image)) {
      for (String row : List.of("nbody", "x87", "sse2-double", "fresh-code", "patch-code")) {
        Sample once = host.run(row);
        assertEquals(once.checksum(), host.run(row).checksum(), row);
        assertTrue(once.cpuNanos() > 0 && once.wallNanos() > 0, row + ": " + once);
      }
    }
  }
}

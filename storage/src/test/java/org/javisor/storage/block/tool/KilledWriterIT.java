package org.javisor.storage.block.tool;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.QemuImg;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.CheckReport;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Checker;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.KilledWriter.Operation;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Kills a process with SIGKILL while it writes an image, again and again on the same image. The
 * number of kills for each kind of image is the property {@code javisor.kills}; 200 in all are
 *
 * <pre>mvn -pl storage -am verify -Dit.test=KilledWriterIT -Dtest=None
 *   -Dsurefire.failIfNoSpecifiedTests=false -Dfailsafe.failIfNoSpecifiedTests=false
 *   -Djavisor.kills=50</pre>
 */
class KilledWriterIT {
  private static final int KILLS = Integer.getInteger("javisor.kills", 3);
  private static final int UNITS = KilledWriter.USERS * KilledWriter.UNITS_EACH;

  @TempDir Path folder;

  /** Breaks if a killed process leaves more than leaks, or loses what it said was flushed. */
  @ParameterizedTest
  @ValueSource(
      strings = {"cluster_size=65536", "cluster_size=4096", "lazy_refcounts=on", "compat=0.10"})
  void nothingFlushedIsLost(String option) throws Exception {
    Path image = folder.resolve("disk.qcow2");
    String[] parts = option.split("=");
    Images.createQcow2(
        image,
        (long) UNITS * KilledWriter.UNIT,
        Qcow2Options.parse(Map.of(parts[0], parts[1])));
    int[] contents = new int[UNITS];
    Random random = new Random(option.hashCode());
    for (int round = 1; round <= KILLS; round++) {
      int[] flushed = killAfter(image, round, random.nextInt(120));
      checkSound(image, parts[0].startsWith("lazy"), round);
      contents = checkContents(image, contents, flushed, round);
    }
  }

  /** Returns each user's last operation that is known to be flushed, or -1. */
  private static int[] killAfter(Path image, int round, int lines) throws IOException {
    Process process =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            KilledWriter.class.getName(),
            image.toString(),
            Integer.toString(round))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    int[] flushed = new int[KilledWriter.USERS];
    Arrays.fill(flushed, -1);
    try (BufferedReader said = process.inputReader()) {
      String line;
      for (int i = 0; (line = said.readLine()) != null; i++) {
        if (i == lines) {
          // Not by the process itself, which would close its output.
          process.toHandle().destroyForcibly();
        }
        assertFalse(line.startsWith("FAILED"), line);
        int space = line.indexOf(' ');
        boolean whole = space > 0 && space < line.length() - 1;
        if (whole) {
          int user = Integer.parseInt(line.substring(0, space));
          int operation = Integer.parseInt(line.substring(space + 1));
          // The last line may be cut off; a smaller number promises less.
          flushed[user] = Math.max(flushed[user], operation);
        }
      }
    } finally {
      process.destroyForcibly();
    }
    return flushed;
  }

  private static void checkSound(Path image, boolean lazy, int round) throws IOException {
    if (!lazy && QemuImg.isPresent()) {
      QemuImg.Answer answer = QemuImg.answer("check", image);
      assertTrue(answer.code() == 0 || answer.code() == 3, "round " + round + answer.text());
    }
    try (HostFile file = HostFile.open(image, Access.WRITE)) {
      Header header = Header.read(file);
      CheckReport report =
          lazy
              ? new Qcow2Checker(file, header).repair(true)
              : new Qcow2Checker(file, header).repair(false);
      assertFalse(report.hasErrors(), "round " + round + ": " + report.problems());
    }
    if (QemuImg.isPresent()) {
      QemuImg.ok("check", image);
    }
  }

  /** Compares with what may be there; returns what is. */
  private static int[] checkContents(Path image, int[] before, int[] flushed, int round)
      throws IOException {
    int[] now = read(image);
    for (int user = 0; user < KilledWriter.USERS; user++) {
      Operation[] plan = KilledWriter.plan(round, user);
      int start = user * KilledWriter.UNITS_EACH;
      for (int unit = 0; unit < KilledWriter.UNITS_EACH; unit++) {
        int value = now[start + unit];
        boolean known = mayBe(plan, unit, value, before[start + unit], flushed[user], round);
        assertTrue(
            known,
            "round " + round + ": unit " + unit + " of user " + user + " holds " + value
                + ", flushed was operation " + flushed[user]);
      }
    }
    return now;
  }

  /** Whether a unit may hold a value: that of the last flush, or of any operation after it. */
  private static boolean mayBe(
      Operation[] plan, int unit, int value, int before, int flushed, int round) {
    // What a discard leaves is the old value or zero; so there may be several.
    Set<Integer> possible = new HashSet<>();
    possible.add(before);
    for (int i = 0; i < plan.length; i++) {
      Operation operation = plan[i];
      boolean touches =
          operation.kind() != Operation.Kind.FLUSH
              && unit >= operation.first()
              && unit < operation.first() + operation.count();
      if (touches) {
        if (i <= flushed && operation.kind() != Operation.Kind.DISCARD) {
          possible.clear();
        }
        possible.add(
            operation.kind() == Operation.Kind.WRITE ? KilledWriter.value(round, i) : 0);
      }
    }
    return possible.contains(value);
  }

  private static int[] read(Path image) throws IOException {
    int[] values = new int[UNITS];
    try (DiskImage disk = Images.open(image, null, Access.READ);
        Arena arena = Arena.ofConfined()) {
      MemorySegment unit = arena.allocate(KilledWriter.UNIT, 8);
      for (int i = 0; i < UNITS; i++) {
        disk.read((long) i * KilledWriter.UNIT, unit);
        values[i] = unit.get(ValueLayout.JAVA_INT, 0);
        int last = unit.get(ValueLayout.JAVA_INT, KilledWriter.UNIT - 4);
        assertTrue(values[i] == last, "unit " + i + " is torn");
      }
    }
    return values;
  }
}

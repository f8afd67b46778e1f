package org.javisor.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class DialogueTest {
  private static Dialogue shell(String script) throws SubjectFailure {
    return new Dialogue("sh", List.of("/bin/sh", "-c", script), Map.of("WORD", "fib"));
  }

  /** Breaks if a report is lost behind what firmware leaves on its line. */
  @Test
  void reportsAreFoundInTheNoise() throws Exception {
    try (Dialogue sh = shell("printf 'noise\\n\\033[2J@userland\\r\\n@idle\\n'; read line;"
        + " echo \"@sum $WORD $line\"")) {
      sh.await("userland", 30);
      sh.say("0123");
      assertEquals("fib 0123", sh.await("sum", 30).rest());
    }
  }

  /** Breaks if CPU time is not that of the process, or does not pass. */
  @Test
  void cpuTimeIsTheProcesss() throws Exception {
    try (Dialogue sh = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo @done x;"
        + " read line; sleep 1; echo @sum x; read line")) {
      Dialogue.Moment busy = sh.await("done", 60).at();
      assertTrue(busy.cpuNanos() > 5_000_000, "CPU time of a loop: " + busy);
      sh.say("go");
      Dialogue.Moment idle = sh.await("sum", 60).at();
      assertTrue(idle.wallNanos() - busy.wallNanos() > 900_000_000, "time passed: " + idle);
      assertTrue(idle.cpuNanos() - busy.cpuNanos() < 500_000_000, "CPU time of a sleep: " + idle);
    }
  }

  @Test
  void anEndIsAFailureThatShowsTheLastWords() throws Exception {
    try (Dialogue sh = shell("echo out of luck")) {
      SubjectFailure failure = assertThrows(SubjectFailure.class, () -> sh.await("idle", 30));
      assertTrue(failure.getMessage().contains("out of luck"), failure.getMessage());
    }
  }

  @Test
  void aFailedRowIsAFailure() throws Exception {
    try (Dialogue sh = shell("echo '@failed fib: fork'; read line")) {
      SubjectFailure failure = assertThrows(SubjectFailure.class, () -> sh.await("done", 30));
      assertTrue(failure.getMessage().contains("fib: fork"), failure.getMessage());
    }
  }

  @Test
  void aProgramThatIsNotThereIsAFailure() {
    assertThrows(
        SubjectFailure.class,
        () -> new Dialogue("nothing", List.of("/nonexistent/program"), Map.of()));
  }
}

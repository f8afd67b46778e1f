package org.javisor.bench;

import java.util.List;
import java.util.Map;

/** The host itself: a row is a process on its CPU. */
final class HostSubject implements Subject {
  private static final int SECONDS = 300;

  private final GuestPrograms programs;
  private final Map<String, String> environment;

  HostSubject(GuestPrograms programs, BenchImage image) {
    this.programs = programs;
    environment =
        Map.of(
            "ROWS_BUSYBOX", image.busybox().toString(), "ROWS_FOLDER", image.work().toString());
  }

  @Override
  public String name() {
    return "native";
  }

  @Override
  public Sample run(String row) throws SubjectFailure, InterruptedException {
    try (Dialogue process =
        new Dialogue(name(), List.of(programs.rows().toString(), "row", row), environment)) {
      return sample(process.await("done", SECONDS), process.await("sum", SECONDS));
    }
  }

  /** By the row's own clocks: its children's time is not in its process'. */
  private static Sample sample(Dialogue.Report done, Dialogue.Report sum) {
    String[] times = done.rest().split(" ");
    long wall = Long.parseLong(times[1]);
    return new Sample(sum.rest().split(" ")[1], Long.parseLong(times[2]), wall, wall);
  }

  @Override
  public void close() {}
}

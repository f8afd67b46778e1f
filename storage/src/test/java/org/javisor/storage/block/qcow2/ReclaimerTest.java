package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** When a cluster that lost a reference may have another owner. */
class ReclaimerTest {
  private final Reclaimer reclaimer = new Reclaimer();

  private void dropAndWrite(long cluster) {
    reclaimer.drop(cluster);
    LongBag taken = reclaimer.takeDropped();
    assertEquals(1, taken.size());
    reclaimer.await(taken);
  }

  /** Breaks if a cluster is free before the table without it is on disk. */
  @Test
  void notBeforeTheTableIsWritten() {
    reclaimer.drop(5);
    assertTrue(reclaimer.takeReleased().isEmpty());
    LongBag taken = reclaimer.takeDropped();
    reclaimer.putBack(taken);
    assertTrue(reclaimer.takeReleased().isEmpty());
    assertEquals(1, reclaimer.droppedCount());
    reclaimer.await(reclaimer.takeDropped());
    assertEquals(5, reclaimer.takeReleased().get(0));
    assertTrue(reclaimer.takeReleased().isEmpty());
  }

  /** Breaks if a request that may still read or write a cluster meets its next owner. */
  @Test
  void notBeforeOldRequestsHaveEnded() {
    int early = reclaimer.enter();
    dropAndWrite(5);
    assertTrue(reclaimer.takeReleased().isEmpty());
    int late = reclaimer.enter();
    assertTrue(reclaimer.takeReleased().isEmpty());
    reclaimer.exit(early);
    assertEquals(5, reclaimer.takeReleased().get(0), "a later request does not count");
    reclaimer.exit(late);
  }

  /** Breaks if requests that never leave a gap keep everything for ever. */
  @Test
  void anEndlessStreamOfRequestsIsNoObstacle() {
    int before = reclaimer.enter();
    int released = 0;
    for (int i = 0; i < 100; i++) {
      int next = reclaimer.enter();
      dropAndWrite(i);
      reclaimer.exit(before);
      released += reclaimer.takeReleased().size();
      before = next;
    }
    assertTrue(released > 90, "only " + released);
  }
}

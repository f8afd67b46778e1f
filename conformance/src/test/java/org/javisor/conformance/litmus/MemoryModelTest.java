package org.javisor.conformance.litmus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import org.javisor.interp.InterpAccelerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A short part of {@code javisor-conformance litmus}, and the model that it judges by. */
class MemoryModelTest {
  private static final int RUNS = 4000;
  private static final int UPDATES = 300;
  private static final int SPLIT_UPDATES = 20;

  private static LitmusTest named(String name) {
    return LitmusTest.NAMED.stream().filter(t -> t.name().equals(name)).findFirst().orElseThrow();
  }

  /** Breaks if the model forbids what processors are seen to do, or permits what they never do. */
  @ParameterizedTest
  @CsvSource({
    "store-buffering,4,3",
    "store-buffering-fenced,3,3",
    "store-buffering-half-fenced,4,3",
    "store-buffering-locked,3,3",
    "message-passing,3,3",
    "load-buffering,3,3",
    "iriw,15,15",
    "locked-one-winner,4,4",
    "coherence-rr,6,6",
  })
  void theModelPermitsSoManyOutcomes(String name, int tso, int sequential) {
    LitmusTest test = named(name);
    assertEquals(tso, TsoModel.permitted(test).size());
    assertEquals(sequential, TsoModel.sequential(test).size());
  }

  /** The example that told x86-TSO from the manuals of its time: EAX 1, EBX 0, x 1 at the end. */
  @Test
  void n6IsPermittedAndNotSequential() {
    LitmusTest test = named("n6");
    long outcome = LitmusTest.outcome(new int[] {1, 0, 1, 1});
    assertEquals("1 0 | => x=1 y=1", test.describe(outcome));
    assertTrue(TsoModel.permitted(test).contains(outcome));
    assertTrue(!TsoModel.sequential(test).contains(outcome));
  }

  @Test
  void whatIsSequentialIsPermitted() {
    for (long seed = 0; seed < 50; seed++) {
      LitmusTest test = LitmusTest.random(seed);
      Set<Long> permitted = TsoModel.permitted(test);
      assertTrue(permitted.containsAll(TsoModel.sequential(test)), test.text());
      assertEquals(test.threads(), LitmusTest.of("again", test.text()).threads());
    }
  }

  static List<LitmusTest> tests() {
    return List.of(
        named("store-buffering"), named("store-buffering-locked"), named("store-buffering-fenced"),
        named("message-passing"), named("message-passing-locked"), named("iriw"), named("n6"),
        named("locked-sum"), named("locked-beside-plain"));
  }

  /** Breaks if Java's compiler moves an access of the guest past another one. */
  @ParameterizedTest
  @MethodSource("tests")
  void nothingForbiddenIsSeen(LitmusTest test) throws InterruptedException {
    LitmusConformance.Report report = new LitmusConformance.Report();
    LitmusConformance.check(new InterpAccelerator(), test, Layout.LINES, RUNS, report);
    LitmusConformance.check(new InterpAccelerator(), test, Layout.BYTES, RUNS, report);
    assertEquals(List.of(), report.failures);
  }

  static List<LockedTest> lockedTests() {
    return LockedTest.all().stream().filter(t -> t.size() != 2).toList();
  }

  /** Breaks if an update gets lost, wherever the operand lies. */
  @ParameterizedTest
  @MethodSource("lockedTests")
  void noLockedUpdateIsLost(LockedTest test) throws InterruptedException {
    for (LockedTest.Place place : LockedTest.Place.values()) {
      if (test.fits(place)) {
        int updates = place.withinWord(test.size()) ? UPDATES : SPLIT_UPDATES;
        assertNull(test.run(new InterpAccelerator(), place, 2, updates), place.toString());
      }
    }
  }
}

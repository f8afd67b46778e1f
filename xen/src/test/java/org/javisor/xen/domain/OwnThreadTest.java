package org.javisor.xen.domain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class OwnThreadTest {
  private final List<String> seen = new ArrayList<>();
  private OwnThread thread;

  private OwnThread running(Supplier<VmExit> guest) {
    thread = new OwnThread("test", guest);
    return thread;
  }

  @Test
  void itGoesOnWhereItStood() {
    OwnThread own =
        running(
            () -> {
              seen.add("before " + thread.isCurrent());
              thread.standStill();
              seen.add("after");
              return VmExit.Halt.INSTANCE;
            });
    assertEquals(VmExit.Kicked.INSTANCE, own.run());
    assertTrue(own.isStanding());
    assertEquals(List.of("before true"), seen);
    assertEquals(VmExit.Halt.INSTANCE, own.run());
    assertFalse(own.isStanding());
    assertEquals(List.of("before true", "after"), seen);
    assertEquals(VmExit.Kicked.INSTANCE, own.run());
    own.end();
    assertEquals(3, seen.size(), "what stands when it ends does not go on");
  }

  @Test
  void errorsComeOutWhereItIsRun() {
    OwnThread own =
        running(
            () -> {
              throw new IllegalStateException("a bug");
            });
    assertThrows(IllegalStateException.class, own::run);
    own.end();
  }

  @Test
  void itEndsBeforeItHasRun() {
    running(() -> VmExit.Halt.INSTANCE).end();
  }
}

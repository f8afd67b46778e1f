package org.javisor.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Machine memory that is given back to the host. */
class FrameArenaTest {
  private static final int FRAMES = 4096;

  @Test
  void whatWasReleasedReadsAsZeros() {
    FrameArena arena = new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE);
    RawMemory.put64(arena.address(FRAMES - 1), 7);
    arena.setFlags(FRAMES - 1, FrameArena.CODE);
    arena.release();
    assertEquals(arena.memfd() < 0 ? 0 : FRAMES, arena.nextWritten(0));
    assertEquals(0, RawMemory.get64(arena.address(FRAMES - 1)));
    assertEquals(0, arena.flags(FRAMES - 1));
  }

  /** Breaks if a machine that starts again and again fills the process's address space. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void addressesGoBackWhenNobodyKnowsTheArena() throws Exception {
    for (int i = 0; i < 20; i++) {
      new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE).release();
    }
    long left = mappings();
    for (int tries = 0; left >= 20 && tries < 200; tries++) {
      System.gc();
      Thread.sleep(10);
      left = mappings();
    }
    assertTrue(left < 20, left + " are mapped");
  }

  private static long mappings() throws IOException {
    try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines.filter(line -> line.contains("javisor-frames")).count();
    }
  }
}

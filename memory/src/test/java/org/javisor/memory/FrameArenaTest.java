package org.javisor.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
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
    if (Files.isReadable(Path.of("/proc/self/pagemap"))) {
      assertEquals(FRAMES, arena.nextWritten(0));
    }
    assertEquals(0, RawMemory.get64(arena.address(FRAMES - 1)));
    assertEquals(0, arena.flags(FRAMES - 1));
  }

  /** Breaks if a page that was written passes for one that was not: it would not be saved. */
  @Test
  void whatWasWrittenIsFound() {
    FrameArena arena = new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE);
    int[] written = {0, 7, 1000, 1001, FRAMES - 1};
    for (int frame : written) {
      RawMemory.put64(arena.address(frame), 1);
    }
    BitSet found = new BitSet();
    for (int at = arena.nextWritten(0); at < FRAMES;) {
      int end = arena.endOfWritten(at);
      assertTrue(end > at, "the run from frame " + at);
      found.set(at, end);
      at = end < FRAMES ? arena.nextWritten(end) : FRAMES;
    }
    for (int frame : written) {
      assertTrue(found.get(frame), "frame " + frame);
    }
    assertEquals(FRAMES - 1, arena.nextWritten(FRAMES - 1));
    arena.release();
  }

  /** Breaks if a machine that starts again and again fills the process's address space. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void addressesGoBackWhenNobodyKnowsTheArena() throws Exception {
    List<Long> bases = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      FrameArena arena = new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE);
      bases.add(arena.base());
      arena.release();
    }
    long left = mapped(bases);
    for (int tries = 0; left >= 20 && tries < 200; tries++) {
      System.gc();
      Thread.sleep(10);
      left = mapped(bases);
    }
    assertTrue(left < 20, left + " are mapped");
  }

  private static long mapped(List<Long> addresses) throws IOException {
    List<String> maps = Files.readAllLines(Path.of("/proc/self/maps"));
    return addresses.stream()
        .filter(
            address -> maps.stream()
                .map(line -> line.substring(0, line.indexOf(' ')).split("-", -1))
                .anyMatch(
                    range -> Long.parseUnsignedLong(range[0], 16) <= address
                        && address < Long.parseUnsignedLong(range[1], 16)))
        .count();
  }
}

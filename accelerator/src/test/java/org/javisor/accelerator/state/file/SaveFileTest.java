package org.javisor.accelerator.state.file;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The memory in a file of a saved machine. */
class SaveFileTest {
  private static final int FRAMES = 3000;
  private static final int PAGE = FrameArena.FRAME_SIZE;

  @TempDir private Path folder;

  private static FrameArena arena() {
    return new FrameArena((long) FRAMES * PAGE);
  }

  private static byte[] page(FrameArena arena, int frame) {
    byte[] page = new byte[PAGE];
    RawMemory.copyOut(arena.address(frame), page, 0, PAGE);
    return page;
  }

  /** Runs of every length, with gaps of every length, that compress or do not. */
  private static FrameArena filled(Random random) {
    FrameArena arena = arena();
    int frame = random.nextInt(4);
    while (frame < FRAMES) {
      int end = Math.min(FRAMES, frame + 1 + random.nextInt(random.nextBoolean() ? 4 : 200));
      boolean noise = random.nextInt(3) == 0;
      for (; frame < end; frame++) {
        byte[] page = new byte[PAGE];
        if (noise) {
          random.nextBytes(page);
        } else {
          page[random.nextInt(PAGE)] = (byte) (1 + random.nextInt(255));
        }
        RawMemory.copyIn(page, 0, arena.address(frame), PAGE);
      }
      frame += random.nextInt(random.nextBoolean() ? 6 : 150);
    }
    return arena;
  }

  @Test
  void memoryComesBack() throws Exception {
    Path file = folder.resolve("saved");
    for (int seed = 0; seed < 6; seed++) {
      FrameArena arena = filled(new Random(seed));
      byte[] state = new StateWriter().finish();
      long size = SaveFileWriter.write(file, state, arena);
      assertEquals(Files.size(file), size);
      FrameArena back = arena();
      try (SaveFile saved = SaveFile.open(file)) {
        saved.load(back);
      }
      for (int frame = 0; frame < FRAMES; frame++) {
        assertArrayEquals(page(arena, frame), page(back, frame), "seed " + seed);
      }
    }
  }

  @Test
  void emptyMemoryTakesNoRoom() throws Exception {
    Path file = folder.resolve("saved");
    assertTrue(SaveFileWriter.write(file, new StateWriter().finish(), arena()) < 100);
    try (SaveFile saved = SaveFile.open(file)) {
      saved.load(arena());
    }
  }

  @Test
  void onlyTheOwnerMayReadIt() throws Exception {
    Path file = folder.resolve("saved");
    SaveFileWriter.write(file, new StateWriter().finish(), arena());
    assertEquals(
        "rw-------",
        java.nio.file.attribute.PosixFilePermissions.toString(
            Files.getPosixFilePermissions(file)));
  }

  @Test
  void memoryOfAnotherSizeIsRefused() throws Exception {
    Path file = folder.resolve("saved");
    SaveFileWriter.write(file, new StateWriter().finish(), arena());
    try (SaveFile saved = SaveFile.open(file)) {
      FrameArena larger = new FrameArena(2L * FRAMES * PAGE);
      assertEquals(
          "it has 12000 KiB of memory, the machine 24000",
          assertThrows(StateException.class, () -> saved.load(larger)).getMessage());
    }
  }
}

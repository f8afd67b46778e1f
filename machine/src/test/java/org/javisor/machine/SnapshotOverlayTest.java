package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.accelerator.state.file.SaveFile;
import org.javisor.accelerator.state.file.SaveFileWriter;
import org.javisor.memory.FrameArena;
import org.javisor.storage.block.qcow2.Qcow2Image;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a guest wrote to a disk with {@code snapshot}, on its way through the file of a machine. */
class SnapshotOverlayTest {
  private static final int SIZE = 5 * 1024 * 1024 + 512;

  private static final MachineListener NOBODY =
      new MachineListener() {
        @Override
        public void message(String line) {}

        @Override
        public void trace(TraceCategory category, String line) {}
      };

  @TempDir private Path folder;

  private static byte[] contents(Qcow2Image image) throws Exception {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(SIZE, 8);
      image.read(0, bytes);
      return bytes.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private static SnapshotOverlay overlay(Disks disks) {
    return new SnapshotOverlay(0, disks.all().getFirst().overlay().orElseThrow());
  }

  /** Breaks if a write, or a range of zeros over data of the image, is not there afterwards. */
  @Test
  void whatWasWrittenTravels() throws Exception {
    byte[] base = new byte[SIZE];
    Random random = new Random(4);
    random.nextBytes(base);
    Path image = Files.write(folder.resolve("base.img"), base);
    List<DiskConfig> configs = List.of(DiskConfig.parse(image + ",format=raw,snapshot"));
    byte[] expected = base.clone();
    Path file = folder.resolve("saved");
    FrameArena memory = new FrameArena(1 << 20);
    try (Disks disks = Disks.open(configs, NOBODY);
        Arena arena = Arena.ofConfined()) {
      SnapshotOverlay overlay = overlay(disks);
      for (int i = 0; i < 8; i++) {
        int length = 1 + random.nextInt(200_000);
        int at = i == 0 ? SIZE - length : random.nextInt(SIZE - length);
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment from = arena.allocate(length, 8);
        from.copyFrom(MemorySegment.ofArray(bytes));
        overlay.write(at, from);
        System.arraycopy(bytes, 0, expected, at, length);
      }
      overlay.writeZeroes(1 << 20, 300_000);
      Arrays.fill(expected, 1 << 20, (1 << 20) + 300_000, (byte) 0);
      assertArrayEquals(expected, contents(overlay.image()));
      SaveFileWriter.write(file, new StateWriter().finish(), memory, List.of(overlay));
    }
    assertTrue(Files.size(file) < SIZE, "only what was written");
    try (Disks disks = Disks.open(configs, NOBODY);
        SaveFile saved = SaveFile.open(file)) {
      assertEquals(List.of(0), saved.disks());
      SnapshotOverlay overlay = overlay(disks);
      saved.load(overlay);
      assertArrayEquals(expected, contents(overlay.image()));
    }
    assertArrayEquals(base, Files.readAllBytes(image), "the image is only read");
  }
}

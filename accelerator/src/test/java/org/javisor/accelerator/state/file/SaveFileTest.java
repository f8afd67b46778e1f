package org.javisor.accelerator.state.file;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
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
    assertTrue(SaveFileWriter.write(file, new StateWriter().finish(), arena()) < 110);
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

  /** A disk in memory, in which what was never written is the image's. */
  private static final class FakeDisk implements Overlay {
    private final byte[] bytes;
    private final Kind[] kinds;
    private final int number;

    FakeDisk(int number, int size) {
      this.number = number;
      bytes = new byte[size];
      kinds = new Kind[(size + UNIT - 1) / UNIT];
      Arrays.fill(kinds, Kind.NOTHING);
    }

    static FakeDisk filled(int number, int size, Random random) {
      FakeDisk disk = new FakeDisk(number, size);
      for (int i = 0; i < disk.kinds.length; i++) {
        disk.kinds[i] = Kind.values()[random.nextInt(3)];
        if (disk.kinds[i] == Kind.DATA) {
          byte[] unit = new byte[Math.min(UNIT, size - i * UNIT)];
          if (random.nextBoolean()) {
            random.nextBytes(unit);
          }
          System.arraycopy(unit, 0, disk.bytes, i * UNIT, unit.length);
        }
      }
      return disk;
    }

    @Override
    public int number() {
      return number;
    }

    @Override
    public long sizeBytes() {
      return bytes.length;
    }

    @Override
    public Extent extent(long offset, long length) {
      int first = (int) offset / UNIT;
      int end = first;
      while (end < kinds.length && kinds[end] == kinds[first]) {
        end++;
      }
      return new Extent(Math.min((long) end * UNIT, bytes.length) - offset, kinds[first]);
    }

    @Override
    public void read(long offset, MemorySegment into) {
      MemorySegment.copy(
          bytes, (int) offset, into, ValueLayout.JAVA_BYTE, 0, (int) into.byteSize());
    }

    @Override
    public synchronized void write(long offset, MemorySegment from) {
      MemorySegment.copy(
          from, ValueLayout.JAVA_BYTE, 0, bytes, (int) offset, (int) from.byteSize());
      mark(offset, from.byteSize(), Kind.DATA);
    }

    @Override
    public synchronized void writeZeroes(long offset, long length) {
      mark(offset, length, Kind.ZEROS);
    }

    private void mark(long offset, long length, Kind kind) {
      assertEquals(0, offset % UNIT);
      Arrays.fill(
          kinds, (int) (offset / UNIT), (int) ((offset + length + UNIT - 1) / UNIT), kind);
    }
  }

  /** Breaks if a disk that travels with the machine is not what it was, in data, zeros or holes. */
  @Test
  void disksComeBack() throws Exception {
    Path file = folder.resolve("saved");
    for (int seed = 0; seed < 4; seed++) {
      Random random = new Random(seed);
      List<FakeDisk> disks =
          List.of(
              FakeDisk.filled(1, 3_000_000 + 512 * seed, random),
              FakeDisk.filled(3, 512, random));
      SaveFileWriter.write(file, new StateWriter().finish(), arena(), disks);
      try (SaveFile saved = SaveFile.open(file)) {
        assertEquals(List.of(1, 3), saved.disks());
        for (FakeDisk disk : disks) {
          FakeDisk back = new FakeDisk(disk.number, disk.bytes.length);
          saved.load(back);
          assertArrayEquals(disk.kinds, back.kinds);
          assertArrayEquals(disk.bytes, back.bytes);
        }
        assertEquals(
            "disk 3 had 512 bytes, the image has 1024",
            assertThrows(StateException.class, () -> saved.load(new FakeDisk(3, 1024)))
                .getMessage());
        assertEquals(
            "it lacks the contents of disk 2",
            assertThrows(StateException.class, () -> saved.load(new FakeDisk(2, 512)))
                .getMessage());
      }
    }
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

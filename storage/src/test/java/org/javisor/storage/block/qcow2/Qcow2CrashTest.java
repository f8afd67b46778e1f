package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.MemoryFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The file as it is when we, or the host, die between any two writes. */
class Qcow2CrashTest {
  /** The disk in units; each holds one number, the last that was written there. */
  private static final int UNIT = 4096;
  private static final int UNITS = 512;

  private static MemoryFile create(Map<String, String> options) throws BlockException {
    MemoryFile file = new MemoryFile(new byte[0], false);
    Qcow2Creator.create(file, (long) UNITS * UNIT, Qcow2Options.parse(options));
    return new MemoryFile(file.contents(), true);
  }

  /** What was written, and what had been flushed after how many changes of the file. */
  private static final class History {
    final int[][] flushed = new int[10_000][];
    final int[] atChange = new int[10_000];
    int flushes;
    final boolean[][] later = new boolean[UNITS][4000];
  }

  private static MemorySegment unit(Arena arena, int number, int units) {
    MemorySegment segment = arena.allocate((long) units * UNIT, 8);
    for (long i = 0; i < segment.byteSize() / 4; i++) {
      segment.setAtIndex(ValueLayout.JAVA_INT, i, number);
    }
    return segment;
  }

  /** Writes, zeroes, discards and flushes at random, and notes what each flush covered. */
  private static History work(MemoryFile file, DiskImage disk, int operations, long seed)
      throws BlockException {
    History history = new History();
    Random random = new Random(seed);
    int[] now = new int[UNITS];
    history.flushed[0] = now.clone();
    history.atChange[0] = 0;
    history.flushes = 1;
    try (Arena arena = Arena.ofConfined()) {
      for (int number = 1; number <= operations; number++) {
        int first = random.nextInt(UNITS);
        int count = 1 + random.nextInt(Math.min(random.nextBoolean() ? 2 : 40, UNITS - first));
        int value = number;
        switch (random.nextInt(8)) {
          case 0 -> {
            disk.flush();
            history.flushed[history.flushes] = now.clone();
            history.atChange[history.flushes++] = file.changeCount();
            continue;
          }
          case 1 -> {
            disk.writeZeroes((long) first * UNIT, (long) count * UNIT, random.nextBoolean());
            value = 0;
          }
          default -> disk.write((long) first * UNIT, unit(arena, number, count));
        }
        for (int unit = first; unit < first + count; unit++) {
          now[unit] = value;
          history.later[unit][value] = true;
        }
      }
    }
    return history;
  }

  /** The image must be sound but for leaks, and hold what was flushed or was written later. */
  private static void assertSurvives(
      byte[] contents, History history, int change, boolean lazy, boolean torn)
      throws BlockException {
    String when = "after change " + change;
    MemoryFile file = new MemoryFile(contents, false);
    Header header = Header.read(file);
    CheckReport report = new Qcow2Checker(file, header).check();
    if (lazy && header.isDirty()) {
      report = new Qcow2Checker(file, header).repair(true);
    }
    assertFalse(report.hasErrors(), when + ": " + report.problems());
    int flush = 0;
    while (flush + 1 < history.flushes && history.atChange[flush + 1] <= change) {
      flush++;
    }
    int[] flushed = history.flushed[flush];
    try (DiskImage disk = Qcow2Image.open(file, null, true);
        Arena arena = Arena.ofConfined()) {
      MemorySegment unit = arena.allocate(UNIT, 8);
      for (int i = 0; i < UNITS; i++) {
        disk.read((long) i * UNIT, unit);
        int[] all = unit.toArray(ValueLayout.JAVA_INT);
        for (int at = 0; at < all.length; at += 512 / 4) {
          int value = all[at];
          // A write that was not flushed may be there, in part if the host lost its power.
          boolean known = value == flushed[i]
              || value >= 0 && value < history.later[i].length && history.later[i][value]
                  && (value == 0 || value > flushed[i] || flushed[i] == 0);
          assertTrue(known, when + ": unit " + i + " holds " + value + ", not " + flushed[i]);
          boolean whole = torn || value == all[0];
          assertTrue(whole, when + ": unit " + i + " is torn");
        }
      }
    }
  }

  /** Breaks if a process that is killed leaves anything but leaks, or loses what was flushed. */
  @ParameterizedTest
  @ValueSource(strings = {"cluster_size=65536", "cluster_size=4096", "lazy_refcounts=on",
    "cluster_size=512"})
  void aKilledProcessLeavesASoundImage(String option) throws BlockException {
    String[] parts = option.split("=");
    MemoryFile file = create(Map.of(parts[0], parts[1]));
    History history;
    try (DiskImage disk = Qcow2Image.open(file, null, false)) {
      history = work(file, disk, 250, 42);
    }
    boolean lazy = parts[0].startsWith("lazy");
    int changes = file.changeCount();
    int step = Math.max(1, changes / 400);
    for (int change = 0; change <= changes; change += step) {
      // A write of several clusters may have been killed between two.
      boolean torn = parts[1].equals("512");
      assertSurvives(file.afterChanges(change), history, change, lazy, torn);
    }
  }

  /** Breaks if tables can reach the disk before what they rely on. */
  @ParameterizedTest
  @ValueSource(strings = {"cluster_size=65536", "cluster_size=4096", "lazy_refcounts=on"})
  void aHostWithoutPowerLeavesASoundImage(String option) throws BlockException {
    String[] parts = option.split("=");
    MemoryFile file = create(Map.of(parts[0], parts[1]));
    History history;
    try (DiskImage disk = Qcow2Image.open(file, null, false)) {
      history = work(file, disk, 250, 43);
    }
    boolean lazy = parts[0].startsWith("lazy");
    Random random = new Random(44);
    int changes = file.changeCount();
    for (int i = 0; i < 400; i++) {
      int change = random.nextInt(changes + 1);
      assertSurvives(file.afterPowerFailure(change, random), history, change, lazy, true);
    }
  }

  /** Breaks if a full host costs more than the requests it refused. */
  @Test
  void aFullHostLosesNothing() throws BlockException {
    MemoryFile file = new MemoryFile(create(Map.of()).contents(), false);
    byte[] model = new byte[UNITS * UNIT];
    Random random = new Random(45);
    int refused = 0;
    try (Arena arena = Arena.ofConfined();
        DiskImage disk = Qcow2Image.open(file, null, false)) {
      for (int i = 0; i < 400; i++) {
        file.setWritesLeft(random.nextInt(12));
        int first = random.nextInt(UNITS - 20);
        MemorySegment data = unit(arena, i, 1 + random.nextInt(20));
        for (int tries = 0;; tries++) {
          try {
            disk.write((long) first * UNIT, data);
            disk.flush();
            break;
          } catch (BlockException e) {
            assertEquals(Reason.HOST_DISK_FULL, e.reason());
            assertTrue(e.getMessage().contains("make room"), e.getMessage());
            refused++;
            // Room is made, now and then too little.
            file.setWritesLeft(random.nextInt(12) + tries * 20);
          }
        }
        byte[] bytes = data.toArray(ValueLayout.JAVA_BYTE);
        System.arraycopy(bytes, 0, model, first * UNIT, bytes.length);
      }
      file.setWritesLeft(Integer.MAX_VALUE);
      MemorySegment all = arena.allocate(model.length, 8);
      disk.read(0, all);
      assertTrue(Arrays.equals(model, all.toArray(ValueLayout.JAVA_BYTE)));
    }
    assertTrue(refused > 50, "the host was full " + refused + " times only");
    CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
    assertFalse(report.hasErrors() || report.hasLeaks(), report.problems().toString());
  }

  /** Breaks if an image with stale counts is written before they are counted again. */
  @Test
  void lazyRefcountsAreCountedAgain() throws BlockException {
    MemoryFile file = create(Map.of("lazy_refcounts", "on"));
    History history;
    int changes;
    try (DiskImage disk = Qcow2Image.open(file, null, false)) {
      history = work(file, disk, 60, 46);
      disk.flush();
      changes = file.changeCount();
    }
    assertFalse(Header.read(file).isDirty(), "closing must say that the counts are right");
    MemoryFile left = new MemoryFile(file.afterChanges(changes), false);
    assertTrue(Header.read(left).isDirty());
    assertTrue(new Qcow2Checker(left, Header.read(left)).check().hasErrors());
    Qcow2Image.open(left, null, false).close();
    Header header = Header.read(left);
    assertFalse(header.isDirty());
    CheckReport report = new Qcow2Checker(left, header).check();
    assertFalse(report.hasErrors() || report.hasLeaks(), report.problems().toString());
    assertTrue(history.flushes > 0);
  }

  /** Breaks if an image that is marked as damaged is written before it was repaired. */
  @Test
  void aCorruptImageIsOnlyRead() throws BlockException {
    MemoryFile file = create(Map.of());
    Bytes.writeLong(file, Header.INCOMPATIBLE_AT, Header.CORRUPT);
    BlockException e =
        assertThrows(BlockException.class, () -> Qcow2Image.open(file, null, false));
    assertEquals(Reason.DAMAGED, e.reason());
    Qcow2Image.open(file, null, true).close();
    assertFalse(new Qcow2Checker(file, Header.read(file)).repair(true).hasErrors());
    Qcow2Image.open(file, null, false).close();
  }
}

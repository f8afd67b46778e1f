package org.javisor.storage.block.tool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.QemuImg;
import org.javisor.storage.block.RandomDisk;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.CheckReport;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Checker;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole images: chains, copies, commits, sizes. */
class ImageToolsTest {
  private static final int SIZE = 5 << 20;

  @TempDir Path folder;

  private Path path(String name) {
    return folder.resolve(name);
  }

  private static byte[] random(int size, long seed) {
    byte[] bytes = new byte[size];
    new Random(seed).nextBytes(bytes);
    Arrays.fill(bytes, size / 3, size / 2, (byte) 0);
    return bytes;
  }

  private static byte[] read(Path image) throws BlockException {
    try (DiskImage disk = Images.open(image, null, Access.READ); Arena arena = Arena.ofConfined()) {
      MemorySegment all = arena.allocate(disk.sizeBytes(), 8);
      disk.read(0, all);
      return all.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private static void assertSound(Path image) throws IOException {
    try (HostFile file = HostFile.open(image, Access.READ)) {
      CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
      assertFalse(report.hasErrors() || report.hasLeaks(), report.problems().toString());
    }
    if (QemuImg.isPresent()) {
      QemuImg.ok("check", image);
    }
  }

  private static void assertSameForQemu(Path image, Path raw) throws IOException {
    if (QemuImg.isPresent()) {
      QemuImg.ok("compare", "-F", "raw", image, raw);
    }
  }

  private void overlay(String name, String base, String format, long size) throws BlockException {
    Images.createQcow2(path(name), size, Qcow2Options.DEFAULT.withBacking(base, format));
  }

  private byte[] work(String name, byte[] model, long seed) throws BlockException {
    try (DiskImage disk = Images.open(path(name), null, Access.WRITE);
        RandomDisk random = new RandomDisk(disk, model, seed)) {
      random.run(60);
    }
    return model;
  }

  /** Breaks if a chain of images does not read as its topmost, or a lower one is written. */
  @Test
  void aChainReadsAsOneDisk() throws IOException {
    byte[] base = random(SIZE, 1);
    Files.write(path("base.raw"), base);
    overlay("middle.qcow2", "base.raw", "raw", SIZE);
    byte[] middle = work("middle.qcow2", base.clone(), 2);
    overlay("top.qcow2", "middle.qcow2", "qcow2", SIZE + 512 * 77);
    byte[] top = work("top.qcow2", Arrays.copyOf(middle, SIZE + 512 * 77), 3);
    assertArrayEquals(top, read(path("top.qcow2")));
    assertArrayEquals(middle, read(path("middle.qcow2")));
    assertArrayEquals(base, read(path("base.raw")));
    Files.write(path("top.raw"), top);
    assertSameForQemu(path("top.qcow2"), path("top.raw"));
  }

  /** Breaks if images in a loop, or more than anybody needs, are followed. */
  @Test
  void loopsAreRefused() throws IOException {
    overlay("a.qcow2", "b.qcow2", "qcow2", SIZE);
    overlay("b.qcow2", "a.qcow2", "qcow2", SIZE);
    for (Access access : new Access[] {Access.READ, Access.PEEK}) {
      BlockException e =
          assertThrows(
              BlockException.class, () -> Images.open(path("a.qcow2"), null, access));
      assertTrue(e.getMessage().contains("loop"), e.getMessage());
    }
    // Locked for writing, it is not even opened again for reading.
    assertThrows(BlockException.class, () -> Images.open(path("a.qcow2"), null, Access.WRITE));
    for (int i = 0; i < 100; i++) {
      overlay("n" + i, "n" + (i + 1), "qcow2", SIZE);
    }
    BlockException e =
        assertThrows(BlockException.class, () -> Images.open(path("n0"), null, Access.READ));
    assertEquals(Reason.NOT_SUPPORTED, e.reason());
  }

  /** Breaks if the name of a backing file is taken for something on a network, or a device. */
  @ParameterizedTest
  @ValueSource(
      strings = {"nbd://host/disk", "json:{\"driver\":\"nbd\"}", "http://x/y", "fat:/etc",
        "/dev/zero", "missing.raw"})
  void strangeBackingFilesAreRefused(String name) throws BlockException {
    overlay("o.qcow2", name, "raw", SIZE);
    BlockException e =
        assertThrows(BlockException.class, () -> Images.open(path("o.qcow2"), null, Access.READ));
    assertTrue(e.getMessage().contains("backing file"), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }

  /** Breaks if a copy differs, or a copy of zeros takes space. */
  @ParameterizedTest
  @CsvSource({"raw,qcow2", "qcow2,raw", "qcow2,qcow2", "raw,raw"})
  void copiesAreTheSame(String from, String to) throws IOException {
    int size = SIZE + 512 * 5;
    byte[] model = new byte[size];
    Path source = path("source");
    if (from.equals("raw")) {
      Images.createRaw(source, size);
    } else {
      Images.createQcow2(source, size, Qcow2Options.DEFAULT);
    }
    work("source", model, 4);
    Path target = path("target");
    ImageFormat format = ImageFormat.parse(to);
    try (DiskImage disk = Images.open(source, null, Access.READ);
        Images.NewImage copy =
            Images.createToFill(target, format, size, Qcow2Options.DEFAULT)) {
      new ImageConverter(disk, copy.image(), done -> {}).convert();
    }
    assertArrayEquals(model, read(target));
    if (format == ImageFormat.QCOW2) {
      assertSound(target);
    }
    Files.write(path("model.raw"), model);
    assertSameForQemu(target, path("model.raw"));
  }

  /** Breaks if a commit loses something, or leaves something in the overlay. */
  @ParameterizedTest
  @ValueSource(strings = {"raw", "qcow2"})
  void commitMovesEverything(String format) throws IOException {
    byte[] model = random(SIZE, 5);
    if (format.equals("raw")) {
      Files.write(path("base"), model);
    } else {
      Images.createQcow2(path("base"), SIZE, Qcow2Options.DEFAULT);
      model = work("base", new byte[SIZE], 6);
    }
    overlay("top.qcow2", "base", format, SIZE + 512 * 9);
    model = work("top.qcow2", Arrays.copyOf(model, SIZE + 512 * 9), 7);
    assertEquals(path("base"), ImageCommitter.commit(path("top.qcow2"), true));
    assertArrayEquals(model, read(path("base")));
    assertArrayEquals(model, read(path("top.qcow2")));
    assertSound(path("top.qcow2"));
    assertEquals(0, allocated(path("top.qcow2")));
    Files.write(path("model.raw"), model);
    assertSameForQemu(path("base"), path("model.raw"));
    BlockException e =
        assertThrows(
            BlockException.class, () -> ImageCommitter.commit(path("base"), true));
    assertEquals(Reason.INVALID, e.reason());
  }

  private static long allocated(Path image) throws BlockException {
    try (HostFile file = HostFile.open(image, Access.READ)) {
      return new Qcow2Checker(file, Header.read(file)).check().allocatedClusters();
    }
  }

  /** Breaks if a new size loses data, or shows what was there before. */
  @ParameterizedTest
  @ValueSource(strings = {"cluster_size=65536", "cluster_size=512", "compat=0.10"})
  void sizesChange(String option) throws IOException {
    String[] parts = option.split("=");
    Path image = path("disk.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.parse(Map.of(parts[0], parts[1])));
    byte[] model = work("disk.qcow2", new byte[SIZE], 8);
    int smaller = SIZE / 2 + 512 * 3;
    BlockException e =
        assertThrows(
            BlockException.class, () -> ImageResizer.resize(image, null, smaller, false));
    assertTrue(e.getMessage().contains("--shrink"), e.getMessage());
    ImageResizer.resize(image, null, smaller, true);
    assertArrayEquals(Arrays.copyOf(model, smaller), read(image));
    assertSound(image);
    int larger = SIZE * 4;
    ImageResizer.resize(image, null, larger, false);
    model = Arrays.copyOf(Arrays.copyOf(model, smaller), larger);
    assertArrayEquals(model, read(image), "what was cut off must not come back");
    assertSound(image);
    work("disk.qcow2", model, 9);
    // Now the L1 table needs more clusters than it has.
    long huge = parts[1].equals("512") ? 3L << 30 : 40L << 40;
    ImageResizer.resize(image, null, huge, false);
    assertEquals(huge, ImageInfo.of(image, null, Access.READ).virtualSize());
    assertSound(image);
    try (DiskImage disk = Images.open(image, null, Access.WRITE);
        RandomDisk random = new RandomDisk(disk, model, 10);
        Arena arena = Arena.ofConfined()) {
      random.checkAll();
      random.run(50);
      disk.write(huge - 512, arena.allocate(512, 8).fill((byte) 1));
    }
    assertSound(image);
  }

  /** Breaks if growing an overlay brings to light what its backing file has there. */
  @Test
  void growingHidesTheBackingFile() throws IOException {
    byte[] base = random(SIZE, 11);
    Files.write(path("base.raw"), base);
    overlay("o.qcow2", "base.raw", "raw", SIZE / 2 + 512);
    ImageResizer.resize(path("o.qcow2"), null, SIZE + 1024, false);
    byte[] expected = Arrays.copyOf(Arrays.copyOf(base, SIZE / 2 + 512), SIZE + 1024);
    assertArrayEquals(expected, read(path("o.qcow2")));
    Files.write(path("model.raw"), expected);
    assertSameForQemu(path("o.qcow2"), path("model.raw"));
  }

  /** Breaks if a throw-away overlay writes its base, or leaves a file. */
  @Test
  void aTemporaryOverlayLeavesNothing() throws IOException {
    byte[] base = random(SIZE, 12);
    Files.write(path("base.raw"), base);
    byte[] model = base.clone();
    try (DiskImage disk =
        Images.openTemporaryOverlay(
            Images.open(path("base.raw"), ImageFormat.RAW, Access.READ), folder);
        RandomDisk random = new RandomDisk(disk, model, 13)) {
      random.run(100);
      random.checkAll();
    }
    assertArrayEquals(base, Files.readAllBytes(path("base.raw")));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(1, files.count());
    }
  }

  /** Breaks if leaks are not found, not repaired, or repaired together with something else. */
  @Test
  void leaksAreRepaired() throws IOException {
    Path image = path("leak.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.DEFAULT);
    byte[] model = work("leak.qcow2", new byte[SIZE], 14);
    try (HostFile file = HostFile.open(image, Access.WRITE)) {
      // Count a cluster once more that nothing refers to: the file's last, and one in between.
      try (Arena arena = Arena.ofConfined()) {
        long end = file.size();
        file.write(end + 65535, arena.allocate(1));
        MemorySegment two = arena.allocate(2);
        two.set(ValueLayout.JAVA_BYTE, 1, (byte) 2);
        file.write(2 * 65536 + 2 * (end + 65535 >>> 16), two);
      }
    }
    try (HostFile file = HostFile.open(image, Access.WRITE)) {
      CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
      assertEquals(1, report.leaks());
      assertFalse(report.hasErrors());
      report = new Qcow2Checker(file, Header.read(file)).repair(false);
      assertEquals(1, report.leaksFixed());
    }
    assertSound(image);
    assertArrayEquals(model, read(image));
  }

  /** Breaks if we say something else about an image than QEMU does. */
  @ParameterizedTest
  @CsvSource({
    "qcow2,'compat=0.10'", "qcow2,'lazy_refcounts=on'", "qcow2,'compression_type=zstd'",
    "qcow2,'refcount_bits=64,cluster_size=4096'", "raw,''"
  })
  void infoSaysWhatQemuSays(String format, String options) throws IOException {
    QemuImg.assume();
    Path image = path("i.img");
    if (options.isEmpty()) {
      QemuImg.ok("create", "-q", "-f", format, image, "10M");
    } else {
      QemuImg.ok("create", "-q", "-f", format, "-o", options, image, "10M");
    }
    ImageInfo info = ImageInfo.of(image, null, Access.READ);
    // Older and newer versions of QEMU add lines of their own; all of ours must be there.
    String theirs = QemuImg.ok("info", image);
    for (String line : info.text().lines().toList()) {
      assertTrue(theirs.contains(line + "\n") || theirs.endsWith(line), line + " not in " + theirs);
    }
    String json = QemuImg.ok("info", "--output=json", image).replaceAll("\\s", "");
    assertTrue(json.contains("\"virtual-size\":" + info.structure().get("virtual-size")), json);
    assertTrue(json.contains("\"actual-size\":" + info.structure().get("actual-size")), json);
  }

  /** Breaks if people read other sizes than QEMU shows. */
  @ParameterizedTest
  @CsvSource({
    "0,0 B", "512,512 B", "999,999 B", "1024,1 KiB", "1536,1.5 KiB", "1048576,1 MiB",
    "1073741824,1 GiB", "10200547328,9.5 GiB", "135168,132 KiB", "1099511627776,1 TiB"
  })
  void sizesAreReadable(long bytes, String text) {
    assertEquals(text, ImageInfo.size(bytes));
  }
}

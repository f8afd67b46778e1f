package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.QemuImg;
import org.javisor.storage.block.RandomDisk;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageConverter;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.Images;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that QEMU made, and images made for QEMU. */
class Qcow2WithQemuTest {
  private static final int SIZE = 12 << 20;

  @TempDir Path folder;

  @BeforeEach
  void qemu() {
    QemuImg.assume();
  }

  private Path path(String name) {
    return folder.resolve(name);
  }

  /** Contents that compress to different degrees, with holes. */
  private static byte[] contents(long seed) {
    byte[] contents = new byte[SIZE];
    Random random = new Random(seed);
    for (int at = 0; at < SIZE; at += 65536) {
      int kind = random.nextInt(4);
      for (int i = at; kind > 0 && i < at + 65536; i++) {
        contents[i] = (byte) (kind == 1 ? random.nextInt() : random.nextInt(4) + i / 100);
      }
    }
    return contents;
  }

  private void compare(Path image, byte[] model) throws IOException {
    Files.write(path("model.raw"), model);
    QemuImg.ok("check", image);
    QemuImg.ok("compare", "-f", "qcow2", "-F", "raw", image, path("model.raw"));
  }

  private static void work(Path image, byte[] model, long seed, int operations)
      throws BlockException {
    try (DiskImage disk = Images.open(image, ImageFormat.QCOW2, Access.WRITE);
        RandomDisk random = new RandomDisk(disk, model, seed)) {
      random.checkAll();
      random.run(operations);
      random.checkAll();
    }
  }

  /** Breaks if compressed clusters of QEMU's cannot be read, or be overwritten. */
  @ParameterizedTest
  @CsvSource({"zlib,65536", "zstd,65536", "zlib,4096", "zstd,2097152", "zlib,512"})
  void compressedByQemu(String type, int clusterSize) throws IOException {
    byte[] model = contents(1);
    Files.write(path("in.raw"), model);
    Path image = path("c.qcow2");
    QemuImg.ok("convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
        "compression_type=" + type + ",cluster_size=" + clusterSize, path("in.raw"), image);
    work(image, model, 2, 200);
    compare(image, model);
  }

  /** Breaks if QEMU cannot read, or overwrite, clusters that we compressed. */
  @ParameterizedTest
  @CsvSource({"zlib,65536", "zstd,65536", "zlib,4096", "zstd,262144", "zlib,512"})
  void compressedForQemu(String type, int clusterSize) throws IOException {
    byte[] model = contents(3);
    Files.write(path("in.raw"), model);
    Path image = path("c.qcow2");
    Qcow2Options options =
        Qcow2Options.parse(
            Map.of("compression_type", type, "cluster_size", Integer.toString(clusterSize)));
    try (DiskImage source = Images.open(path("in.raw"), ImageFormat.RAW, Access.READ);
        Images.NewImage target =
            Images.createToFill(image, ImageFormat.QCOW2, SIZE, options)) {
      new ImageConverter(source, target.image(), done -> {})
          .convertCompressed((Qcow2Image) target.image());
    }
    assertTrue(Files.size(image) < SIZE * 3L / 4, "compressed to " + Files.size(image));
    compare(image, model);
    QemuImg.io(image, "write -P 0x55 100k 300k", "discard 1M 1M");
    Arrays.fill(model, 100 << 10, 400 << 10, (byte) 0x55);
    Arrays.fill(model, 1 << 20, 2 << 20, (byte) 0);
    compare(image, model);
    work(image, model, 4, 100);
    compare(image, model);
  }

  /** Breaks if writing to an image changes what a snapshot in it holds. */
  @ParameterizedTest
  @ValueSource(strings = {"1.1", "0.10"})
  void snapshotsAreKept(String compat) throws IOException {
    Path image = path("s.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.parse(Map.of("compat", compat)));
    byte[] first = new byte[SIZE];
    work(image, first, 5, 150);
    byte[] second = first.clone();
    QemuImg.ok("snapshot", "-c", "one", image);
    work(image, second, 6, 150);
    QemuImg.ok("check", image);
    QemuImg.ok("snapshot", "-c", "two", image);
    byte[] third = second.clone();
    work(image, third, 7, 150);
    compare(image, third);
    try (HostFile file = HostFile.open(image, Access.READ)) {
      assertEquals(
          "[one, two]",
          Qcow2Reports.snapshots(file, Header.read(file)).stream()
              .map(Snapshot::name).toList().toString());
    }
    QemuImg.ok("snapshot", "-a", "one", image);
    compare(image, first);
    work(image, first, 8, 100);
    QemuImg.ok("snapshot", "-a", "two", image);
    compare(image, second);
    QemuImg.ok("snapshot", "-d", "one", image);
    QemuImg.ok("snapshot", "-d", "two", image);
    work(image, second, 9, 100);
    compare(image, second);
  }

  /** Breaks if a feature that is not built is tried instead of refused, or refused namelessly. */
  @ParameterizedTest
  @CsvSource({
    "data_file=DATA,external data file",
    "extended_l2=on,extended L2",
  })
  void whatIsNotBuiltIsRefusedByName(String option, String name) throws IOException {
    Path image = path("f.qcow2");
    QemuImg.ok("create", "-q", "-f", "qcow2", "-o",
        option.replace("DATA", path("data.raw").toString()), image, "4M");
    for (Access access : new Access[] {Access.READ, Access.WRITE}) {
      BlockException e =
          assertThrows(BlockException.class, () -> Images.open(image, null, access));
      assertEquals(Reason.NOT_SUPPORTED, e.reason());
      assertTrue(e.getMessage().contains(name), e.getMessage());
      assertTrue(e.getMessage().contains("qemu-img"), e.getMessage());
    }
  }

  /** Breaks if QEMU and we can write one image at the same time. */
  @Test
  void qemuAndWeSeeEachOthersLocks() throws IOException {
    Path image = path("l.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.DEFAULT);
    DiskImage disk = Images.open(image, null, Access.WRITE);
    QemuImg.Answer answer = QemuImg.answer("check", image);
    disk.close();
    assertNotEquals(0, answer.code(), "QEMU opened an image that we were writing");
    assertTrue(answer.text().contains("lock"), answer.text());
    QemuImg.ok("check", image);
    DiskImage reader = Images.open(image, null, Access.READ);
    QemuImg.ok("check", image);
    assertNotEquals(0, QemuImg.answer("resize", image, "20M").code(), "QEMU changed what we read");
    reader.close();

    Process qemu =
        new ProcessBuilder("qemu-io", image.toString())
            .redirectErrorStream(true)
            .start();
    try {
      qemu.getOutputStream().write("write 0 64k\n".getBytes());
      qemu.getOutputStream().flush();
      // It has the image open when it answers.
      StringBuilder said = new StringBuilder();
      while (said.indexOf("ops") < 0) {
        int c = qemu.getInputStream().read();
        assertTrue(c >= 0, said::toString);
        said.append((char) c);
      }
      for (Access access : new Access[] {Access.WRITE, Access.READ}) {
        BlockException e =
            assertThrows(BlockException.class, () -> Images.open(image, null, access));
        assertEquals(Reason.IN_USE, e.reason());
        assertTrue(e.getMessage().contains("in use by another process"), e.getMessage());
      }
      Images.open(image, null, Access.PEEK).close();
    } finally {
      qemu.destroyForcibly();
    }
  }

  /** Breaks if persistent bitmaps of QEMU's count as leaks, or survive being outdated. */
  @Test
  void bitmapsAreCountedAndThenDropped() throws IOException {
    Path image = path("b.qcow2");
    Images.createQcow2(image, SIZE, Qcow2Options.DEFAULT);
    QemuImg.ok("bitmap", "--add", image, "dirty");
    QemuImg.io(image, "write -P 1 0 3M");
    try (HostFile file = HostFile.open(image, Access.READ)) {
      CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
      assertTrue(!report.hasErrors() && !report.hasLeaks(), report.problems().toString());
    }
    byte[] model = new byte[SIZE];
    Arrays.fill(model, 0, 3 << 20, (byte) 1);
    work(image, model, 10, 50);
    Files.write(path("model.raw"), model);
    QemuImg.ok("compare", "-f", "qcow2", "-F", "raw", image, path("model.raw"));
    assertEquals(3, QemuImg.answer("check", image).code(), "only leaks are left of the bitmap");
  }
}

package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.QemuImg;
import org.javisor.storage.block.RandomDisk;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.Images;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Random operations on images of every shape, mirrored on an array. */
class Qcow2RandomTest {
  @TempDir Path folder;

  /** An image to try. */
  record Shape(String name, int megabytes, Map<String, String> options, boolean backing) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Shape> shapes() {
    return List.of(
        new Shape("default", 24, Map.of(), false),
        new Shape("over a backing file", 24, Map.of(), true),
        new Shape("version 2", 24, Map.of("compat", "0.10"), false),
        new Shape("version 2 over a backing file", 24, Map.of("compat", "0.10"), true),
        new Shape("lazy refcounts", 24, Map.of("lazy_refcounts", "on"), true),
        new Shape("smallest clusters", 6, Map.of("cluster_size", "512"), true),
        new Shape("largest clusters", 40, Map.of("cluster_size", "2097152"), true),
        new Shape("refcounts of 1 bit", 24, Map.of("refcount_bits", "1"), false),
        new Shape("refcounts of 8 bits", 6,
            Map.of("refcount_bits", "8", "cluster_size", "1024"), true),
        new Shape("refcounts of 64 bits", 6,
            Map.of("refcount_bits", "64", "cluster_size", "512"), false))
        .stream();
  }

  private byte[] backing(int size) throws IOException {
    byte[] contents = new byte[size];
    Random random = new Random(7);
    // Data and holes in turn, in pieces that fit no cluster.
    for (int at = 0; at < size; at += 300_000) {
      byte[] data = new byte[Math.min(100_000, size - at)];
      random.nextBytes(data);
      System.arraycopy(data, 0, contents, at, data.length);
    }
    Files.write(folder.resolve("base.raw"), contents);
    return contents;
  }

  /** Breaks if an operation changes anything but what it is to change, now or after closing. */
  @ParameterizedTest
  @MethodSource("shapes")
  void theDiskIsItsModel(Shape shape) throws IOException {
    // The disk does not end with a cluster, and reaches beyond its backing file.
    int size = (shape.megabytes() << 20) + 512 * 3;
    byte[] model = new byte[size];
    Qcow2Options options = Qcow2Options.parse(shape.options());
    if (shape.backing()) {
      byte[] base = backing(size * 2 / 3 & -512);
      System.arraycopy(base, 0, model, 0, base.length);
      options = options.withBacking("base.raw", "raw");
    }
    Path path = folder.resolve("disk.qcow2");
    Images.createQcow2(path, size, options);
    for (int round = 0; round < 4; round++) {
      try (DiskImage disk = Images.open(path, ImageFormat.QCOW2, Access.WRITE);
          RandomDisk random = new RandomDisk(disk, model, 1000 + round)) {
        random.run(400);
        random.checkAll();
      }
      assertSound(path);
      assertSame(path, model);
    }
    try (DiskImage disk = Images.open(path, null, Access.READ);
        RandomDisk random = new RandomDisk(disk, model, 1)) {
      random.checkAll();
    }
  }

  private static void assertSound(Path path) throws BlockException {
    try (HostFile file = HostFile.open(path, Access.READ)) {
      CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
      assertFalse(report.hasErrors() || report.hasLeaks(), report.problems().toString());
    }
  }

  private void assertSame(Path path, byte[] model) throws IOException {
    if (QemuImg.isPresent()) {
      Path raw = folder.resolve("model.raw");
      Files.write(raw, model);
      QemuImg.ok("check", path);
      QemuImg.ok("compare", "-f", "qcow2", "-F", "raw", path, raw);
      assertEquals(model.length, Files.size(raw));
    }
  }
}

package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.storage.image.CpioWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PackageArchiveTest {
  private static final String CONTROL =
      "Package: linux-image-test\nVersion: 1:6.1-2\nArchitecture: amd64\nDescription: x\n more\n";

  @TempDir Path folder;

  private Path write(byte[] contents) throws IOException {
    return Files.write(folder.resolve("package"), contents);
  }

  private Map<String, String> contents(Path file) throws IOException {
    Map<String, String> found = new LinkedHashMap<>();
    PackageArchive.open(file)
        .visit(
            (entry, in) -> {
              found.put(
                  entry.path(),
                  entry.kind() + ":" + new String(in.readAllBytes(), StandardCharsets.UTF_8));
              return true;
            });
    return found;
  }

  @Test
  void readsDebControlAndFiles() throws Exception {
    Path file = write(TestPackages.deb(CONTROL, Map.of("./boot/vmlinuz-1", "kernel".getBytes())));
    PackageArchive archive = PackageArchive.open(file);
    assertEquals("deb", archive.format());
    assertEquals("linux-image-test", archive.name());
    assertEquals("1:6.1-2", archive.version());
    assertEquals("amd64", archive.architecture());
    assertEquals(Map.of("boot/vmlinuz-1", "FILE:kernel"), contents(file));
  }

  @Test
  void readsRpmTagsAndFiles() throws Exception {
    ByteArrayOutputStream cpio = new ByteArrayOutputStream();
    try (CpioWriter writer = new CpioWriter(cpio)) {
      writer.file("boot/vmlinuz-1", 0644, "kernel".getBytes());
      writer.symbolicLink("boot/vmlinuz", "vmlinuz-1");
    }
    Path file = write(TestPackages.rpm(cpio.toByteArray()));
    PackageArchive archive = PackageArchive.open(file);
    assertEquals("rpm", archive.format());
    assertEquals("kernel-core", archive.name());
    assertEquals("6.9.1-200", archive.version());
    assertEquals("x86_64", archive.architecture());
    assertEquals("FILE:kernel", contents(file).get("boot/vmlinuz-1"));
  }

  @Test
  void namesThatLeaveTheFolderAreRefused() throws Exception {
    Path file = write(TestPackages.deb(CONTROL, Map.of("./../../evil", "x".getBytes())));
    ArchiveFormatException e =
        assertThrows(
            ArchiveFormatException.class,
            () -> PackageExtractor.extract(
                PackageArchive.open(file), folder.resolve("out"), p -> true));
    assertTrue(e.getMessage().contains("would leave the folder"));
  }

  @Test
  void linksAreNotUnpackedSoNothingGoesThroughThem() throws Exception {
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put("./way-out", "->/tmp".getBytes());
    files.put("./way-out/evil-of-a-test", "x".getBytes());
    files.put("./fine", "y".getBytes());
    Path file = write(TestPackages.deb(CONTROL, files));
    Path out = folder.resolve("out");
    PackageExtractor.extract(PackageArchive.open(file), out, p -> true);
    assertFalse(Files.isSymbolicLink(out.resolve("way-out")));
    assertTrue(Files.isRegularFile(out.resolve("way-out/evil-of-a-test")));
    assertFalse(Files.exists(Path.of("/tmp/evil-of-a-test")));
    assertArrayEquals("y".getBytes(), Files.readAllBytes(out.resolve("fine")));
  }

  @Test
  void anExistingLinkIsNotFollowed() throws Exception {
    Path file = write(TestPackages.deb(CONTROL, Map.of("./lib/x", "x".getBytes())));
    Path out = Files.createDirectory(folder.resolve("out"));
    Path elsewhere = Files.createDirectory(folder.resolve("elsewhere"));
    Files.createSymbolicLink(out.resolve("lib"), elsewhere);
    assertThrows(
        ArchiveFormatException.class,
        () -> PackageExtractor.extract(PackageArchive.open(file), out, p -> true));
    assertFalse(Files.exists(elsewhere.resolve("x")));
  }

  @Test
  void truncatedPackagesAreNoticed() throws Exception {
    byte[] data = new byte[50_000];
    new java.util.Random(5).nextBytes(data);
    byte[] deb = TestPackages.deb(CONTROL, Map.of("./boot/vmlinuz-1", data));
    for (int length = 8; length < deb.length - 4096; length += 997) {
      Path file = write(Arrays.copyOf(deb, length));
      assertThrows(IOException.class, () -> contents(file), "cut to " + length);
    }
  }

  @Test
  void truncatedRpmHeadersAreNoticed() throws Exception {
    byte[] rpm = TestPackages.rpm(new byte[0]);
    for (int length = 8; length < 200; length += 13) {
      Path file = write(Arrays.copyOf(rpm, length));
      assertThrows(IOException.class, () -> contents(file), "cut to " + length);
    }
  }

  @Test
  void otherFilesAreRefused() throws Exception {
    Path file = write("hello".getBytes());
    assertThrows(ArchiveFormatException.class, () -> PackageArchive.open(file));
  }
}

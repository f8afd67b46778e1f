package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.storage.image.CpioWriter;
import org.junit.jupiter.api.Test;

class CpioReaderTest {
  private static byte[] archive() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (CpioWriter writer = new CpioWriter(out)) {
      writer.characterDevice("dev/console", 0600, 5, 1);
      writer.file("etc/a", 0644, "one".getBytes());
      writer.file("etc/b", 0755, new byte[0]);
      writer.symbolicLink("bin", "usr/bin");
    }
    return out.toByteArray();
  }

  private static List<String> read(byte[] archive) throws IOException {
    List<String> found = new ArrayList<>();
    CpioReader.read(
        new ByteArrayInputStream(archive),
        (entry, in) -> {
          found.add(
              "%s %o %s %s%s"
                  .formatted(
                      entry.kind(),
                      entry.permissions(),
                      entry.path(),
                      entry.target(),
                      new String(in.readAllBytes(), StandardCharsets.US_ASCII)));
          return true;
        });
    return found;
  }

  @Test
  void whatIsWrittenIsRead() throws Exception {
    byte[] archive = archive();
    assertEquals(0, archive.length % 512);
    assertEquals(
        List.of(
            "DIRECTORY 755 dev ",
            "SPECIAL 600 dev/console ",
            "DIRECTORY 755 etc ",
            "FILE 644 etc/a one",
            "FILE 755 etc/b ",
            "SYMBOLIC_LINK 777 bin usr/bin"),
        read(archive));
  }

  @Test
  void aVisitorNeedNotReadContents() throws Exception {
    List<String> names = new ArrayList<>();
    CpioReader.read(
        new ByteArrayInputStream(archive()),
        (entry, in) -> {
          names.add(entry.path());
          return !entry.path().equals("etc/a");
        });
    assertEquals(List.of("dev", "dev/console", "etc", "etc/a"), names);
  }

  @Test
  void truncatedArchivesAreNoticed() throws Exception {
    byte[] archive = archive();
    for (int length : new int[] {0, 50, 111, 300, 350}) {
      assertThrows(
          EOFException.class, () -> read(Arrays.copyOf(archive, length)), "cut to " + length);
    }
  }

  @Test
  void namesThatLeaveTheFolderAreRefused() throws Exception {
    String text = new String(archive(), StandardCharsets.ISO_8859_1).replace("etc/a", "../aa");
    assertThrows(
        ArchiveFormatException.class, () -> read(text.getBytes(StandardCharsets.ISO_8859_1)));
  }

  @Test
  void otherFormatsAndBadFieldsAreRefused() throws Exception {
    byte[] archive = archive();
    byte[] magic = archive.clone();
    magic[5] = '7';
    assertThrows(ArchiveFormatException.class, () -> read(magic));
    byte[] field = archive.clone();
    field[54] = '?';
    assertThrows(ArchiveFormatException.class, () -> read(field));
    byte[] name = archive.clone();
    Arrays.fill(name, 94, 102, (byte) 'F');
    assertThrows(ArchiveFormatException.class, () -> read(name));
  }
}

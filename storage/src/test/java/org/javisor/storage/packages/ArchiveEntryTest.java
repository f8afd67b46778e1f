package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ArchiveEntryTest {
  @Test
  void leadingDotsAndSlashesGoAway() throws Exception {
    assertEquals("boot/vmlinuz", ArchiveEntry.safePath("./boot/vmlinuz"));
    assertEquals("boot/vmlinuz", ArchiveEntry.safePath("/boot//./vmlinuz"));
    assertEquals("", ArchiveEntry.safePath("./"));
    assertEquals("a..b/..c", ArchiveEntry.safePath("a..b/..c"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"..", "../x", "a/../../x", "/../etc/passwd", "a/..", "x\0y"})
  void namesThatClimbOutAreRefused(String name) {
    assertThrows(ArchiveFormatException.class, () -> ArchiveEntry.safePath(name));
  }
}

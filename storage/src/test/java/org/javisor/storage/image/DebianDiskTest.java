package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.javisor.storage.block.tool.ImageFormat;
import org.junit.jupiter.api.Test;

/** Breaks if what a user gives could become something else in a command line. */
class DebianDiskTest {
  private static DebianDisk.Recipe recipe(long size, String name, String host) {
    return new DebianDisk.Recipe(
        Path.of("d.qcow2"),
        ImageFormat.QCOW2,
        size,
        List.of(name),
        Optional.empty(),
        Optional.empty(),
        host);
  }

  @Test
  void names() {
    assertTrue(DebianDisk.isPackageName("openssh-server"));
    assertTrue(DebianDisk.isPackageName("libstdc++6=12.2.0-14"));
    assertFalse(DebianDisk.isPackageName("a,b"));
    assertFalse(DebianDisk.isPackageName("-o"));
    assertFalse(DebianDisk.isPackageName(""));
    assertTrue(DebianDisk.isHostName("db-1"));
    assertFalse(DebianDisk.isHostName("db-"));
    assertFalse(DebianDisk.isHostName("a b"));
    assertFalse(DebianDisk.isHostName("a".repeat(64)));
  }

  @Test
  void recipesAreChecked() {
    recipe(DebianDisk.MIN_SIZE, "vim", "debian");
    assertThrows(
        IllegalArgumentException.class, () -> recipe(DebianDisk.MIN_SIZE - 1, "vim", "debian"));
    assertThrows(
        IllegalArgumentException.class, () -> recipe(DebianDisk.MIN_SIZE, "$(x)", "debian"));
    assertThrows(
        IllegalArgumentException.class, () -> recipe(DebianDisk.MIN_SIZE, "vim", "x;y"));
  }
}

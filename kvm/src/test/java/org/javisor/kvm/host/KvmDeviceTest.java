package org.javisor.kvm.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import org.javisor.kvm.host.KvmUnavailable.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a person is told whose device does not open. */
class KvmDeviceTest {
  /** Breaks if a person without permission is not told which group to join. */
  @Test
  void aForbiddenDeviceNamesItsGroup(@TempDir Path folder) throws IOException {
    Path device = Files.createFile(folder.resolve("kvm"));
    KvmUnavailable e = KvmDevice.refused(device, Errno.EACCES);
    assertEquals(Reason.FORBIDDEN, e.reason());
    assertEquals("this user may not open " + device, e.getMessage());
    Files.setPosixFilePermissions(device, PosixFilePermissions.fromString("rw-rw----"));
    String group = Files.readAttributes(device, PosixFileAttributes.class).group().getName();
    assertEquals(
        "add the user to group " + group + " and log in again",
        KvmDevice.refused(device, Errno.EACCES).advice());
    Files.setPosixFilePermissions(device, PosixFilePermissions.fromString("rw-------"));
    assertEquals(
        "as root, chgrp kvm %s; chmod g+rw %s; then add the user to group kvm and log in again"
            .formatted(device, device),
        KvmDevice.refused(device, Errno.EACCES).advice());
  }

  /** Breaks if a device without its module, or a new error, is told without what to do. */
  @Test
  void everyRefusalHasAnAdvice() {
    for (int errno : new int[] {Errno.ENODEV, Errno.ENXIO, Errno.EBUSY, 77}) {
      KvmUnavailable e = KvmDevice.refused(Path.of("/dev/kvm"), errno);
      assertEquals(Reason.BROKEN, e.reason());
      assertTrue(e.getMessage().contains(String.valueOf(errno)), e.getMessage());
      assertTrue(!e.advice().isEmpty());
    }
  }
}

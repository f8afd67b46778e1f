package org.javisor.storage.block.file;

import static org.javisor.storage.block.file.LinuxCalls.EACCES;
import static org.javisor.storage.block.file.LinuxCalls.EAGAIN;
import static org.javisor.storage.block.file.LinuxCalls.F_OFD_GETLK;
import static org.javisor.storage.block.file.LinuxCalls.F_OFD_SETLK;
import static org.javisor.storage.block.file.LinuxCalls.F_RDLCK;
import static org.javisor.storage.block.file.LinuxCalls.F_UNLCK;
import static org.javisor.storage.block.file.LinuxCalls.F_WRLCK;

import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile.Access;

/**
 * Locks images as QEMU does, so that each sees the other's.
 *
 * <p>A use of an image is a set of permissions, numbered as in QEMU: 0 reads what is consistent, 1
 * writes, 3 resizes. For each that a user has, he holds a shared lock on byte 100 + number; for each
 * that he does not grant others, a shared lock on byte 200 + number. Then he looks whether anybody
 * holds the opposite byte. Two who come at the same time both lock before they look, so at least one
 * of them gives up. The locks belong to the open file, not to the process: two disks of one process
 * exclude each other too. Source: QEMU's documentation of {@code file.locking}, and the bytes that a
 * running QEMU shows in /proc/locks.
 */
final class ImageLock {
  private static final int HAVE = 100;
  private static final int REFUSE = 200;
  private static final int PERMISSIONS = 4;

  private static final int READS = 1;
  private static final int WRITES = 1 << 1;
  private static final int RESIZES = 1 << 3;

  private ImageLock() {}

  static void set(HostFile file, int fd, Access access) throws BlockException {
    boolean write = access == Access.WRITE || access == Access.CREATE;
    int have = access == Access.PEEK ? 0 : write ? READS | WRITES | RESIZES : READS;
    int refuse = access == Access.PEEK ? 0 : WRITES | RESIZES;
    for (int i = 0; i < PERMISSIONS; i++) {
      boolean locked = take(fd, HAVE + i, have >> i & 1) && take(fd, REFUSE + i, refuse >> i & 1);
      if (!locked) {
        throw file.inUse(write);
      }
    }
    for (int i = 0; i < PERMISSIONS; i++) {
      boolean excluded =
          (have >> i & 1) != 0 && isHeld(fd, REFUSE + i)
              || (refuse >> i & 1) != 0 && isHeld(fd, HAVE + i);
      if (excluded) {
        throw file.inUse(write);
      }
    }
  }

  /** Returns false if somebody locked the byte exclusively. A host without such locks has none. */
  private static boolean take(int fd, int offset, int wanted) {
    short type = wanted != 0 ? F_RDLCK : F_UNLCK;
    int result = LinuxCalls.lockByte(fd, F_OFD_SETLK, type, offset);
    return result != -EAGAIN && result != -EACCES;
  }

  private static boolean isHeld(int fd, int offset) {
    return LinuxCalls.lockByte(fd, F_OFD_GETLK, F_WRLCK, offset) == 1;
  }
}

package org.javisor.storage.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The first sectors of a disk that a BIOS boots: GRUB's boot sector with a partition table, and its
 * core image in the gap before the first partition. What {@code grub-bios-setup} writes, without a
 * device to write it to (GRUB's public source, {@code util/setup.c}, {@code boot/i386/pc}).
 */
final class BootSector {
  static final int SECTOR = 512;

  /** Where the one partition begins, in sectors: at 1 MiB, as partitioning tools have it. */
  static final int FIRST_PARTITION = 2048;

  // Fields of boot.img.
  private static final int KERNEL_SECTOR = 0x5c;
  private static final int BOOT_DRIVE = 0x64;
  private static final int DRIVE_CHECK = 0x66;
  private static final int DISK_SIGNATURE = 0x1b8;
  private static final int PARTITIONS = 0x1be;
  private static final int SIGNATURE = 0x1fe;

  private static final int ANY_DRIVE = 0xff;
  private static final short NO_CHECK = (short) 0x9090; // two NOPs: it is no floppy disk

  /** The last entry of the first sector of core.img: where the rest of it is. */
  private static final int BLOCK_LIST = SECTOR - 12;

  private static final int AFTER_FIRST_SECTOR = 0x820;

  private static final int LINUX = 0x83;
  private static final int ACTIVE = 0x80;

  private BootSector() {}

  /**
   * The sectors from 0 on.
   *
   * @param boot GRUB's boot.img
   * @param core its core image for the BIOS
   * @param diskSectors the disk's size; the partition takes all of it
   * @param signature tells disks apart
   */
  static byte[] with(byte[] boot, byte[] core, long diskSectors, int signature) {
    int coreSectors = (core.length + SECTOR - 1) / SECTOR;
    if (boot.length != SECTOR || core.length <= SECTOR || coreSectors >= FIRST_PARTITION) {
      throw new IllegalArgumentException(
          "boot loader of %d and %d bytes: 512 and up to %d expected"
              .formatted(boot.length, core.length, (FIRST_PARTITION - 1) * SECTOR));
    }
    ByteBuffer out =
        ByteBuffer.allocate((1 + coreSectors) * SECTOR).order(ByteOrder.LITTLE_ENDIAN);
    out.put(0, boot).put(SECTOR, core);
    out.putLong(KERNEL_SECTOR, 1);
    out.put(BOOT_DRIVE, (byte) ANY_DRIVE);
    out.putShort(DRIVE_CHECK, NO_CHECK);
    out.putLong(SECTOR + BLOCK_LIST, 2);
    out.putShort(SECTOR + BLOCK_LIST + 8, (short) (coreSectors - 1));
    out.putShort(SECTOR + BLOCK_LIST + 10, (short) AFTER_FIRST_SECTOR);

    // Where the partition table is, boot.img has code for floppy disks.
    out.put(PARTITIONS, new byte[SIGNATURE - PARTITIONS]);
    out.putInt(DISK_SIGNATURE, signature);
    out.put(PARTITIONS, (byte) ACTIVE);
    out.put(PARTITIONS + 1, CHS_BEYOND);
    out.put(PARTITIONS + 4, (byte) LINUX);
    out.put(PARTITIONS + 5, CHS_BEYOND);
    out.putInt(PARTITIONS + 8, FIRST_PARTITION);
    out.putInt(
        PARTITIONS + 12, (int) Math.min(diskSectors - FIRST_PARTITION, 0xffff_ffffL));
    out.putShort(SIGNATURE, (short) 0xaa55);
    return out.array();
  }

  /** A place that cylinder, head and sector cannot say: the sector numbers count. */
  private static final byte[] CHS_BEYOND = {(byte) 0xfe, (byte) 0xff, (byte) 0xff};
}

package org.javisor.virtio.block;

/** Numbers of the block device, with the names of VirtIO 1.2, section 5.2. */
final class BlockLayout {
  static final long F_SEG_MAX = 1L << 2;
  static final long F_GEOMETRY = 1L << 4;
  static final long F_RO = 1L << 5;
  static final long F_BLK_SIZE = 1L << 6;
  static final long F_FLUSH = 1L << 9;
  static final long F_TOPOLOGY = 1L << 10;
  static final long F_CONFIG_WCE = 1L << 11;
  static final long F_MQ = 1L << 12;
  static final long F_DISCARD = 1L << 13;
  static final long F_WRITE_ZEROES = 1L << 14;

  static final int T_IN = 0;
  static final int T_OUT = 1;
  static final int T_FLUSH = 4;
  static final int T_GET_ID = 8;
  static final int T_DISCARD = 11;
  static final int T_WRITE_ZEROES = 13;

  static final int S_OK = 0;
  static final int S_IOERR = 1;
  static final int S_UNSUPP = 2;

  /** {@code struct virtio_blk_req}: le32 type, le32 reserved, le64 sector; data; u8 status. */
  static final int HEADER = 16;

  static final int ID_BYTES = 20;
  static final int SECTOR = 512;

  /** {@code struct virtio_blk_discard_write_zeroes}: le64 sector, le32 num_sectors, le32 flags. */
  static final int RANGE = 16;

  static final int RANGE_UNMAP = 1;

  /** {@code struct virtio_blk_config}. */
  static final int CONFIG_SIZE = 60;

  static final int CONFIG_CAPACITY = 0;
  static final int CONFIG_SEG_MAX = 12;
  static final int CONFIG_CYLINDERS = 16;
  static final int CONFIG_HEADS = 18;
  static final int CONFIG_SECTORS = 19;
  static final int CONFIG_BLK_SIZE = 20;
  static final int CONFIG_PHYSICAL_BLOCK_EXP = 24;
  static final int CONFIG_MIN_IO_SIZE = 26;
  static final int CONFIG_OPT_IO_SIZE = 28;
  static final int CONFIG_WRITEBACK = 32;
  static final int CONFIG_NUM_QUEUES = 34;
  static final int CONFIG_MAX_DISCARD_SECTORS = 36;
  static final int CONFIG_MAX_DISCARD_SEG = 40;
  static final int CONFIG_DISCARD_SECTOR_ALIGNMENT = 44;
  static final int CONFIG_MAX_WRITE_ZEROES_SECTORS = 48;
  static final int CONFIG_MAX_WRITE_ZEROES_SEG = 52;
  static final int CONFIG_WRITE_ZEROES_MAY_UNMAP = 56;

  private BlockLayout() {}
}

package org.javisor.virtio.queue;

/**
 * Where things lie in a split virtqueue, with the names of VirtIO 1.2, sections 2.7.5 to 2.7.8. All
 * fields are little endian; offsets are in bytes.
 */
public final class SplitLayout {
  /** {@code struct virtq_desc}: le64 addr, le32 len, le16 flags, le16 next. */
  public static final int DESC_SIZE = 16;

  public static final int DESC_ADDR = 0;
  public static final int DESC_LEN = 8;
  public static final int DESC_FLAGS = 12;
  public static final int DESC_NEXT = 14;

  public static final int DESC_F_NEXT = 1;
  public static final int DESC_F_WRITE = 2;
  public static final int DESC_F_INDIRECT = 4;

  /** {@code struct virtq_avail}: le16 flags, le16 idx, le16 ring[], le16 used_event. */
  public static final int AVAIL_FLAGS = 0;

  public static final int AVAIL_IDX = 2;
  public static final int AVAIL_RING = 4;
  public static final int AVAIL_F_NO_INTERRUPT = 1;

  /** {@code struct virtq_used}: le16 flags, le16 idx, {le32 id, le32 len} ring[], le16 avail_event. */
  public static final int USED_FLAGS = 0;

  public static final int USED_IDX = 2;
  public static final int USED_RING = 4;
  public static final int USED_ELEM_SIZE = 8;
  public static final int USED_F_NO_NOTIFY = 1;

  /** The largest queue size there is. */
  public static final int MAX_SIZE = 32768;

  private SplitLayout() {}

  public static long descriptorBytes(int size) {
    return (long) DESC_SIZE * size;
  }

  /** With the {@code used_event} field at the end. */
  public static long availableBytes(int size) {
    return AVAIL_RING + 2L * size + 2;
  }

  /** With the {@code avail_event} field at the end. */
  public static long usedBytes(int size) {
    return USED_RING + (long) USED_ELEM_SIZE * size + 2;
  }

  static long usedEvent(long available, int size) {
    return available + AVAIL_RING + 2L * size;
  }

  static long availEvent(long used, int size) {
    return used + USED_RING + (long) USED_ELEM_SIZE * size;
  }

  /**
   * The rings of a legacy driver, which lie one behind the other (section 2.7.2).
   *
   * @param align where the used ring starts: a multiple of this
   */
  public static Virtqueue.Rings legacy(int size, long base, int align) {
    long available = base + descriptorBytes(size);
    long used = available + availableBytes(size) + align - 1 & -align;
    return new Virtqueue.Rings(size, base, available, used);
  }
}

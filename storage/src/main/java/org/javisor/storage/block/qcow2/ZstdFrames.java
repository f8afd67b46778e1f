package org.javisor.storage.block.qcow2;

/**
 * Finds where a Zstandard frame ends: an image says how many sectors a compressed cluster takes, not
 * how many bytes. Source: RFC 8878, section 3.1.1.
 */
final class ZstdFrames {
  private static final int MAGIC = 0xfd2fb528;
  private static final int HEADER_BYTES = 6;

  private ZstdFrames() {}

  private static int littleEndian(byte[] in, int at, int bytes) {
    int value = 0;
    for (int i = 0; i < bytes; i++) {
      value |= (in[at + i] & 0xff) << 8 * i;
    }
    return value;
  }

  /** The length of the frame at {@code from}, or -1 if there is no whole one before {@code end}. */
  static int length(byte[] in, int from, int end) {
    if (end - from < HEADER_BYTES || littleEndian(in, from, 4) != MAGIC) {
      return -1;
    }
    int descriptor = in[from + 4] & 0xff;
    boolean singleSegment = (descriptor & 0x20) != 0;
    boolean checksum = (descriptor & 4) != 0;
    int dictionaryBytes = new int[] {0, 1, 2, 4}[descriptor & 3];
    int contentBytes = new int[] {singleSegment ? 1 : 0, 2, 4, 8}[descriptor >>> 6];
    int at = from + 5 + (singleSegment ? 0 : 1) + dictionaryBytes + contentBytes;
    boolean last = false;
    while (!last) {
      if (end - at < 3) {
        return -1;
      }
      int block = littleEndian(in, at, 3);
      last = (block & 1) != 0;
      int kind = block >>> 1 & 3;
      int size = kind == 1 ? 1 : block >>> 3;
      if (kind == 3 || size > end - at - 3) {
        return -1;
      }
      at += 3 + size;
    }
    at += checksum ? 4 : 0;
    return at > end ? -1 : at - from;
  }
}

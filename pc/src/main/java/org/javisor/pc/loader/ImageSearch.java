package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Finds plain text in an image. */
final class ImageSearch {
  private static final int CHUNK = 1 << 18;

  private ImageSearch() {}

  /** The offset of the text at or behind {@code from}, or -1. */
  static long find(MemorySegment image, String text, long from) {
    byte[] wanted = text.getBytes(StandardCharsets.ISO_8859_1);
    // Through an array: the bounds and liveness checks of a segment, byte for byte, take ten times
    // as long while the code is cold.
    byte[] chunk = new byte[CHUNK];
    for (long at = from; at + wanted.length <= image.byteSize();) {
      int length = (int) Math.min(chunk.length, image.byteSize() - at);
      MemorySegment.copy(image, ValueLayout.JAVA_BYTE, at, chunk, 0, length);
      int found = find(chunk, length, wanted);
      if (found >= 0) {
        return at + found;
      }
      at += length - wanted.length + 1;
    }
    return -1;
  }

  private static int find(byte[] data, int length, byte[] wanted) {
    byte first = wanted[0];
    for (int i = 0; i <= length - wanted.length; i++) {
      if (data[i] == first && Arrays.equals(data, i, i + wanted.length, wanted, 0, wanted.length)) {
        return i;
      }
    }
    return -1;
  }

  static boolean contains(MemorySegment image, String text) {
    return find(image, text, 0) >= 0;
  }

  /** The printable text at an offset, up to a NUL or a line's end. */
  static String textAt(MemorySegment image, long at, int most) {
    StringBuilder text = new StringBuilder();
    while (at < image.byteSize() && text.length() < most) {
      int c = image.get(ValueLayout.JAVA_BYTE, at++) & 0xff;
      if (c < ' ' || c > '~') {
        break;
      }
      text.append((char) c);
    }
    return text.toString();
  }
}

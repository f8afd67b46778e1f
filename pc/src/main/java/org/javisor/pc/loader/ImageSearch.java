package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** Finds plain text in an image. */
final class ImageSearch {
  private ImageSearch() {}

  /** The offset of the text at or behind {@code from}, or -1. */
  static long find(MemorySegment image, String text, long from) {
    byte[] wanted = text.getBytes(StandardCharsets.ISO_8859_1);
    long end = image.byteSize() - wanted.length;
    for (long at = from; at <= end; at++) {
      if (image.get(ValueLayout.JAVA_BYTE, at) == wanted[0]) {
        int i = 1;
        while (i < wanted.length && image.get(ValueLayout.JAVA_BYTE, at + i) == wanted[i]) {
          i++;
        }
        if (i == wanted.length) {
          return at;
        }
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

package org.javisor.memory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * To which pages of this process the host has given memory: {@code /proc/self/pagemap} (the Linux
 * kernel's admin-guide/mm/pagemap). A page that has none was never written.
 */
final class PageMap {
  /** The page is in memory, or in swap. */
  private static final long GIVEN = 3L << 62;

  /** Entries that are read at once, at first and at most. */
  private static final int FEW = 64;

  private static final int MANY = 8192;

  /** Null where there is no such file, or it must not be read. */
  private static final FileChannel FILE = open();

  private PageMap() {}

  private static FileChannel open() {
    try {
      return FileChannel.open(Path.of("/proc/self/pagemap"), StandardOpenOption.READ);
    } catch (IOException | SecurityException e) {
      return null;
    }
  }

  /**
   * The first page that has memory, or that has none.
   *
   * @param from a page's address
   * @param end where to look no further
   * @return its address, or {@code end}; where the host does not tell, all pages have memory
   */
  static long next(long from, long end, boolean given) {
    if (FILE == null) {
      return given ? from : end;
    }
    int entries = FEW;
    try {
      for (long at = from; at < end;) {
        int count = (int) Math.min(entries, end - at >>> FrameArena.FRAME_SHIFT);
        ByteBuffer buffer = ByteBuffer.allocate(count << 3).order(ByteOrder.nativeOrder());
        while (buffer.hasRemaining()) {
          if (FILE.read(buffer, (at >>> FrameArena.FRAME_SHIFT << 3) + buffer.position()) <= 0) {
            return given ? at : end;
          }
        }
        for (int i = 0; i < count; i++, at += FrameArena.FRAME_SIZE) {
          if ((buffer.getLong(i << 3) & GIVEN) != 0 == given) {
            return at;
          }
        }
        entries = Math.min(2 * entries, MANY);
      }
      return end;
    } catch (IOException e) {
      return given ? from : end;
    }
  }
}

package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The names in a Linux kernel's built-in symbol table (CONFIG_KALLSYMS), read from its image.
 *
 * <p>The table is in read-only data without a section of its own, so it is found by its shape,
 * which Linux scripts/kallsyms.c gives it:
 *
 * <ul>
 *   <li>{@code kallsyms_token_table}: 256 NUL-terminated strings, one for each byte value;
 *   <li>{@code kallsyms_token_index}, behind it: the 16-bit offset of each;
 *   <li>{@code kallsyms_num_syms} and {@code kallsyms_names}, before it: the count, then each
 *       symbol as a length and so many bytes, which stand for tokens; the first character is its
 *       type;
 *   <li>{@code kallsyms_markers}, right behind the names: the offset of each 256th.
 * </ul>
 *
 * The order of other tables between these has changed with Linux 6.2 and 6.4; what is used here has
 * not.
 */
final class Kallsyms {
  private static final int TOKENS = 256;
  private static final int MAX_TOKEN_TABLE = 8192;
  private static final int MIN_SYMBOLS = 16;
  private static final int MAX_SYMBOLS = 4_000_000;

  /** How far before the tokens the names may begin: many times what kernels have. */
  private static final long MAX_DISTANCE = 64L << 20;

  private static final int MAX_NAME = 1024;

  /** Steps before a search gives up: many times what a kernel takes, seconds at most. */
  private static final long MAX_STEPS = 1L << 27;

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Set<String> names;

  private Kallsyms(Set<String> names) {
    this.names = names;
  }

  /** Finds and decodes the table; empty where the image holds none. */
  static Optional<Kallsyms> find(MemorySegment image) {
    long size = image.byteSize();
    long[] steps = new long[1];
    for (long at = 4; at + 2L * TOKENS <= size; at += 4) {
      if (image.get(U16, at) == 0 && isIndex(image, at)) {
        Optional<byte[][]> tokens = tokens(image, at);
        if (tokens.isPresent()) {
          Optional<Kallsyms> found = names(image, tokenTable(image, at), tokens.get(), steps);
          if (found.isPresent()) {
            return found;
          }
        }
      }
    }
    return Optional.empty();
  }

  private static int index(MemorySegment image, long at, int token) {
    return image.get(U16, at + 2L * token) & 0xffff;
  }

  /** Offsets ascend from 0, each token a character and a NUL at least. */
  private static boolean isIndex(MemorySegment image, long at) {
    int last = 0;
    for (int i = 1; i < TOKENS; i++) {
      int next = index(image, at, i);
      if (next < last + 1 || next > MAX_TOKEN_TABLE) {
        return false;
      }
      last = next;
    }
    return true;
  }

  /** The tokens' start: their size is in the index, but for the last one and the alignment. */
  private static long tokenTable(MemorySegment image, long indexAt) {
    int last = index(image, indexAt, TOKENS - 1);
    // The end is padded with zeros to 4 or 8; the last token ends with a NUL of its own.
    long end = indexAt;
    long lowest = Math.max(0, indexAt - 9);
    while (end > lowest && image.get(ValueLayout.JAVA_BYTE, end - 1) == 0) {
      end--;
    }
    long textStart = end;
    while (textStart > 0
        && end - textStart < MAX_NAME
        && image.get(ValueLayout.JAVA_BYTE, textStart - 1) != 0) {
      textStart--;
    }
    return textStart - last;
  }

  private static Optional<byte[][]> tokens(MemorySegment image, long indexAt) {
    long table = tokenTable(image, indexAt);
    if (table < 0) {
      return Optional.empty();
    }
    byte[][] tokens = new byte[TOKENS][];
    for (int i = 0; i < TOKENS; i++) {
      long at = table + index(image, indexAt, i);
      long end = at;
      while (end < indexAt && image.get(ValueLayout.JAVA_BYTE, end) != 0) {
        byte c = image.get(ValueLayout.JAVA_BYTE, end);
        if (c < 0x21 || c > 0x7e) {
          return Optional.empty();
        }
        end++;
      }
      if (i + 1 < TOKENS && end + 1 != table + index(image, indexAt, i + 1)) {
        return Optional.empty();
      }
      tokens[i] = image.asSlice(at, end - at).toArray(ValueLayout.JAVA_BYTE);
    }
    return Optional.of(tokens);
  }

  /** Looks backwards for a count whose names fit: they end where markers begin that agree. */
  private static Optional<Kallsyms> names(
      MemorySegment image, long table, byte[][] tokens, long[] steps) {
    long lowest = Math.max(0, table - MAX_DISTANCE);
    for (long at = (table & -4L) - 8; at >= lowest && steps[0] < MAX_STEPS; at -= 4) {
      int count = image.get(U32, at);
      if (count >= MIN_SYMBOLS && count <= MAX_SYMBOLS && (long) count * 2 < table - at) {
        // The names are aligned to 8 behind a count of 4 or 8 bytes, on 32 bit to 4.
        for (int gap = 8; gap >= 4; gap -= 4) {
          if (fits(image, at + gap, table, count, tokens, steps)) {
            return Optional.of(new Kallsyms(decode(image, at + gap, count, tokens)));
          }
        }
      }
    }
    return Optional.empty();
  }

  private static boolean fits(
      MemorySegment image, long start, long table, int count, byte[][] tokens, long[] steps) {
    long at = start;
    List<Long> offsets = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      if (++steps[0] > MAX_STEPS) {
        return false;
      }
      if (i % 256 == 0 && i > 0) {
        offsets.add(at - start);
      }
      int length = at + 2 < table ? length(image, at) : 0;
      int header = length > 127 ? 2 : 1;
      if (length == 0 || at + header + length > table) {
        return false;
      }
      byte[] first = tokens[image.get(ValueLayout.JAVA_BYTE, at + header) & 0xff];
      if (first.length == 0 || !isType(first[0])) {
        return false;
      }
      at += header + length;
    }
    return markers(image, at + 3 & -4L, table, offsets, false)
        || markers(image, at + 7 & -8L, table, offsets, false)
        || markers(image, at + 7 & -8L, table, offsets, true);
  }

  private static boolean markers(
      MemorySegment image, long at, long table, List<Long> offsets, boolean wide) {
    int size = wide ? 8 : 4;
    if (at + (long) size * (offsets.size() + 1) > table) {
      return false;
    }
    for (int i = 0; i <= offsets.size(); i++) {
      long where = at + (long) i * size;
      long marker = wide ? image.get(U64, where) : image.get(U32, where) & 0xffffffffL;
      if (marker != (i == 0 ? 0 : offsets.get(i - 1))) {
        return false;
      }
    }
    return true;
  }

  /** A length of 128 or more takes two bytes, 7 bits each, the low ones first (Linux 6.1 on). */
  private static int length(MemorySegment image, long at) {
    int low = image.get(ValueLayout.JAVA_BYTE, at) & 0xff;
    return low < 128 ? low : low & 0x7f | (image.get(ValueLayout.JAVA_BYTE, at + 1) & 0xff) << 7;
  }

  private static boolean isType(byte c) {
    return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '?' || c == '-';
  }

  private static Set<String> decode(MemorySegment image, long start, int count, byte[][] tokens) {
    Set<String> names = HashSet.newHashSet(count);
    byte[] text = new byte[MAX_NAME];
    long at = start;
    for (int i = 0; i < count; i++) {
      int length = length(image, at);
      at += length > 127 ? 2 : 1;
      int filled = 0;
      for (int j = 0; j < length; j++) {
        byte[] token = tokens[image.get(ValueLayout.JAVA_BYTE, at + j) & 0xff];
        int taken = Math.min(token.length, text.length - filled);
        System.arraycopy(token, 0, text, filled, taken);
        filled += taken;
      }
      at += length;
      if (filled > 1) {
        names.add(new String(text, 1, filled - 1, StandardCharsets.US_ASCII));
      }
    }
    return names;
  }

  /** The names, without their types. */
  Set<String> names() {
    return names;
  }

  boolean contains(String name) {
    return names.contains(name);
  }
}

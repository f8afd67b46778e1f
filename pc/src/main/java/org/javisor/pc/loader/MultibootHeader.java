package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * The header by which a multiboot kernel is known. Source: Multiboot Specification 0.6.96, section
 * 3.1.
 *
 * @param offset in the file
 * @param loadAddress where the text begins, with {@link #hasAddresses}
 */
public record MultibootHeader(
    long offset,
    int flags,
    long headerAddress,
    long loadAddress,
    long loadEnd,
    long bssEnd,
    long entry) {
  private static final int MAGIC = 0x1badb002;
  private static final int SEARCH = 8192;

  static final int PAGE_ALIGN = 1;
  static final int MEMORY_INFO = 2;
  static final int VIDEO_MODE = 4;
  static final int ADDRESSES = 1 << 16;

  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Looks for the header in the file's first 8 KiB. */
  static Optional<MultibootHeader> find(MemorySegment file) {
    long end = Math.min(file.byteSize(), SEARCH) - 12;
    for (long at = 0; at <= end; at += 4) {
      if (file.get(U32, at) == MAGIC) {
        int flags = file.get(U32, at + 4);
        if (MAGIC + flags + file.get(U32, at + 8) == 0) {
          boolean addresses = (flags & ADDRESSES) != 0 && at + 32 <= file.byteSize();
          return Optional.of(
              new MultibootHeader(
                  at,
                  addresses ? flags : flags & ~ADDRESSES,
                  addresses ? u32(file, at + 12) : 0,
                  addresses ? u32(file, at + 16) : 0,
                  addresses ? u32(file, at + 20) : 0,
                  addresses ? u32(file, at + 24) : 0,
                  addresses ? u32(file, at + 28) : 0));
        }
      }
    }
    return Optional.empty();
  }

  private static long u32(MemorySegment file, long at) {
    return file.get(U32, at) & 0xffffffffL;
  }

  /** Whether the header itself says where to load (the "a.out kludge"). */
  public boolean hasAddresses() {
    return (flags & ADDRESSES) != 0;
  }

  /** Features the kernel requires that no loader of this version knows. */
  int unknownRequirements() {
    return flags & 0xffff & ~(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE);
  }
}

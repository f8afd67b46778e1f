package org.javisor.pc.loader;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.RawMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;

/**
 * Where things go in guest memory: hands out room, refuses what does not fit, copies.
 *
 * <p>Small structures (tables, command line) go below 640 KiB from {@link #LOW_START} up; kernels
 * from 1 MiB up; modules as high as their protocol allows.
 */
final class GuestPlacement {
  /** What a loader may still place below a kernel in conventional memory. */
  private static final int LOADER_ROOM = 0x4000;

  /** Above the BIOS's vectors and data area. */
  static final long LOW_START = 0x1000;

  static final long ONE_MIB = 1 << 20;
  private static final long BDA_EBDA_SEGMENT = 0x40e;
  private static final long BDA_MEMORY_SIZE = 0x413;
  private static final long PAGE = 4096;

  private static final byte[] ZEROS = new byte[(int) PAGE];

  private record Range(long start, long end, String what) {}

  private final GuestMemory memory;
  private final List<E820Entry> ram;
  private final boolean fresh;
  private final long conventionalEnd;

  /** Where what loaders place low must end. */
  private long lowEnd;
  private final List<Range> taken = new ArrayList<>();
  private long low = LOW_START;

  GuestPlacement(GuestMemory memory, BootConfig config) throws KernelFormatException {
    this.memory = memory;
    this.fresh = config.freshMemory();
    this.ram = config.e820().stream().filter(e -> e.type() == E820Entry.RAM).toList();
    this.conventionalEnd =
        ram.stream()
            .filter(e -> e.base() <= LOW_START && e.end() > LOW_START)
            .mapToLong(e -> Math.min(e.end(), 0xa0000))
            .findFirst()
            .orElseThrow(
                () -> new KernelFormatException(
                    Reason.TOO_LITTLE_MEMORY,
                    "the memory map has no RAM at %#x: conventional memory expected there"
                        .formatted(LOW_START)));
    this.lowEnd = conventionalEnd;
  }

  /** Guest memory. */
  GuestMemory memory() {
    return memory;
  }

  /**
   * Writes what firmware would have left in the BIOS data area about conventional memory: Xen and
   * others take it from there whatever the boot protocol says. Source: Phoenix "System BIOS for IBM
   * PC/XT/AT", BIOS data area, 40:0E and 40:13.
   */
  void biosDataArea() {
    if (memory.read16(BDA_MEMORY_SIZE) == 0) {
      memory.write16(BDA_MEMORY_SIZE, (int) (lowEnd >> 10));
      memory.write16(BDA_EBDA_SEGMENT, lowEnd < 0xa0000 ? (int) (lowEnd >> 4) : 0);
    }
  }

  /** Takes room below 640 KiB. */
  long allocateLow(long size, long alignment, String what) throws KernelFormatException {
    long at = low + alignment - 1 & -alignment;
    if (size > lowEnd - at) {
      throw new KernelFormatException(
          Reason.TOO_LITTLE_MEMORY,
          "%s of %d bytes does not fit below 640 KiB: at most %d bytes expected"
              .formatted(what, size, Math.max(0, lowEnd - at)));
    }
    low = at + size;
    return at;
  }

  /** Takes a range that the file names itself; it must be RAM and nobody else's. */
  void take(long start, long size, String what) throws KernelFormatException {
    if (start < ONE_MIB && size > 0) {
      takeLow(start, size, what);
    }
    boolean fits =
        size >= 0
            && start + size >= start
            && ram.stream().anyMatch(e -> start >= e.base() && start + size <= e.end());
    if (!fits) {
      throw tooLittle(
          what + " takes %#x to %#x".formatted(start, start + Math.max(size, 0)), start + size);
    }
    Range other = overlapping(start, size);
    if (other != null) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s at %#x overlaps %s at %#x: the file is damaged"
              .formatted(what, start, other.what, other.start));
    }
    taken.add(new Range(start, start + size, what));
  }

  /** What loaders place low goes below a kernel that is there itself. */
  private void takeLow(long start, long size, String what) throws KernelFormatException {
    if (start < low + LOADER_ROOM || size > conventionalEnd - start) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          "%s wants to be at %#x to %#x: above 1 MiB, or within %#x to %#x expected"
              .formatted(what, start, start + size, low + LOADER_ROOM, conventionalEnd));
    }
    lowEnd = Math.min(lowEnd, start);
  }

  private Range overlapping(long start, long size) {
    for (Range range : taken) {
      if (start < range.end && range.start < start + size) {
        return range;
      }
    }
    return null;
  }

  /** Refuses early, and with the whole need in the message, what cannot fit. */
  void require(long end, String what) throws KernelFormatException {
    if (ram.stream().noneMatch(e -> end <= e.end())) {
      throw tooLittle("%s takes addresses up to %#x".formatted(what, end), end);
    }
  }

  /** The first address behind everything taken so far, from 1 MiB up. */
  long highestTaken() {
    return taken.stream().mapToLong(Range::end).max().orElse(ONE_MIB);
  }

  /** The lowest address taken from 1 MiB up. */
  long lowestTaken() {
    return taken.stream().mapToLong(Range::start).min().orElse(ONE_MIB);
  }

  /** Takes the highest room whose last byte is not above {@code limit}. */
  long allocateHigh(long size, long limit, long floor, String what) throws KernelFormatException {
    long best = -1;
    for (E820Entry entry : ram) {
      long lowest = Math.max(entry.base(), Math.max(floor, ONE_MIB));
      long at = Math.min(entry.end(), limit + 1) - size & -PAGE;
      for (Range range; at >= lowest && (range = overlapping(at, size)) != null;) {
        at = range.start - size & -PAGE;
      }
      if (at >= lowest) {
        best = Math.max(best, at);
      }
    }
    if (best < 0) {
      throw tooLittle("%s takes %s more".formatted(what, mebibytes(size)), floor + size);
    }
    take(best, size, what);
    return best;
  }

  /** Takes the next whole pages behind everything taken so far. */
  long allocateAfter(long size, String what) throws KernelFormatException {
    long at = highestTaken() + PAGE - 1 & -PAGE;
    take(at, size, what);
    return at;
  }

  private KernelFormatException tooLittle(String what, long need) {
    long have = ram.stream().mapToLong(E820Entry::size).sum();
    long wanted = Math.max(need, have + ONE_MIB);
    return new KernelFormatException(
        Reason.TOO_LITTLE_MEMORY,
        "%s of memory is too little: %s; give at least --memory %dM"
            .formatted(mebibytes(have), what, (wanted >> 20) + 2));
  }

  private static String mebibytes(long bytes) {
    return Math.max(1, bytes + (1 << 19) >> 20) + " MiB";
  }

  /** Copies data into guest memory that was taken before. */
  void copy(MemorySegment source, long gpa) {
    if (fresh) {
      copyFresh(source, gpa);
      return;
    }
    byte[] buffer = new byte[64 << 10];
    for (long done = 0; done < source.byteSize();) {
      int chunk = (int) Math.min(buffer.length, source.byteSize() - done);
      MemorySegment.copy(source, ValueLayout.JAVA_BYTE, done, buffer, 0, chunk);
      memory.write(gpa + done, buffer, 0, chunk);
      done += chunk;
    }
  }

  /**
   * Copies page by page and leaves out what is zero: kernels hold megabytes of it, and a page not
   * written is a page the host need not back. Nothing can be translated yet in fresh memory, so no
   * write has to be announced, and the copy goes straight from the mapped file.
   */
  private void copyFresh(MemorySegment source, long gpa) {
    MemorySegment zeros = MemorySegment.ofArray(ZEROS);
    for (long done = 0; done < source.byteSize();) {
      long at = gpa + done;
      long chunk = Math.min(PAGE - (at & PAGE - 1), source.byteSize() - done);
      if (MemorySegment.mismatch(source, done, done + chunk, zeros, 0, chunk) >= 0) {
        if (!memory.writable(at)) {
          memory.write8(at, 0); // Throws, and names the address.
        }
        MemorySegment target = RawMemory.segment(memory.hostAddress(at), chunk);
        MemorySegment.copy(source, done, target, 0, chunk);
      }
      done += chunk;
    }
  }

  /** Clears guest memory, unless it is clear anyway. */
  void zero(long gpa, long size) {
    if (fresh) {
      return;
    }
    for (long done = 0; done < size;) {
      int chunk = (int) Math.min(PAGE, size - done);
      memory.write(gpa + done, ZEROS, 0, chunk);
      done += chunk;
    }
  }

  /** Takes room for a NUL-terminated text below 640 KiB and writes it. */
  long text(String text, String what) throws KernelFormatException {
    byte[] bytes = Arrays.copyOf(text.getBytes(StandardCharsets.UTF_8), utf8Length(text) + 1);
    long at = allocateLow(bytes.length, 16, what);
    memory.write(at, bytes);
    return at;
  }

  static int utf8Length(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  /** A module in guest memory. */
  record Placed(long address, long size, String commandLine) {}

  /** Copies a module as high as {@code limit} allows. */
  Placed placeHigh(BootModule module, long limit, long floor, String what)
      throws KernelFormatException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = module.data().open(arena);
      if (data.byteSize() == 0) {
        return new Placed(0, 0, module.commandLine());
      }
      long at = allocateHigh(data.byteSize(), limit, floor, what);
      copy(data, at);
      return new Placed(at, data.byteSize(), module.commandLine());
    }
  }

  /** Copies a module behind everything placed so far. */
  Placed placeAfter(BootModule module, String what) throws KernelFormatException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = module.data().open(arena);
      long at = allocateAfter(data.byteSize(), what);
      copy(data, at);
      return new Placed(at, data.byteSize(), module.commandLine());
    }
  }
}

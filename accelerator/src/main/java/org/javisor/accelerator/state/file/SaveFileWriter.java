package org.javisor.accelerator.state.file;

import io.airlift.compress.v3.lz4.Lz4Compressor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * Writes a saved machine. Until all of it is on the disk the file has another name, beside the final
 * one; so nobody ever finds half a machine.
 */
public final class SaveFileWriter {
  private static final int PAGE = FrameArena.FRAME_SIZE;

  /** Zero pages that do not end a run: three of them compress to less than an entry of the index. */
  private static final int GAP = 3;

  /** Units from one on: of memory or of a disk. */
  private record Run(long first, long count, boolean zeros) {
    static Run of(long first, long end) {
      return new Run(first, end - first, false);
    }
  }

  private record Saved(int number, long size, long indexAt, int runs, int checksum) {}

  private record Stored(long offset, int length, int checksum) {}

  private final FrameArena memory;
  private final FileChannel file;
  private final AtomicLong end = new AtomicLong(SaveLayout.HEADER);

  private SaveFileWriter(FrameArena memory, FileChannel file) {
    this.memory = memory;
    this.file = file;
  }

  /**
   * Writes a machine, whose memory does not change meanwhile.
   *
   * @param state what {@link org.javisor.accelerator.state.StateWriter} collected
   * @return the size of the file in bytes
   * @throws IOException if it cannot be written; nothing is left behind then
   */
  public static long write(Path target, byte[] state, FrameArena memory) throws IOException {
    return write(target, state, memory, List.of());
  }

  /**
   * Writes a machine with the contents of disks, in the order of their numbers.
   *
   * @see #write(Path, byte[], FrameArena)
   */
  public static long write(
      Path target, byte[] state, FrameArena memory, List<? extends Overlay> disks)
      throws IOException {
    Path absolute = target.toAbsolutePath();
    Path part =
        Files.createTempFile(
            absolute.getParent(),
            "." + absolute.getFileName() + ".",
            ".part",
            // A machine's memory is for its owner alone.
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    try {
      long size;
      try (FileChannel file = FileChannel.open(part, StandardOpenOption.WRITE)) {
        size = new SaveFileWriter(memory, file).write(state, disks);
        file.force(true);
      }
      Files.move(part, absolute, StandardCopyOption.ATOMIC_MOVE);
      syncFolder(absolute.getParent());
      return size;
    } finally {
      Files.deleteIfExists(part);
    }
  }

  /** Puts the new name on the disk, where the host's file system needs to be told. */
  private static void syncFolder(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private long write(byte[] state, List<? extends Overlay> disks) throws IOException {
    List<Saved> saved = new ArrayList<>();
    for (Overlay disk : disks) {
      saved.add(write(disk));
    }
    List<Run> runs = runs();
    ByteBuffer index = index(runs, store("javisor-save", runs, this::pages));
    long indexAt = append(index.duplicate());
    long stateAt = append(ByteBuffer.wrap(state));
    ByteBuffer table =
        ByteBuffer.allocate(SaveLayout.DISK * saved.size()).order(ByteOrder.LITTLE_ENDIAN);
    for (Saved each : saved) {
      table.putInt(each.number).putInt(each.runs).putLong(each.size).putLong(each.indexAt);
      table.putInt(each.checksum).putInt(0);
    }
    long tableAt = append(table.flip().duplicate());
    ByteBuffer header = ByteBuffer.allocate(SaveLayout.HEADER).order(ByteOrder.LITTLE_ENDIAN);
    header.put(SaveLayout.MAGIC).putInt(SaveLayout.VERSION).putInt(0);
    header.putLong(memory.frames()).putLong(indexAt).putInt(runs.size());
    header.putInt(checksum(index.array())).putLong(stateAt).putInt(state.length);
    header.putInt(saved.size()).putLong(tableAt).putInt(checksum(table.array()));
    CRC32C crc = new CRC32C();
    crc.update(header.array(), SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED);
    header.putInt(SaveLayout.AT_CHECKSUM, (int) crc.getValue());
    writeFully(header.clear(), 0);
    return end.get();
  }

  private static ByteBuffer index(List<Run> runs, Stored[] stored) {
    ByteBuffer index =
        ByteBuffer.allocate(SaveLayout.ENTRY * runs.size()).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < stored.length; i++) {
      Run run = runs.get(i);
      RunIndex.put(
          index, stored[i].offset, run.first, run.count, stored[i].length, stored[i].checksum);
    }
    return index.flip();
  }

  private static int checksum(byte[] bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return (int) crc.getValue();
  }

  private long append(ByteBuffer bytes) throws IOException {
    long at = end.getAndAdd(bytes.remaining());
    writeFully(bytes, at);
    return at;
  }

  private void writeFully(ByteBuffer bytes, long at) throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      position += file.write(bytes, position);
    }
  }

  // ---- Disks ------------------------------------------------------------------------------

  private Saved write(Overlay disk) throws IOException {
    List<Run> runs = runs(disk);
    long size = disk.sizeBytes();
    Stored[] stored =
        store(
            "javisor-save-disk", runs,
            (run, buffer) -> {
              long at = run.first * Overlay.UNIT;
              MemorySegment bytes =
                  buffer.asSlice(0, Math.min(run.count * Overlay.UNIT, size - at));
              disk.read(at, bytes);
              return bytes;
            });
    ByteBuffer index = index(runs, stored);
    long indexAt = append(index.duplicate());
    return new Saved(disk.number(), size, indexAt, runs.size(), checksum(index.array()));
  }

  private static List<Run> runs(Overlay disk) throws IOException {
    int most = SaveLayout.MAX_RUN / Overlay.UNIT;
    long size = disk.sizeBytes();
    List<Run> runs = new ArrayList<>();
    for (long at = 0; at < size;) {
      Overlay.Extent extent = disk.extent(at, size - at);
      long first = at / Overlay.UNIT;
      at += extent.length();
      long end = (at + Overlay.UNIT - 1) / Overlay.UNIT;
      switch (extent.kind()) {
        case NOTHING -> {}
        case ZEROS -> runs.add(new Run(first, end - first, true));
        case DATA -> {
          for (long from = first; from < end; from += most) {
            runs.add(Run.of(from, Math.min(end, from + most)));
          }
        }
      }
    }
    return runs;
  }

  // ---- Memory -----------------------------------------------------------------------------

  private List<Run> runs() {
    List<Run> runs = new ArrayList<>();
    int frame = memory.nextWritten(0);
    while (frame < memory.frames()) {
      int stop = memory.endOfWritten(frame);
      addRuns(runs, frame, stop);
      frame = stop < memory.frames() ? memory.nextWritten(stop) : stop;
    }
    return runs;
  }

  private void addRuns(List<Run> runs, int from, int to) {
    int first = -1;
    int last = -1;
    for (int frame = from; frame < to; frame++) {
      if (zero(frame)) {
        continue;
      }
      if (first >= 0 && (frame - last > GAP + 1 || frame - first >= SaveLayout.MAX_RUN / PAGE)) {
        runs.add(Run.of(first, last + 1));
        first = -1;
      }
      if (first < 0) {
        first = frame;
      }
      last = frame;
    }
    if (first >= 0) {
      runs.add(Run.of(first, last + 1));
    }
  }

  private boolean zero(int frame) {
    long at = memory.address(frame);
    for (long address = at; address < at + PAGE; address += 32) {
      if ((RawMemory.get64(address) | RawMemory.get64(address + 8)
          | RawMemory.get64(address + 16) | RawMemory.get64(address + 24)) != 0) {
        return false;
      }
    }
    return true;
  }

  private MemorySegment pages(Run run, MemorySegment unused) {
    return RawMemory.segment(memory.address((int) run.first), run.count * PAGE);
  }

  // ---- Both -------------------------------------------------------------------------------

  /** Gives the bytes of a run, in a buffer of its own or in this one. */
  private interface Source {
    MemorySegment bytes(Run run, MemorySegment buffer) throws IOException;
  }

  private Stored[] store(String threads, List<Run> runs, Source source) throws IOException {
    Stored[] stored = new Stored[runs.size()];
    AtomicInteger next = new AtomicInteger();
    Workers.run(
        threads,
        () -> {
          Lz4Compressor compressor = Lz4Compressor.create();
          byte[] packed = new byte[compressor.maxCompressedLength(SaveLayout.MAX_RUN)];
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(SaveLayout.MAX_RUN, 8);
            for (int i = next.getAndIncrement(); i < stored.length; i = next.getAndIncrement()) {
              Run run = runs.get(i);
              stored[i] =
                  run.zeros
                      ? new Stored(SaveLayout.HEADER, 0, 0)
                      : store(source.bytes(run, buffer), compressor, packed);
            }
          }
        });
    return stored;
  }

  private Stored store(MemorySegment bytes, Lz4Compressor compressor, byte[] packed)
      throws IOException {
    int length = (int) bytes.byteSize();
    MemorySegment target = MemorySegment.ofArray(packed);
    int size = compressor.compress(bytes, target);
    if (size >= length) {
      size = length;
      MemorySegment.copy(bytes, 0, target, 0, length);
    }
    CRC32C crc = new CRC32C();
    crc.update(packed, 0, size);
    return new Stored(append(ByteBuffer.wrap(packed, 0, size)), size, (int) crc.getValue());
  }
}

package org.javisor.accelerator.state.file;

import io.airlift.compress.v3.lz4.Lz4Compressor;
import java.io.IOException;
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

  private record Run(int first, int frames) {}

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
        size = new SaveFileWriter(memory, file).write(state);
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

  private long write(byte[] state) throws IOException {
    List<Run> runs = runs();
    Stored[] stored = store(runs);
    ByteBuffer index =
        ByteBuffer.allocate(SaveLayout.ENTRY * runs.size()).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < stored.length; i++) {
      index.putLong(stored[i].offset).putInt(runs.get(i).first).putInt(runs.get(i).frames);
      index.putInt(stored[i].length).putInt(stored[i].checksum);
    }
    long indexAt = append(index.flip().duplicate());
    long stateAt = append(ByteBuffer.wrap(state));
    ByteBuffer header = ByteBuffer.allocate(SaveLayout.HEADER).order(ByteOrder.LITTLE_ENDIAN);
    header.put(SaveLayout.MAGIC).putInt(SaveLayout.VERSION).putInt(0);
    header.putLong(memory.frames()).putLong(indexAt).putInt(runs.size());
    header.putInt(checksum(index.array())).putLong(stateAt).putInt(state.length);
    CRC32C crc = new CRC32C();
    crc.update(header.array(), SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED);
    header.putInt(SaveLayout.AT_CHECKSUM, (int) crc.getValue());
    writeFully(header.clear(), 0);
    return end.get();
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
      if (first >= 0 && (frame - last > GAP + 1 || frame - first >= SaveLayout.MAX_RUN)) {
        runs.add(new Run(first, last + 1 - first));
        first = -1;
      }
      if (first < 0) {
        first = frame;
      }
      last = frame;
    }
    if (first >= 0) {
      runs.add(new Run(first, last + 1 - first));
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

  private Stored[] store(List<Run> runs) throws IOException {
    Stored[] stored = new Stored[runs.size()];
    AtomicInteger next = new AtomicInteger();
    Workers.run(
        "javisor-save",
        () -> {
          Lz4Compressor compressor = Lz4Compressor.create();
          int most = SaveLayout.MAX_RUN * PAGE;
          byte[] packed = new byte[compressor.maxCompressedLength(most)];
          for (int i = next.getAndIncrement(); i < stored.length; i = next.getAndIncrement()) {
            stored[i] = store(runs.get(i), compressor, packed);
          }
        });
    return stored;
  }

  private Stored store(Run run, Lz4Compressor compressor, byte[] packed) throws IOException {
    int length = run.frames * PAGE;
    MemorySegment pages = RawMemory.segment(memory.address(run.first), length);
    MemorySegment target = MemorySegment.ofArray(packed);
    int size = compressor.compress(pages, target);
    if (size >= length) {
      size = length;
      MemorySegment.copy(pages, 0, target, 0, length);
    }
    CRC32C crc = new CRC32C();
    crc.update(packed, 0, size);
    return new Stored(append(ByteBuffer.wrap(packed, 0, size)), size, (int) crc.getValue());
  }
}

package org.javisor.accelerator.state.file;

import io.airlift.compress.v3.MalformedInputException;
import io.airlift.compress.v3.lz4.Lz4Decompressor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.CRC32C;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/** A saved machine, opened: its header, index and state are checked, its memory when it is loaded. */
public final class SaveFile implements AutoCloseable {
  private static final int PAGE = FrameArena.FRAME_SIZE;

  private final FileChannel file;
  private final int frames;
  private final RunIndex memoryIndex;
  private final List<SavedDisk> disks = new ArrayList<>();
  private final byte[] stateBytes;
  private final StateReader state;

  /** A disk whose contents are in the file. */
  private record SavedDisk(int number, long size, RunIndex index) {}

  private SaveFile(FileChannel file) throws IOException, StateException {
    this.file = file;
    long size = file.size();
    byte[] magic = read(0, (int) Math.min(size, SaveLayout.MAGIC.length)).array();
    if (!Arrays.equals(magic, SaveLayout.MAGIC)) {
      throw new StateException("it is no saved machine of Javisor");
    }
    int version = read(SaveLayout.AT_VERSION, 4).getInt(0);
    if (version != SaveLayout.VERSION) {
      throw new StateException(
          "it has version " + Integer.toUnsignedString(version)
              + " of the format, this program reads version " + SaveLayout.VERSION);
    }
    ByteBuffer header = read(0, SaveLayout.HEADER);
    CRC32C crc = new CRC32C();
    crc.update(header.array(), SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED);
    require((int) crc.getValue() == header.getInt(SaveLayout.AT_CHECKSUM), "wrong checksum");
    long frameCount = header.getLong(SaveLayout.AT_FRAMES);
    require(frameCount > 0 && frameCount < 1 << 27, "impossible size of memory");
    frames = (int) frameCount;
    memoryIndex =
        index(
            header.getLong(SaveLayout.AT_INDEX), header.getInt(SaveLayout.AT_RUNS),
            header.getInt(SaveLayout.AT_INDEX_CHECKSUM), PAGE, frameCount * PAGE, false);
    readDisks(
        header.getLong(SaveLayout.AT_TABLE), header.getInt(SaveLayout.AT_DISKS),
        header.getInt(SaveLayout.AT_TABLE_CHECKSUM));
    int stateLength = header.getInt(SaveLayout.AT_STATE_LENGTH);
    require(stateLength >= 0 && stateLength <= SaveLayout.MAX_STATE, "impossible size of state");
    stateBytes = part(header.getLong(SaveLayout.AT_STATE), stateLength);
    state = new StateReader(stateBytes);
  }

  /** Reads an index of a memory or disk of so many bytes. */
  private RunIndex index(
      long at, int runs, int checksum, int unit, long bytes, boolean emptyRuns)
      throws IOException, StateException {
    require(runs >= 0 && runs <= (bytes + unit - 1) / unit, "impossible number of runs");
    long length = (long) SaveLayout.ENTRY * runs;
    require(length <= Integer.MAX_VALUE - 8, "impossible number of runs");
    RunIndex index = new RunIndex(part(at, (int) length), unit, bytes);
    require(index.checksum() == checksum, "wrong checksum of an index");
    index.check(file.size(), emptyRuns);
    return index;
  }

  private void readDisks(long at, int count, int checksum) throws IOException, StateException {
    require(count >= 0 && count <= SaveLayout.MAX_DISKS, "impossible number of disks");
    byte[] bytes = part(at, count * SaveLayout.DISK);
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    require((int) crc.getValue() == checksum, "wrong checksum of the disks");
    ByteBuffer table = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int next = 0;
    for (int i = 0; i < count; i++) {
      int entry = i * SaveLayout.DISK;
      int number = table.getInt(entry + SaveLayout.DISK_NUMBER);
      long size = table.getLong(entry + SaveLayout.DISK_SIZE);
      require(number >= next, "disks in disorder");
      require(size > 0 && size <= 1L << 47, "impossible size of a disk");
      disks.add(
          new SavedDisk(
              number, size,
              index(
                  table.getLong(entry + SaveLayout.DISK_INDEX),
                  table.getInt(entry + SaveLayout.DISK_RUNS),
                  table.getInt(entry + SaveLayout.DISK_CHECKSUM), Overlay.UNIT, size,
                  true)));
      next = number + 1;
    }
  }

  /**
   * Opens a file.
   *
   * @throws StateException if it is no saved machine, or a damaged one, or one of another version
   */
  public static SaveFile open(Path path) throws IOException, StateException {
    FileChannel file = FileChannel.open(path, StandardOpenOption.READ);
    try {
      return new SaveFile(file);
    } catch (IOException | StateException | RuntimeException e) {
      file.close();
      throw e;
    }
  }

  static void require(boolean valid, String what) throws StateException {
    if (!valid) {
      throw new StateException("its header is damaged: " + what);
    }
  }

  static boolean within(long offset, long length, long size) {
    return offset >= SaveLayout.HEADER && offset <= size && length <= size - offset;
  }

  /** Reads a part that the header names; no memory is taken for what is not there. */
  private byte[] part(long at, int length) throws IOException, StateException {
    long size = file.size();
    if (!within(at, length, size)) {
      throw new StateException("it is truncated: " + size + " bytes are there");
    }
    return read(at, length).array();
  }

  private ByteBuffer read(long at, int length) throws IOException, StateException {
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    readFully(buffer, at);
    return buffer.flip();
  }

  private void readFully(ByteBuffer buffer, long at) throws IOException, StateException {
    long position = at;
    while (buffer.hasRemaining()) {
      int count = file.read(buffer, position);
      if (count < 0) {
        throw new StateException("it is truncated: it ends after " + position + " bytes");
      }
      position += count;
    }
  }

  /** The state of everything but the memory. */
  public StateReader state() {
    return state;
  }

  /** The same as it is in the file. */
  public byte[] stateBytes() {
    return stateBytes.clone();
  }

  /** Frames of the memory, 4 KiB each. */
  public int frames() {
    return frames;
  }

  /**
   * Fills the memory of a machine, all of which is zero.
   *
   * @throws StateException if the memory has another size, or the file is damaged
   */
  public void load(FrameArena memory) throws IOException, StateException {
    if (memory.frames() != frames) {
      throw new StateException(
          "it has " + ((long) frames * PAGE >> 10) + " KiB of memory, the machine "
              + ((long) memory.frames() * PAGE >> 10));
    }
    unpack(
        "javisor-restore", memoryIndex, "memory",
        (at, size, packed, length, decompressor) -> {
          long address = memory.base() + at;
          if (decompressor == null) {
            RawMemory.copyIn(packed, 0, address, (int) size);
            return true;
          }
          return decompressor.decompress(
              MemorySegment.ofArray(packed).asSlice(0, length),
              RawMemory.segment(address, size)) == size;
        });
  }

  /** Numbers of the disks whose contents are in the file, in ascending order. */
  public List<Integer> disks() {
    return disks.stream().map(SavedDisk::number).toList();
  }

  /**
   * Fills a disk, which holds nothing yet.
   *
   * @throws StateException if it has another size, or the file is damaged
   */
  public void load(Overlay disk) throws IOException, StateException {
    SavedDisk saved =
        disks.stream()
            .filter(each -> each.number == disk.number())
            .findFirst()
            .orElseThrow(
                () -> new StateException("it lacks the contents of disk " + disk.number()));
    if (saved.size != disk.sizeBytes()) {
      throw new StateException(
          "disk " + disk.number() + " had " + saved.size + " bytes, the image has "
              + disk.sizeBytes());
    }
    unpack(
        "javisor-restore-disk", saved.index, "disk " + saved.number,
        (at, size, packed, length, decompressor) -> {
          if (length == 0) {
            disk.writeZeroes(at, size);
            return true;
          }
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(size, 8);
            MemorySegment source = MemorySegment.ofArray(packed).asSlice(0, length);
            if (decompressor == null) {
              bytes.copyFrom(source);
            } else if (decompressor.decompress(source, bytes) != size) {
              return false;
            }
            disk.write(at, bytes);
            return true;
          }
        });
  }

  /** Takes a run: packed bytes, and what unpacks them, if they are packed. */
  private interface Sink {
    boolean take(long at, long size, byte[] packed, int length, Lz4Decompressor decompressor)
        throws IOException;
  }

  private void unpack(String threads, RunIndex index, String what, Sink sink)
      throws IOException, StateException {
    AtomicInteger next = new AtomicInteger();
    Workers.runChecked(
        threads,
        () -> {
          Lz4Decompressor decompressor = Lz4Decompressor.create();
          byte[] packed = new byte[SaveLayout.MAX_RUN];
          int runs = index.runs();
          for (int i = next.getAndIncrement(); i < runs; i = next.getAndIncrement()) {
            int length = index.length(i);
            readFully(ByteBuffer.wrap(packed, 0, length), index.offset(i));
            CRC32C crc = new CRC32C();
            crc.update(packed, 0, length);
            long size = index.size(i);
            boolean plain = length == 0 || length == size;
            try {
              if ((int) crc.getValue() == index.checksum(i)
                  && sink.take(index.start(i), size, packed, length, plain ? null : decompressor)) {
                continue;
              }
            } catch (MalformedInputException e) {
              // Said below, with what a checksum finds.
            }
            throw new StateException("its %s is damaged at %#x".formatted(what, index.start(i)));
          }
        });
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      // It was only read.
      return;
    }
  }
}

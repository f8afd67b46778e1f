package org.javisor.accelerator.state.file;

import io.airlift.compress.v3.MalformedInputException;
import io.airlift.compress.v3.lz4.Lz4Decompressor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
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
  private final ByteBuffer index;
  private final int runs;
  private final byte[] stateBytes;
  private final StateReader state;

  private SaveFile(FileChannel file) throws IOException, StateException {
    this.file = file;
    long size = file.size();
    byte[] magic = read(0, (int) Math.min(size, SaveLayout.MAGIC.length)).array();
    if (!Arrays.equals(magic, SaveLayout.MAGIC)) {
      throw new StateException("it is no saved machine of Javisor");
    }
    ByteBuffer header = read(0, SaveLayout.HEADER);
    int version = header.getInt(SaveLayout.AT_VERSION);
    if (version != SaveLayout.VERSION) {
      throw new StateException(
          "it has version " + Integer.toUnsignedString(version)
              + " of the format, this program reads version " + SaveLayout.VERSION);
    }
    CRC32C crc = new CRC32C();
    crc.update(header.array(), SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED);
    require((int) crc.getValue() == header.getInt(SaveLayout.AT_CHECKSUM), "wrong checksum");
    long frameCount = header.getLong(SaveLayout.AT_FRAMES);
    require(frameCount > 0 && frameCount < 1 << 27, "impossible size of memory");
    frames = (int) frameCount;
    runs = header.getInt(SaveLayout.AT_RUNS);
    require(runs >= 0 && runs <= frames, "impossible number of runs");
    int stateLength = header.getInt(SaveLayout.AT_STATE_LENGTH);
    require(stateLength >= 0 && stateLength <= SaveLayout.MAX_STATE, "impossible size of state");
    long indexAt = header.getLong(SaveLayout.AT_INDEX);
    long indexLength = (long) SaveLayout.ENTRY * runs;
    long stateAt = header.getLong(SaveLayout.AT_STATE);
    if (!within(indexAt, indexLength, size) || !within(stateAt, stateLength, size)) {
      throw new StateException("it is truncated: " + size + " bytes are there");
    }
    require(indexLength <= Integer.MAX_VALUE, "impossible number of runs");
    index = read(indexAt, (int) indexLength);
    CRC32C indexCrc = new CRC32C();
    indexCrc.update(index.array());
    require(
        (int) indexCrc.getValue() == header.getInt(SaveLayout.AT_INDEX_CHECKSUM),
        "wrong checksum of the index");
    checkIndex(size);
    stateBytes = read(stateAt, stateLength).array();
    state = new StateReader(stateBytes);
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

  private static void require(boolean valid, String what) throws StateException {
    if (!valid) {
      throw new StateException("its header is damaged: " + what);
    }
  }

  private static boolean within(long offset, long length, long size) {
    return offset >= SaveLayout.HEADER && offset <= size && length <= size - offset;
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

  private void checkIndex(long size) throws StateException {
    int next = 0;
    for (int i = 0; i < runs; i++) {
      int first = first(i);
      int count = count(i);
      int length = length(i);
      require(
          first >= next && count > 0 && count <= SaveLayout.MAX_RUN && count <= frames - first
              && length > 0 && length <= count * PAGE && within(offset(i), length, size),
          "impossible run of frames");
      next = first + count;
    }
  }

  private long offset(int run) {
    return index.getLong(SaveLayout.ENTRY * run);
  }

  private int first(int run) {
    return index.getInt(SaveLayout.ENTRY * run + 8);
  }

  private int count(int run) {
    return index.getInt(SaveLayout.ENTRY * run + 12);
  }

  private int length(int run) {
    return index.getInt(SaveLayout.ENTRY * run + 16);
  }

  private int checksum(int run) {
    return index.getInt(SaveLayout.ENTRY * run + 20);
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
    AtomicInteger next = new AtomicInteger();
    Workers.runChecked(
        "javisor-restore",
        () -> {
          Lz4Decompressor decompressor = Lz4Decompressor.create();
          byte[] packed = new byte[SaveLayout.MAX_RUN * PAGE];
          for (int i = next.getAndIncrement(); i < runs; i = next.getAndIncrement()) {
            load(i, memory, decompressor, packed);
          }
        });
  }

  private void load(int run, FrameArena memory, Lz4Decompressor decompressor, byte[] packed)
      throws IOException, StateException {
    int length = length(run);
    int size = count(run) * PAGE;
    readFully(ByteBuffer.wrap(packed, 0, length), offset(run));
    CRC32C crc = new CRC32C();
    crc.update(packed, 0, length);
    if ((int) crc.getValue() != checksum(run)) {
      throw damaged(run);
    }
    long address = memory.address(first(run));
    if (length == size) {
      RawMemory.copyIn(packed, 0, address, size);
      return;
    }
    try {
      int unpacked =
          decompressor.decompress(
              MemorySegment.ofArray(packed).asSlice(0, length), RawMemory.segment(address, size));
      if (unpacked != size) {
        throw damaged(run);
      }
    } catch (MalformedInputException e) {
      throw damaged(run);
    }
  }

  private StateException damaged(int run) {
    return new StateException(
        "its memory is damaged at %#x".formatted((long) first(run) * PAGE));
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

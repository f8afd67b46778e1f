package org.javisor.accelerator.state.file;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.zip.CRC32C;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.FrameArena;

/**
 * The reader of saved machines as a fuzzer's target. Checksums are set right first, where they would be:
 * behind them is what an attacker reaches.
 */
final class SaveFileTarget {
  private static final int FRAMES = 300;

  private SaveFileTarget() {}

  /** The name is Jazzer's. */
  static void fuzzerTestOneInput(byte[] input) {
    byte[] bytes = input.clone();
    repair(bytes);
    try {
      Path file = Files.createTempFile("javisor-fuzz", ".save");
      try {
        Files.write(file, bytes);
        try (SaveFile saved = SaveFile.open(file)) {
          saved.load(new FrameArena((long) FRAMES * FrameArena.FRAME_SIZE));
          for (int disk : saved.disks()) {
            saved.load(new Sink(disk));
          }
        }
      } catch (StateException e) {
        if (e.getMessage().isEmpty()) {
          throw new AssertionError("a refusal that says nothing", e);
        }
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A disk that looks at where it is written, and keeps nothing. */
  private record Sink(int number) implements Overlay {
    static final long SIZE = 10L * UNIT + 512;

    @Override
    public long sizeBytes() {
      return SIZE;
    }

    @Override
    public Extent extent(long offset, long length) {
      return new Extent(length, offset == 0 ? Kind.DATA : Kind.ZEROS);
    }

    @Override
    public void read(long offset, MemorySegment into) {
      into.fill((byte) 7);
    }

    @Override
    public void write(long offset, MemorySegment from) {
      writeZeroes(offset, from.byteSize());
    }

    @Override
    public void writeZeroes(long offset, long length) {
      if (offset < 0 || length <= 0 || offset > SIZE - length) {
        throw new AssertionError("a write of " + length + " bytes at " + offset);
      }
    }
  }

  /** The disks of a file to start from. */
  static List<Overlay> disks() {
    return List.of(new Sink(0), new Sink(2));
  }

  private static void repair(byte[] bytes) {
    if (bytes.length < SaveLayout.HEADER) {
      return;
    }
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    repairIndex(file, file.getLong(SaveLayout.AT_INDEX), file.getInt(SaveLayout.AT_RUNS))
        .ifPresent(crc -> file.putInt(SaveLayout.AT_INDEX_CHECKSUM, crc));
    long table = file.getLong(SaveLayout.AT_TABLE);
    long length = (long) file.getInt(SaveLayout.AT_DISKS) * SaveLayout.DISK;
    if (within(table, length, bytes.length)) {
      for (long at = table; at < table + length; at += SaveLayout.DISK) {
        int entry = (int) at;
        repairIndex(
            file, file.getLong(entry + SaveLayout.DISK_INDEX),
            file.getInt(entry + SaveLayout.DISK_RUNS))
            .ifPresent(crc -> file.putInt(entry + SaveLayout.DISK_CHECKSUM, crc));
      }
      file.putInt(SaveLayout.AT_TABLE_CHECKSUM, crc(bytes, (int) table, (int) length));
    }
    file.putInt(
        SaveLayout.AT_CHECKSUM,
        crc(bytes, SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED));
  }

  private static boolean within(long at, long length, long size) {
    return at >= 0 && length >= 0 && at <= size && length <= size - at;
  }

  /** Sets the checksums of an index right and returns its own, if it is there. */
  private static OptionalInt repairIndex(ByteBuffer file, long index, int runs) {
    byte[] bytes = file.array();
    long length = (long) runs * SaveLayout.ENTRY;
    if (!within(index, length, bytes.length)) {
      return OptionalInt.empty();
    }
    for (long at = index; at < index + length; at += SaveLayout.ENTRY) {
      long data = file.getLong((int) at);
      int size = file.getInt((int) at + 16);
      if (within(data, size, bytes.length)) {
        file.putInt((int) at + 20, crc(bytes, (int) data, size));
      }
    }
    return OptionalInt.of(crc(bytes, (int) index, (int) length));
  }

  private static int crc(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    return (int) crc.getValue();
  }
}

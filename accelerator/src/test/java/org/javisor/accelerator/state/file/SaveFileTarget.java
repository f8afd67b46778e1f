package org.javisor.accelerator.state.file;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
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

  private static void repair(byte[] bytes) {
    if (bytes.length < SaveLayout.HEADER) {
      return;
    }
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    long index = file.getLong(SaveLayout.AT_INDEX);
    long runs = file.getInt(SaveLayout.AT_RUNS);
    long length = runs * SaveLayout.ENTRY;
    if (index >= 0 && runs >= 0 && index <= bytes.length && length <= bytes.length - index) {
      for (long at = index; at < index + length; at += SaveLayout.ENTRY) {
        long data = file.getLong((int) at);
        int size = file.getInt((int) at + 16);
        if (data >= 0 && size >= 0 && data <= bytes.length && size <= bytes.length - data) {
          file.putInt((int) at + 20, crc(bytes, (int) data, size));
        }
      }
      file.putInt(SaveLayout.AT_INDEX_CHECKSUM, crc(bytes, (int) index, (int) length));
    }
    file.putInt(
        SaveLayout.AT_CHECKSUM,
        crc(bytes, SaveLayout.CHECKED, SaveLayout.HEADER - SaveLayout.CHECKED));
  }

  private static int crc(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    return (int) crc.getValue();
  }
}

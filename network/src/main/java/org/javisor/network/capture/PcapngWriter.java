package org.javisor.network.capture;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.javisor.network.Offload;
import org.javisor.network.packet.Segmenter;

/**
 * Writes a pcapng file with one Ethernet interface: a section header block, an interface description
 * block, and an enhanced packet block for each frame, with nanoseconds and direction. Records are
 * gathered in a buffer; {@link #record} never waits for the disk, {@link #flush} does.
 *
 * <p>Frames are recorded as they passed, so segments may be 64 KiB long; checksums that were left out
 * are filled in.
 */
final class PcapngWriter implements AutoCloseable {
  private static final int SECTION_HEADER = 0x0A0D_0D0A;
  private static final int BYTE_ORDER_MAGIC = 0x1A2B_3C4D;
  private static final int INTERFACE_DESCRIPTION = 1;
  private static final int ENHANCED_PACKET = 6;
  private static final int LINK_ETHERNET = 1;
  private static final int OPTION_END = 0;
  private static final int OPTION_NAME = 2;
  private static final int OPTION_FLAGS = 2;
  private static final int OPTION_APPLICATION = 4;
  private static final int OPTION_TIME_RESOLUTION = 9;
  private static final int NANOSECONDS = 9;
  /** Bytes of an enhanced packet block besides the frame: 28 before, 12 of options, 4 of length. */
  private static final int BLOCK_OVERHEAD = 44;

  private final FileChannel file;
  private ByteBuffer filling = buffer();
  private ByteBuffer writing = buffer();
  private long lost;
  private volatile IOException failure;

  PcapngWriter(Path path, String interfaceName) throws IOException {
    file =
        FileChannel.open(
            path,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING);
    writeHeaders(interfaceName);
    flush();
    if (failure != null) {
      throw failure;
    }
  }

  private static ByteBuffer buffer() {
    return ByteBuffer.allocateDirect(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
  }

  private void writeHeaders(String interfaceName) {
    int start = filling.position();
    filling.putInt(SECTION_HEADER).putInt(0).putInt(BYTE_ORDER_MAGIC);
    filling.putShort((short) 1).putShort((short) 0).putLong(-1);
    putText(OPTION_APPLICATION, "Javisor");
    endBlock(start);
    start = filling.position();
    filling.putInt(INTERFACE_DESCRIPTION).putInt(0);
    filling.putShort((short) LINK_ETHERNET).putShort((short) 0).putInt(0);
    putText(OPTION_NAME, interfaceName);
    filling.putShort((short) OPTION_TIME_RESOLUTION).putShort((short) 1).putInt(NANOSECONDS);
    endBlock(start);
  }

  private void putText(int option, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    filling.putShort((short) option).putShort((short) bytes.length).put(bytes);
    pad(bytes.length);
  }

  private void pad(int length) {
    for (int i = length; i % 4 != 0; i++) {
      filling.put((byte) 0);
    }
  }

  /** Ends the options and writes the block's length at both of its ends. */
  private void endBlock(int start) {
    filling.putShort((short) OPTION_END).putShort((short) 0);
    int length = filling.position() + 4 - start;
    filling.putInt(length);
    filling.putInt(start + 4, length);
  }

  /**
   * Records a frame; loses it, and counts that, if the disk does not keep up.
   *
   * @param wallNanos when, since 1970
   * @param toGuest its direction: inbound for the guest, or outbound
   */
  synchronized void record(
      ByteBuffer frame, Offload offload, long wallNanos, boolean toGuest) {
    int length = frame.remaining();
    if (failure != null || filling.remaining() < BLOCK_OVERHEAD + length + 3) {
      lost++;
      return;
    }
    int start = filling.position();
    filling.putInt(ENHANCED_PACKET).putInt(0).putInt(0);
    filling.putInt((int) (wallNanos >>> 32)).putInt((int) wallNanos);
    filling.putInt(length).putInt(length);
    int at = filling.position();
    filling.put(at, frame, frame.position(), length);
    if (offload.checksumNeeded()) {
      Segmenter.completeChecksum(filling, at, length, offload);
    }
    filling.position(at + length);
    pad(length);
    filling.putShort((short) OPTION_FLAGS).putShort((short) 4).putInt(toGuest ? 1 : 2);
    endBlock(start);
  }

  /** Writes out what was recorded. */
  void flush() {
    synchronized (file) {
      synchronized (this) {
        ByteBuffer full = filling;
        filling = writing.clear();
        writing = full;
      }
      writing.flip();
      try {
        while (failure == null && writing.hasRemaining()) {
          file.write(writing);
        }
      } catch (IOException e) {
        failure = e; // a full disk, mostly: the capture ends, the network goes on
      }
    }
  }

  /** Frames not recorded. */
  synchronized long lost() {
    return lost;
  }

  /** Why recording stopped, or null. */
  IOException failure() {
    return failure;
  }

  @Override
  public void close() throws IOException {
    flush();
    file.close();
  }
}

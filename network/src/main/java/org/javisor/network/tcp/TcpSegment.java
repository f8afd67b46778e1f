package org.javisor.network.tcp;

import java.nio.ByteBuffer;
import org.javisor.network.ip.Packet;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;

/** The TCP header of a packet from the guest, read once. One object is used for all. */
final class TcpSegment {
  private static final int OPTION_END = 0;
  private static final int OPTION_NOP = 1;
  private static final int OPTION_MSS = 2;
  private static final int OPTION_WINDOW_SCALE = 3;
  private static final int OPTION_SACK_PERMITTED = 4;
  private static final int MAX_WINDOW_SCALE = 14;

  private ByteBuffer buffer;
  private int sourcePort;
  private int destinationPort;
  private int sequence;
  private int acknowledgement;
  private int flags;
  private int window;
  private int payload;
  private int payloadLength;
  private int maxSegmentSize;
  private int windowScale;
  private boolean sackPermitted;

  /** @return false if the header is malformed */
  boolean parse(Packet packet) {
    int at = packet.transport();
    int length = packet.transportLength();
    if (length < Headers.TCP) {
      return false;
    }
    buffer = packet.buffer();
    int headerLength = (Bytes.u8(buffer, at + 12) >>> 4) * 4;
    if (headerLength < Headers.TCP || headerLength > length) {
      return false;
    }
    sourcePort = Bytes.u16(buffer, at);
    destinationPort = Bytes.u16(buffer, at + 2);
    sequence = Bytes.i32(buffer, at + 4);
    acknowledgement = Bytes.i32(buffer, at + 8);
    flags = Bytes.u8(buffer, at + 13) & 0x3F;
    window = Bytes.u16(buffer, at + 14);
    payload = at + headerLength;
    payloadLength = length - headerLength;
    maxSegmentSize = 0;
    windowScale = -1;
    sackPermitted = false;
    return !isSyn() || parseOptions(at + Headers.TCP, payload);
  }

  /** Reads the options of a SYN (RFC 9293, section 3.1; RFC 7323; RFC 2018). Each step moves on. */
  private boolean parseOptions(int at, int end) {
    while (at < end) {
      int kind = Bytes.u8(buffer, at);
      if (kind == OPTION_END) {
        return true;
      }
      if (kind == OPTION_NOP) {
        at++;
        continue;
      }
      if (at + 2 > end) {
        return false;
      }
      int length = Bytes.u8(buffer, at + 1);
      if (length < 2 || at + length > end) {
        return false;
      }
      if (kind == OPTION_MSS && length == 4) {
        maxSegmentSize = Bytes.u16(buffer, at + 2);
      } else if (kind == OPTION_WINDOW_SCALE && length == 3) {
        windowScale = Math.min(Bytes.u8(buffer, at + 2), MAX_WINDOW_SCALE);
      } else if (kind == OPTION_SACK_PERMITTED && length == 2) {
        sackPermitted = true;
      }
      at += length;
    }
    return true;
  }

  ByteBuffer buffer() {
    return buffer;
  }

  int sourcePort() {
    return sourcePort;
  }

  int destinationPort() {
    return destinationPort;
  }

  int sequence() {
    return sequence;
  }

  int acknowledgement() {
    return acknowledgement;
  }

  /** The window field, not scaled. */
  int window() {
    return window;
  }

  /** Index of the payload. */
  int payload() {
    return payload;
  }

  int payloadLength() {
    return payloadLength;
  }

  /** Sequence numbers the segment takes: its payload, and one each for SYN and FIN. */
  int length() {
    return payloadLength + (isSyn() ? 1 : 0) + (isFin() ? 1 : 0);
  }

  boolean isSyn() {
    return (flags & Headers.SYN) != 0;
  }

  boolean isAck() {
    return (flags & Headers.ACK) != 0;
  }

  boolean isFin() {
    return (flags & Headers.FIN) != 0;
  }

  boolean isRst() {
    return (flags & Headers.RST) != 0;
  }

  /** The MSS option of a SYN, or 0. */
  int maxSegmentSize() {
    return maxSegmentSize;
  }

  /** The window scale option of a SYN, or -1. */
  int windowScale() {
    return windowScale;
  }

  boolean sackPermitted() {
    return sackPermitted;
  }
}

package org.javisor.network.tcp;

import java.nio.ByteBuffer;
import org.javisor.network.ip.IpSender;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/** Writes TCP segments to the guest. */
final class TcpOutput {
  private static final int SACK_OPTION = 5;
  /** Three blocks: what still leaves room for other options (RFC 2018, section 3). */
  private static final int MAX_SACK_BLOCKS = 3;

  private final IpSender sender;
  private final ByteBuffer saved = ByteBuffer.allocateDirect(ByteRing.HEADROOM);

  TcpOutput(IpSender sender) {
    this.sender = sender;
  }

  IpSender sender() {
    return sender;
  }

  /**
   * Sends bytes that are in a ring. The headers are written over the bytes before them, which are put
   * back afterwards: they may be needed for a retransmission.
   */
  boolean data(
      TcpConnection connection, ByteRing ring, int offset, int length, int sequence, int flags) {
    if (length == 0) {
      return empty(connection, sequence, flags);
    }
    ByteBuffer buffer = ring.buffer().clear();
    int payload = ring.index(offset);
    int from = payload - ByteRing.HEADROOM;
    saved.put(0, buffer, from, ByteRing.HEADROOM);
    int tcp = payload - Headers.TCP;
    writeHeader(buffer, tcp, connection, sequence, flags, Headers.TCP);
    boolean sent =
        sender.offerTcp(
            buffer,
            tcp,
            Headers.TCP + length,
            connection.remote(),
            connection.guest(),
            connection.segmentSize());
    buffer.clear().put(from, saved, 0, ByteRing.HEADROOM);
    return sent;
  }

  /** Sends a segment without data, with selective acknowledgements if there are any to give. */
  boolean empty(TcpConnection connection, int sequence, int flags) {
    ByteBuffer buffer = sender.scratch();
    int tcp = IpSender.HEADROOM;
    int header = Headers.TCP;
    TcpReceiver receiver = connection.receiver();
    int blocks = connection.sackPermitted() ? Math.min(receiver.rangeCount(), MAX_SACK_BLOCKS) : 0;
    if (blocks > 0) {
      Bytes.put32(
          buffer, tcp + header, 0x0101_0000 | SACK_OPTION << 8 | 2 + 8 * blocks);
      header += 4;
      for (int i = 0; i < 2 * blocks; i++, header += 4) {
        Bytes.put32(buffer, tcp + header, receiver.range(i));
      }
    }
    writeHeader(buffer, tcp, connection, sequence, flags, header);
    return sender.offerTcp(
        buffer, tcp, header, connection.remote(), connection.guest(), 0);
  }

  /**
   * Sends a SYN, or a SYN with ACK.
   *
   * @param scale our window scale, or -1 to leave the option out
   */
  boolean syn(TcpConnection connection, int sequence, int flags, int scale, boolean sack) {
    ByteBuffer buffer = sender.scratch();
    int tcp = IpSender.HEADROOM;
    int at = tcp + Headers.TCP;
    int mss =
        IpSender.MTU
            - Headers.TCP
            - (connection.guest().isV4() ? Headers.IPV4 : Headers.IPV6);
    Bytes.put32(buffer, at, 0x0204_0000 | mss);
    at += 4;
    if (sack) {
      Bytes.put32(buffer, at, 0x0101_0402);
      at += 4;
    }
    if (scale >= 0) {
      Bytes.put32(buffer, at, 0x0103_0300 | scale);
      at += 4;
    }
    writeHeader(buffer, tcp, connection, sequence, flags, at - tcp);
    // The window of a SYN is never scaled (RFC 7323, section 2.2).
    Bytes.put16(buffer, tcp + 14, Math.min(TcpReceiver.WINDOW, 0xFFFF));
    return sender.offerTcp(
        buffer, tcp, at - tcp, connection.remote(), connection.guest(), 0);
  }

  private static void writeHeader(
      ByteBuffer buffer, int tcp, TcpConnection connection, int sequence, int flags, int length) {
    TcpReceiver receiver = connection.receiver();
    boolean acknowledges = (flags & Headers.ACK) != 0;
    writeHeader(
        buffer,
        tcp,
        connection.remotePort(),
        connection.guestPort(),
        sequence,
        acknowledges ? receiver.next() : 0,
        flags,
        acknowledges ? receiver.offer() : 0,
        length);
  }

  private static void writeHeader(
      ByteBuffer buffer,
      int tcp,
      int sourcePort,
      int destinationPort,
      int sequence,
      int acknowledgement,
      int flags,
      int window,
      int length) {
    Bytes.put32(buffer, tcp, sourcePort << 16 | destinationPort);
    Bytes.put32(buffer, tcp + 4, sequence);
    Bytes.put32(buffer, tcp + 8, acknowledgement);
    Bytes.put16(buffer, tcp + 12, length / 4 << 12 | flags);
    Bytes.put16(buffer, tcp + 14, window);
    Bytes.put32(buffer, tcp + 16, 0);
  }

  /** Answers a segment that belongs to no connection (RFC 9293, section 3.10.7.1). */
  void reset(IpAddress guest, IpAddress remote, TcpSegment segment) {
    ByteBuffer buffer = sender.scratch();
    int tcp = IpSender.HEADROOM;
    boolean acknowledged = segment.isAck();
    writeHeader(
        buffer,
        tcp,
        segment.destinationPort(),
        segment.sourcePort(),
        acknowledged ? segment.acknowledgement() : 0,
        acknowledged ? 0 : segment.sequence() + segment.length(),
        acknowledged ? Headers.RST : Headers.RST | Headers.ACK,
        0,
        Headers.TCP);
    sender.offerTcp(buffer, tcp, Headers.TCP, remote, guest, 0);
  }
}

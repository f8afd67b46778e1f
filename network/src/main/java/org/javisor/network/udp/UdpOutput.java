package org.javisor.network.udp;

import java.nio.ByteBuffer;
import org.javisor.network.ip.IpSender;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/** Sends UDP datagrams to the guest. */
public final class UdpOutput {
  /** Where in {@link #buffer} the payload begins. */
  public static final int PAYLOAD = IpSender.HEADROOM + Headers.UDP;

  /** The longest payload. */
  public static final int MAX_PAYLOAD = 65_535 - Headers.IPV4 - Headers.UDP;

  private final IpSender sender;

  public UdpOutput(IpSender sender) {
    this.sender = sender;
  }

  /** A buffer for one datagram, its limit behind the longest payload. */
  public ByteBuffer buffer() {
    return sender.scratch().limit(PAYLOAD + MAX_PAYLOAD).position(PAYLOAD);
  }

  /** Sends what was written into {@link #buffer}. */
  public void send(
      ByteBuffer buffer,
      int length,
      IpAddress source,
      int sourcePort,
      IpAddress destination,
      int destinationPort) {
    writeHeader(buffer, length, sourcePort, destinationPort);
    sender.send(
        buffer,
        IpSender.HEADROOM,
        Headers.UDP + length,
        source,
        destination,
        Headers.PROTOCOL_UDP,
        Headers.UDP_CHECKSUM);
  }

  /** As {@link #send}, to an Ethernet address, for a guest that has no IP address yet. */
  public void sendTo(
      long mac,
      ByteBuffer buffer,
      int length,
      IpAddress source,
      int sourcePort,
      IpAddress destination,
      int destinationPort) {
    writeHeader(buffer, length, sourcePort, destinationPort);
    sender.sendTo(
        mac,
        buffer,
        IpSender.HEADROOM,
        Headers.UDP + length,
        source,
        destination,
        Headers.PROTOCOL_UDP,
        Headers.UDP_CHECKSUM);
  }

  /** Sends a copy of an array. */
  public void send(
      byte[] payload,
      IpAddress source,
      int sourcePort,
      IpAddress destination,
      int destinationPort) {
    ByteBuffer buffer = buffer();
    int length = Math.min(payload.length, MAX_PAYLOAD);
    buffer.put(payload, 0, length);
    send(buffer, length, source, sourcePort, destination, destinationPort);
  }

  private static void writeHeader(
      ByteBuffer buffer, int length, int sourcePort, int destinationPort) {
    buffer.clear();
    int udp = IpSender.HEADROOM;
    Bytes.put32(buffer, udp, sourcePort << 16 | destinationPort);
    Bytes.put32(buffer, udp + 4, Headers.UDP + length << 16);
  }
}

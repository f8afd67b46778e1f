package org.javisor.network.udp;

import java.nio.ByteBuffer;
import org.javisor.network.ip.Packet;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;

/** The UDP header of a packet from the guest, read once. One object is used for all. */
public final class UdpDatagram {
  private ByteBuffer buffer;
  private int sourcePort;
  private int destinationPort;
  private int payload;
  private int payloadLength;

  /** @return false if it is malformed, or its checksum is wrong */
  public boolean parse(Packet packet) {
    buffer = packet.buffer();
    int at = packet.transport();
    if (packet.transportLength() < Headers.UDP) {
      return false;
    }
    int length = Bytes.u16(buffer, at + 4);
    if (length < Headers.UDP || length > packet.transportLength()) {
      return false;
    }
    boolean withoutChecksum = !packet.isV6() && Bytes.u16(buffer, at + 6) == 0;
    if (!withoutChecksum && !packet.transportChecksumIsRight()) {
      return false;
    }
    sourcePort = Bytes.u16(buffer, at);
    destinationPort = Bytes.u16(buffer, at + 2);
    payload = at + Headers.UDP;
    payloadLength = length - Headers.UDP;
    return true;
  }

  public ByteBuffer buffer() {
    return buffer;
  }

  public int sourcePort() {
    return sourcePort;
  }

  public int destinationPort() {
    return destinationPort;
  }

  /** Index of the payload in the buffer. */
  public int payload() {
    return payload;
  }

  public int payloadLength() {
    return payloadLength;
  }

  /** The payload in an array of its own. */
  public byte[] copyPayload() {
    byte[] copy = new byte[payloadLength];
    buffer.get(payload, copy);
    return copy;
  }
}

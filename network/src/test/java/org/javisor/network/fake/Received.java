package org.javisor.network.fake;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.javisor.network.Offload;

/** A frame the fake guest got, taken apart; everything that can be checked has been checked. */
public final class Received {
  public final byte[] bytes;
  public final Offload offload;
  public final int type;
  public final int protocol;
  public final byte[] source;
  public final byte[] destination;
  /** Transport header and payload; for a fragment, only its part. */
  public final byte[] transport;
  public final int fragment;

  public Received(byte[] bytes, Offload offload) {
    this.bytes = bytes;
    this.offload = offload;
    ByteBuffer in = ByteBuffer.wrap(bytes);
    type = in.getShort(12) & 0xFFFF;
    if (type == 0x0800) {
      require(bytes[14] == 0x45, "IPv4 header of 20 bytes");
      require(Frames.checksum(bytes, 14, 20, 0) == 0, "IPv4 header checksum");
      int length = in.getShort(16) & 0xFFFF;
      require(length == bytes.length - 14, "IPv4 length");
      protocol = bytes[23] & 0xFF;
      fragment = in.getShort(20) & 0x3FFF;
      source = Arrays.copyOfRange(bytes, 26, 30);
      destination = Arrays.copyOfRange(bytes, 30, 34);
      transport = Arrays.copyOfRange(bytes, 34, bytes.length);
    } else if (type == 0x86DD) {
      require((in.getShort(18) & 0xFFFF) == bytes.length - 54, "IPv6 length");
      source = Arrays.copyOfRange(bytes, 22, 38);
      destination = Arrays.copyOfRange(bytes, 38, 54);
      boolean fragmented = bytes[20] == 44;
      protocol = bytes[fragmented ? 54 : 20] & 0xFF;
      fragment = fragmented ? in.getShort(56) & 0xFFFF : 0;
      transport = Arrays.copyOfRange(bytes, fragmented ? 62 : 54, bytes.length);
    } else {
      protocol = -1;
      fragment = 0;
      source = new byte[0];
      destination = new byte[0];
      transport = new byte[0];
    }
    if (protocol >= 0 && fragment == 0) {
      checkTransport();
    }
    require(bytes.length <= 1514 || offload.segmented(), "a frame longer than the link allows");
  }

  private void checkTransport() {
    int at = protocol == 6 ? 16 : protocol == 17 ? 6 : -1;
    if (offload.checksumNeeded()) {
      require(offload.checksumStart() == bytes.length - transport.length, "checksum start");
      require(offload.checksumOffset() == at, "checksum offset");
      // What is there must be the folded pseudo header: completing it must give a right checksum.
      byte[] completed = transport.clone();
      int sum = Frames.checksum(completed, 0, completed.length, 0);
      completed[at] = (byte) (sum >>> 8);
      completed[at + 1] = (byte) sum;
      require(
          Frames.transportChecksum(source, destination, protocol, completed) == 0,
          "partial checksum");
    } else if (protocol == 1) {
      require(Frames.checksum(transport, 0, transport.length, 0) == 0, "ICMP checksum");
    } else if (at >= 0 || protocol == 58) {
      require(
          Frames.transportChecksum(source, destination, protocol, transport) == 0,
          "transport checksum");
    }
  }

  private static void require(boolean right, String what) {
    if (!right) {
      throw new AssertionError("wrong: " + what);
    }
  }

  public ByteBuffer data() {
    return ByteBuffer.wrap(transport);
  }

  public int sourcePort() {
    return data().getShort(0) & 0xFFFF;
  }

  public int destinationPort() {
    return data().getShort(2) & 0xFFFF;
  }

  public byte[] udpPayload() {
    return Arrays.copyOfRange(transport, 8, transport.length);
  }
}

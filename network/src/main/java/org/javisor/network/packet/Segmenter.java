package org.javisor.network.packet;

import java.nio.ByteBuffer;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;

/**
 * Does the work an {@link Offload} left undone, for a receiver that cannot take it: computes the
 * checksum, cuts a TCP segment into pieces. The frame is of another guest, and may lie about
 * everything.
 */
public final class Segmenter {
  /** Smaller pieces are no TCP's, but somebody's who wants us to make thousands of one frame. */
  private static final int SMALLEST_PIECE = 64;

  private static final int LAST_ONLY = Headers.FIN | Headers.PSH;

  /** Takes the finished frames. */
  @FunctionalInterface
  public interface Sink {
    void accept(ByteBuffer frame, Offload offload);
  }

  private final ByteBuffer scratch = ByteBuffer.allocateDirect(NetworkPort.MAX_FRAME);

  /** @return false if the frame is not what its offload says; nothing was handed on then */
  public boolean finish(ByteBuffer frame, Offload offload, OffloadSupport support, Sink sink) {
    if (support.takes(offload)) {
      sink.accept(frame, offload);
      return true;
    }
    return offload.segmented()
        ? cut(frame, offload, support.checksum(), sink)
        : complete(frame, offload, sink);
  }

  private boolean complete(ByteBuffer frame, Offload offload, Sink sink) {
    int length = frame.remaining();
    if (length > scratch.capacity()) {
      return false;
    }
    scratch.clear().put(0, frame, frame.position(), length).limit(length);
    if (!completeChecksum(scratch, 0, length, offload)) {
      return false;
    }
    sink.accept(scratch, Offload.NONE);
    return true;
  }

  /**
   * Computes and stores the checksum an offload asks for.
   *
   * @param frame index of the frame's first byte
   * @return false if that lies outside of the frame
   */
  public static boolean completeChecksum(
      ByteBuffer buffer, int frame, int length, Offload offload) {
    int start = offload.checksumStart();
    int field = start + offload.checksumOffset();
    if (start > length || field + 2 > length) {
      return false;
    }
    int sum = Checksum.finish(Checksum.add(0, buffer, frame + start, length - start));
    Bytes.put16(buffer, frame + field, sum == 0 ? 0xFFFF : sum);
    return true;
  }

  private boolean cut(ByteBuffer frame, Offload offload, boolean leaveChecksum, Sink sink) {
    int start = frame.position();
    int length = frame.remaining();
    boolean v6 = offload.segmentation() == Segmentation.TCP_V6;
    int ip = Headers.ETHERNET;
    int tcp = tcpHeader(frame, start, length, v6);
    if (tcp < 0 || offload.segmentSize() < SMALLEST_PIECE) {
      return false;
    }
    int payload = tcp + (Bytes.u8(frame, start + tcp + 12) >>> 4) * 4;
    if (payload < tcp + Headers.TCP || payload > length
        || payload + offload.segmentSize() > 65_535) {
      return false;
    }
    int sequence = Bytes.i32(frame, start + tcp + 4);
    int flags = Bytes.u8(frame, start + tcp + 13);
    int identification = v6 ? 0 : Bytes.u16(frame, start + ip + 4);
    Offload rest =
        leaveChecksum ? Offload.checksum(tcp, Headers.TCP_CHECKSUM) : Offload.NONE;
    for (int at = payload; at < length; at += offload.segmentSize()) {
      int piece = Math.min(offload.segmentSize(), length - at);
      boolean last = at + piece == length;
      scratch.clear();
      scratch.put(0, frame, start, payload);
      scratch.put(payload, frame, start + at, piece);
      Bytes.put32(scratch, tcp + 4, sequence + (at - payload));
      Bytes.put8(scratch, tcp + 13, last ? flags : flags & ~LAST_ONLY);
      writeIp(v6, ip, tcp, payload - tcp + piece, identification++);
      writeTcpChecksum(v6, ip, tcp, payload - tcp + piece, leaveChecksum);
      sink.accept(scratch.limit(payload + piece), rest);
    }
    return true;
  }

  /** @return where the TCP header is, or -1 if there is none, or not the IP version that was said */
  private static int tcpHeader(ByteBuffer frame, int start, int length, boolean v6) {
    if (length < Headers.ETHERNET + Headers.IPV4 + Headers.TCP) {
      return -1;
    }
    int type = Bytes.u16(frame, start + 12);
    int first = Bytes.u8(frame, start + Headers.ETHERNET);
    int tcp;
    int protocol;
    if (v6) {
      // Extension headers do not come with large segments.
      tcp = Headers.ETHERNET + Headers.IPV6;
      protocol = Bytes.u8(frame, start + Headers.ETHERNET + 6);
      if (type != Headers.TYPE_IPV6 || first >>> 4 != 6) {
        return -1;
      }
    } else {
      tcp = Headers.ETHERNET + (first & 0xF) * 4;
      protocol = Bytes.u8(frame, start + Headers.ETHERNET + 9);
      if (type != Headers.TYPE_IPV4 || first >>> 4 != 4 || (first & 0xF) < 5) {
        return -1;
      }
    }
    return protocol == Headers.PROTOCOL_TCP && tcp + Headers.TCP <= length ? tcp : -1;
  }

  private void writeIp(boolean v6, int ip, int tcp, int tcpLength, int identification) {
    if (v6) {
      Bytes.put16(scratch, ip + 4, tcpLength);
      return;
    }
    Bytes.put16(scratch, ip + 2, tcp - ip + tcpLength);
    Bytes.put16(scratch, ip + 4, identification);
    Bytes.put16(scratch, ip + 10, 0);
    Bytes.put16(scratch, ip + 10, Checksum.finish(Checksum.add(0, scratch, ip, tcp - ip)));
  }

  private void writeTcpChecksum(boolean v6, int ip, int tcp, int tcpLength, boolean leave) {
    long sum = Checksum.pseudo(scratch, ip, v6, Headers.PROTOCOL_TCP, tcpLength);
    int field = tcp + Headers.TCP_CHECKSUM;
    Bytes.put16(scratch, field, 0);
    Bytes.put16(
        scratch,
        field,
        leave ? Checksum.fold(sum) : Checksum.finish(Checksum.add(sum, scratch, tcp, tcpLength)));
  }
}

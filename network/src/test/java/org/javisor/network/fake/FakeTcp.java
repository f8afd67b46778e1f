package org.javisor.network.fake;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;

/**
 * The guest's end of a connection: simple, but it keeps the rules of RFC 9293 where the router could
 * notice. Sequence numbers are kept as offsets from the first one.
 */
public final class FakeTcp {
  private static final int FIN = 1;
  private static final int SYN = 2;
  private static final int RST = 4;
  private static final int ACK = 16;
  private static final long TIMEOUT_NANOS = 300_000_000L;

  public final int localPort;
  public final byte[] remote;
  public final int remotePort;
  /** Bytes of window offered; 0 stops the router. */
  public int window = 1 << 20;
  /** Window scale offered, or -1 for none. */
  public int scale = 7;
  public int segmentSize = 1460;
  public boolean established;
  public boolean reset;
  /** The router has closed its half, and all before it has come. */
  public boolean peerFinished;
  /** Our FIN has been acknowledged. */
  public boolean finishedAcknowledged;
  public int retransmissions;
  /** The window the router offered last, and the smallest ever. */
  public int peerWindow;
  public int smallestPeerWindow = Integer.MAX_VALUE;
  /** The largest payload that came in one segment. */
  public int largestSegment;
  public int zeroWindowProbes;
  public boolean sackSeen;

  private final FakeGuest guest;
  private final byte[] local;
  private final ByteArrayOutputStream received = new ByteArrayOutputStream();
  private final TreeMap<Integer, byte[]> early = new TreeMap<>();
  private byte[] toSend = new byte[0];
  private int acknowledged;
  private int next;
  private boolean synSent;
  private boolean synAcknowledged;
  private boolean closing;
  private boolean finSent;
  /** The highest offset ever sent: where segments without data stand. */
  private int highest;
  private int peerScale;
  private int peerInitial;
  int initial = 0xFFFF_F000; // soon wraps around
  private boolean peerKnown;
  private int peerFinAt = -1;
  private int duplicates;
  private long timeoutAt = Long.MAX_VALUE;

  FakeTcp(FakeGuest guest, byte[] local, int localPort, byte[] remote, int remotePort) {
    this.guest = guest;
    this.local = local;
    this.localPort = localPort;
    this.remote = remote;
    this.remotePort = remotePort;
    this.segmentSize = local.length == 4 ? 1460 : 1440;
  }

  void connect() {
    synSent = true;
    sendSyn(SYN);
  }

  private void sendSyn(int flags) {
    byte[] options =
        scale >= 0
            ? new byte[] {2, 4, (byte) (segmentSize >>> 8), (byte) segmentSize, 1, 1, 4, 2, 1, 3, 3,
              (byte) scale}
            : new byte[] {2, 4, (byte) (segmentSize >>> 8), (byte) segmentSize};
    transmit(flags, initial, options, new byte[0]);
    timeoutAt = guest.clock.nanos() + TIMEOUT_NANOS;
  }

  /** Queues bytes to be sent. */
  public void write(byte[] bytes) {
    byte[] all = java.util.Arrays.copyOf(toSend, toSend.length + bytes.length);
    System.arraycopy(bytes, 0, all, toSend.length, bytes.length);
    toSend = all;
  }

  /** Ends our half after all that was written. */
  public void close() {
    closing = true;
  }

  /** Ends at once. */
  public void abort() {
    transmit(RST | ACK, initial + 1 + highest, new byte[0], new byte[0]);
    guest.forget(this);
  }

  public byte[] received() {
    return received.toByteArray();
  }

  public int receivedSize() {
    return received.size();
  }

  public boolean allAcknowledged() {
    return acknowledged >= toSend.length;
  }

  /** Says the window anew. */
  public void acknowledge() {
    transmit(ACK, initial + 1 + highest, new byte[0], new byte[0]);
  }

  @Override
  public String toString() {
    return "established=" + established + " reset=" + reset + " sent=" + acknowledged + "/" + next
        + "/" + toSend.length + " window=" + peerWindow + " finSent=" + finSent + " received="
        + received.size() + " early=" + early.keySet() + " peerFinAt=" + peerFinAt
        + " retransmissions=" + retransmissions;
  }

  void receive(Received frame) {
    ByteBuffer in = frame.data();
    int sequence = in.getInt(4);
    int ack = in.getInt(8);
    int header = (frame.transport[12] & 0xFF) / 16 * 4;
    int flags = frame.transport[13];
    byte[] payload = Frames.slice(frame.transport, header, frame.transport.length);
    largestSegment = Math.max(largestSegment, payload.length);
    sackSeen |= header > 20 && (flags & SYN) == 0;
    if ((flags & RST) != 0) {
      reset = true;
      guest.forget(this);
      return;
    }
    if (!peerKnown && (flags & SYN) == 0) {
      // An answer to somebody who is forgotten (RFC 9293, section 3.10.7.3).
      transmit(RST, ack, new byte[0], new byte[0]);
      timeoutAt = guest.clock.nanos() + TIMEOUT_NANOS;
      return;
    }
    if ((flags & SYN) != 0) {
      peerSyn(sequence, flags, frame.transport, header);
    }
    if (!peerKnown) {
      return;
    }
    if ((flags & ACK) != 0) {
      acknowledgement(ack, in.getShort(14) & 0xFFFF, (flags & SYN) != 0, payload.length);
    }
    if ((flags & SYN) == 0) {
      int offset = sequence - peerInitial - 1;
      if (payload.length == 0 && (flags & FIN) == 0 && offset == received.size() - 1) {
        zeroWindowProbes++;
        acknowledge();
      }
      if ((flags & FIN) != 0) {
        peerFinAt = offset + payload.length;
      }
      if (payload.length > 0) {
        data(offset, payload);
      }
      finished();
      if (payload.length > 0 || (flags & FIN) != 0) {
        acknowledge();
      }
    }
  }

  private void peerSyn(int sequence, int flags, byte[] header, int length) {
    peerInitial = sequence;
    peerKnown = true;
    for (int i = 20; i < length && header[i] != 0; i += header[i] == 1 ? 1 : header[i + 1]) {
      if (header[i] == 3) {
        peerScale = scale >= 0 ? header[i + 2] : 0;
      }
    }
    if ((flags & ACK) == 0) {
      synSent = true;
      sendSyn(SYN | ACK);
    }
  }

  private void acknowledgement(int ack, int windowField, boolean syn, int payload) {
    int offset = ack - initial - 1;
    if (!synAcknowledged && offset >= 0) {
      synAcknowledged = true;
      established = true;
      timeoutAt = Long.MAX_VALUE;
      if (syn) {
        acknowledge();
      }
    }
    int oldWindow = peerWindow;
    peerWindow = syn ? windowField : windowField << peerScale;
    smallestPeerWindow = Math.min(smallestPeerWindow, peerWindow);
    int end = highest;
    if (offset > end) {
      throw new AssertionError("acknowledges what was never sent: " + offset + " of " + end);
    }
    if (offset > acknowledged) {
      acknowledged = offset;
      next = Math.max(next, offset);
      duplicates = 0;
      timeoutAt = acknowledged == next ? Long.MAX_VALUE : guest.clock.nanos() + TIMEOUT_NANOS;
      finishedAcknowledged = acknowledged == toSend.length + 1;
    } else if (offset == acknowledged && next > acknowledged && payload == 0
        && peerWindow == oldWindow && ++duplicates == 3) {
      resend();
    }
  }

  private void data(int offset, byte[] payload) {
    if (offset > received.size()) {
      early.put(offset, payload);
      return;
    }
    append(offset, payload);
    Map.Entry<Integer, byte[]> waiting;
    while ((waiting = early.firstEntry()) != null && waiting.getKey() <= received.size()) {
      early.pollFirstEntry();
      append(waiting.getKey(), waiting.getValue());
    }
  }

  private void append(int offset, byte[] payload) {
    int known = received.size() - offset;
    if (known < payload.length) {
      received.write(payload, known, payload.length - known);
    }
  }

  private void finished() {
    if (peerFinAt >= 0 && received.size() >= peerFinAt) {
      if (received.size() > peerFinAt) {
        throw new AssertionError("bytes behind the end");
      }
      peerFinished = true;
    }
  }

  /** Sends what may be sent. @return whether anything was */
  boolean tick() {
    if (guest.clock.nanos() >= timeoutAt) {
      if (!synAcknowledged) {
        sendSyn(peerKnown ? SYN | ACK : SYN);
      } else {
        resend();
      }
      return true;
    }
    if (!synAcknowledged) {
      return false;
    }
    boolean sent = false;
    while (next < toSend.length && next - acknowledged < peerWindow) {
      sent |= sendPiece();
    }
    if (closing && !finSent && next == toSend.length) {
      sendPiece();
      sent = true;
    }
    return sent;
  }

  private void resend() {
    retransmissions++;
    duplicates = 0;
    next = acknowledged;
    if (next < highest) {
      finSent = false;
      sendPiece();
    }
  }

  private boolean sendPiece() {
    boolean large =
        local.length == 4 ? guest.support.tcpV4() : guest.support.tcpV6();
    int most = large ? 44 * segmentSize : segmentSize;
    int length = Math.min(most, toSend.length - next);
    length = Math.max(0, Math.min(length, Math.max(peerWindow - (next - acknowledged), 1)));
    byte[] payload = Frames.slice(toSend, next, next + length);
    boolean fin = closing && next + length == toSend.length;
    transmit(fin ? FIN | ACK : ACK, initial + 1 + next, new byte[0], payload);
    next += length + (fin ? 1 : 0);
    highest = Math.max(highest, next);
    finSent |= fin;
    timeoutAt = guest.clock.nanos() + TIMEOUT_NANOS;
    return true;
  }

  private void transmit(int flags, int sequence, byte[] options, byte[] payload) {
    int header = 20 + options.length;
    ByteBuffer out = ByteBuffer.allocate(header + payload.length);
    out.putShort((short) localPort).putShort((short) remotePort);
    out.putInt(sequence);
    int ack = peerInitial + 1 + received.size() + (peerFinished ? 1 : 0);
    out.putInt((flags & ACK) != 0 ? ack : 0);
    out.putShort((short) (header / 4 << 12 | flags));
    int field = (flags & SYN) != 0 ? Math.min(window, 0xFFFF) : window >>> Math.max(scale, 0);
    out.putShort((short) Math.min(field, 0xFFFF)).putInt(0).put(options).put(payload);
    Offload offload = Offload.NONE;
    int sum = Frames.transportChecksum(local, remote, 6, out.array());
    boolean v4 = local.length == 4;
    if (guest.support.checksum()) {
      // Left to whoever needs it: what stands there is the pseudo header's sum.
      byte[] empty = new byte[0];
      int pseudo = ~Frames.transportChecksum(local, remote, 6, empty) & 0xFFFF;
      sum = pseudo + out.limit();
      sum = (sum & 0xFFFF) + (sum >>> 16);
      boolean cut = payload.length > segmentSize;
      offload =
          new Offload(
              true,
              v4 ? 34 : 54,
              16,
              cut ? v4 ? Segmentation.TCP_V4 : Segmentation.TCP_V6 : Segmentation.NONE,
              cut ? segmentSize : 0);
    }
    out.putShort(16, (short) sum);
    guest.send(Frames.ip(local, remote, 6, out.array()), offload);
  }
}

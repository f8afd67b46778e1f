package org.javisor.network.measure;

import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.fake.Frames;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;

/**
 * One TCP connection of a guest that does the least a guest can do, so that the network is what is
 * measured. It copies payloads to and from a "guest memory" as a card must. Lossless wires only.
 */
final class FastGuest {
  /** Where frames go. */
  interface Wire {
    void send(ByteBuffer frame, Offload offload);
  }

  private static final int TCP = 34;
  private static final int PAYLOAD = TCP + 20;
  private static final int WINDOW = 4 << 20;
  private static final int SCALE = 7;
  private static final int MSS = 1460;

  private final Wire wire;
  private final boolean large;
  private final int remotePort;
  private final int localPort;
  private final ByteBuffer frame = ByteBuffer.allocateDirect(70_000);
  private final ByteBuffer memory = ByteBuffer.allocateDirect(70_000);
  private final Offload checksum = Offload.checksum(TCP, 16);
  private final Offload segments = new Offload(true, TCP, 16, Segmentation.TCP_V4, MSS);
  final CountDownLatch established = new CountDownLatch(1);
  private int next = 1;
  private int acknowledged = 1;
  private int peerNext;
  private int told;
  private int peerScale;
  private long peerWindow;
  final AtomicLong received = new AtomicLong();
  /** Bytes to be sent in all. */
  final AtomicLong goal = new AtomicLong();
  private long sent;

  FastGuest(Wire wire, boolean large, int localPort, int remotePort) {
    this.wire = wire;
    this.large = large;
    this.localPort = localPort;
    this.remotePort = remotePort;
  }

  void connect() {
    byte[] options = {2, 4, (byte) (MSS >> 8), (byte) (MSS & 0xFF), 1, 3, 3, SCALE};
    frame.clear().put(PAYLOAD, options);
    next = 0;
    emit(2, options.length, 20 + options.length, 0);
    next = 1;
  }

  /** Takes a frame; the caller ends a burst with {@link #endOfBurst}. */
  void receive(ByteBuffer in) {
    int at = in.position();
    if (Bytes.u16(in, at + 12) == 0x0806) {
      arp(in, at);
      return;
    }
    if (Bytes.u16(in, at + 12) != 0x0800 || in.get(at + 23) != 6) {
      return;
    }
    int tcp = at + 34;
    int flags = in.get(tcp + 13);
    if ((flags & 4) != 0) {
      throw new AssertionError("reset");
    }
    int header = (in.get(tcp + 12) & 0xFF) / 16 * 4;
    if ((flags & 2) != 0) {
      for (int i = tcp + 20; i < tcp + header; i += in.get(i) == 1 ? 1 : in.get(i + 1)) {
        if (in.get(i) == 3) {
          peerScale = in.get(i + 2);
        }
      }
      peerNext = Bytes.i32(in, tcp + 4) + 1;
      told = peerNext - 1;
      peerWindow = Bytes.u16(in, tcp + 14);
      established.countDown();
      return;
    }
    acknowledged = Bytes.i32(in, tcp + 8);
    peerWindow = (long) Bytes.u16(in, tcp + 14) << peerScale;
    int payload = at + 14 + Bytes.u16(in, at + 16) - tcp - header;
    if (payload > 0) {
      if (Bytes.i32(in, tcp + 4) != peerNext) {
        return;
      }
      memory.put(0, in, tcp + header, payload);
      peerNext += payload;
      received.addAndGet(payload);
    }
  }

  void endOfBurst() {
    pump();
    if (peerNext - told > 0) {
      emit(16, 0, 20, next);
    }
  }

  /** Sends as much as is to be sent and the window allows. */
  void pump() {
    int most = large ? 44 * MSS : MSS;
    while (sent < goal.get()) {
      long room = peerWindow - (next - acknowledged);
      int length = (int) Math.min(Math.min(goal.get() - sent, room), most);
      if (length <= 0 || length < MSS && length < goal.get() - sent) {
        return;
      }
      frame.clear().put(PAYLOAD, memory, 0, length);
      emit(24, length, 20, next);
      next += length;
      sent += length;
    }
  }

  private void emit(int flags, int length, int header, int sequence) {
    int tcpLength = header == 20 ? header + length : header;
    frame.clear();
    Bytes.put48(frame, 0, Frames.ROUTER_MAC);
    Bytes.put48(frame, 6, Frames.GUEST_MAC);
    Bytes.put16(frame, 12, 0x0800);
    Bytes.put32(frame, 14, 0x4500_0000 | 20 + tcpLength);
    Bytes.put32(frame, 18, 0x4000);
    Bytes.put32(frame, 22, 64 << 24 | 6 << 16);
    Bytes.put32(frame, 26, 0x0A00_020F);
    Bytes.put32(frame, 30, 0x0A00_0202);
    Bytes.put16(frame, 24, Checksum.finish(Checksum.add(0, frame, 14, 20)));
    Bytes.put32(frame, TCP, localPort << 16 | remotePort);
    Bytes.put32(frame, TCP + 4, sequence);
    Bytes.put32(frame, TCP + 8, peerNext);
    Bytes.put16(frame, TCP + 12, header / 4 << 12 | flags);
    Bytes.put16(frame, TCP + 14, (flags & 2) != 0 ? 0xFFFF : WINDOW >> SCALE);
    Bytes.put32(frame, TCP + 16, 0);
    told = peerNext;
    long pseudo = Checksum.pseudo4(0x0A00_020F, 0x0A00_0202, 6, tcpLength);
    frame.limit(TCP + tcpLength);
    if (large) {
      Bytes.put16(frame, TCP + 16, Checksum.fold(pseudo));
      wire.send(frame, tcpLength - header > MSS ? segments : checksum);
    } else {
      Bytes.put16(
          frame, TCP + 16, Checksum.finish(Checksum.add(pseudo, frame, TCP, tcpLength)));
      wire.send(frame, Offload.NONE);
    }
  }

  private void arp(ByteBuffer in, int at) {
    if (Bytes.u16(in, at + 20) == 1 && Bytes.i32(in, at + 38) == 0x0A00_020F) {
      frame.clear();
      Bytes.put48(frame, 0, Frames.ROUTER_MAC);
      Bytes.put48(frame, 6, Frames.GUEST_MAC);
      Bytes.put16(frame, 12, 0x0806);
      Bytes.put64(frame, 14, 0x0001_0800_0604_0002L);
      Bytes.put48(frame, 22, Frames.GUEST_MAC);
      Bytes.put32(frame, 28, 0x0A00_020F);
      Bytes.put48(frame, 32, Bytes.u48(in, at + 22));
      Bytes.put32(frame, 38, Bytes.i32(in, at + 28));
      frame.limit(42);
      wire.send(frame, Offload.NONE);
    }
  }
}

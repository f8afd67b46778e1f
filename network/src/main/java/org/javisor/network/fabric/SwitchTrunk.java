package org.javisor.network.fabric;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadCache;
import org.javisor.network.OffloadSupport;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;

/**
 * A cable between two switches over a UNIX stream socket. Each side first sends {@value #HELLO} as
 * eight bytes. Then frames follow, each after 12 bytes in network byte order:
 *
 * <table>
 *   <caption>What stands before a frame</caption>
 *   <tr><td>0</td><td>32 bits</td><td>length of the frame in bytes</td></tr>
 *   <tr><td>4</td><td>8 bits</td><td>1 if a checksum is needed</td></tr>
 *   <tr><td>5</td><td>8 bits</td><td>segmentation: 0 none, 1 TCPv4, 2 TCPv6</td></tr>
 *   <tr><td>6</td><td>16 bits</td><td>segment size</td></tr>
 *   <tr><td>8</td><td>16 bits</td><td>checksum start</td></tr>
 *   <tr><td>10</td><td>16 bits</td><td>checksum offset</td></tr>
 * </table>
 *
 * <p>What does not fit into the buffer is dropped, as everywhere in Ethernet. A peer that breaks the
 * rules is cut off.
 */
final class SwitchTrunk implements ChannelHandler, FrameReceiver, AutoCloseable {
  static final long HELLO = 0x4A56_5357_4954_0001L;
  private static final int PREFIX = 12;
  private static final int BUFFER = 512 << 10;
  private static final Segmentation[] KINDS = Segmentation.values();

  private final NetworkLoop loop;
  private final SocketChannel channel;
  private final NetworkPort port;
  private final Runnable whenClosed;
  private final OffloadCache offloads = new OffloadCache();
  private final ByteBuffer in = ByteBuffer.allocateDirect(BUFFER);
  private final ByteBuffer out = ByteBuffer.allocateDirect(BUFFER);
  private final SelectionKey key;
  private boolean greeted;
  private boolean refused;
  private boolean closed;

  /** @param whenClosed run once, when the other side is gone or this one closes */
  SwitchTrunk(NetworkLoop loop, SocketChannel channel, NetworkPort port, Runnable whenClosed)
      throws IOException {
    this.loop = loop;
    this.channel = channel;
    this.port = port;
    this.whenClosed = whenClosed;
    key = loop.register(channel, SelectionKey.OP_READ, this);
    Bytes.put64(out, 0, HELLO);
    out.position(8);
    port.connect(this);
    flush();
  }

  @Override
  public OffloadSupport offloads() {
    return OffloadSupport.ALL; // the other switch does what its ports cannot
  }

  // ---- To the other process

  @Override
  public boolean receive(ByteBuffer frame, Offload offload) {
    int length = frame.remaining();
    if (out.remaining() < PREFIX + length) {
      flush();
    }
    if (closed || out.remaining() < PREFIX + length) {
      refused = true;
      return false;
    }
    int at = out.position();
    Bytes.put32(out, at, length);
    Bytes.put8(out, at + 4, offload.checksumNeeded() ? 1 : 0);
    Bytes.put8(out, at + 5, offload.segmentation().ordinal());
    Bytes.put16(out, at + 6, offload.segmentSize());
    Bytes.put16(out, at + 8, offload.checksumStart());
    Bytes.put16(out, at + 10, offload.checksumOffset());
    out.put(at + PREFIX, frame, frame.position(), length);
    out.position(at + PREFIX + length);
    return true;
  }

  @Override
  public void endOfBurst() {
    flush();
  }

  private void flush() {
    if (closed) {
      return;
    }
    out.flip();
    try {
      channel.write(out);
    } catch (IOException e) {
      out.clear();
      close();
      return;
    }
    boolean left = out.hasRemaining();
    out.compact();
    loop.interest(
        key, left ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ);
    if (!left && refused) {
      refused = false;
      port.receiverReady();
    }
  }

  // ---- From the other process

  @Override
  public void ready(SelectionKey ready) {
    if (ready.isWritable()) {
      flush();
    }
    if (!closed && ready.isReadable()) {
      read();
    }
  }

  private void read() {
    try {
      if (channel.read(in) < 0) {
        close();
        return;
      }
    } catch (IOException e) {
      close();
      return;
    }
    in.flip();
    if (!takeAll()) {
      close();
    }
    in.compact();
  }

  /** @return false if the peer breaks the rules */
  private boolean takeAll() {
    if (!greeted) {
      if (in.remaining() < 8) {
        return true;
      }
      if (Bytes.i64(in, in.position()) != HELLO) {
        return false;
      }
      greeted = true;
      in.position(in.position() + 8);
    }
    int end = in.limit();
    while (end - in.position() >= PREFIX) {
      int at = in.position();
      long length = Bytes.u32(in, at);
      int kind = Bytes.u8(in, at + 5);
      if (length < Headers.ETHERNET || length > NetworkPort.MAX_FRAME || kind >= KINDS.length) {
        return false;
      }
      int frame = at + PREFIX;
      int next = frame + (int) length;
      if (next > end) {
        break;
      }
      Offload offload =
          offloads.get(
              Bytes.u8(in, at + 4) != 0,
              Bytes.u16(in, at + 8),
              Bytes.u16(in, at + 10),
              KINDS[kind],
              Bytes.u16(in, at + 6));
      in.limit(next).position(frame);
      port.send(in, offload);
      in.limit(end).position(next);
    }
    return true;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      loop.release(channel);
      port.close();
      whenClosed.run();
    }
  }
}

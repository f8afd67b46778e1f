package org.javisor.network.ip;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * Puts the fragments of a packet together (RFC 791, section 3.2; RFC 8200, section 4.5). A packet
 * whose fragments overlap is dropped whole (RFC 5722), for both versions: no honest sender makes one.
 * At most {@value #MAX_PACKETS} packets at a time, each for at most 30 seconds; the oldest makes room.
 */
public final class Reassembler {
  static final int MAX_PACKETS = 16;
  private static final long TIMEOUT_NANOS = 30_000_000_000L;
  private static final int BLOCK = 8;

  private record Key(IpAddress source, IpAddress destination, int protocol, int identification) {}

  /** A packet that still lacks fragments. Its bytes stand where they will be in the whole frame. */
  private static final class Partial {
    final ByteBuffer frame;
    final BitSet blocks = new BitSet();
    long expires;
    /** Bytes of payload, known when the last fragment has come; -1 before. */
    int length = -1;
    /** Set when the packet is beyond help: its remaining fragments are to be dropped too. */
    boolean poisoned;

    Partial(ByteBuffer frame) {
      this.frame = frame;
    }
  }

  private final NetworkLoop loop;
  private final LoopTimer sweep;
  private final Map<Key, Partial> partials = new LinkedHashMap<>();
  private final Deque<ByteBuffer> spare = new ArrayDeque<>();

  public Reassembler(NetworkLoop loop) {
    this.loop = loop;
    this.sweep = loop.timer(this::expire);
  }

  public int size() {
    return partials.size();
  }

  /**
   * Adds a fragment.
   *
   * @return the whole frame, valid until the next call, or null while something is missing
   */
  public ByteBuffer add(Packet packet) {
    Key key =
        new Key(
            packet.source(), packet.destination(), packet.protocol(), packet.identification());
    Partial partial = partials.get(key);
    if (partial == null) {
      partial = start(key);
    }
    if (!partial.poisoned && !store(partial, packet)) {
      partial.poisoned = true;
    }
    if (partial.poisoned || !complete(partial)) {
      return null;
    }
    partials.remove(key);
    spare.add(partial.frame);
    return finish(partial, packet);
  }

  private Partial start(Key key) {
    if (partials.size() == MAX_PACKETS) {
      Iterator<Partial> oldest = partials.values().iterator();
      spare.add(oldest.next().frame);
      oldest.remove();
    }
    ByteBuffer frame = spare.poll();
    if (frame == null) {
      frame = ByteBuffer.allocateDirect(Headers.ETHERNET + Headers.IPV6 + 65_536);
    }
    Partial partial = new Partial(frame);
    partial.expires = loop.now() + TIMEOUT_NANOS;
    partials.put(key, partial);
    if (!sweep.isSet()) {
      sweep.set(partial.expires);
    }
    return partial;
  }

  private static int payloadStart(boolean v6) {
    return Headers.ETHERNET + (v6 ? Headers.IPV6 : Headers.IPV4);
  }

  /** @return false if the fragment is a lie */
  private static boolean store(Partial partial, Packet packet) {
    int offset = packet.fragmentOffset();
    int length = packet.transportLength();
    int last = offset + length;
    int largest = packet.isV6() ? 65_535 : 65_535 - Headers.IPV4;
    if (length == 0
        || last > largest
        || packet.moreFragments() && length % BLOCK != 0
        || partial.length >= 0 && last > partial.length) {
      return false;
    }
    int firstBlock = offset / BLOCK;
    int endBlock = (last + BLOCK - 1) / BLOCK;
    int next = partial.blocks.nextSetBit(firstBlock);
    if (next >= 0 && next < endBlock) {
      return false;
    }
    if (!packet.moreFragments()) {
      if (partial.length >= 0 || partial.blocks.length() > endBlock) {
        return false;
      }
      partial.length = last;
    }
    partial.blocks.set(firstBlock, endBlock);
    partial.frame.put(
        payloadStart(packet.isV6()) + offset, packet.buffer(), packet.transport(), length);
    return true;
  }

  private static boolean complete(Partial partial) {
    return partial.length >= 0
        && partial.blocks.nextClearBit(0) * BLOCK >= partial.length;
  }

  /** Writes the headers of the packet as it was before it was cut. */
  private static ByteBuffer finish(Partial partial, Packet packet) {
    ByteBuffer frame = partial.frame;
    int start = payloadStart(packet.isV6());
    int ip = Headers.ETHERNET;
    frame.clear();
    frame.put(0, packet.buffer(), packet.ip() - Headers.ETHERNET, start);
    if (packet.isV6()) {
      Bytes.put16(frame, ip + 4, partial.length);
      Bytes.put8(frame, ip + 6, packet.protocol());
    } else {
      Bytes.put8(frame, ip, 0x45);
      Bytes.put16(frame, ip + 2, Headers.IPV4 + partial.length);
      Bytes.put16(frame, ip + 6, 0);
      Bytes.put16(frame, ip + 10, 0);
      Bytes.put16(frame, ip + 10, Checksum.finish(Checksum.add(0, frame, ip, Headers.IPV4)));
    }
    return frame.limit(start + partial.length);
  }

  private void expire() {
    long now = loop.now();
    Iterator<Partial> all = partials.values().iterator();
    while (all.hasNext()) {
      Partial partial = all.next();
      if (partial.expires > now) {
        sweep.set(partial.expires);
        return;
      }
      spare.add(partial.frame);
      all.remove();
    }
  }
}

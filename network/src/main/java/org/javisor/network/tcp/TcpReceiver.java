package org.javisor.network.tcp;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;

/**
 * One connection's bytes from the guest to the host socket. What arrives in order is written to the
 * socket straight from the frame; what the socket does not take, and what arrives out of order, waits
 * in a ring. The window shrinks by what waits, so the guest is slowed to the pace of the far host.
 */
final class TcpReceiver {
  /** The most bytes that may wait. */
  static final int WINDOW = 512 << 10;
  /** Our window scale: the window field counts units of 128 bytes. */
  static final int SCALE = 7;

  private static final int MAX_RANGES = 8;

  private final ByteRing ring;
  private WritableByteChannel channel;
  /** The next sequence number wanted, and the end of the window last offered. */
  private int next;
  private int offered;
  private int lastAcknowledged;
  private int scale;
  /** Ranges of bytes received beyond {@link #next}, sorted and apart: starts and ends by turns. */
  private final int[] ranges = new int[2 * MAX_RANGES];
  private int rangeCount;
  private boolean finSeen;
  private int finAt;
  private boolean finReceived;

  TcpReceiver(RingPool pool) {
    ring = new ByteRing(pool);
  }

  /**
   * The guest's SYN has come.
   *
   * @param scaled whether the guest scales windows too
   */
  void start(WritableByteChannel hostChannel, int synSequence, boolean scaled) {
    channel = hostChannel;
    next = synSequence + 1;
    lastAcknowledged = next;
    scale = scaled ? SCALE : 0;
    offered = next + Math.min(WINDOW, 0xFFFF << scale);
  }

  int next() {
    return next;
  }

  boolean finReceived() {
    return finReceived;
  }

  /** Bytes the host socket has not taken yet. */
  int waiting() {
    return ring.size();
  }

  /** Bytes the guest has not been told of. */
  int unacknowledged() {
    return next - lastAcknowledged;
  }

  int rangeCount() {
    return rangeCount;
  }

  /** Start (even index) or end (odd) of a range received out of order. */
  int range(int index) {
    return ranges[index];
  }

  /** Whether a segment lies in the window, at least in part (RFC 9293, section 3.10.7.4). */
  boolean isAcceptable(int sequence, int length) {
    int window = offered - next;
    if (length == 0) {
      return window == 0 ? sequence == next : inWindow(sequence, window);
    }
    return window > 0 && (inWindow(sequence, window) || inWindow(sequence + length - 1, window));
  }

  private boolean inWindow(int sequence, int window) {
    return Integer.compareUnsigned(sequence - next, window) < 0;
  }

  /** The window field of a segment that is being sent now; the guest may rely on it from then on. */
  int offer() {
    offered = Sequence.later(offered, next + freeWindow());
    lastAcknowledged = next;
    return Math.min(offered - next >>> scale, 0xFFFF);
  }

  private int freeWindow() {
    return Math.min(WINDOW - ring.size(), 0xFFFF << scale);
  }

  /** Whether the window has opened so far that the guest should hear of it. */
  boolean windowWorthTelling() {
    int gain = next + freeWindow() - offered;
    return gain >= WINDOW / 4 || ring.size() == 0 && gain > 0 && offered - next < WINDOW / 4;
  }

  /**
   * Takes the payload and FIN of an acceptable segment.
   *
   * @return whether the guest should be answered at once: something was out of order, or it is
   *     finished
   * @throws IOException when the host socket is broken
   */
  boolean accept(TcpSegment segment) throws IOException {
    int sequence = segment.sequence();
    int from = segment.payload();
    int length = segment.payloadLength();
    boolean fin = segment.isFin();
    if (Sequence.before(sequence, next)) {
      int known = Math.min(next - sequence, length);
      sequence += known;
      from += known;
      length -= known;
    }
    if (Sequence.after(sequence + length, offered)) {
      length = offered - sequence;
      fin = false;
    }
    if (finSeen && Sequence.after(sequence + length, finAt)) {
      return true; // bytes behind the end: a liar, to whom they are simply lost
    }
    if (fin && !finSeen) {
      finSeen = true;
      finAt = sequence + length;
    }
    boolean answer = rangeCount > 0;
    if (length > 0) {
      if (sequence == next) {
        answer |= !takeInOrder(segment.buffer(), from, length);
      } else {
        keep(sequence, segment.buffer(), from, length);
        answer = true;
      }
    }
    if (finSeen && !finReceived && next == finAt) {
      finReceived = true;
      next++;
      answer = true;
    }
    return answer || fin;
  }

  /** @return false if there was no memory for all of it */
  private boolean takeInOrder(ByteBuffer source, int from, int length) throws IOException {
    int written = ring.size() == 0 ? write(source, from, length) : 0;
    int rest = length - written;
    if (written > 0) {
      if (rangeCount > 0) {
        // What waits out of order stands relative to the ring's start, which stands for `next`.
        ring.consumeAhead(written);
      }
      next += written;
    }
    boolean kept = true;
    if (rest > 0) {
      kept = ring.reserve(ring.size() + rest);
      if (kept) {
        ring.put(ring.size(), source, from + written, rest);
        ring.extend(rest);
        next += rest;
      }
    }
    absorbRanges();
    releaseIfIdle();
    return kept;
  }

  private int write(ByteBuffer source, int from, int length) throws IOException {
    int position = source.position();
    int limit = source.limit();
    source.limit(from + length).position(from);
    try {
      return channel.write(source);
    } finally {
      source.limit(limit).position(position);
    }
  }

  /** Keeps bytes that arrived too early, if there is memory and a range free. */
  private void keep(int sequence, ByteBuffer source, int from, int length) {
    int offset = ring.size() + (sequence - next);
    if (!ring.reserve(offset + length) || !addRange(sequence, sequence + length)) {
      return;
    }
    ring.put(offset, source, from, length);
  }

  private boolean addRange(int start, int end) {
    int at = 0;
    while (at < rangeCount && Sequence.before(ranges[2 * at + 1], start)) {
      at++;
    }
    // All ranges from `at` to `to` touch the new one and become part of it.
    int to = at;
    while (to < rangeCount && !Sequence.after(ranges[2 * to], end)) {
      start = Sequence.before(ranges[2 * to], start) ? ranges[2 * to] : start;
      end = Sequence.later(end, ranges[2 * to + 1]);
      to++;
    }
    if (to == at && rangeCount == MAX_RANGES) {
      return false;
    }
    System.arraycopy(ranges, 2 * to, ranges, 2 * (at + 1), 2 * (rangeCount - to));
    rangeCount += 1 - (to - at);
    ranges[2 * at] = start;
    ranges[2 * at + 1] = end;
    return true;
  }

  /** Ranges that are no longer too early become ordinary waiting bytes. */
  private void absorbRanges() {
    int done = 0;
    while (done < rangeCount && !Sequence.after(ranges[2 * done], next)) {
      int end = ranges[2 * done + 1];
      if (Sequence.after(end, next)) {
        ring.extend(end - next);
        next = end;
      }
      done++;
    }
    if (done > 0) {
      System.arraycopy(ranges, 2 * done, ranges, 0, 2 * (rangeCount - done));
      rangeCount -= done;
    }
  }

  /**
   * Writes what waits, as far as the socket takes it.
   *
   * @throws IOException when the host socket is broken
   */
  void flush() throws IOException {
    if (ring.size() > 0) {
      ring.writeTo(channel);
    }
    releaseIfIdle();
  }

  private void releaseIfIdle() {
    if (ring.size() == 0 && rangeCount == 0) {
      ring.release();
    }
  }

  void release() {
    ring.release();
    rangeCount = 0;
  }
}

package org.javisor.network.tcp;

import java.io.IOException;
import java.nio.channels.ReadableByteChannel;
import org.javisor.network.packet.Headers;

/**
 * One connection's bytes from the host socket to the guest. They wait in a ring until the guest has
 * acknowledged them; when the ring is full, the socket is not read, and the far host's window closes.
 *
 * <p>Loss is rare between a router and a guest in one process, so there is no slow start: the guest's
 * window alone limits what is sent, until something is lost. From then on it is NewReno (RFC 5681,
 * RFC 6582): fast retransmit and recovery, and going back to the oldest byte after a time-out.
 */
final class TcpSender {
  /** Who puts segments on the link. */
  interface Output {
    /**
     * Sends a piece of the ring.
     *
     * @return false if the guest has no room now
     */
    boolean data(ByteRing ring, int offset, int length, int sequence, int flags);

    /** The most payload of one segment, cut by the guest's card or not. */
    int largestPayload();

    long now();
  }

  /** Bytes read from the socket in one go, so that one connection does not starve the others. */
  private static final int READ_BURST = 256 << 10;

  private static final int UNLIMITED = 1 << 30;
  private static final int DUPLICATES = 3;

  private final ByteRing ring;
  private final Output output;
  private final RetransmissionTimeout timeout = new RetransmissionTimeout();
  private final int initial;
  private int segmentSize;

  /** Oldest byte not acknowledged, next to send, and the highest ever sent. */
  private int unacknowledged;
  private int next;
  private int highest;
  /** The sequence number of the ring's oldest byte. */
  private int ringStart;

  private int window;
  private int scale;
  private int windowSequence;
  private int windowAcknowledgement;

  private int congestionWindow = UNLIMITED;
  private int slowStartThreshold = UNLIMITED;
  private int duplicates;
  private boolean recovering;
  /** The highest byte sent when the last loss was noticed. */
  private int recover;

  private boolean timing;
  private int timedSequence;
  private long timedSince;

  private boolean endOfInput;
  private boolean finSent;
  private boolean finAcknowledged;

  /** @param initial sequence number of our SYN */
  TcpSender(RingPool pool, Output output, int initial) {
    this.ring = new ByteRing(pool);
    this.output = output;
    this.initial = initial;
    unacknowledged = initial;
    next = initial;
    highest = initial;
    recover = initial;
    ringStart = initial + 1;
  }

  /** The guest's SYN says what it can take. */
  void start(int guestSegmentSize, int windowScale, TcpSegment syn) {
    segmentSize = guestSegmentSize;
    scale = windowScale;
    window = syn.window();
    windowSequence = syn.sequence();
    windowAcknowledgement = syn.acknowledgement();
  }

  int initial() {
    return initial;
  }

  int next() {
    return next;
  }

  int unacknowledged() {
    return unacknowledged;
  }

  int segmentSize() {
    return segmentSize;
  }

  /** Our SYN was sent; it is acknowledged like a byte. */
  void synSent() {
    if (next == initial) {
      next++;
      highest = next;
      timing = true;
      timedSequence = next;
      timedSince = output.now();
    } else {
      timing = false; // sent again: no telling which one is acknowledged
    }
  }

  boolean acknowledgesSyn(TcpSegment segment) {
    return segment.acknowledgement() == initial + 1;
  }

  long timeoutNanos() {
    return timeout.nanos();
  }

  void backOff() {
    timeout.backOff();
  }

  boolean finSent() {
    return finSent;
  }

  boolean finAcknowledged() {
    return finAcknowledged;
  }

  boolean endOfInput() {
    return endOfInput;
  }

  /** Whether something was sent that the guest has not acknowledged. */
  boolean inFlight() {
    return unacknowledged != highest;
  }

  /** Whether bytes wait for the guest to open its window, and nothing on its way will tell. */
  boolean needsProbe() {
    return !inFlight() && ring.size() > 0 && window == 0;
  }

  /** Whether there is room to read more from the socket. */
  boolean hasRoom() {
    return !endOfInput && (ring.size() < RingPool.LARGEST);
  }

  /**
   * Reads what the socket has and the ring can take.
   *
   * @return false if reading must stop for now: the ring is full, or the input has ended
   * @throws IOException when the host socket is broken
   */
  boolean readFrom(ReadableByteChannel channel) throws IOException {
    int total = 0;
    while (total < READ_BURST) {
      if (ring.free() == 0 && !ring.reserve(ring.size() + 1)) {
        return false;
      }
      int space = Math.min(ring.free(), ring.contiguous(ring.size()));
      int read = ring.readFrom(channel);
      if (read < 0) {
        endOfInput = true;
        return false;
      }
      total += read;
      if (read < space) {
        break;
      }
    }
    if (ring.size() == 0) {
      ring.release();
    }
    return true;
  }

  /** Sends what window and congestion allow. */
  boolean send() {
    while (true) {
      int offset = next - ringStart;
      int available = ring.size() - offset;
      if (available < 0) {
        return true; // the FIN has been sent
      }
      int flight = next - unacknowledged;
      int usable = Math.max(Math.min(window, congestionWindow) - flight, 0);
      int length = Math.min(Math.min(available, usable), output.largestPayload());
      // No silly small segments while larger ones are on their way (RFC 9293, section 3.8.6.2.1).
      if (length < available && length < segmentSize && flight > 0) {
        return true;
      }
      if (length > 0) {
        length = Math.min(length, ring.contiguous(offset));
      }
      boolean fin = endOfInput && length == available;
      if (length == 0 && !fin) {
        return true;
      }
      if (!sendPiece(offset, length, fin)) {
        return false;
      }
    }
  }

  private boolean sendPiece(int offset, int length, boolean fin) {
    int flags = Headers.ACK;
    if (offset + length == ring.size()) {
      flags |= Headers.PSH;
    }
    if (fin) {
      flags |= Headers.FIN;
    }
    if (!output.data(ring, offset, length, ringStart + offset, flags)) {
      return false;
    }
    int end = ringStart + offset + length + (fin ? 1 : 0);
    boolean isNew = Sequence.after(end, highest);
    if (isNew && !timing && next == highest) {
      timing = true;
      timedSequence = end;
      timedSince = output.now();
    }
    finSent |= fin;
    next = end;
    highest = Sequence.later(highest, end);
    return true;
  }

  /**
   * Takes the acknowledgement and window of an acceptable segment.
   *
   * @return false if it acknowledges what was never sent
   */
  boolean acknowledge(TcpSegment segment) {
    int ack = segment.acknowledgement();
    if (Sequence.after(ack, highest)) {
      return false;
    }
    if (Sequence.after(ack, unacknowledged)) {
      advance(ack);
      updateWindow(segment);
    } else if (ack == unacknowledged) {
      int before = window;
      updateWindow(segment);
      if (segment.length() == 0 && window == before && inFlight()) {
        duplicate();
      }
    }
    return true;
  }

  private void updateWindow(TcpSegment segment) {
    int sequence = segment.sequence();
    int ack = segment.acknowledgement();
    if (Sequence.before(windowSequence, sequence)
        || windowSequence == sequence && !Sequence.after(windowAcknowledgement, ack)) {
      window = segment.window() << scale;
      windowSequence = sequence;
      windowAcknowledgement = ack;
    }
  }

  private void advance(int ack) {
    int acknowledged = ack - unacknowledged;
    if (timing && !Sequence.before(ack, timedSequence)) {
      timing = false;
      timeout.sample(output.now() - timedSince);
    }
    timeout.progress();
    int bytes = Math.clamp(ack - ringStart, 0, ring.size());
    ring.consume(bytes);
    ringStart += bytes;
    if (ring.size() == 0) {
      ring.release();
    }
    if (finSent && ack == ringStart + ring.size() + 1) {
      finAcknowledged = true;
    }
    unacknowledged = ack;
    next = Sequence.later(next, ack);
    duplicates = 0;
    if (!recovering) {
      growWindow(acknowledged);
    } else if (!Sequence.before(ack, recover)) {
      recovering = false;
      congestionWindow = slowStartThreshold;
    } else {
      // Part of what was out is there: the next hole begins here.
      congestionWindow = Math.max(congestionWindow - acknowledged, 0) + segmentSize;
      resendOldest();
    }
  }

  private void growWindow(int acknowledged) {
    if (congestionWindow >= UNLIMITED) {
      return;
    }
    congestionWindow +=
        congestionWindow < slowStartThreshold
            ? acknowledged
            : Math.max(1, (int) ((long) segmentSize * segmentSize / congestionWindow));
  }

  private void duplicate() {
    duplicates++;
    if (recovering) {
      congestionWindow = Math.min(congestionWindow + segmentSize, UNLIMITED);
    } else if (duplicates == DUPLICATES && Sequence.after(unacknowledged, recover)) {
      recovering = true;
      recover = highest;
      slowStartThreshold = Math.max((highest - unacknowledged) / 2, 2 * segmentSize);
      congestionWindow = slowStartThreshold + DUPLICATES * segmentSize;
      resendOldest();
    }
  }

  private void resendOldest() {
    timing = false;
    int offset = unacknowledged - ringStart;
    int length = Math.min(ring.size() - offset, segmentSize);
    if (length < 0 || length == 0 && !finSent) {
      return;
    }
    length = length == 0 ? 0 : Math.min(length, ring.contiguous(offset));
    int resume = next;
    boolean fin = finSent && offset + length == ring.size();
    if (sendPiece(offset, length, fin)) {
      next = Sequence.later(resume, next);
    }
  }

  /** Nothing was acknowledged in time: everything from the oldest byte on is sent again, slowly. */
  void timedOut() {
    timing = false;
    timeout.backOff();
    slowStartThreshold = Math.max((highest - unacknowledged) / 2, 2 * segmentSize);
    congestionWindow = segmentSize;
    recovering = false;
    recover = highest;
    duplicates = 0;
    next = unacknowledged;
  }

  void release() {
    ring.release();
  }

  @Override
  public String toString() {
    return "waiting " + ring.size() + ", in flight " + (highest - unacknowledged) + ", next "
        + (next - unacknowledged) + ", window " + window + ", congestion window " + congestionWindow
        + (recovering ? ", recovering" : "") + (endOfInput ? ", ended" : "");
  }
}

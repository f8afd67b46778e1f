package org.javisor.network;

import java.nio.ByteBuffer;

/**
 * One side of a cable: what a network card is plugged into.
 *
 * <p>A frame is an Ethernet II frame without preamble and frame check sequence: 14 to {@value
 * #MAX_FRAME} bytes, from the buffer's position to its limit. The buffer's byte order does not
 * matter. A frame longer than the link's MTU and 14 bytes is allowed only with an {@link Offload}
 * that says how it is to be cut.
 *
 * <p>Every port belongs to a network, and the network has one thread, on which everything happens one
 * after the other; frames to the guest arrive on it. While it sleeps, a thread that rings a {@link
 * #doorbell} or sends a frame may do its work for it, and is "the network's thread" for that time. So
 * do not call this interface while holding a lock that the card's {@link FrameReceiver} or doorbell
 * action waits for on another thread.
 *
 * <p>Frames from the guest may be sent from any thread; on the network's own they are processed at
 * once and without being copied, from another one they are copied to it. A card that cares for speed
 * therefore works off its transmit queue in a doorbell.
 */
public interface NetworkPort extends AutoCloseable {
  /** Bytes of the largest frame: an Ethernet header and the largest IP packet. */
  int MAX_FRAME = 14 + 65_535;

  /**
   * Sends a frame of the guest. Never blocks. The frame is only read, during the call, and its
   * position is left alone; what is kept is copied. Its bytes must not change meanwhile: a card
   * copies a frame out of guest memory first, so that what was checked is what is used.
   *
   * <p>Like a cable, this may lose the frame: it is malformed, or a queue is full. {@link
   * #statistics} counts it.
   */
  void send(ByteBuffer frame, Offload offload);

  /**
   * Says where frames to the guest go. A second call replaces the receiver. When the call returns on
   * another thread than the network's, the old receiver may still be inside of one call.
   *
   * @param receiver who gets them, or null to have them dropped
   */
  void connect(FrameReceiver receiver);

  /**
   * Says that a receiver which returned false has room again. May be called from any thread, more
   * often than needed, and from within {@link FrameReceiver#receive}.
   */
  void receiverReady();

  /**
   * Has the network's thread run something when it is rung. Meant for a card's transmit queue: the
   * guest's notification rings, the action takes the frames out of guest memory and {@link #send}s
   * them.
   *
   * @param action must not block
   */
  Doorbell doorbell(Runnable action);

  /** What passed and what was lost so far. */
  PortStatistics statistics();

  /** Unplugs. Frames sent from now on are dropped; the receiver is called no more. */
  @Override
  void close();

  /** Something the network's thread does when asked to. */
  interface Doorbell {
    /**
     * Has the action run soon, once, however often this is called before it starts; perhaps before
     * this returns. From any thread; never blocks, never allocates.
     */
    void ring();
  }
}

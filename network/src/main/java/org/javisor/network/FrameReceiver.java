package org.javisor.network;

import java.nio.ByteBuffer;

/** Takes frames to a guest: the receiving half of a network card. Called on the network's thread. */
@FunctionalInterface
public interface FrameReceiver {
  /**
   * Takes a frame. Its bytes are the receiver's to read only until the call returns, and not to
   * write.
   *
   * <p>A receiver without room returns false and must later call {@link NetworkPort#receiverReady}.
   * It first asks the guest to be told of new buffers and then looks once more, so that none can slip
   * in between. The network keeps what it can keep (TCP data stays in its socket) and drops the
   * rest.
   *
   * @param offload never more than {@link #offloads} allows
   * @return whether the guest has the frame now
   */
  boolean receive(ByteBuffer frame, Offload offload);

  /**
   * A burst has ended: no more frames come before the network waits for something. The place to raise
   * one interrupt for all of them. It is not called in every wake-up of the network, but always after
   * the last of one or more frames.
   */
  default void endOfBurst() {}

  /** What this receiver can take now. It may change when a guest's driver starts again. */
  default OffloadSupport offloads() {
    return OffloadSupport.NONE;
  }
}

package org.javisor.network.loop;

import java.nio.channels.SelectionKey;

/** Attached to a channel that is registered with a {@link NetworkLoop}. */
@FunctionalInterface
public interface ChannelHandler {
  /** The channel can do what was asked for. Errors of the channel are the handler's own business. */
  void ready(SelectionKey key);
}

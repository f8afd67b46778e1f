package org.javisor.network.user;

import java.net.InetSocketAddress;
import org.javisor.network.packet.IpAddress;

/**
 * A port of the host that leads to a port of the guest.
 *
 * @param protocol TCP or UDP
 * @param listen the host's address and port; port 0 lets the host choose
 * @param guest the guest's address, or null for the conventional one
 * @param guestPort the guest's port
 */
public record Forward(
    Protocol protocol, InetSocketAddress listen, IpAddress guest, int guestPort) {
  /** What can be forwarded. */
  public enum Protocol {
    TCP,
    UDP
  }
}

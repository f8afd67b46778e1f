package org.javisor.network.ip;

import java.net.InetSocketAddress;
import org.javisor.network.packet.IpAddress;

/** Where on the host's side a packet of the guest goes. */
@FunctionalInterface
public interface HostRoutes {
  /**
   * @param protocol a number of {@link org.javisor.network.packet.Headers}
   * @param destination what the guest addressed
   * @return the address for a host socket, or null if the guest may not go there
   */
  InetSocketAddress route(int protocol, IpAddress destination, int port);
}

package org.javisor.network.user;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.javisor.network.packet.IpAddress;

/** What this router needs to know of the host's network interfaces, looked up when first needed. */
final class HostInterfaces {
  private Set<IpAddress> loopback;
  private boolean ipv6;

  /** Whether the address is on a loopback interface, whatever it looks like. */
  boolean isLoopback(IpAddress address) {
    look();
    return loopback.contains(address);
  }

  /** Whether the host has an IPv6 address with which it gets further than its own link. */
  boolean hasIpv6() {
    look();
    return ipv6;
  }

  private void look() {
    if (loopback != null) {
      return;
    }
    loopback = new HashSet<>();
    try {
      for (NetworkInterface each : Collections.list(NetworkInterface.getNetworkInterfaces())) {
        List<InetAddress> addresses = Collections.list(each.getInetAddresses());
        if (each.isLoopback()) {
          addresses.forEach(address -> loopback.add(IpAddress.of(address)));
        } else if (each.isUp()) {
          ipv6 |=
              addresses.stream()
                  .anyMatch(
                      address -> address instanceof Inet6Address
                          && !address.isLinkLocalAddress());
        }
      }
    } catch (SocketException e) {
      // A host that does not tell its interfaces: then what is known of addresses must do.
    }
  }
}

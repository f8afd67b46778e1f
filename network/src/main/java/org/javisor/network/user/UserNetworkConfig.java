package org.javisor.network.user;

import java.nio.file.Path;
import java.util.List;
import org.javisor.network.ip.Subnet;
import org.javisor.network.service.ResolvConf;

/**
 * What a user-mode network is to be.
 *
 * @param subnet its addresses
 * @param hostLoopback the guest reaches the host's loopback at the gateway's address
 * @param restricted nothing leads out; forwards work
 * @param forwards ports of the host that lead to the guest
 * @param resolvConf where the host's name servers are listed
 */
public record UserNetworkConfig(
    Subnet subnet,
    boolean hostLoopback,
    boolean restricted,
    List<Forward> forwards,
    Path resolvConf) {

  /** Outwards only, as without any option. */
  public static final UserNetworkConfig DEFAULT =
      new UserNetworkConfig(Subnet.CONVENTIONAL, false, false, List.of(), ResolvConf.HOST);

  public UserNetworkConfig {
    forwards = List.copyOf(forwards);
  }

  public UserNetworkConfig withHostLoopback(boolean allowed) {
    return new UserNetworkConfig(subnet, allowed, restricted, forwards, resolvConf);
  }

  public UserNetworkConfig withRestricted(boolean closed) {
    return new UserNetworkConfig(subnet, hostLoopback, closed, forwards, resolvConf);
  }

  public UserNetworkConfig withForwards(List<Forward> ports) {
    return new UserNetworkConfig(subnet, hostLoopback, restricted, ports, resolvConf);
  }

  public UserNetworkConfig withResolvConf(Path file) {
    return new UserNetworkConfig(subnet, hostLoopback, restricted, forwards, file);
  }
}

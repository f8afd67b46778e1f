package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.channels.ServerSocketChannel;
import java.util.List;
import org.javisor.network.NetworkException;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeTcp;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where a guest may go, and where not. */
class PolicyTest {
  private static final InetSocketAddress NAME_SERVER =
      new InetSocketAddress(InetAddress.ofLiteral("127.0.0.53"), 53);

  private static EgressPolicy policy(UserNetworkConfig config) {
    return new EgressPolicy(
        config,
        () -> List.of(NAME_SERVER),
        address -> address.equals(IpAddress.parse("203.0.113.9")));
  }

  private static InetSocketAddress route(UserNetworkConfig config, String address) {
    return policy(config).route(Headers.PROTOCOL_TCP, IpAddress.parse(address), 80);
  }

  /** Breaks if an address by which the host's loopback, or a group, can be reached is let through. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1",
        "240.0.0.1", "10.0.2.2", "10.0.2.3", "10.0.2.15", "10.0.2.255", "::", "::1",
        "::127.0.0.1", "::7f00:1", "fe80::1", "febf::1", "ff02::1", "fec0::2", "fec0::3",
        "fec0::77", "64:ff9b::127.0.0.1", "203.0.113.9"
      })
  void forbidden(String address) {
    assertNull(route(UserNetworkConfig.DEFAULT, address));
  }

  /** Breaks if ordinary addresses are not let through as they are. */
  @ParameterizedTest
  @ValueSource(
      strings = {"192.0.2.1", "10.0.3.2", "8.8.8.8", "fd00::1", "2001:db8::1", "64:ff9b::8.8.8.8"})
  void allowed(String address) {
    assertEquals(
        new InetSocketAddress(InetAddress.ofLiteral(address), 80),
        route(UserNetworkConfig.DEFAULT, address));
  }

  /** Breaks if host-loopback opens more or less than the gateway's address. */
  @Test
  void hostLoopback() {
    UserNetworkConfig config = UserNetworkConfig.DEFAULT.withHostLoopback(true);
    assertEquals("/127.0.0.1", route(config, "10.0.2.2").getAddress().toString());
    assertTrue(route(config, "fec0::2").getAddress().isLoopbackAddress());
    assertNull(route(config, "127.0.0.1"));
    assertNull(route(config, "0.0.0.0"));
  }

  /** Breaks if restrict lets anything out, whatever else is allowed. */
  @Test
  void restricted() {
    UserNetworkConfig config =
        UserNetworkConfig.DEFAULT.withHostLoopback(true).withRestricted(true);
    for (String address : List.of("192.0.2.1", "10.0.2.2", "2001:db8::1")) {
      assertNull(route(config, address));
    }
    assertNull(
        policy(config).route(Headers.PROTOCOL_TCP, IpAddress.parse("10.0.2.3"), 53));
  }

  /** Breaks if DNS over TCP does not reach the host's server, or its other ports are open. */
  @Test
  void nameServer() {
    EgressPolicy policy = policy(UserNetworkConfig.DEFAULT);
    IpAddress dns = IpAddress.parse("10.0.2.3");
    assertEquals(NAME_SERVER, policy.route(Headers.PROTOCOL_TCP, dns, 53));
    assertNull(policy.route(Headers.PROTOCOL_TCP, dns, 22));
    assertNull(policy.route(Headers.PROTOCOL_UDP, dns, 123));
  }

  /** Breaks if the whole router, not only its policy, lets a guest to the loopback unasked. */
  @Test
  void noLoopbackUnlessAllowed() throws IOException {
    try (Rig rig = new Rig(Rig.LOOPBACK.withHostLoopback(false), OffloadSupport.ALL)) {
      ServerSocketChannel server = rig.listen(false);
      for (String address : List.of("10.0.2.2", "127.0.0.1", "0.0.0.0")) {
        FakeTcp guest = rig.guest.connect(address, Rig.port(server));
        rig.until("reset from " + address, () -> guest.reset);
        assertFalse(guest.established);
      }
      assertNull(server.accept());
    }
  }

  /** Breaks if a port that is taken is not said to be. */
  @Test
  void portTaken() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      int port = taken.getLocalPort();
      Forward forward =
          new Forward(
              Forward.Protocol.TCP,
              new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), port),
              null,
              22);
      NetworkException e =
          assertThrows(
              NetworkException.class,
              () -> new Rig(Rig.LOOPBACK.withForwards(List.of(forward)), OffloadSupport.ALL));
      assertEquals(NetworkException.Reason.PORT_TAKEN, e.reason());
      assertEquals(
          "TCP port " + port + " of 127.0.0.1 is already taken by another program;"
              + " choose another one in forward=, or end it",
          e.getMessage());
    }
  }

  /** Breaks if an address that is not the host's gives a stack trace instead of a line. */
  @Test
  void addressOfAnotherHost() {
    Forward forward =
        new Forward(
            Forward.Protocol.UDP,
            new InetSocketAddress(InetAddress.ofLiteral("192.0.2.200"), 5353),
            null,
            53);
    NetworkException e =
        assertThrows(
            NetworkException.class,
            () -> new Rig(Rig.LOOPBACK.withForwards(List.of(forward)), OffloadSupport.ALL));
    assertEquals(NetworkException.Reason.HOST_REFUSED, e.reason());
    assertNotNull(e.getCause());
  }
}

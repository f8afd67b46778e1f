package org.javisor.network.option;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.network.user.Forward;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The {@code --net} option. */
class NetOptionTest {
  /** Breaks if what was asked for is not what one gets. */
  @Test
  void user() throws NetworkException {
    var plain = assertInstanceOf(NetOption.User.class, NetOption.parse("user"));
    assertFalse(plain.config().hostLoopback());
    assertFalse(plain.config().restricted());
    assertEquals(NetOption.byDefault(), plain);

    var all =
        assertInstanceOf(
            NetOption.User.class,
            NetOption.parse(
                "user,host-loopback,restrict,forward=tcp:2222:22,forward=udp:0.0.0.0:5353:53,"
                    + "forward=tcp:[::1]:80:8080,capture=a,,b.pcapng"));
    assertTrue(all.config().hostLoopback());
    assertTrue(all.config().restricted());
    assertEquals(Path.of("a,b.pcapng"), all.capture().orElseThrow());
    var forwards = all.config().forwards();
    assertEquals("/127.0.0.1:2222", forwards.get(0).listen().toString());
    assertEquals(22, forwards.get(0).guestPort());
    assertEquals(Forward.Protocol.UDP, forwards.get(1).protocol());
    assertEquals("/0.0.0.0:5353", forwards.get(1).listen().toString());
    assertTrue(forwards.get(2).listen().getAddress().isLoopbackAddress());
  }

  /** Breaks if the other kinds are not understood. */
  @Test
  void otherKinds() throws NetworkException {
    assertEquals(new NetOption.None(), NetOption.parse("none"));
    var shared =
        assertInstanceOf(NetOption.Shared.class, NetOption.parse("switch=lab-1,capture=x"));
    assertEquals("lab-1", shared.name());
    assertTrue(shared.capture().isPresent());
  }

  /** Breaks if a mistake is not answered by one line that says what is wrong and what is expected. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "", "usr", "user,", "user,loopback", "none,restrict", "switch=", "switch=../x",
        "switch=lab,restrict", "user,forward=", "user,forward=2222:22", "user,forward=tcp:22",
        "user,forward=tcp:99999:22", "user,forward=tcp:22:99999", "user,forward=tcp:22:0",
        "user,forward=tcp:1.2.3:22:22", "user,forward=tcp:localhost:1:1", "user,capture=",
        "user,forward=tcp:[zz]:1:1", "user,forward=tcp:999.1.1.1:1:1"
      })
  void mistakes(String text) {
    NetworkException e = assertThrows(NetworkException.class, () -> NetOption.parse(text));
    assertEquals(NetworkException.Reason.BAD_OPTION, e.reason());
    assertEquals(1, e.getMessage().lines().count());
    assertTrue(e.getMessage().startsWith("--net " + text + ": "), e.getMessage());
    assertTrue(e.getMessage().contains("expected"), e.getMessage());
  }

  /** Breaks if what the option opens is not open: its thread, its forwards, its file. */
  @Test
  void opens(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("x.pcapng");
    NetOption option = NetOption.parse("user,forward=tcp:0:22,capture=" + file);
    NetworkPort port = option.open(Clock.host(), Entropy.seeded(1)).orElseThrow();
    port.close();
    assertTrue(Files.size(file) > 0);
    assertTrue(NetOption.parse("none").open(Clock.host(), Entropy.seeded(1)).isEmpty());
  }

  /** Breaks if closing leaves a forwarded port taken. */
  @Test
  void closes() throws IOException {
    int port;
    try (var probe = new java.net.ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      port = probe.getLocalPort();
    }
    NetOption option = NetOption.parse("user,forward=tcp:" + port + ":22");
    for (int i = 0; i < 3; i++) {
      NetworkPort opened = option.open(Clock.host(), Entropy.seeded(1)).orElseThrow();
      new Socket(InetAddress.ofLiteral("127.0.0.1"), port).close();
      opened.close();
    }
  }

  /** Breaks if addresses of cards are not read or written as everybody does. */
  @Test
  void cardAddresses() {
    assertEquals("52:54:00:ab:cd:ef", MacAddress.parse("52:54:00:AB:cd:ef").toString());
    assertFalse(MacAddress.random(Entropy.seeded(1)).isMulticast());
    assertTrue(MacAddress.BROADCAST.isMulticast());
    assertThrows(IllegalArgumentException.class, () -> MacAddress.parse("52:54:00:ab:cd"));
  }
}

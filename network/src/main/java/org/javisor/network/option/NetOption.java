package org.javisor.network.option;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort;
import org.javisor.network.capture.CapturePort;
import org.javisor.network.fabric.NamedSwitch;
import org.javisor.network.user.Forward;
import org.javisor.network.user.Forward.Protocol;
import org.javisor.network.user.UserNetwork;
import org.javisor.network.user.UserNetworkConfig;

/**
 * What a guest's network card is to be plugged into:
 *
 * <pre>
 * user[,host-loopback][,restrict][,forward=tcp|udp:[ADDRESS:]PORT:GUESTPORT]...[,capture=FILE]
 * switch=NAME[,capture=FILE]
 * none
 * </pre>
 *
 * A comma in a file's name is written twice.
 */
public sealed interface NetOption {
  /** The syntax in one line, for help and messages. */
  String SYNTAX =
      "user[,host-loopback][,restrict][,forward=tcp:[ADDR:]PORT:GUESTPORT][,capture=FILE],"
          + " switch=NAME[,capture=FILE] or none";

  /** No card. */
  record None() implements NetOption {}

  /** The user-mode router. */
  record User(UserNetworkConfig config, Optional<Path> capture) implements NetOption {}

  /** A switch shared with other processes. */
  record Shared(String name, Optional<Path> capture) implements NetOption {}

  /** What a guest has without the option: outwards only. */
  static NetOption byDefault() {
    return new User(UserNetworkConfig.DEFAULT, Optional.empty());
  }

  /**
   * Reads the option's value.
   *
   * @throws NetworkException with {@link Reason#BAD_OPTION} and a line for a person
   */
  static NetOption parse(String text) throws NetworkException {
    return new Parser(text).parse();
  }

  /**
   * Opens the network; empty for none.
   *
   * @throws NetworkException if the host does not give what it needs
   */
  default Optional<NetworkPort> open(Clock clock, Entropy entropy) throws NetworkException {
    return switch (this) {
      case None() -> Optional.empty();
      case User(var config, var capture) ->
          Optional.of(captured(UserNetwork.open(config, clock, entropy), capture, clock));
      case Shared(var name, var capture) -> {
        Path folder = NamedSwitch.defaultFolder(System.getenv());
        NamedSwitch shared = NamedSwitch.open(name, folder, clock);
        yield Optional.of(
            captured(new OwnedPort(shared.newPort(), shared), capture, clock));
      }
    };
  }

  private static NetworkPort captured(NetworkPort port, Optional<Path> file, Clock clock)
      throws NetworkException {
    if (file.isEmpty()) {
      return port;
    }
    try {
      return CapturePort.open(port, file.get(), clock);
    } catch (NetworkException e) {
      port.close();
      throw e;
    }
  }

  /** Reads one value; a class only to have its state. */
  final class Parser {
    private static final Pattern FORWARD =
        Pattern.compile(
            "(tcp|udp):(?:(\\[[0-9a-fA-F:.%]+]|\\d+(?:\\.\\d+){3}):)?(\\d{1,5}):(\\d{1,5})");
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,31}");

    private final String text;
    private boolean hostLoopback;
    private boolean restricted;
    private final List<Forward> forwards = new ArrayList<>();
    private Optional<Path> capture = Optional.empty();

    private Parser(String text) {
      this.text = text;
    }

    private NetOption parse() throws NetworkException {
      List<String> parts = OptionParts.split(text);
      String kind = parts.removeFirst();
      boolean user = kind.equals("user");
      if (kind.equals("none")) {
        if (!parts.isEmpty()) {
          throw bad("'none' takes nothing more, but '" + parts.getFirst() + "' was given");
        }
        return new None();
      }
      if (!user && !kind.startsWith("switch=")) {
        throw bad("'" + kind + "' is no kind of network");
      }
      for (String part : parts) {
        take(part, user);
      }
      if (user) {
        return new User(
            UserNetworkConfig.DEFAULT
                .withHostLoopback(hostLoopback)
                .withRestricted(restricted)
                .withForwards(forwards),
            capture);
      }
      String name = kind.substring("switch=".length());
      if (!NAME.matcher(name).matches()) {
        throw bad(
            "'" + name + "' is no name of a switch: up to 32 letters, digits, '-', '_' or '.'");
      }
      return new Shared(name, capture);
    }

    private void take(String part, boolean user) throws NetworkException {
      if (part.startsWith("capture=") && part.length() > "capture=".length()) {
        try {
          capture = Optional.of(Path.of(part.substring("capture=".length())));
        } catch (InvalidPathException e) {
          throw bad("'" + part + "' names no file");
        }
      } else if (user && part.equals("host-loopback")) {
        hostLoopback = true;
      } else if (user && part.equals("restrict")) {
        restricted = true;
      } else if (user && part.startsWith("forward=")) {
        forwards.add(forward(part.substring("forward=".length())));
      } else {
        throw bad("'" + part + "' is not known");
      }
    }

    private Forward forward(String value) throws NetworkException {
      Matcher matcher = FORWARD.matcher(value);
      if (!matcher.matches()) {
        throw bad("'" + value + "' is no forward: tcp:2222:22 or udp:0.0.0.0:5353:53");
      }
      // Without an address it is the loopback: not everybody on the network is to reach the guest.
      String address = matcher.group(2) == null ? "127.0.0.1" : matcher.group(2);
      InetAddress listen;
      try {
        listen = InetAddress.ofLiteral(address.replaceAll("[\\[\\]]", ""));
      } catch (IllegalArgumentException e) {
        throw bad("'" + address + "' is no address");
      }
      int port = port(matcher.group(3));
      int guestPort = port(matcher.group(4));
      if (guestPort == 0) {
        throw bad("port 0 of the guest cannot be forwarded to");
      }
      Protocol protocol = Protocol.valueOf(matcher.group(1).toUpperCase(Locale.ROOT));
      return new Forward(protocol, new InetSocketAddress(listen, port), null, guestPort);
    }

    private int port(String digits) throws NetworkException {
      int port = Integer.parseInt(digits);
      if (port > 65_535) {
        throw bad("'" + digits + "' is no port: 1 to 65535");
      }
      return port;
    }

    private NetworkException bad(String what) {
      return new NetworkException(
          Reason.BAD_OPTION, "--net " + text + ": " + what + "; expected " + SYNTAX);
    }
  }
}

package org.javisor.xen.toolstack;

import java.util.Locale;
import java.util.Optional;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.option.NetOption;

/**
 * A network card in the grammar of xl-network-configuration(5). A bridge names what it is plugged
 * into: a switch of that name, which all who name it share; {@code bridge=user}, and no bridge at
 * all, is the user-mode router. {@code net=} takes the syntax of {@code --net} instead.
 *
 * @param emulated whether an HVM domain has the card on its board, too ({@code type=ioemu})
 * @param model of the emulated card, as it was asked for
 */
public record VifSpec(
    Optional<MacAddress> mac, NetOption network, boolean emulated, Optional<String> model) {
  /** A card that cannot be understood. */
  static final class BadVif extends Exception {
    private static final long serialVersionUID = 1L;

    BadVif(String message) {
      super(message);
    }
  }

  static VifSpec parse(String text) throws BadVif {
    Optional<MacAddress> mac = Optional.empty();
    boolean emulated = true;
    Optional<String> model = Optional.empty();
    String network = "user";
    String rest = text.strip();
    while (!rest.isEmpty()) {
      if (rest.startsWith("net=")) {
        network = rest.substring(4);
        break;
      }
      int comma = rest.indexOf(',');
      String part = (comma < 0 ? rest : rest.substring(0, comma)).strip();
      rest = comma < 0 ? "" : rest.substring(comma + 1).strip();
      int equals = part.indexOf('=');
      if (equals < 0) {
        throw new BadVif("'" + part + "': key=value expected");
      }
      String value = part.substring(equals + 1);
      switch (part.substring(0, equals).toLowerCase(Locale.ROOT)) {
        case "mac" -> {
          try {
            mac = Optional.of(MacAddress.parse(value));
          } catch (IllegalArgumentException e) {
            throw new BadVif("mac '" + value + "': six bytes like 00:16:3e:12:34:56 expected");
          }
          if (mac.get().isMulticast()) {
            throw new BadVif("mac '" + value + "' is one of a group: a card's own expected");
          }
        }
        case "bridge" -> network = value.equals("user") ? "user" : "switch=" + value;
        case "type" -> {
          if (!value.equals("ioemu") && !value.equals("vif")) {
            throw new BadVif("type '" + value + "': ioemu or vif expected");
          }
          emulated = value.equals("ioemu");
        }
        case "model" -> model = Optional.of(value);
        case "script", "ip", "vifname", "backend", "rate", "mtu", "devid",
            "gatewaydev", "netdev", "trusted" -> {
          // Of a back end in a Linux: without meaning here.
        }
        default ->
            throw new BadVif("'" + part.substring(0, equals) + "' is no parameter of a card");
      }
    }
    try {
      return new VifSpec(mac, NetOption.parse(network), emulated, model);
    } catch (NetworkException e) {
      throw new BadVif(e.getMessage());
    }
  }
}

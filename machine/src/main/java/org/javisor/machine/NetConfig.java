package org.javisor.machine;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.option.NetOption;
import org.javisor.network.option.OptionParts;

/**
 * A network card of a machine: the value of {@code --net}.
 *
 * @param network what it is plugged into; never {@link NetOption.None}
 * @param model what the guest finds
 * @param mac its address; empty to have one made up when the machine starts
 */
public record NetConfig(NetOption network, Model model, Optional<MacAddress> mac) {

  /** What a card looks like to the guest. */
  public enum Model {
    /** A VirtIO network device on the PCI bus. */
    VIRTIO,
    /** An Intel 82540EM. */
    E1000;

    /** The name as users write it. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** The option's syntax in one line, for help and messages. */
  public static final String SYNTAX =
      NetOption.SYNTAX + "; each but none with [,model=virtio|e1000][,mac=52:54:00:12:34:56]";

  public NetConfig {
    Objects.requireNonNull(network, "network");
    Objects.requireNonNull(model, "model");
    Objects.requireNonNull(mac, "mac");
    if (network instanceof NetOption.None) {
      throw new IllegalArgumentException("a card that is plugged into nothing");
    }
  }

  /** What a guest has without the option: a VirtIO card on the user-mode router, outwards only. */
  public static NetConfig byDefault() {
    return new NetConfig(NetOption.byDefault(), Model.VIRTIO, Optional.empty());
  }

  /** The same card with an address, if it has none: it stays when the machine starts again. */
  public NetConfig withMac(Entropy entropy) {
    return mac.isPresent()
        ? this
        : new NetConfig(network, model, Optional.of(MacAddress.random(entropy)));
  }

  /**
   * Reads the option's value, as {@link #SYNTAX} has it.
   *
   * @return empty for {@code none}
   * @throws MachineException with {@link MachineException.Reason#BAD_OPTION}
   */
  public static Optional<NetConfig> parse(String text) throws MachineException {
    Model model = Model.VIRTIO;
    Optional<MacAddress> mac = Optional.empty();
    List<String> network = new ArrayList<>();
    boolean card = false;
    for (String part : OptionParts.split(text)) {
      if (part.startsWith("model=")) {
        model = model(text, part.substring("model=".length()));
        card = true;
      } else if (part.startsWith("mac=")) {
        mac = Optional.of(mac(text, part.substring("mac=".length())));
        card = true;
      } else {
        network.add(part);
      }
    }
    try {
      NetOption option = NetOption.parse(OptionParts.join(network));
      if (!(option instanceof NetOption.None)) {
        return Optional.of(new NetConfig(option, model, mac));
      }
    } catch (NetworkException e) {
      throw new MachineException(MachineException.Reason.BAD_OPTION, e.getMessage(), e);
    }
    if (card) {
      throw bad(text, "'none' has no card that could have a model or an address");
    }
    return Optional.empty();
  }

  private static Model model(String text, String value) throws MachineException {
    for (Model each : Model.values()) {
      if (each.label().equals(value)) {
        return each;
      }
    }
    throw bad(text, "'" + value + "' is no model of a card");
  }

  private static MacAddress mac(String text, String value) throws MachineException {
    MacAddress mac;
    try {
      mac = MacAddress.parse(value);
    } catch (IllegalArgumentException e) {
      throw bad(text, e.getMessage());
    }
    if (mac.isMulticast() || mac.bits() == 0) {
      throw bad(text, "'" + value + "' is the address of a group, not of a card");
    }
    return mac;
  }

  private static MachineException bad(String text, String what) {
    return OptionText.bad("--net", text, what, SYNTAX);
  }
}

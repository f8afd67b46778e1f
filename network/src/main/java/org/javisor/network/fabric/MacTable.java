package org.javisor.network.fabric;

/**
 * Behind which port an Ethernet address is. A fixed table of {@value #SETS} times {@value #WAYS}
 * places: a guest that invents addresses pushes out others, which are then flooded, and nothing grows.
 */
final class MacTable {
  static final int SETS = 256;
  static final int WAYS = 4;
  /** IEEE 802.1D's default. */
  private static final long AGE_NANOS = 300_000_000_000L;

  private final long[] addresses = new long[SETS * WAYS];
  private final long[] learned = new long[SETS * WAYS];
  private final SwitchPort[] ports = new SwitchPort[SETS * WAYS];

  private static int set(long mac) {
    return (int) (mac * 0x9E37_79B9_7F4A_7C15L >>> 56) * WAYS;
  }

  void learn(long mac, SwitchPort port, long now) {
    int first = set(mac);
    int place = first;
    for (int i = first; i < first + WAYS; i++) {
      if (ports[i] != null && addresses[i] == mac) {
        place = i;
        break;
      }
      boolean better = ports[i] == null || learned[i] < learned[place];
      if (ports[place] != null && better) {
        place = i;
      }
    }
    addresses[place] = mac;
    ports[place] = port;
    learned[place] = now;
  }

  /** @return null if nobody knows */
  SwitchPort find(long mac, long now) {
    int first = set(mac);
    for (int i = first; i < first + WAYS; i++) {
      if (ports[i] != null && addresses[i] == mac) {
        return now - learned[i] < AGE_NANOS ? ports[i] : null;
      }
    }
    return null;
  }

  void forget(SwitchPort port) {
    for (int i = 0; i < ports.length; i++) {
      if (ports[i] == port) {
        ports[i] = null;
      }
    }
  }
}

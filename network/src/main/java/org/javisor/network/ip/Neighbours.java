package org.javisor.network.ip;

import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.network.packet.IpAddress;

/** Which Ethernet address has which IP address: the ARP and NDP caches in one. Bounded. */
public final class Neighbours {
  /** Enough for the guests of a switch; a guest that invents more pushes out its own. */
  static final int MAX = 256;

  private final Map<IpAddress, Long> table =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<IpAddress, Long> eldest) {
          return size() > MAX;
        }
      };
  private long lastHigh;
  private long lastLow;
  private long lastMac = -1;

  /** Remembers a pair. Cheap when it is the same one as the last time. */
  public void learn(long high, long low, long mac) {
    if (mac != lastMac || low != lastLow || high != lastHigh) {
      table.put(new IpAddress(high, low), mac);
      lastHigh = high;
      lastLow = low;
      lastMac = mac;
    }
  }

  /** @return the Ethernet address, or -1 */
  public long find(IpAddress address) {
    if (address.low() == lastLow && address.high() == lastHigh) {
      return lastMac;
    }
    Long mac = table.get(address);
    return mac == null ? -1 : mac;
  }
}

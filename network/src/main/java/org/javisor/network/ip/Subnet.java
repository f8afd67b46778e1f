package org.javisor.network.ip;

import org.javisor.network.packet.IpAddress;

/**
 * The guest's network as the guest sees it.
 *
 * @param network4 its IPv4 network, of 24 bits
 * @param gateway4 the router
 * @param dns4 the name server
 * @param guest4 the first guest; later ones get the addresses after it
 * @param prefix6 the high 64 bits of its IPv6 network
 * @param gateway6 the router
 * @param dns6 the name server
 * @param linkLocal6 the router's address on the link, from which it advertises itself
 * @param mac the Ethernet address of all of these
 */
public record Subnet(
    int network4,
    IpAddress gateway4,
    IpAddress dns4,
    IpAddress guest4,
    long prefix6,
    IpAddress gateway6,
    IpAddress dns6,
    IpAddress linkLocal6,
    long mac) {

  /** Bits of the network, not of the host. */
  public static final int MASK4 = 0xFFFF_FF00;

  /** Addresses handed out by DHCP. */
  public static final int GUESTS = 16;

  /** The addresses that user-mode networks of hypervisors have had for twenty years. */
  public static final Subnet CONVENTIONAL =
      new Subnet(
          0x0A00_0200,
          IpAddress.parse("10.0.2.2"),
          IpAddress.parse("10.0.2.3"),
          IpAddress.parse("10.0.2.15"),
          0xFEC0_0000_0000_0000L,
          IpAddress.parse("fec0::2"),
          IpAddress.parse("fec0::3"),
          IpAddress.parse("fe80::2"),
          0x5255_0A00_0202L);

  public IpAddress broadcast4() {
    return IpAddress.v4(network4 | ~MASK4);
  }

  public boolean contains4(int address) {
    return (address & MASK4) == network4;
  }

  /** Whether the address is the router's, under any of its names. */
  public boolean isRouter(IpAddress address) {
    return address.equals(gateway4)
        || address.equals(dns4)
        || address.equals(gateway6)
        || address.equals(dns6)
        || address.equals(linkLocal6);
  }

  /** Whether a guest may have this address as its own. */
  public boolean mayBeGuest(long high, long low) {
    if (IpAddress.isV4(high, low)) {
      int address = (int) low;
      int host = address & ~MASK4;
      return contains4(address)
          && host != 0
          && host != ~MASK4
          && address != gateway4.v4()
          && address != dns4.v4();
    }
    boolean linkLocal = high == 0xFE80_0000_0000_0000L;
    return (high == prefix6 || linkLocal)
        && !(high == prefix6 && (low == gateway6.low() || low == dns6.low()))
        && !(linkLocal && low == linkLocal6.low());
  }
}

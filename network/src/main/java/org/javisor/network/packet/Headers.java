package org.javisor.network.packet;

/** Lengths, offsets and numbers of the headers: IEEE 802.3, RFC 791, 8200, 768, 9293, 826. */
public final class Headers {
  private Headers() {}

  public static final int ETHERNET = 14;
  public static final int IPV4 = 20;
  public static final int IPV6 = 40;
  public static final int UDP = 8;
  public static final int TCP = 20;

  /** The longest Ethernet, IP and TCP headers this module writes together. */
  public static final int ROOM = ETHERNET + IPV6 + 60;

  public static final int TYPE_IPV4 = 0x0800;
  public static final int TYPE_ARP = 0x0806;
  public static final int TYPE_IPV6 = 0x86DD;

  public static final int ICMP = 1;
  public static final int PROTOCOL_TCP = 6;
  public static final int PROTOCOL_UDP = 17;
  public static final int ICMPV6 = 58;

  /** Where in their headers TCP and UDP keep their checksum. */
  public static final int TCP_CHECKSUM = 16;

  public static final int UDP_CHECKSUM = 6;

  public static final int FIN = 1;
  public static final int SYN = 2;
  public static final int RST = 4;
  public static final int PSH = 8;
  public static final int ACK = 16;
}

package org.javisor.virtio.net;

/** Numbers of the network card, with the names of VirtIO 1.2, section 5.1. */
final class NetLayout {
  static final long F_CSUM = 1L;
  static final long F_GUEST_CSUM = 1L << 1;
  static final long F_CTRL_GUEST_OFFLOADS = 1L << 2;
  static final long F_MAC = 1L << 5;
  static final long F_GUEST_TSO4 = 1L << 7;
  static final long F_GUEST_TSO6 = 1L << 8;
  static final long F_HOST_TSO4 = 1L << 11;
  static final long F_HOST_TSO6 = 1L << 12;
  static final long F_MRG_RXBUF = 1L << 15;
  static final long F_STATUS = 1L << 16;
  static final long F_CTRL_VQ = 1L << 17;
  static final long F_CTRL_RX = 1L << 18;
  static final long F_CTRL_VLAN = 1L << 19;
  static final long F_CTRL_RX_EXTRA = 1L << 20;
  static final long F_CTRL_MAC_ADDR = 1L << 23;

  /** What {@link #CTRL_GUEST_OFFLOADS} may switch. */
  static final long GUEST_OFFLOADS = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6;

  /** {@code struct virtio_net_hdr}; a legacy one without mergeable buffers lacks num_buffers. */
  static final int HDR_SIZE = 12;

  static final int HDR_SHORT = 10;
  static final int HDR_FLAGS = 0;
  static final int HDR_GSO_TYPE = 1;
  static final int HDR_LEN = 2;
  static final int HDR_GSO_SIZE = 4;
  static final int HDR_CSUM_START = 6;
  static final int HDR_CSUM_OFFSET = 8;
  static final int HDR_NUM_BUFFERS = 10;

  static final int HDR_F_NEEDS_CSUM = 1;
  static final int GSO_NONE = 0;
  static final int GSO_TCPV4 = 1;
  static final int GSO_TCPV6 = 4;

  /** {@code struct virtio_net_config}. */
  static final int CONFIG_SIZE = 12;

  static final int CONFIG_STATUS = 6;
  static final int CONFIG_MAX_PAIRS = 8;
  static final int S_LINK_UP = 1;

  static final int CTRL_RX = 0;
  static final int CTRL_RX_PROMISC = 0;
  static final int CTRL_RX_ALLMULTI = 1;
  static final int CTRL_RX_ALLUNI = 2;
  static final int CTRL_RX_NOMULTI = 3;
  static final int CTRL_RX_NOUNI = 4;
  static final int CTRL_RX_NOBCAST = 5;
  static final int CTRL_MAC = 1;
  static final int CTRL_MAC_TABLE_SET = 0;
  static final int CTRL_MAC_ADDR_SET = 1;
  static final int CTRL_VLAN = 2;
  static final int CTRL_VLAN_ADD = 0;
  static final int CTRL_VLAN_DEL = 1;
  static final int CTRL_GUEST_OFFLOADS = 5;
  static final int CTRL_GUEST_OFFLOADS_SET = 0;
  static final int OK = 0;
  static final int ERR = 1;

  private NetLayout() {}
}

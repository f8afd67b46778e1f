package org.javisor.network.tcp;

import org.javisor.network.ip.Packet;
import org.javisor.network.packet.IpAddress;

/** What identifies a connection. Mutable, so that looking one up allocates nothing. */
final class FlowKey {
  private long guestHigh;
  private long guestLow;
  private long remoteHigh;
  private long remoteLow;
  /** The guest's port in the high half, the remote one in the low half. */
  private int ports;

  static FlowKey of(IpAddress guest, int guestPort, IpAddress remote, int remotePort) {
    FlowKey key = new FlowKey();
    key.guestHigh = guest.high();
    key.guestLow = guest.low();
    key.remoteHigh = remote.high();
    key.remoteLow = remote.low();
    key.ports = guestPort << 16 | remotePort;
    return key;
  }

  /** Makes this the key of a segment from the guest. */
  FlowKey set(Packet packet, TcpSegment segment) {
    guestHigh = packet.sourceHigh();
    guestLow = packet.sourceLow();
    remoteHigh = packet.destinationHigh();
    remoteLow = packet.destinationLow();
    ports = segment.sourcePort() << 16 | segment.destinationPort();
    return this;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof FlowKey key
        && ports == key.ports
        && guestLow == key.guestLow
        && remoteLow == key.remoteLow
        && guestHigh == key.guestHigh
        && remoteHigh == key.remoteHigh;
  }

  @Override
  public int hashCode() {
    long hash = (guestLow * 31 + remoteLow) * 31 + ports + guestHigh * 17 + remoteHigh;
    hash *= 0x9E37_79B9_7F4A_7C15L;
    return (int) (hash >>> 32);
  }
}

/**
 * TCP between the guest and the router (RFC 9293), each connection joined to a host socket that
 * carries its bytes on. There is no packet translation: what the guest sends is acknowledged here,
 * written to the socket, and the window offered to the guest is what the socket has not taken yet; and
 * the same the other way.
 *
 * <p>{@link org.javisor.network.tcp.TcpNat} finds or opens the {@link
 * org.javisor.network.tcp.TcpConnection} of a segment. A connection is three objects: itself (state,
 * opening, closing, resets), a {@link org.javisor.network.tcp.TcpReceiver} (guest to host) and a
 * {@link org.javisor.network.tcp.TcpSender} (host to guest: windows, retransmission).
 *
 * <p>Segments in both directions may be 64 KiB long and without checksum. Data is copied once, from
 * the host socket to a {@link org.javisor.network.tcp.ByteRing}, where it stays until the guest has
 * acknowledged it; headers are written into the ring in front of it for the moment of sending. In the
 * other direction it is not copied at all unless the host socket is full.
 */
package org.javisor.network.tcp;

/**
 * Networks for guests: what a network card model is plugged into.
 *
 * <p>A card model knows one thing of this module, a {@link org.javisor.network.NetworkPort}: it sends
 * the guest's frames there and connects a {@link org.javisor.network.FrameReceiver} for the frames to
 * the guest. What is behind the port is one of
 *
 * <ul>
 *   <li>{@code user}: a router that needs no privilege on the host. It ends the guest's TCP
 *       connections itself and carries their bytes over ordinary sockets of the host, and serves
 *       DHCP, DNS, ARP, router advertisements and echo ({@code network.user}, built of {@code
 *       network.ip}, {@code network.tcp}, {@code network.udp} and {@code network.service});
 *   <li>{@code fabric}: a switch between the ports of one process, and between processes of one host
 *       over a UNIX socket;
 *   <li>{@code capture}: a tap in front of another port, which writes a pcapng file.
 * </ul>
 *
 * <p>{@code network.option} reads the {@code --net} option and opens what it says. {@code
 * network.loop} is the one thread everything runs on, {@code network.packet} the byte layouts.
 *
 * <p>Speed comes from two decisions. Segments of up to 64 KiB pass whole and without checksums
 * ({@link org.javisor.network.Offload}), as between a host kernel and a virtio-net card. And a card
 * may process its queues on the network's own thread ({@link
 * org.javisor.network.NetworkPort#doorbell}), so a frame goes from guest memory into a host socket
 * without changing threads.
 */
package org.javisor.network;

/**
 * UDP through host sockets. Every port of the guest that sends gets one socket of the host, whoever
 * it sends to (endpoint-independent mapping), and hears only from those it has sent to
 * (address- and port-dependent filtering; RFC 4787). {@link org.javisor.network.udp.UdpForward} is
 * the other way round: a port of the host that leads to one of the guest.
 */
package org.javisor.network.udp;

package org.javisor.network.udp;

import org.javisor.network.packet.IpAddress;

/** An address and a port, as the guest sees them. */
record Endpoint(IpAddress address, int port) {}

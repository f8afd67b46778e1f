/**
 * What the router serves itself: addresses ({@link org.javisor.network.service.DhcpServer}, {@link
 * org.javisor.network.service.NeighbourDiscovery}, {@link org.javisor.network.service.ArpResponder}),
 * names ({@link org.javisor.network.service.DnsForwarder}) and echo ({@link
 * org.javisor.network.service.EchoService}).
 */
package org.javisor.network.service;

/**
 * The guest's side of the user-mode router, up to IP: the link to the card, who has which Ethernet
 * address, checking and reassembling what the guest sends, and sending to it.
 *
 * <p>{@link org.javisor.network.ip.Packet} is what a received frame becomes, {@link
 * org.javisor.network.ip.IpSender} the way out. Everything here lives on the network's thread.
 */
package org.javisor.network.ip;

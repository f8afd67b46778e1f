/**
 * Byte layouts: reading and writing numbers in network byte order, Internet checksums, addresses, and
 * the offsets and constants of the headers the module handles. Stateless but for {@link
 * org.javisor.network.packet.Segmenter}'s scratch buffer.
 */
package org.javisor.network.packet;

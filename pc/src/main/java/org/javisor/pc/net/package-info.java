/**
 * Network cards of real hardware: the Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual, revision 4.0; section numbers in here are its own).
 *
 * <p>A card is plugged into a {@code network.NetworkPort}: it works off its transmit ring on the
 * network's thread, and takes frames on it. Leans on {@code pci} and {@code time}.
 */
package org.javisor.pc.net;

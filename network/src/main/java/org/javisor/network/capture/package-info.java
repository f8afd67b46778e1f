/**
 * Recording what passes a port in a file that tcpdump and Wireshark read: pcapng ({@code
 * draft-ietf-opsawg-pcapng}). {@link org.javisor.network.capture.CapturePort} is a port in front of
 * another one, {@link org.javisor.network.capture.PcapngWriter} the file.
 */
package org.javisor.network.capture;

package org.javisor.network;

/**
 * What passed a port since it was opened. Read while the network runs, the figures are those of
 * slightly different moments.
 *
 * @param framesFromGuest frames sent by the guest, dropped ones included
 * @param bytesFromGuest their bytes
 * @param framesToGuest frames the guest has taken
 * @param bytesToGuest their bytes
 * @param droppedFromGuest frames of the guest that were malformed, or found a queue full
 * @param droppedToGuest frames to the guest for which it had no room
 */
public record PortStatistics(
    long framesFromGuest,
    long bytesFromGuest,
    long framesToGuest,
    long bytesToGuest,
    long droppedFromGuest,
    long droppedToGuest) {}

package org.javisor.virtio.balloon;

/**
 * What a guest says of its memory (VirtIO 1.2, section 5.5.6.3). Bytes; -1 for what it does not say.
 *
 * @param swappedIn brought back from swap space since the start
 * @param swappedOut sent there
 * @param majorFaults page faults that read from a disk
 * @param minorFaults other page faults
 * @param free memory in no use at all
 * @param total all of its memory
 * @param available what programs could have without swapping
 * @param diskCaches what would be given up for them
 */
public record BalloonStatistics(
    long swappedIn,
    long swappedOut,
    long majorFaults,
    long minorFaults,
    long free,
    long total,
    long available,
    long diskCaches) {
  /** Nothing was said yet. */
  public static final BalloonStatistics UNKNOWN =
      new BalloonStatistics(-1, -1, -1, -1, -1, -1, -1, -1);

  static BalloonStatistics of(long[] byTag) {
    return new BalloonStatistics(
        byTag[0], byTag[1], byTag[2], byTag[3], byTag[4], byTag[5], byTag[6], byTag[7]);
  }
}

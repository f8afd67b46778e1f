package org.javisor.network;

import org.javisor.network.Offload.Segmentation;

/**
 * Makes the {@link Offload}s of a stream of frames without allocating: the same few come again and
 * again. For one thread.
 */
public final class OffloadCache {
  private static final int SIZE = 64;
  private final Offload[] slots = new Offload[SIZE];

  public Offload get(boolean needed, int start, int offset, Segmentation kind, int size) {
    if (!needed && kind == Segmentation.NONE) {
      return Offload.NONE;
    }
    int hash = (start * 31 + offset * 7 + kind.ordinal()) * 31 + size;
    int slot = (hash ^ hash >>> 6 ^ hash >>> 12) & SIZE - 1;
    Offload cached = slots[slot];
    if (cached == null || !cached.is(needed, start, offset, kind, size)) {
      cached = new Offload(needed, start, offset, kind, size);
      slots[slot] = cached;
    }
    return cached;
  }
}

package org.javisor.storage.block.qcow2;

import java.util.ArrayList;
import java.util.List;

/**
 * Clusters of the guest for which storage is being allocated. Others who want to write, discard or
 * allocate them wait; readers see the old contents until the allocation is done. Whoever holds a
 * claim never waits for another. The image's lock is held for all methods.
 */
final class Claims {
  /** Clusters, from and including {@code first} to and excluding {@code end}. */
  record Claim(long first, long end) {}

  private final List<Claim> claims = new ArrayList<>();

  boolean contains(long cluster) {
    for (int i = 0; i < claims.size(); i++) {
      Claim claim = claims.get(i);
      if (cluster >= claim.first && cluster < claim.end) {
        return true;
      }
    }
    return false;
  }

  Claim claim(long first, long count) {
    Claim claim = new Claim(first, first + count);
    claims.add(claim);
    return claim;
  }

  void release(Claim claim) {
    claims.remove(claim);
  }
}

package org.javisor.storage.block.qcow2;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/**
 * References to clusters of a file as they were found by walking its tables. Memory is taken where
 * there are references, and no more than the heap can bear: a small file can claim any length.
 */
final class ReferenceCounts {
  private static final int PAGE_BITS = 12;

  private final Path path;
  private final long maxPages;
  private final Map<Long, int[]> pages = new HashMap<>();
  private long lastIndex = -1;
  private int[] lastPage;
  private long highest = -1;

  ReferenceCounts(Path path) {
    this.path = path;
    maxPages = Runtime.getRuntime().maxMemory() / 4 >> PAGE_BITS + 2;
  }

  private int[] page(long cluster, boolean make) throws BlockException {
    long index = cluster >>> PAGE_BITS;
    if (index != lastIndex) {
      int[] page = pages.get(index);
      if (page == null && make) {
        if (pages.size() >= maxPages) {
          throw new BlockException(
              Reason.TOO_LARGE,
              path + " refers to more clusters than there is memory to count: give Java more with"
                  + " JAVISOR_JAVA_OPTS=-Xmx4g");
        }
        page = new int[1 << PAGE_BITS];
        pages.put(index, page);
      }
      lastIndex = page == null ? -1 : index;
      lastPage = page;
      return page;
    }
    return lastPage;
  }

  void add(long cluster, long references) throws BlockException {
    int[] page = page(cluster, true);
    int at = (int) cluster & (1 << PAGE_BITS) - 1;
    page[at] = (int) Math.min(Integer.MAX_VALUE, page[at] + references);
    highest = Math.max(highest, cluster);
  }

  int get(long cluster) throws BlockException {
    int[] page = page(cluster, false);
    return page == null ? 0 : page[(int) cluster & (1 << PAGE_BITS) - 1];
  }

  void set(long cluster, int count) throws BlockException {
    page(cluster, true)[(int) cluster & (1 << PAGE_BITS) - 1] = count;
  }

  /** The last cluster that was ever added, or -1. */
  long highest() {
    return highest;
  }

  /** The first cluster from {@code from} on with references, or {@link Long#MAX_VALUE}. */
  long next(long from, long[] sortedPages) throws BlockException {
    int at = Arrays.binarySearch(sortedPages, from >>> PAGE_BITS);
    for (int i = at < 0 ? -at - 1 : at; i < sortedPages.length; i++) {
      long first = sortedPages[i] << PAGE_BITS;
      int[] page = page(first, false);
      for (int j = (int) (Math.max(from, first) - first); j < page.length; j++) {
        if (page[j] != 0) {
          return first + j;
        }
      }
    }
    return Long.MAX_VALUE;
  }

  /** For {@link #next}: where there may be references. */
  long[] sortedPages() {
    return pages.keySet().stream().mapToLong(Long::longValue).sorted().toArray();
  }
}

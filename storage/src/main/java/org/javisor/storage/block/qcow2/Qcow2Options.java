package org.javisor.storage.block.qcow2;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/**
 * What a new image is to be like.
 *
 * @param version 2 ({@code compat=0.10}) or 3 ({@code compat=1.1})
 * @param clusterBits the cluster size is two to this
 * @param refcountOrder a refcount has two to this bits
 * @param zstd whether clusters are compressed by Zstandard instead of zlib
 * @param backingFile the name to write, or {@code null}
 * @param backingFormat {@code raw} or {@code qcow2}; with a backing file only
 */
public record Qcow2Options(
    int version,
    int clusterBits,
    int refcountOrder,
    boolean lazyRefcounts,
    boolean zstd,
    String backingFile,
    String backingFormat) {

  /** As {@code qemu-img create} makes them. */
  public static final Qcow2Options DEFAULT =
      new Qcow2Options(3, 16, 4, false, false, null, null);

  public Qcow2Options withBacking(String file, String format) {
    return new Qcow2Options(
        version, clusterBits, refcountOrder, lazyRefcounts, zstd, file, format);
  }

  /**
   * Reads options by QEMU's names: {@code compat}, {@code cluster_size} (in bytes), {@code
   * refcount_bits}, {@code lazy_refcounts}, {@code compression_type}, {@code preallocation}.
   */
  public static Qcow2Options parse(Map<String, String> options) throws BlockException {
    int version = DEFAULT.version;
    int clusterBits = DEFAULT.clusterBits;
    int refcountOrder = DEFAULT.refcountOrder;
    boolean lazy = false;
    boolean zstd = false;
    for (Map.Entry<String, String> option : new TreeMap<>(options).entrySet()) {
      String value = option.getValue();
      switch (option.getKey()) {
        case "compat" ->
            version =
                switch (value) {
                  case "0.10", "v2" -> 2;
                  case "1.1", "v3" -> 3;
                  default -> throw invalid("compat=" + value + ": 0.10 or 1.1 expected");
                };
        case "cluster_size" ->
            clusterBits =
                powerOfTwo(option.getKey(), value, Header.MIN_CLUSTER_BITS,
                    Header.MAX_CLUSTER_BITS);
        case "refcount_bits" ->
            refcountOrder = powerOfTwo(option.getKey(), value, 0, Header.MAX_REFCOUNT_ORDER);
        case "lazy_refcounts" -> lazy = isOn(option.getKey(), value);
        case "compression_type" ->
            zstd =
                switch (value) {
                  case "zlib" -> false;
                  case "zstd" -> true;
                  default ->
                      throw invalid("compression_type=" + value + ": zlib or zstd expected");
                };
        case "preallocation" -> {
          if (!value.equals("off")) {
            throw invalid("preallocation=" + value + ": only off is supported");
          }
        }
        default ->
            throw invalid(
                "'" + option.getKey() + "' is no option of qcow2: compat, cluster_size,"
                    + " refcount_bits, lazy_refcounts, compression_type or preallocation expected");
      }
    }
    if (version == 2 && (lazy || zstd || refcountOrder != DEFAULT.refcountOrder)) {
      throw invalid(
          "lazy_refcounts, refcount_bits and compression_type need compat=1.1, not 0.10");
    }
    return new Qcow2Options(version, clusterBits, refcountOrder, lazy, zstd, null, null);
  }

  private static int powerOfTwo(String name, String value, int from, int to)
      throws BlockException {
    try {
      long number = Long.parseLong(value);
      int order = Long.numberOfTrailingZeros(number);
      if (Long.bitCount(number) == 1 && order >= from && order <= to) {
        return order;
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw invalid(
        name + "=" + value + ": a power of two from " + (1L << from) + " to " + (1L << to)
            + " expected");
  }

  private static boolean isOn(String name, String value) throws BlockException {
    return switch (value.toLowerCase(Locale.ROOT)) {
      case "on", "yes", "true" -> true;
      case "off", "no", "false" -> false;
      default -> throw invalid(name + "=" + value + ": on or off expected");
    };
  }

  private static BlockException invalid(String message) {
    return new BlockException(Reason.INVALID, message);
  }
}

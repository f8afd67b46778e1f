package org.javisor.storage.block.qcow2;

/** Compresses clusters for {@link Qcow2Image#writeCompressed}. Not thread-safe: one a thread. */
public final class ClusterCompressor implements AutoCloseable {
  private final ClusterCodec codec;

  public ClusterCompressor(Header header) {
    codec = new ClusterCodec(header.compression());
  }

  /**
   * Compresses {@code cluster} into {@code out}, of the same length. Returns the number of bytes, or
   * -1 if the cluster is to be stored as it is.
   */
  public int compress(byte[] cluster, byte[] out) {
    return codec.compress(cluster, out);
  }

  @Override
  public void close() {
    codec.close();
  }
}

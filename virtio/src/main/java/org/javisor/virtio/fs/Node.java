package org.javisor.virtio.fs;

/** A file, folder or link that the guest knows: an O_PATH descriptor of it. */
final class Node extends Descriptor {
  /** What makes it the same file. */
  record Identity(long device, long inode) {}

  final long id;
  final Identity identity;

  /** The type bits of its mode; they never change. */
  final int type;

  /** How often the guest was told of it and has not forgotten. Guarded by {@link Nodes}. */
  long lookups;

  Node(long id, int fd, Identity identity, int type) {
    super(fd);
    this.id = id;
    this.identity = identity;
    this.type = type;
  }
}

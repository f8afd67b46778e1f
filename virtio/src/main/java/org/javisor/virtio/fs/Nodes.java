package org.javisor.virtio.fs;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The files that the guest knows, by the numbers it knows them by. */
final class Nodes {
  static final long ROOT = 1;

  private final Map<Long, Node> byId = new HashMap<>();
  private final Map<Node.Identity, Node> byIdentity = new HashMap<>();
  private final int limit;
  private long nextId = ROOT + 1;

  /**
   * @param limit how many there may be; each holds a descriptor
   */
  Nodes(Node root, int limit) {
    this.limit = limit;
    byId.put(ROOT, root);
    byIdentity.put(root.identity, root);
    root.lookups = 1;
  }

  /** A node to use, which is to be {@link Descriptor#done} with; null if there is none. */
  synchronized Node use(long id) {
    Node node = byId.get(id);
    return node != null && node.use() ? node : null;
  }

  /**
   * The guest is told of what {@code fd} stands for. The descriptor is kept, or closed if the file is
   * known.
   *
   * @return the node, or null if there are too many
   */
  Node tell(int fd, Node.Identity identity, int type, HostCalls calls) {
    Node known;
    synchronized (this) {
      known = byIdentity.get(identity);
      if (known != null) {
        known.lookups++;
      } else if (byId.size() < limit) {
        Node node = new Node(nextId++, fd, identity, type);
        node.lookups = 1;
        byId.put(node.id, node);
        byIdentity.put(identity, node);
        return node;
      }
    }
    calls.close(fd);
    return known;
  }

  /** All that the guest knows, but the root; while nobody else uses it. */
  synchronized List<Node> known() {
    return byId.values().stream().filter(node -> node.id != ROOT).toList();
  }

  /** The next number that the guest gets. */
  synchronized long nextId() {
    return nextId;
  }

  /** Numbers go on from here. */
  synchronized void restore(long next) {
    nextId = next;
  }

  /** Takes over what a guest knew; false if there are too many, or it knew it twice. */
  synchronized boolean restore(Node node, long lookups) {
    if (byId.size() >= limit || byId.putIfAbsent(node.id, node) != null) {
      return false;
    }
    node.lookups = lookups;
    byIdentity.putIfAbsent(node.identity, node);
    return true;
  }

  void forget(long id, long count, HostCalls calls) {
    Node gone = null;
    synchronized (this) {
      Node node = byId.get(id);
      if (node == null || id == ROOT) {
        return;
      }
      node.lookups = count < 0 || count >= node.lookups ? 0 : node.lookups - count;
      if (node.lookups == 0) {
        byId.remove(id);
        byIdentity.remove(node.identity, node);
        gone = node;
      }
    }
    if (gone != null) {
      gone.done(calls);
    }
  }

  /** The guest knows nothing any more, but the root. */
  void forgetAll(HostCalls calls) {
    List<Node> gone = new ArrayList<>();
    synchronized (this) {
      for (Node node : byId.values()) {
        if (node.id != ROOT) {
          gone.add(node);
        }
      }
      byId.keySet().retainAll(List.of(ROOT));
      byIdentity.values().removeAll(gone);
    }
    gone.forEach(node -> node.done(calls));
  }

  synchronized int count() {
    return byId.size();
  }
}

package org.javisor.xen.store;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A transaction: the tree as it was when it began, with its own changes. It ends well if nothing it
 * has looked at was changed by others meanwhile; its changes are then made to the present tree.
 */
final class Transaction {
  /** A change, to be made again to another tree. */
  @FunctionalInterface
  interface Change {
    void apply(Store.View view) throws StoreException;
  }

  private static final int MOST_CHANGES = 4096;

  Node root;
  private final Node base;
  private final Map<String, Long> seen = new HashMap<>();
  private final List<Change> changes = new ArrayList<>();

  Transaction(Node root) {
    this.root = root;
    this.base = root;
  }

  /** Notes that the outcome depends on a node. */
  void note(String path) {
    seen.computeIfAbsent(path, p -> generation(base, p));
  }

  static long generation(Node root, String path) {
    Node node = Store.find(root, path);
    return node == null ? -1 : node.generation();
  }

  boolean add(Change change) {
    return changes.size() < MOST_CHANGES && changes.add(change);
  }

  List<Change> changes() {
    return changes;
  }

  boolean conflictsWith(Node present) {
    for (Map.Entry<String, Long> entry : seen.entrySet()) {
      if (generation(present, entry.getKey()) != entry.getValue()) {
        return true;
      }
    }
    return false;
  }
}

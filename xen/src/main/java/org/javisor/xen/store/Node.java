package org.javisor.xen.store;

import java.util.Collections;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * A node of the tree. Never changes: a write makes new nodes up to the root, so a transaction keeps
 * the tree it began with for the price of a reference.
 *
 * @param generation grows with each change of value, permissions, or the set of children's names
 */
record Node(
    byte[] value, Permissions permissions, NavigableMap<String, Node> children, long generation) {
  private static final byte[] EMPTY = {};

  static Node empty(Permissions permissions, long generation) {
    return new Node(EMPTY, permissions, Collections.emptyNavigableMap(), generation);
  }

  Node withValue(byte[] newValue, long newGeneration) {
    return new Node(newValue, permissions, children, newGeneration);
  }

  Node withPermissions(Permissions newPermissions, long newGeneration) {
    return new Node(value, newPermissions, children, newGeneration);
  }

  /** With a child put in; the generation changes only if the name is new. */
  Node withChild(String name, Node child, long newGeneration) {
    TreeMap<String, Node> changed = new TreeMap<>(children);
    boolean known = changed.put(name, child) != null;
    return new Node(
        value,
        permissions,
        Collections.unmodifiableNavigableMap(changed),
        known ? generation : newGeneration);
  }

  Node withoutChild(String name, long newGeneration) {
    TreeMap<String, Node> changed = new TreeMap<>(children);
    changed.remove(name);
    return new Node(
        value, permissions, Collections.unmodifiableNavigableMap(changed), newGeneration);
  }

  /** Calls the visitor with the owner of this node and all below it. */
  void visitOwners(java.util.function.IntConsumer visitor) {
    visitor.accept(permissions.owner());
    children.values().forEach(c -> c.visitOwners(visitor));
  }
}

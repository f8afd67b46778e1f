package org.javisor.xen.store;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.javisor.xen.store.StoreException.Error;

/** The tree. All methods may be called from any thread; none blocks. */
public final class Store {
  /** Watched for: a domain has come. */
  public static final String INTRODUCED = "@introduceDomain";

  /** Watched for: a domain has gone, or shut down. */
  public static final String RELEASED = "@releaseDomain";

  private static final int MOST_NODES = 1000;
  private static final int MOST_WATCHES = 128;
  private static final int MOST_TRANSACTIONS = 10;
  private static final int LONGEST_VALUE = 2048;
  private static final int LONGEST_TOKEN = 1024;

  private Node root = Node.empty(Permissions.PRIVILEGED, 0);
  private long generations;
  private final Set<StoreClient> clients = new LinkedHashSet<>();

  /** Nodes that each unprivileged domain owns. */
  private final Map<Integer, Integer> owned = new HashMap<>();

  private final Set<Integer> introduced = new LinkedHashSet<>(Set.of(0));

  /** A path that changed, and whether all below it went with it. */
  private record Event(String path, boolean removed, Node before) {}

  /** A tree under change, by one client. */
  final class View {
    private final StoreClient client;
    private final Transaction transaction;
    private final List<Event> events = new ArrayList<>();

    View(StoreClient client, Transaction transaction) {
      this.client = client;
      this.transaction = transaction;
    }

    Node tree() {
      return transaction == null ? root : transaction.root;
    }

    private void setTree(Node tree) {
      if (transaction == null) {
        root = tree;
      } else {
        transaction.root = tree;
      }
    }

    private void note(String path) {
      if (transaction != null) {
        transaction.note(path);
      }
    }

    private void check(String path, Node node, int access) throws StoreException {
      boolean allowed =
          node == null
              ? nearest(path).permissions().allows(client.domid, access)
              : node.permissions().allows(client.domid, access);
      if (!allowed) {
        throw new StoreException(Error.EACCES);
      }
    }

    /** The lowest node that is there on the way to one that is not. */
    private Node nearest(String path) {
      Node node = tree();
      for (String part : StorePath.parts(path)) {
        Node child = node.children().get(part);
        if (child == null) {
          break;
        }
        node = child;
      }
      return node;
    }

    Node existing(String path, int access) throws StoreException {
      note(path);
      Node node = find(tree(), path);
      check(path, node, access);
      if (node == null) {
        throw new StoreException(Error.ENOENT);
      }
      return node;
    }

    void write(String path, byte[] value) throws StoreException {
      if (!client.privileged() && value.length > LONGEST_VALUE) {
        throw new StoreException(Error.E2BIG);
      }
      note(path);
      Node node = find(tree(), path);
      check(path, node, Permissions.WRITE);
      Node changed = node == null ? create(path) : node;
      put(path, changed.withValue(value, ++generations));
      events.add(new Event(path, false, null));
    }

    void makeDirectory(String path) throws StoreException {
      note(path);
      Node node = find(tree(), path);
      check(path, node, Permissions.WRITE);
      if (node == null) {
        put(path, create(path));
        events.add(new Event(path, false, null));
      }
    }

    /** A new node, whose missing ancestors {@link #put} makes, too. */
    private Node create(String path) throws StoreException {
      note(StorePath.parent(path));
      if (!client.privileged()) {
        int depth = 1;
        String above = StorePath.parent(path);
        while (find(tree(), above) == null) {
          depth++;
          above = StorePath.parent(above);
        }
        if (owned.getOrDefault(client.domid, 0) + depth > MOST_NODES) {
          throw new StoreException(Error.ENOSPC);
        }
      }
      return Node.empty(nearest(path).permissions().inheritedBy(client.domid), ++generations);
    }

    void remove(String path) throws StoreException {
      note(path);
      if (path.equals("/")) {
        throw new StoreException(Error.EINVAL);
      }
      Node node = find(tree(), path);
      if (node == null) {
        note(StorePath.parent(path));
        Node parent = find(tree(), StorePath.parent(path));
        check(path, parent, Permissions.WRITE);
        if (parent == null) {
          throw new StoreException(Error.ENOENT);
        }
        return;
      }
      check(path, node, Permissions.WRITE);
      setTree(without(tree(), StorePath.parts(path), 0));
      if (transaction == null) {
        node.visitOwners(owner -> count(owner, -1));
      }
      events.add(new Event(path, true, node));
    }

    void setPermissions(String path, Permissions permissions) throws StoreException {
      Node node = existing(path, 0);
      if (!client.privileged()
          && (node.permissions().owner() != client.domid
              || permissions.owner() != client.domid)) {
        throw new StoreException(Error.EPERM);
      }
      put(path, node.withPermissions(permissions, ++generations));
      events.add(new Event(path, false, null));
    }

    private void put(String path, Node node) {
      setTree(with(tree(), StorePath.parts(path), 0, node));
    }

    private Node with(Node at, List<String> parts, int depth, Node node) {
      if (depth == parts.size()) {
        if (transaction == null && at.permissions().owner() != node.permissions().owner()) {
          count(at.permissions().owner(), -1);
          count(node.permissions().owner(), 1);
        }
        return new Node(node.value(), node.permissions(), at.children(), node.generation());
      }
      Node child = at.children().get(parts.get(depth));
      if (child == null) {
        Permissions permissions =
            depth == parts.size() - 1
                ? node.permissions()
                : at.permissions().inheritedBy(client.domid);
        child = Node.empty(permissions, ++generations);
        if (transaction == null) {
          count(permissions.owner(), 1);
        }
      }
      return at.withChild(
          parts.get(depth), with(child, parts, depth + 1, node), ++generations);
    }

    private Node without(Node at, List<String> parts, int depth) {
      String name = parts.get(depth);
      if (depth == parts.size() - 1) {
        return at.withoutChild(name, ++generations);
      }
      return at.withChild(
          name, without(at.children().get(name), parts, depth + 1), ++generations);
    }
  }

  private void count(int owner, int change) {
    if (owner != 0) {
      owned.merge(owner, change, Integer::sum);
    }
  }

  static Node find(Node root, String path) {
    Node node = root;
    for (String part : StorePath.parts(path)) {
      node = node.children().get(part);
      if (node == null) {
        return null;
      }
    }
    return node;
  }

  // ---- Clients ----------------------------------------------------------------------------

  /** Adds a client; domain 0's may do everything. */
  public synchronized StoreClient connect(int domid, StoreClient.EventSink events) {
    StoreClient client = new StoreClient(domid, events);
    clients.add(client);
    return client;
  }

  /** Ends a client's watches and transactions. */
  public synchronized void disconnect(StoreClient client) {
    clients.remove(client);
    client.watches.clear();
    client.transactions.clear();
  }

  private View view(StoreClient client, int transaction) throws StoreException {
    if (transaction == 0) {
      return new View(client, null);
    }
    Transaction t = client.transactions.get(transaction);
    if (t == null) {
      throw new StoreException(Error.ENOENT);
    }
    return new View(client, t);
  }

  // ---- Operations; transaction 0 is none -------------------------------------------------------

  public synchronized byte[] read(StoreClient client, int transaction, String path)
      throws StoreException {
    return view(client, transaction)
        .existing(StorePath.absolute(path, client.domid), Permissions.READ)
        .value()
        .clone();
  }

  /** Names of children, in order. */
  public synchronized List<String> directory(StoreClient client, int transaction, String path)
      throws StoreException {
    return List.copyOf(
        view(client, transaction)
            .existing(StorePath.absolute(path, client.domid), Permissions.READ)
            .children()
            .keySet());
  }

  /** A number that changes whenever the names of a node's children do. */
  synchronized long generation(StoreClient client, int transaction, String path)
      throws StoreException {
    return view(client, transaction)
        .existing(StorePath.absolute(path, client.domid), Permissions.READ)
        .generation();
  }

  private void change(StoreClient client, int transaction, Transaction.Change change)
      throws StoreException {
    View view = view(client, transaction);
    change.apply(view);
    if (transaction == 0) {
      fire(view.events);
    } else if (!client.transactions.get(transaction).add(change)) {
      throw new StoreException(Error.ENOSPC);
    }
  }

  public synchronized void write(
      StoreClient client, int transaction, String path, byte[] value) throws StoreException {
    String absolute = StorePath.absolute(path, client.domid);
    byte[] copy = value.clone();
    change(client, transaction, view -> view.write(absolute, copy));
  }

  public synchronized void makeDirectory(StoreClient client, int transaction, String path)
      throws StoreException {
    String absolute = StorePath.absolute(path, client.domid);
    change(client, transaction, view -> view.makeDirectory(absolute));
  }

  public synchronized void remove(StoreClient client, int transaction, String path)
      throws StoreException {
    String absolute = StorePath.absolute(path, client.domid);
    change(client, transaction, view -> view.remove(absolute));
  }

  /** Permissions as the protocol writes them: a letter and a domain each, the owner first. */
  public synchronized List<String> permissions(
      StoreClient client, int transaction, String path) throws StoreException {
    return view(client, transaction)
        .existing(StorePath.absolute(path, client.domid), Permissions.READ)
        .permissions()
        .entries()
        .stream()
        .map(Permissions.Entry::toString)
        .toList();
  }

  public synchronized void setPermissions(
      StoreClient client, int transaction, String path, List<String> permissions)
      throws StoreException {
    String absolute = StorePath.absolute(path, client.domid);
    Permissions parsed = Permissions.parse(permissions);
    change(client, transaction, view -> view.setPermissions(absolute, parsed));
  }

  /** Begins a transaction and returns its number. */
  public synchronized int begin(StoreClient client) throws StoreException {
    if (!client.privileged() && client.transactions.size() >= MOST_TRANSACTIONS) {
      throw new StoreException(Error.ENOSPC);
    }
    int number = client.nextTransaction++;
    if (client.nextTransaction <= 0) {
      client.nextTransaction = 1;
    }
    client.transactions.put(number, new Transaction(root));
    return number;
  }

  /**
   * Ends a transaction.
   *
   * @param commit whether its changes are to be made
   * @throws StoreException EAGAIN if others were faster: begin anew
   */
  public synchronized void end(StoreClient client, int number, boolean commit)
      throws StoreException {
    Transaction transaction = client.transactions.remove(number);
    if (transaction == null) {
      throw new StoreException(Error.ENOENT);
    }
    if (!commit) {
      return;
    }
    if (transaction.conflictsWith(root)) {
      throw new StoreException(Error.EAGAIN);
    }
    Node before = root;
    Map<Integer, Integer> ownedBefore = Map.copyOf(owned);
    View view = new View(client, null);
    try {
      for (Transaction.Change change : transaction.changes()) {
        change.apply(view);
      }
    } catch (StoreException e) {
      root = before;
      owned.clear();
      owned.putAll(ownedBefore);
      throw e;
    }
    fire(view.events);
  }

  // ---- Watches ----------------------------------------------------------------------------

  /** Adds a watch, which is told of the path at once. */
  public synchronized void watch(StoreClient client, String path, String token)
      throws StoreException {
    watchQuietly(client, path, token);
    client.events.changed(path, token);
  }

  /** The same, but the caller tells of the path. */
  synchronized void watchQuietly(StoreClient client, String path, String token)
      throws StoreException {
    boolean special = path.equals(INTRODUCED) || path.equals(RELEASED);
    String absolute = special ? path : StorePath.absolute(path, client.domid);
    String key = path + '\0' + token;
    if (token.length() > LONGEST_TOKEN) {
      throw new StoreException(Error.E2BIG);
    }
    if (client.watches.containsKey(key)) {
      throw new StoreException(Error.EEXIST);
    }
    if (!client.privileged() && client.watches.size() >= MOST_WATCHES) {
      throw new StoreException(Error.E2BIG);
    }
    client.watches.put(key, new StoreClient.Watch(path, absolute, token));
  }

  public synchronized void unwatch(StoreClient client, String path, String token)
      throws StoreException {
    if (client.watches.remove(path + '\0' + token) == null) {
      throw new StoreException(Error.ENOENT);
    }
  }

  /** Ends all watches and transactions of a client, as a kernel that has just started wants. */
  public synchronized void resetWatches(StoreClient client) {
    client.watches.clear();
    client.transactions.clear();
  }

  private void fire(List<Event> events) {
    for (Event event : events) {
      for (StoreClient client : clients) {
        for (StoreClient.Watch watch : List.copyOf(client.watches.values())) {
          if (StorePath.isWithin(event.path, watch.absolute())) {
            if (mayKnow(client, event)) {
              client.events.changed(watch.eventPath(event.path, client.domid), watch.token());
            }
          } else if (event.removed
              && StorePath.isWithin(watch.absolute(), event.path)
              && mayKnow(client, event)) {
            client.events.changed(watch.asked(), watch.token());
          }
        }
      }
    }
  }

  /** A client hears of what it may read, or of the end of what it might have read. */
  private boolean mayKnow(StoreClient client, Event event) {
    Node node = event.removed ? event.before : find(root, event.path);
    return client.privileged()
        || node == null
        || node.permissions().allows(client.domid, Permissions.READ);
  }

  private void fireSpecial(String name) {
    for (StoreClient client : clients) {
      for (StoreClient.Watch watch : List.copyOf(client.watches.values())) {
        if (watch.asked().equals(name) && client.privileged()) {
          client.events.changed(name, watch.token());
        }
      }
    }
  }

  // ---- Domains ----------------------------------------------------------------------------

  /** A domain may use the store from now on. */
  public synchronized void introduce(int domid) {
    introduced.add(domid);
    fireSpecial(INTRODUCED);
  }

  /** A domain is gone. */
  public synchronized void release(int domid) {
    introduced.remove(domid);
    owned.remove(domid);
    fireSpecial(RELEASED);
  }

  /** A domain has shut down, and may be gone soon. */
  public synchronized void shutDown() {
    fireSpecial(RELEASED);
  }

  synchronized boolean isIntroduced(int domid) {
    return introduced.contains(domid);
  }

  // ---- Convenience for tools and back ends ------------------------------------------------------

  /** Reads a string, if it is there and may be read. */
  public Optional<String> get(StoreClient client, String path) {
    try {
      return Optional.of(new String(read(client, 0, path), StandardCharsets.ISO_8859_1));
    } catch (StoreException e) {
      return Optional.empty();
    }
  }

  /** Names of children; none if the node is not there. */
  public List<String> list(StoreClient client, String path) {
    try {
      return directory(client, 0, path);
    } catch (StoreException e) {
      return List.of();
    }
  }

  /** Writes a string where the client may; a privileged client may everywhere. */
  public void put(StoreClient client, String path, String value) {
    try {
      write(client, 0, path, value.getBytes(StandardCharsets.ISO_8859_1));
    } catch (StoreException e) {
      throw new IllegalArgumentException("xenstore " + path + ": " + e.error(), e);
    }
  }

  /** Removes a node if it is there. */
  public void drop(StoreClient client, String path) {
    try {
      remove(client, 0, path);
    } catch (StoreException e) {
      // It was not there.
      assert client.privileged();
    }
  }
}

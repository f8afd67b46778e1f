package org.javisor.xen.backend;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.store.Store;
import org.javisor.xen.store.StoreClient;
import org.javisor.xen.store.StoreException;

/**
 * The half of a split driver that serves, as xenstore sees it: it publishes what it can, waits for
 * the front end to say where its rings are, connects, and closes when the front end does.
 *
 * <p>All of it happens on the back ends' thread.
 */
public abstract class XenbusBackend {
  private final Store store;
  private final StoreClient client;
  private final BackendLoop loop;
  private final Domain domain;
  private final String frontend;
  private final String backend;
  private XenbusState state = XenbusState.UNKNOWN;
  private boolean connected;
  private boolean ended;

  XenbusBackend(Store store, BackendLoop loop, Domain domain, String type, int handle) {
    this.store = store;
    this.loop = loop;
    this.domain = domain;
    frontend = "/local/domain/%d/device/%s/%d".formatted(domain.id(), type, handle);
    backend = "/local/domain/0/backend/%s/%d/%d".formatted(type, domain.id(), handle);
    client = store.connect(0, (path, token) -> loop.execute(this::look));
  }

  final Domain domain() {
    return domain;
  }

  final BackendLoop loop() {
    return loop;
  }

  /** What the back end can do; written before the front end looks. */
  abstract Map<String, String> features();

  /** What the front end must know before it goes on; written before the state says connected. */
  Map<String, String> details() {
    return Map.of();
  }

  /**
   * Maps the rings that the front end names.
   *
   * @throws GrantTable.Refused if they cannot be mapped
   * @throws BadFrontend if what it wrote makes no sense
   */
  abstract void connect() throws GrantTable.Refused, BadFrontend;

  /** Unmaps them; nothing of the guest is used after this. */
  abstract void disconnect();

  /** How full its rings are, for a person; {@code -} if nobody is connected. */
  public final String occupancy() {
    CompletableFuture<String> answer =
        new CompletableFuture<>();
    loop.execute(() -> answer.complete(connected ? rings() : "-"));
    return answer.completeOnTimeout("-", 1, TimeUnit.SECONDS).join();
  }

  /** The same of a front end that is connected, on the back ends' thread. */
  abstract String rings();

  /** A front end that wrote nonsense. */
  static final class BadFrontend extends Exception {
    private static final long serialVersionUID = 1L;

    BadFrontend(String message) {
      super(message);
    }
  }

  /** Makes both directories and begins. */
  public final void start(Map<String, String> frontendKeys, Map<String, String> backendKeys) {
    String guest = Integer.toString(domain.id());
    put(frontend, "backend", backend);
    put(frontend, "backend-id", "0");
    frontendKeys.forEach((key, value) -> put(frontend, key, value));
    put(frontend, "state", XenbusState.INITIALISING.number());
    put(backend, "frontend", frontend);
    put(backend, "frontend-id", guest);
    put(backend, "online", "1");
    backendKeys.forEach((key, value) -> put(backend, key, value));
    try {
      // Each side writes its own directory and reads the other's.
      store.setPermissions(
          client, 0, frontend, java.util.List.of("n" + guest, "r0"));
      for (String key : store.list(client, frontend)) {
        store.setPermissions(
            client, 0, frontend + "/" + key, java.util.List.of("n" + guest, "r0"));
      }
      store.setPermissions(client, 0, backend, java.util.List.of("n0", "r" + guest));
    } catch (StoreException e) {
      throw new IllegalStateException("xenstore refuses its own", e);
    }
    loop.execute(
        () -> {
          offer();
          try {
            store.watch(client, frontend + "/state", "state");
          } catch (StoreException e) {
            throw new IllegalStateException("xenstore refuses its own", e);
          }
        });
  }

  private void put(String directory, String key, String value) {
    store.put(client, directory + "/" + key, value);
    if (directory.equals(backend)) {
      try {
        store.setPermissions(
            client, 0, backend + "/" + key, java.util.List.of("n0", "r" + domain.id()));
      } catch (StoreException e) {
        throw new IllegalStateException("xenstore refuses its own", e);
      }
    }
  }

  private void offer() {
    features().forEach((key, value) -> put(backend, key, value));
    enter(XenbusState.INIT_WAIT);
  }

  private void enter(XenbusState next) {
    state = next;
    put(backend, "state", next.number());
  }

  /** A key of the front end's directory. */
  final Optional<String> frontendKey(String key) {
    return store.get(client, frontend + "/" + key);
  }

  /** A number the front end must have written. */
  final long frontendNumber(String key) throws BadFrontend {
    String text =
        frontendKey(key).orElseThrow(() -> new BadFrontend(frontend + "/" + key + " is missing"));
    try {
      long number = Long.parseLong(text);
      if (number >= 0 && number <= 0xffff_ffffL) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw new BadFrontend(frontend + "/" + key + " is no number");
  }

  final boolean frontendFlag(String key) {
    return frontendKey(key).orElse("0").equals("1");
  }

  private void look() {
    if (ended) {
      return;
    }
    XenbusState front = XenbusState.parse(frontendKey("state").orElse("0"));
    switch (front) {
      case INITIALISING -> {
        if (state == XenbusState.CLOSED || connected) {
          close();
          offer();
        }
      }
      case INITIALISED, CONNECTED -> {
        if (!connected && state == XenbusState.INIT_WAIT) {
          open();
        }
      }
      case CLOSING -> {
        if (state != XenbusState.CLOSED && state != XenbusState.CLOSING) {
          enter(XenbusState.CLOSING);
        }
      }
      case CLOSED -> {
        if (state != XenbusState.CLOSED) {
          close();
          enter(XenbusState.CLOSED);
        }
      }
      default -> {}
    }
  }

  private void open() {
    try {
      connect();
      connected = true;
      details().forEach((key, value) -> put(backend, key, value));
      enter(XenbusState.CONNECTED);
    } catch (GrantTable.Refused | BadFrontend e) {
      domain.host().console().log("(XEN) " + domain + " " + frontend + ": " + e.getMessage());
      put(backend, "error", e.getMessage());
      enter(XenbusState.CLOSED);
    }
  }

  private void close() {
    if (connected) {
      connected = false;
      disconnect();
    }
  }

  /** Asks the front end to let go; {@link #end} follows when it has, or when nobody waits. */
  public final void requestClose() {
    loop.execute(
        () -> {
          put(backend, "online", "0");
          enter(XenbusState.CLOSING);
        });
  }

  /** Ends it, whatever the front end thinks, and removes both directories. */
  public final void end(Runnable then) {
    loop.execute(
        () -> {
          ended = true;
          close();
          store.drop(client, backend);
          store.drop(client, frontend);
          store.disconnect(client);
          then.run();
        });
  }
}

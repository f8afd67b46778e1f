package org.javisor.xen.backend;

import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.xen.hypervisor.FakeDomain;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.store.Store;
import org.javisor.xen.store.StoreClient;

/** A front end by hand: a domain whose pages are granted, and its directory in xenstore. */
final class FrontEnd implements AutoCloseable {
  /** Page n of the domain from here on is granted to domain 0 by reference n. */
  static final long PAGES = 0x20_0000;

  final Hypervisor host = FakeDomain.host();
  final Store store = new Store();
  final StoreClient client = store.connect(0, (path, token) -> {});

  /** What went wrong on the back ends' thread. */
  private final AtomicReference<Throwable> bug = new AtomicReference<>();

  final BackendLoop loop = new BackendLoop(e -> bug.compareAndSet(null, e));
  final FakeDomain domain = new FakeDomain(host, 1);
  private final String device;
  final String backend;

  FrontEnd(String type, int handle) {
    device = "/local/domain/" + domain.domain().id() + "/device/" + type + "/" + handle;
    backend = "/local/domain/0/backend/" + type + "/" + domain.domain().id() + "/" + handle;
    for (int n = 8; n < 400; n++) {
      domain.grant(n, 0, (PAGES >> 12) + n, false);
    }
  }

  static long page(int reference) {
    return PAGES + ((long) reference << 12);
  }

  void write(String key, Object value) {
    store.put(client, device + "/" + key, value.toString());
  }

  Optional<String> backendKey(String key) {
    return store.get(client, backend + "/" + key);
  }

  void awaitState(int state) throws InterruptedException {
    for (int i = 0; i < 10_000; i++) {
      if (backendKey("state").equals(Optional.of(Integer.toString(state)))) {
        return;
      }
      Thread.sleep(1);
    }
    throw new AssertionError("state is " + backendKey("state") + ", not " + state);
  }

  /** Sends an event. */
  void kick(int port) {
    domain.call(FakeDomain.EVENT_CHANNEL_OP, 4, domain.words(port));
  }

  /** Waits until the back ends' thread has done what it was asked for. */
  void settle() throws InterruptedException {
    CountDownLatch done = new CountDownLatch(1);
    loop.execute(done::countDown);
    done.await();
    if (bug.get() != null) {
      throw new AssertionError("a bug on the back ends' thread", bug.get());
    }
  }

  int get32(long gpa) {
    return domain.memory().read32(gpa);
  }

  void put32(long gpa, int value) {
    domain.memory().write32(gpa, value);
  }

  @Override
  public void close() {
    loop.close();
    host.close();
  }
}

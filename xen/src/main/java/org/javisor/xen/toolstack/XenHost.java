package org.javisor.xen.toolstack;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.time.Entropy;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.image.DefaultFirmware;
import org.javisor.storage.packages.Progress;
import org.javisor.xen.backend.BackendLoop;
import org.javisor.xen.domain.Machinery;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.store.Store;
import org.javisor.xen.store.StoreClient;
import org.javisor.xen.toolstack.GuestConfig.Action;
import org.javisor.xen.toolstack.ToolException.Reason;

/**
 * A host of domains without a domain 0: the hypervisor, xenstore and the back ends in one process,
 * and the tools that create, watch and end domains.
 */
public final class XenHost implements AutoCloseable {
  private final Machinery machinery;
  private final Entropy entropy;
  private final Store store = new Store();
  private final StoreClient client = store.connect(0, (path, token) -> {});
  private final BackendLoop loop;
  private final BlockWorkers blockWorkers = new BlockWorkers();
  private final Consumer<Throwable> bugs;

  /** What takes its time, and what must not happen on a vCPU's thread: one thing after another. */
  private final ExecutorService worker =
      Executors.newSingleThreadExecutor(
          r -> Thread.ofPlatform().daemon().name("javisor-toolstack").unstarted(r));

  // Under this object's lock.
  private final Map<Integer, GuestDomain> guests = new LinkedHashMap<>();
  private final List<Consumer<GuestDomain>> endListeners = new ArrayList<>();
  private Runnable whenEmpty = () -> {};
  private boolean closed;
  private Consumer<String> crashes = report -> {};

  /**
   * Makes a host without domains.
   *
   * @param bugs is told of errors of ours that are nobody's answer
   */
  public XenHost(Machinery machinery, Entropy entropy, Consumer<Throwable> bugs) {
    this.machinery = machinery;
    this.entropy = entropy;
    this.bugs = bugs;
    loop = new BackendLoop(bugs);
    store.put(client, "/local/domain/0/name", "Domain-0");
    store.put(client, "/local/domain/0/domid", "0");
    store.put(client, "/tool/xenstored", "");
  }

  Machinery machinery() {
    return machinery;
  }

  public Hypervisor hypervisor() {
    return machinery.hypervisor();
  }

  public Store store() {
    return store;
  }

  StoreClient storeClient() {
    return client;
  }

  BackendLoop loop() {
    return loop;
  }

  BlockWorkers blockWorkers() {
    return blockWorkers;
  }

  Entropy entropy() {
    return entropy;
  }

  /** The image that an HVM domain without a kernel starts. */
  byte[] firmware(Optional<Path> chosen) throws ToolException {
    try {
      Path file = chosen.isPresent() ? chosen.get() : new DefaultFirmware(Progress.NONE).obtain();
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new ToolException(
          Reason.FILE, "the firmware cannot be had: " + e.getMessage(), e);
    }
  }

  void report(Throwable bug) {
    bugs.accept(bug);
  }

  /** Has something run, once, when the last domain has gone. */
  public synchronized void whenEmpty(Runnable action) {
    whenEmpty = action;
  }

  /** Is given the report of each domain that crashes. */
  public synchronized void onCrash(Consumer<String> listener) {
    crashes = listener;
  }

  /** Is told of each domain that ends for good. */
  synchronized void onEnd(Consumer<GuestDomain> listener) {
    endListeners.add(listener);
  }

  /** Is told no more. */
  synchronized void forgetOnEnd(Consumer<GuestDomain> listener) {
    endListeners.remove(listener);
  }

  // ---- Domains ----------------------------------------------------------------------------

  /** All domains, by number. */
  public synchronized List<GuestDomain> guests() {
    return List.copyOf(guests.values());
  }

  /** Finds a domain by its number or name, as xl does. */
  public synchronized Optional<GuestDomain> find(String nameOrId) {
    return guests.values().stream()
        .filter(
            g -> g.name().equals(nameOrId) || Integer.toString(g.id()).equals(nameOrId))
        .findFirst();
  }

  /** Creates a domain, paused. */
  public synchronized GuestDomain create(GuestConfig config) throws ToolException {
    if (closed) {
      throw new ToolException(Reason.HOST_REFUSED, "the host is ending: start again");
    }
    if (find(config.name()).isPresent()) {
      throw new ToolException(
          Reason.USAGE,
          "a domain " + config.name() + " exists already: destroy it, or give another name");
    }
    GuestDomain guest = new GuestDomain(this, config, config.uuid().orElseGet(this::randomUuid));
    boolean started = false;
    try {
      start(guest);
      started = true;
      return guest;
    } finally {
      if (!started) {
        worker.execute(this::endIfEmpty);
      }
    }
  }

  private void start(GuestDomain guest) throws ToolException {
    guest.build((domain, reason) -> worker.execute(() -> stopped(guest, domain, reason)));
    guests.put(guest.id(), guest);
    hypervisor().console().log("(XEN) d" + guest.id() + " is " + guest.name());
  }

  /**
   * Saves a domain to a file, and ends it.
   *
   * @param stays whether it goes on afterwards, under another number
   * @return the size of the file in bytes
   * @throws ToolException if it cannot be saved; then it goes on, too
   */
  public long save(GuestDomain guest, Path file, boolean stays) throws ToolException {
    guest.suspend();
    SavedGuest saved;
    long size = 0;
    IOException failure = null;
    synchronized (this) {
      if (guests.get(guest.id()) != guest) {
        throw new ToolException(Reason.NO_DOMAIN, guest.name() + " has gone meanwhile");
      }
      try {
        saved = guest.save();
      } catch (NotSavableException e) {
        throw new ToolException(Reason.HOST_REFUSED, e.getMessage(), e);
      } catch (StateException e) {
        throw new AssertionError("a state of our own cannot be read", e);
      }
      guests.remove(guest.id());
      guest.destroy();
    }
    try {
      size = saved.write(file);
    } catch (IOException e) {
      failure = e;
    }
    if (failure != null || stays) {
      restore(saved, guest.config(), guest.consoles()).domain().unpause();
    } else {
      synchronized (this) {
        ended(guest);
      }
    }
    saved.pages().release();
    if (failure != null) {
      throw new ToolException(
          Reason.FILE,
          file + " cannot be written (" + failure.getMessage() + "): " + guest.name() + " goes on",
          failure);
    }
    return size;
  }

  /** Builds a domain from a file of {@link #save}; it is paused. */
  public GuestDomain restore(Path file) throws ToolException {
    try {
      SavedGuest saved = SavedGuest.read(file);
      GuestConfig config = saved.record().parse();
      GuestDomain guest = restore(saved, config, GuestDomain.Consoles.of(config));
      saved.pages().release();
      return guest;
    } catch (StateException e) {
      throw new ToolException(
          Reason.CONFIG, file + " cannot be restored: " + e.getMessage(), e);
    } catch (NoSuchFileException e) {
      throw new ToolException(Reason.FILE, file + " does not exist: a saved domain expected", e);
    } catch (IOException e) {
      throw new ToolException(Reason.FILE, file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private synchronized GuestDomain restore(
      SavedGuest saved, GuestConfig config, GuestDomain.Consoles consoles) throws ToolException {
    if (closed) {
      throw new ToolException(Reason.HOST_REFUSED, "the host is ending: start again");
    }
    String name = saved.record().name();
    if (find(name).isPresent()) {
      throw new ToolException(
          Reason.USAGE, "a domain " + name + " exists already: destroy or rename it");
    }
    boolean started = false;
    try {
      GuestDomain guest = new GuestDomain(this, config, saved.record().id(), consoles);
      guest.restore(
          (domain, reason) -> worker.execute(() -> stopped(guest, domain, reason)), saved);
      guests.put(guest.id(), guest);
      hypervisor().console().log("(XEN) d" + guest.id() + " is " + guest.name() + ", restored");
      started = true;
      return guest;
    } catch (StateException e) {
      throw new ToolException(
          Reason.CONFIG, name + " cannot be restored: " + e.getMessage(), e);
    } finally {
      if (!started) {
        worker.execute(this::endIfEmpty);
      }
    }
  }

  private UUID randomUuid() {
    byte[] b = new byte[16];
    entropy.nextBytes(b);
    long high = java.nio.ByteBuffer.wrap(b).getLong(0) & ~0xf000L | 0x4000L;
    long low = java.nio.ByteBuffer.wrap(b).getLong(8) & ~(3L << 62) | 1L << 63;
    return new UUID(high, low);
  }

  /** Ends a domain at once. */
  public synchronized void destroy(GuestDomain guest) {
    if (guests.get(guest.id()) == guest) {
      guests.remove(guest.id());
      guest.destroy();
      ended(guest);
    }
  }

  private void ended(GuestDomain guest) {
    List.copyOf(endListeners).forEach(l -> l.accept(guest));
    if (guests.isEmpty()) {
      worker.execute(this::endIfEmpty);
    }
  }

  /** Says that the last domain has gone, if there is none: nobody has given it one. */
  public void endIfEmpty() {
    Runnable action;
    synchronized (this) {
      if (!guests.isEmpty() || closed) {
        return;
      }
      action = whenEmpty;
      whenEmpty = () -> {};
    }
    action.run();
  }

  /** A domain has shut down: what its configuration says is done. */
  private void stopped(GuestDomain guest, Domain domain, ShutdownReason reason) {
    try {
      synchronized (this) {
        if (guests.get(domain.id()) != guest || guest.domain() != domain) {
          return;
        }
        store.shutDown();
        hypervisor().console().log("(XEN) d" + domain.id() + " shut down: " + reason);
        if (reason == ShutdownReason.CRASH) {
          crashes.accept(guest.name() + " crashed: " + domain.report().strip());
        }
        Action action =
            switch (reason) {
              case POWEROFF -> guest.config().onPoweroff();
              case REBOOT -> guest.config().onReboot();
              case CRASH, WATCHDOG -> guest.config().onCrash();
              case SUSPEND, SOFT_RESET -> Action.PRESERVE;
            };
        if (action == Action.PRESERVE || action == Action.SOFT_RESET) {
          return;
        }
        guests.remove(domain.id());
        GuestDomain.Consoles consoles = guest.consoles();
        guest.destroy();
        if (action.restarts()) {
          GuestDomain next = new GuestDomain(this, guest.config(), guest.uuid(), consoles);
          start(next);
          next.domain().unpause();
        } else {
          ended(guest);
        }
      }
    } catch (ToolException e) {
      hypervisor().console().log("(XEN) " + guest.name() + " cannot start again: "
          + e.getMessage());
      synchronized (this) {
        ended(guest);
      }
    } catch (RuntimeException | Error e) {
      bugs.accept(e);
    }
  }

  /** Ends all domains and the host. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      whenEmpty = () -> {};
      List.copyOf(guests.values()).forEach(this::destroy);
    }
    worker.shutdown();
    loop.close();
    blockWorkers.close();
    hypervisor().close();
  }
}

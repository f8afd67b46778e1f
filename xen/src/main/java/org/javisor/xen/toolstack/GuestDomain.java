package org.javisor.xen.toolstack;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.Images;
import org.javisor.xen.backend.BlockBackend;
import org.javisor.xen.backend.ConsoleBackend;
import org.javisor.xen.backend.NetworkBackend;
import org.javisor.xen.backend.XenbusBackend;
import org.javisor.xen.domain.BuildException;
import org.javisor.xen.domain.BuiltDomain;
import org.javisor.xen.domain.DomainBoot;
import org.javisor.xen.domain.EmulatedDevices;
import org.javisor.xen.domain.HvmDomain;
import org.javisor.xen.domain.PvDomain;
import org.javisor.xen.domain.PvhDomain;
import org.javisor.xen.domain.Savable;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.DomainListener;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.hypervisor.HvmParams;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.store.Store;
import org.javisor.xen.store.StoreClient;
import org.javisor.xen.store.StoreException;
import org.javisor.xen.store.StoreRing;
import org.javisor.xen.toolstack.ToolException.Reason;

/** One domain as the tools know it: its configuration, its place in xenstore, its devices. */
public final class GuestDomain {
  private static final long MIB = 1 << 20;
  private static final long SUSPEND_NANOS = 60_000_000_000L;

  /** A device, and what it stands on. */
  record Device(String type, int handle, XenbusBackend backend, AutoCloseable resource) {}

  /** The PV console, and an HVM domain's serial line where it is one. */
  record Consoles(DomainConsole pv, Optional<DomainConsole> serial) {
    static Consoles of(GuestConfig config) {
      boolean line = config.kind() == DomainKind.HVM && config.hvm().serial();
      return new Consoles(
          new DomainConsole(), line ? Optional.of(new DomainConsole()) : Optional.empty());
    }

    /** What a person sees who does not say which. */
    DomainConsole primary() {
      return serial.orElse(pv);
    }
  }

  /** A disk or card whose host side is open. */
  private record OpenDisk(DiskSpec spec, BlockDevice device) {}

  private record OpenCard(VifSpec spec, NetworkPort port, MacAddress mac) {}

  private final XenHost host;
  private final GuestConfig config;
  private final UUID uuid;
  private final Store store;
  private final StoreClient client;
  private final Consoles consoles;
  private final List<Device> devices = new ArrayList<>();
  private String name;
  private Domain domain;
  private Savable savable;

  /** Of its cards, in their order. */
  private final List<MacAddress> macs = new ArrayList<>();

  /** Its back ends are gone. */
  private boolean quiet;

  private StoreRing ring;
  private ConsoleBackend consoleBackend;

  /** A domain whose console nobody looks at yet. */
  GuestDomain(XenHost host, GuestConfig config, UUID uuid) {
    this(host, config, uuid, Consoles.of(config));
  }

  /** A domain that starts again: who looked at its console goes on looking. */
  GuestDomain(XenHost host, GuestConfig config, UUID uuid, Consoles consoles) {
    this.consoles = consoles;
    this.host = host;
    this.config = config;
    this.uuid = uuid;
    name = config.name();
    store = host.store();
    client = host.storeClient();
  }

  public Domain domain() {
    return domain;
  }

  public int id() {
    return domain.id();
  }

  public GuestConfig config() {
    return config;
  }

  public synchronized String name() {
    return name;
  }

  UUID uuid() {
    return uuid;
  }

  Consoles consoles() {
    return consoles;
  }

  /** Whether a console is this domain's. */
  boolean has(DomainConsole console) {
    return console == consoles.pv || consoles.serial.filter(s -> s == console).isPresent();
  }

  synchronized List<Device> devices() {
    return List.copyOf(devices);
  }

  // ---- Building ---------------------------------------------------------------------------

  /** Builds it, paused. If that fails, nothing is left of it. */
  void build(DomainListener listener) throws ToolException {
    try {
      build(listener, Optional.empty());
    } catch (StateException e) {
      throw new AssertionError("nothing is restored", e);
    }
  }

  /** Builds it from what was saved of one, paused. If that fails, nothing is left of it. */
  void restore(DomainListener listener, SavedGuest saved) throws ToolException, StateException {
    name = saved.record().name();
    build(listener, Optional.of(saved));
  }

  private void build(DomainListener listener, Optional<SavedGuest> saved)
      throws ToolException, StateException {
    List<OpenDisk> disks = new ArrayList<>();
    List<OpenCard> cards = new ArrayList<>();
    boolean built = false;
    try {
      for (DiskSpec spec : config.disks()) {
        if (spec.target().isPresent()) { // Else it is a drive without a disc.
          disks.add(new OpenDisk(spec, open(spec)));
        }
      }
      for (VifSpec spec : config.vifs()) {
        Optional<NetworkPort> port = open(spec);
        if (port.isPresent()) {
          List<String> known = saved.map(s -> s.record().macs()).orElse(List.of());
          Optional<MacAddress> mac =
              cards.size() < known.size()
                  ? Optional.of(MacAddress.parse(known.get(cards.size())))
                  : spec.mac();
          cards.add(new OpenCard(spec, port.get(), mac.orElseGet(this::xenMac)));
        }
      }
      DomainBoot boot = boot(disks, cards);
      BuiltDomain result =
          saved.isPresent()
              ? restored(boot, listener, saved.get())
              : built(boot, listener);
      domain = result.domain();
      savable = result.savable();
      introduce(result, saved.isPresent());
      while (!disks.isEmpty()) {
        attach(disks.removeFirst());
      }
      for (int index = 0; !cards.isEmpty(); index++) {
        attach(cards.removeFirst(), index);
      }
      schedule();
      built = true;
    } catch (BuildException e) {
      throw new ToolException(
          switch (e.reason()) {
            case UNREADABLE_FILE -> Reason.FILE;
            case NOT_A_KERNEL -> Reason.NOT_A_KERNEL;
            case TOO_LITTLE_MEMORY -> Reason.MEMORY;
          },
          e.getMessage(),
          e);
    } catch (GrantTable.Refused e) {
      throw new AssertionError("a grant of our own", e);
    } finally {
      if (!built) {
        if (domain != null) {
          destroy();
        }
        disks.forEach(d -> close(d.device()));
        cards.forEach(c -> c.port().close());
      }
    }
  }

  private BuiltDomain built(DomainBoot boot, DomainListener listener) throws BuildException {
    return switch (config.kind()) {
      case PVH -> PvhDomain.build(host.machinery(), boot, listener);
      case HVM -> HvmDomain.build(host.machinery(), boot, listener);
      case PV -> PvDomain.build(host.machinery(), boot, listener);
    };
  }

  private BuiltDomain restored(DomainBoot boot, DomainListener listener, SavedGuest saved)
      throws BuildException, StateException {
    return switch (config.kind()) {
      case PVH ->
          PvhDomain.restore(host.machinery(), boot, listener, saved.state(), saved.pages());
      case HVM ->
          HvmDomain.restore(host.machinery(), boot, listener, saved.state(), saved.pages());
      case PV -> PvDomain.restore(host.machinery(), boot, listener, saved.state(), saved.pages());
    };
  }

  private DomainBoot boot(List<OpenDisk> disks, List<OpenCard> cards) throws ToolException {
    Optional<byte[]> firmware = Optional.empty();
    EmulatedDevices emulated = EmulatedDevices.NONE;
    if (config.kind() == DomainKind.HVM) {
      if (config.kernel().isEmpty()) {
        firmware = Optional.of(host.firmware(config.hvm().firmware()));
      }
      emulated = emulated(disks, cards);
    }
    return new DomainBoot(
        uuid,
        config.maxVcpus(),
        config.memoryMib() * MIB,
        config.maxMemoryMib() * MIB,
        config.kernel(),
        Optional.empty(),
        config.ramdisk(),
        config.commandLine(),
        firmware,
        emulated);
  }

  private EmulatedDevices emulated(List<OpenDisk> disks, List<OpenCard> cards)
      throws ToolException {
    List<EmulatedDevices.Drive> drives = new ArrayList<>();
    for (OpenDisk disk : disks) {
      int place = disk.spec().idePlace();
      if (place >= 0) {
        if (drives.stream().anyMatch(d -> d.place() == place)) {
          throw new ToolException(
              Reason.CONFIG, name + ": disk: " + disk.spec().vdev() + ": its place is taken");
        }
        drives.add(
            new EmulatedDevices.Drive(place, disk.device(), disk.spec().cdrom()));
      }
    }
    return new EmulatedDevices(
        config.hvm().platformDevice(),
        consoles.serial()
            .<CharacterBackend>map(c -> new SerialConsole(c, host.loop()))
            .orElse(CharacterBackend.NONE),
        drives,
        cards.stream()
            .filter(c -> c.spec().emulated())
            .map(c -> new EmulatedDevices.Card(c.port(), c.mac()))
            .toList(),
        config.hvm().discFirst());
  }

  private void schedule() throws ToolException {
    config.weight().ifPresent(domain::setWeight);
    config.cap().ifPresent(domain::setCap);
    int pcpus = host.hypervisor().pcpus();
    try {
      long hard = config.cpus().isPresent() ? CpuSet.parse(config.cpus().get(), pcpus) : -1;
      long soft =
          config.cpusSoft().isPresent() ? CpuSet.parse(config.cpusSoft().get(), pcpus) : -1;
      domain.vcpus().forEach(v -> v.setAffinity(hard, soft));
    } catch (IllegalArgumentException e) {
      throw new ToolException(Reason.CONFIG, name + ": cpus: " + e.getMessage(), e);
    }
  }

  private void introduce(BuiltDomain built, boolean restored) throws GrantTable.Refused {
    int id = domain.id();
    String home = "/local/domain/" + id;
    String vm = "/vm/" + uuid;
    store.put(client, vm + "/uuid", uuid.toString());
    store.put(client, vm + "/name", name);
    directory(home, "n0", "r" + id);
    for (String open : List.of(
        "control/shutdown", "control/feature-poweroff", "control/feature-reboot",
        "control/feature-suspend", "control/sysrq", "control/platform-feature-xs_reset_watches",
        "data", "drivers", "feature", "attr", "error")) {
      directory(home + "/" + open, "n" + id);
    }
    store.put(client, home + "/control/platform-feature-xs_reset_watches", "1");
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("vm", vm);
    keys.put("name", name);
    keys.put("domid", Integer.toString(id));
    keys.put("memory/target", Long.toString(config.memoryMib() << 10));
    keys.put("memory/static-max", Long.toString(config.maxMemoryMib() << 10));
    for (int i = 0; i < config.maxVcpus(); i++) {
      boolean online = restored ? domain.vcpus().get(i).isOnline() : i < config.vcpus();
      keys.put("cpu/" + i + "/availability", online ? "online" : "offline");
    }
    keys.put("store/port", Integer.toString(built.storePort()));
    keys.put("store/ring-ref", Integer.toString(BuiltDomain.STORE_REFERENCE));
    keys.put("console/port", Integer.toString(built.consolePort()));
    keys.put("console/ring-ref", Integer.toString(BuiltDomain.CONSOLE_REFERENCE));
    keys.put("console/type", "xenconsoled");
    keys.put("console/limit", "1048576");
    keys.forEach((key, value) -> store.put(client, home + "/" + key, value));
    directory(home + "/device", "n0", "r" + id);

    StoreRing[] made = new StoreRing[1];
    Runnable doorbell =
        host.loop()
            .doorbell(
                () -> {
                  if (made[0] != null) {
                    made[0].work();
                  }
                });
    ring =
        new StoreRing(store, domain, BuiltDomain.STORE_REFERENCE, built.storePort(), doorbell);
    host.loop().execute(() -> made[0] = ring);
    doorbell.run();
    consoleBackend =
        new ConsoleBackend(
            domain,
            BuiltDomain.CONSOLE_REFERENCE,
            built.consolePort(),
            consoles.pv()::write,
            host.loop());
    ConsoleBackend backend = consoleBackend;
    consoles.pv().connect(typed -> backend.type(typed, typed.length));
    store.introduce(id);
  }

  private void directory(String path, String... permissions) {
    try {
      store.makeDirectory(client, 0, path);
      store.setPermissions(client, 0, path, List.of(permissions));
    } catch (StoreException e) {
      throw new IllegalStateException("xenstore refuses its own", e);
    }
  }

  // ---- Devices ----------------------------------------------------------------------------

  /** Plugs a disk in. */
  void attach(DiskSpec spec) throws ToolException {
    if (spec.target().isPresent()) { // Else it is a drive without a disc.
      attach(new OpenDisk(spec, open(spec)));
    }
  }

  private BlockDevice open(DiskSpec spec) throws ToolException {
    if (domain != null) {
      requireFree(spec);
    }
    try {
      return new ImageDevice(
          Images.open(
              spec.target().get(),
              ImageFormat.parse(spec.format()),
              spec.readOnly() ? HostFile.Access.READ : HostFile.Access.WRITE),
          host.blockWorkers());
    } catch (BlockException e) {
      throw new ToolException(
          switch (e.reason()) {
            case UNREADABLE, READ_ONLY, HOST_IO, HOST_DISK_FULL -> Reason.FILE;
            case IN_USE -> Reason.HOST_REFUSED;
            default -> Reason.NOT_A_KERNEL;
          },
          e.getMessage(),
          e);
    }
  }

  private void close(BlockDevice disk) {
    try {
      disk.close();
    } catch (BlockException e) {
      host.report(e); // Nothing was written to it yet.
    }
  }

  private void requireFree(DiskSpec spec) throws ToolException {
    if (device("vbd", spec.number()).isPresent()) {
      throw new ToolException(Reason.CONFIG, name + " has a disk " + spec.vdev() + " already");
    }
  }

  private void attach(OpenDisk open) throws ToolException {
    DiskSpec spec = open.spec();
    int number = spec.number();
    try {
      requireFree(spec);
    } catch (ToolException e) {
      close(open.device());
      throw e;
    }
    BlockBackend backend =
        new BlockBackend(store, host.loop(), domain, number, open.device());
    synchronized (this) {
      devices.add(new Device("vbd", number, backend, open.device()));
    }
    Map<String, String> front = new LinkedHashMap<>();
    front.put("virtual-device", Integer.toString(number));
    front.put("device-type", spec.cdrom() ? "cdrom" : "disk");
    Map<String, String> back = new LinkedHashMap<>();
    back.put("params", spec.target().get().toString());
    back.put("dev", spec.vdev());
    back.put("type", "javisor");
    back.put("mode", spec.readOnly() ? "r" : "w");
    back.put("device-type", spec.cdrom() ? "cdrom" : "disk");
    back.put("discard-enable", spec.discard() ? "1" : "0");
    back.put("removable", "0");
    back.put("bootable", "1");
    backend.start(front, back);
  }

  /** Plugs a card in. */
  void attach(VifSpec spec, int index) throws ToolException {
    Optional<NetworkPort> port = open(spec);
    if (port.isPresent()) {
      attach(new OpenCard(spec, port.get(), spec.mac().orElseGet(this::xenMac)), index);
    }
  }

  private Optional<NetworkPort> open(VifSpec spec) throws ToolException {
    try {
      return spec.network().open(host.hypervisor().clock(), host.entropy());
    } catch (NetworkException e) {
      throw new ToolException(Reason.HOST_REFUSED, name + ": vif: " + e.getMessage(), e);
    }
  }

  private void attach(OpenCard open, int index) {
    macs.add(open.mac());
    NetworkBackend backend = new NetworkBackend(store, host.loop(), domain, index, open.port());
    synchronized (this) {
      devices.add(new Device("vif", index, backend, open.port()));
    }
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("handle", Integer.toString(index));
    keys.put("mac", open.mac().toString());
    backend.start(keys, keys);
  }

  /** An address of Xen's range, 00:16:3e. */
  private MacAddress xenMac() {
    byte[] bytes = new byte[3];
    host.entropy().nextBytes(bytes);
    return new MacAddress(
        0x00_16_3eL << 24 | (bytes[0] & 0x7fL) << 16 | (bytes[1] & 0xffL) << 8 | bytes[2] & 0xffL);
  }

  synchronized Optional<Device> device(String type, int handle) {
    return devices.stream()
        .filter(d -> d.type().equals(type) && d.handle() == handle)
        .findFirst();
  }

  /** Pulls a device out, whatever the guest thinks. */
  void detach(Device device) {
    synchronized (this) {
      devices.remove(device);
    }
    end(List.of(device));
  }

  /** The next number for a card. */
  synchronized int nextVif() {
    return devices.stream()
        .filter(d -> d.type().equals("vif"))
        .mapToInt(d -> d.handle() + 1)
        .max()
        .orElse(0);
  }

  private void end(List<Device> leaving) {
    CountDownLatch ended = new CountDownLatch(leaving.size());
    leaving.forEach(d -> d.backend().end(ended::countDown));
    try {
      if (!ended.await(10, TimeUnit.SECONDS)) {
        host.report(new IllegalStateException("back ends of " + name + " do not end"));
      }
      for (Device d : leaving) {
        d.resource().close();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (Exception e) {
      host.report(e);
    }
  }

  // ---- Life -------------------------------------------------------------------------------

  /** Asks the guest's kernel, which obeys if it listens. */
  void requestShutdown(String how) {
    store.put(client, "/local/domain/" + id() + "/control/shutdown", how);
  }

  /** Whether its kernel has PV drivers that can be asked for something. */
  boolean listens() {
    return config.kind() != DomainKind.HVM || domain.params().get(HvmParams.CALLBACK_IRQ) != 0;
  }

  void sysrq(char key) {
    store.put(client, "/local/domain/" + id() + "/control/sysrq", String.valueOf(key));
  }

  /** Asks the guest's kernel to use so many of its vCPUs. */
  void setVcpus(int count) {
    for (int i = 0; i < config.maxVcpus(); i++) {
      store.put(
          client,
          "/local/domain/" + id() + "/cpu/" + i + "/availability",
          i < count ? "online" : "offline");
    }
  }

  /** Has the guest's balloon give memory back, or take it. */
  void setMemoryTarget(long mib) {
    domain.setMaxPages(Math.max(mib, config.memoryMib()) * MIB / 4096 + 16);
    store.put(
        client, "/local/domain/" + id() + "/memory/target", Long.toString(mib << 10));
  }

  synchronized void rename(String newName) {
    name = newName;
    store.put(client, "/local/domain/" + id() + "/name", newName);
  }

  Optional<String> storeValue(String path) {
    return store.get(client, path);
  }

  /**
   * Asks its kernel to suspend itself, and waits until it has.
   *
   * @throws ToolException if it does not, or cannot
   */
  void suspend() throws ToolException {
    if (!listens()) {
      throw new ToolException(
          Reason.HOST_REFUSED,
          name + " has no PV drivers that could suspend it: only a domain with them can be saved");
    }
    requestShutdown("suspend");
    long end = host.hypervisor().clock().nanos() + SUSPEND_NANOS;
    while (domain.shutdownReason() == null) {
      if (host.hypervisor().clock().nanos() > end) {
        throw new ToolException(
            Reason.HOST_REFUSED,
            name + " has not suspended itself within 60 s: wait until its kernel is up");
      }
      LockSupport.parkNanos(this, 2_000_000);
    }
    if (domain.shutdownReason() != ShutdownReason.SUSPEND) {
      throw new ToolException(
          Reason.HOST_REFUSED, name + " has shut down instead of suspending itself");
    }
  }

  /** Keeps all that is to be known of a suspended domain; its back ends are gone then. */
  SavedGuest save() throws StateException {
    quiesce();
    FrameArena pages = new FrameArena(Math.max(1, savable.pages()) * 4096L);
    StateWriter writer = new StateWriter();
    writer.section(SavedGuest.SECTION, SavedGuest.Made.FORMAT, SavedGuest.Made.of(this, macs));
    savable.save(writer, pages);
    return new SavedGuest(writer.finish(), pages);
  }

  /** Has it stand, and ends its back ends. */
  private void quiesce() {
    if (quiet) {
      return;
    }
    quiet = true;
    domain.pause();
    end(devices());
    CountDownLatch closed = new CountDownLatch(1);
    host.loop()
        .execute(
            () -> {
              if (consoleBackend != null) {
                consoleBackend.close();
              }
              if (ring != null) {
                ring.close();
              }
              closed.countDown();
            });
    try {
      closed.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends it and gives back all that it has. */
  void destroy() {
    int id = domain.id();
    quiesce();
    host.hypervisor().destroyDomain(domain);
    store.drop(client, "/local/domain/" + id);
    store.drop(client, "/vm/" + uuid);
    store.release(id);
  }
}

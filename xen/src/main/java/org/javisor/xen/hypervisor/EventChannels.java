package org.javisor.xen.hypervisor;

import java.util.concurrent.atomic.LongAdder;

/**
 * The event channels of one domain, two-level (public/event_channel.h): 4,096 ports, each with a
 * pending and a mask bit in the shared page.
 *
 * <p>Sending takes no lock. Binding and closing take one lock of the whole host, since they concern
 * two domains.
 */
public final class EventChannels {
  /** Ports of a 64-bit domain. */
  static final int PORTS = 4096;

  static final int VIRQ_TIMER = 0;
  private static final int VIRQ_DEBUG = 1;

  /** Something was typed at the host's console. */
  static final int VIRQ_CONSOLE = 2;

  /** A domain has shut down, or is gone. */
  static final int VIRQ_DOM_EXC = 3;

  private static final int VIRQ_XENOPROF = 7;
  private static final int VIRQ_XENPMU = 13;
  private static final int VIRQS = 24;

  /** Who stands for domain 0 where there is none: the back ends of this process. */
  public static final int HOST_DOMAIN = 0;

  /** What a port is bound to; with the numbers of {@code EVTCHNSTAT_*}. */
  sealed interface Binding {
    int status();
  }

  /** Nothing: the port is free. */
  record Closed() implements Binding {
    static final Closed INSTANCE = new Closed();

    @Override
    public int status() {
      return 0;
    }
  }

  /** It waits for another domain to bind to it. */
  record Unbound(int remote) implements Binding {
    @Override
    public int status() {
      return 1;
    }
  }

  /** The other end is a port of a domain. */
  record Interdomain(Domain domain, int port) implements Binding {
    @Override
    public int status() {
      return 2;
    }
  }

  /** The other end is a back end of this process. */
  record ToHost(HostChannel channel) implements Binding {
    @Override
    public int status() {
      return 2;
    }
  }

  /** A physical interrupt. */
  record Pirq(int number) implements Binding {
    @Override
    public int status() {
      return 3;
    }
  }

  /** A virtual interrupt. */
  record Virq(int number) implements Binding {
    @Override
    public int status() {
      return 4;
    }
  }

  /** Another vCPU of the same domain. */
  record Ipi() implements Binding {
    @Override
    public int status() {
      return 5;
    }
  }

  private static final class Port {
    volatile Binding binding = Closed.INSTANCE;
    volatile int vcpu;

    /** What an event does here that is the hypervisor's affair and not the guest's, or null. */
    volatile Runnable consumer;
  }

  private final Domain domain;
  private final Object lock;
  private final Port[] ports = new Port[PORTS];

  /** Port of each VIRQ of each vCPU, or 0: port 0 is never used. */
  private final int[][] virqs;

  private final LongAdder sent = new LongAdder();

  EventChannels(Domain domain, Object lock) {
    this.domain = domain;
    this.lock = lock;
    virqs = new int[domain.config().vcpus()][VIRQS];
    for (int i = 0; i < PORTS; i++) {
      ports[i] = new Port();
    }
  }

  private Port port(long number) {
    return number > 0 && number < PORTS ? ports[(int) number] : null;
  }

  private int freePort() {
    for (int i = 1; i < PORTS; i++) {
      if (ports[i].binding instanceof Closed) {
        return i;
      }
    }
    return -1;
  }

  private long bind(Binding binding, int vcpu) {
    int number = freePort();
    if (number < 0) {
      return Errno.ENOSPC;
    }
    ports[number].vcpu = vcpu;
    ports[number].binding = binding;
    return number;
  }

  // ---- Operations; each returns a port or 0, or an Errno --------------------------------------

  /** A port that {@code remote} may bind to. */
  public long allocateUnbound(int remote) {
    synchronized (lock) {
      return bind(new Unbound(remote), 0);
    }
  }

  /**
   * A port that {@code remote} may bind to, whose events the hypervisor takes itself. The guest can do
   * nothing with it.
   *
   * @param consumer is run for each event, on any thread; must not block or throw
   */
  long allocateConsumed(int remote, int vcpu, Runnable consumer) {
    synchronized (lock) {
      int number = (int) bind(new Unbound(remote), vcpu);
      if (number > 0) {
        ports[number].consumer = consumer;
      }
      return number;
    }
  }

  /** Gives such a port back. */
  void freeConsumed(int number) {
    synchronized (lock) {
      unbind(number, ports[number]);
    }
  }

  /** Sends an event from such a port; lost while nobody is bound to it. */
  void sendConsumed(int number) {
    if (ports[number].binding instanceof Interdomain(Domain remote, int remotePort)) {
      remote.events().setPending(remotePort);
    }
  }

  /** Binds to an unbound port of another domain. */
  long bindInterdomain(Domain remote, long remotePort) {
    synchronized (lock) {
      Port other = remote.events().port(remotePort);
      if (other == null
          || !(other.binding instanceof Unbound(int allowed))
          || allowed != domain.id()) {
        return Errno.EINVAL;
      }
      long number = bind(new Interdomain(remote, (int) remotePort), 0);
      if (number > 0) {
        other.binding = new Interdomain(domain, (int) number);
        // What was sent before there was a receiver must not be lost.
        setPending((int) number);
      }
      return number;
    }
  }

  private static boolean isPerVcpu(int virq) {
    return virq == VIRQ_TIMER
        || virq == VIRQ_DEBUG
        || virq == VIRQ_XENOPROF
        || virq == VIRQ_XENPMU;
  }

  long bindVirq(long virq, long vcpu) {
    if (virq < 0 || virq >= VIRQS || !isPerVcpu((int) virq) && vcpu != 0) {
      return Errno.EINVAL;
    }
    if (vcpu < 0 || vcpu >= virqs.length) {
      return Errno.ENOENT;
    }
    synchronized (lock) {
      if (virqs[(int) vcpu][(int) virq] != 0) {
        return Errno.EEXIST;
      }
      long number = bind(new Virq((int) virq), (int) vcpu);
      if (number > 0) {
        virqs[(int) vcpu][(int) virq] = (int) number;
      }
      return number;
    }
  }

  long bindIpi(long vcpu) {
    if (vcpu < 0 || vcpu >= virqs.length) {
      return Errno.ENOENT;
    }
    synchronized (lock) {
      return bind(new Ipi(), (int) vcpu);
    }
  }

  /** Only a domain that has physical interrupts can bind one, and none has yet. */
  long bindPirq() {
    return Errno.EPERM;
  }

  long close(long number) {
    synchronized (lock) {
      Port p = port(number);
      if (p == null || p.binding instanceof Closed || p.consumer != null) {
        return Errno.EINVAL;
      }
      unbind((int) number, p);
      return 0;
    }
  }

  private void unbind(int number, Port p) {
    switch (p.binding) {
      case Interdomain(Domain remote, int remotePort) -> {
        Port other = remote.events().port(remotePort);
        // Domain and port name each other, or the other one is bound anew already.
        if (other.binding instanceof Interdomain(Domain back, int backPort)
            && back == domain
            && backPort == number) {
          other.binding = new Unbound(domain.id());
        }
      }
      case ToHost(HostChannel channel) -> channel.closedByGuest();
      case Virq(int virq) -> virqs[isPerVcpu(virq) ? p.vcpu : 0][virq] = 0;
      default -> {}
    }
    p.binding = Closed.INSTANCE;
    p.consumer = null;
    domain.sharedInfo().clearPending(number);
  }

  /** Closes every port that the guest could close. */
  void closeAll() {
    synchronized (lock) {
      for (int i = 1; i < PORTS; i++) {
        if (!(ports[i].binding instanceof Closed) && ports[i].consumer == null) {
          unbind(i, ports[i]);
        }
      }
    }
  }

  long send(long number) {
    Port p = port(number);
    if (p == null || p.consumer != null) {
      return Errno.EINVAL;
    }
    sent.increment();
    switch (p.binding) {
      case Interdomain(Domain remote, int remotePort) ->
          remote.events().setPending(remotePort);
      case ToHost(HostChannel channel) -> channel.notified();
      case Ipi() -> setPending((int) number);
      case Unbound(int remote) -> {} // Silently dropped: the other end is not there yet.
      default -> {
        return Errno.EINVAL;
      }
    }
    return 0;
  }

  /** {@code struct evtchn_status}: fills in what is known of a port. */
  long status(long number, Structure s) {
    Port p = port(number);
    if (p == null) {
      return Errno.EINVAL;
    }
    synchronized (lock) {
      Binding binding = p.binding;
      s.put32(8, binding.status());
      s.put32(12, p.vcpu);
      switch (binding) {
        case Unbound(int remote) -> s.put16(16, remote);
        case Interdomain(Domain remote, int remotePort) -> {
          s.put16(16, remote.id());
          s.put32(20, remotePort);
        }
        case ToHost toHost -> {
          s.put16(16, HOST_DOMAIN);
          s.put32(20, 0);
        }
        case Pirq(int pirq) -> s.put32(16, pirq);
        case Virq(int virq) -> s.put32(16, virq);
        case Ipi ipi -> {}
        case Closed closed -> {}
      }
    }
    return 0;
  }

  /** Has events of a port go to another vCPU. */
  long bindVcpu(long number, long vcpu) {
    Port p = port(number);
    if (vcpu < 0 || vcpu >= virqs.length) {
      return Errno.ENOENT;
    }
    if (p == null || p.consumer != null) {
      return Errno.EINVAL;
    }
    synchronized (lock) {
      boolean movable =
          switch (p.binding) {
            case Virq(int virq) -> !isPerVcpu(virq);
            case Unbound u -> true;
            case Interdomain i -> true;
            case ToHost h -> true;
            case Pirq q -> true;
            case Ipi i -> false;
            case Closed c -> false;
          };
      if (!movable) {
        return Errno.EINVAL;
      }
      p.vcpu = (int) vcpu;
      return 0;
    }
  }

  long unmask(long number) {
    Port p = port(number);
    if (p == null) {
      return Errno.EINVAL;
    }
    SharedInfo shared = domain.sharedInfo();
    if (shared.clearMask((int) number) && shared.isPending((int) number)) {
      domain.vcpu(p.vcpu).select((int) number >>> 6);
    }
    return 0;
  }

  /** Masks every port: what a kernel that comes from another host expects of new ones. */
  public void maskAll() {
    domain.sharedInfo().maskAll();
  }

  // ---- Delivery ---------------------------------------------------------------------------

  /** An event for this domain. From any thread. */
  void setPending(int number) {
    Runnable consumer = ports[number].consumer;
    if (consumer != null) {
      consumer.run();
      return;
    }
    SharedInfo shared = domain.sharedInfo();
    if (!shared.setPending(number) && !shared.isMasked(number)) {
      // Who moves it to another vCPU masks it meanwhile, and sees at the end that it is pending; a vCPU
      // looked up before would be told of an event that it no longer takes.
      domain.vcpu(ports[number].vcpu).select(number >>> 6);
    }
    for (int i = 0; i < domain.vcpuCount(); i++) {
      domain.vcpu(i).portPending(number);
    }
  }

  /** Raises a virtual interrupt of a vCPU, if the guest has bound it. */
  void raiseVirq(VirtualCpu vcpu, int virq) {
    int number = virqs[vcpu.id()][virq];
    if (number != 0) {
      setPending(number);
    }
  }

  // ---- The host's end ---------------------------------------------------------------------

  /**
   * Binds a back end of this process to a port that waits for domain 0.
   *
   * @param onNotify what the guest's events do: called on vCPU threads, must not block or throw
   * @return the back end's end, or null if the port does not wait for it
   */
  public HostChannel bindHost(long number, Runnable onNotify) {
    synchronized (lock) {
      Port p = port(number);
      if (p == null || !(p.binding instanceof Unbound(int remote)) || remote != HOST_DOMAIN) {
        return null;
      }
      HostChannel channel = new HostChannel(this, (int) number, onNotify);
      p.binding = new ToHost(channel);
      return channel;
    }
  }

  /** The host's end goes: the guest's waits for another one. */
  void closeHost(HostChannel channel, int number) {
    synchronized (lock) {
      if (ports[number].binding instanceof ToHost(HostChannel bound) && bound == channel) {
        ports[number].binding = new Unbound(HOST_DOMAIN);
      }
    }
  }

  void notifyFromHost(HostChannel channel, int number) {
    if (ports[number].binding instanceof ToHost(HostChannel bound) && bound == channel) {
      setPending(number);
    }
  }

  /** Ports that are bound to something, or wait to be. */
  public int open() {
    synchronized (lock) {
      int count = 0;
      for (Port p : ports) {
        count += p == null || p.binding instanceof Closed ? 0 : 1;
      }
      return count;
    }
  }

  /** Events the domain has sent. */
  public long sent() {
    return sent.sum();
  }
}

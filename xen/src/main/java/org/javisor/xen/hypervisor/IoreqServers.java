package org.javisor.xen.hypervisor;

import java.util.Arrays;
import java.util.Optional;
import org.javisor.xen.hypervisor.IoreqServer.Space;

/**
 * The device models of one domain, which answer its accesses to what neither is memory nor a device
 * of the hypervisor's own.
 */
public final class IoreqServers {
  private static final int MOST = 8;
  private static final int ADDRESS_PORT = 0xcf8;
  private static final int DATA_PORT = 0xcfc;
  private static final int CONFIGURATION_ENABLED = 1 << 31;

  private final Domain domain;

  /** By number; published whole. */
  private volatile IoreqServer[] servers = new IoreqServer[MOST];

  /** What was last written to port 0xCF8: which register of which PCI function is accessed. */
  private volatile int configurationAddress;

  private boolean destroyed;

  IoreqServers(Domain domain) {
    this.domain = domain;
  }

  // ---- What a device model asks ---------------------------------------------------------------

  /**
   * Makes one.
   *
   * @return its number or an {@link Errno}
   */
  public synchronized long create(Domain model, boolean buffered) {
    IoreqServer[] next = Arrays.copyOf(servers, MOST);
    for (int i = 0; i < MOST && !destroyed; i++) {
      if (next[i] == null) {
        try {
          next[i] = new IoreqServer(domain, model, buffered);
        } catch (Hypervisor.OutOfMemory e) {
          return Errno.ENOMEM;
        }
        servers = next;
        return i;
      }
    }
    return Errno.ENOSPC;
  }

  private Optional<IoreqServer> server(long number) {
    return number >= 0 && number < MOST
        ? Optional.ofNullable(servers[(int) number])
        : Optional.empty();
  }

  /** The event channel for requests that nobody waits for, 0 if there is none; or an Errno. */
  public long bufferChannel(long number) {
    return server(number).<Long>map(s -> (long) s.bufferChannel()).orElse(Errno.ENOENT);
  }

  /**
   * Has one answer a range, or no longer.
   *
   * @param space as {@code XEN_DMOP_IO_RANGE_*} numbers them
   * @return 0 or an {@link Errno}
   */
  public long change(long number, long space, boolean add, long first, long last) {
    if (space < 0 || space >= Space.values().length) {
      return Errno.EINVAL;
    }
    Optional<IoreqServer> server = server(number);
    if (server.isEmpty()) {
      return Errno.ENOENT;
    }
    IoRanges ranges = server.get().ranges(Space.values()[(int) space]);
    return add ? ranges.add(first, last) : ranges.remove(first, last);
  }

  /** Begins to ask one, or ends it; returns 0 or an {@link Errno}. */
  public long enable(long number, boolean on) {
    Optional<IoreqServer> server = server(number);
    server.ifPresent(s -> s.enable(on));
    return server.isPresent() ? 0 : Errno.ENOENT;
  }

  /** Ends one; returns 0 or an {@link Errno}. */
  public long destroy(long number) {
    IoreqServer server;
    synchronized (this) {
      server = server(number).orElse(null);
      if (server == null) {
        return Errno.ENOENT;
      }
      IoreqServer[] next = Arrays.copyOf(servers, MOST);
      next[(int) number] = null;
      servers = next;
    }
    server.release();
    return 0;
  }

  /** The domain is gone. */
  void destroyAll() {
    IoreqServer[] all;
    synchronized (this) {
      destroyed = true;
      all = servers;
      servers = new IoreqServer[MOST];
    }
    for (IoreqServer server : all) {
      if (server != null) {
        server.release();
      }
    }
  }

  /** Uses a page of one, which is not given back before it is not mapped any more; -1 for none. */
  int usePage(long number, long index) {
    return server(number).map(s -> s.usePage(index)).orElse(-1);
  }

  // ---- What the guest accesses ----------------------------------------------------------------

  /** Reads a port; all ones where nobody answers. On the vCPU's own thread. */
  public long readPort(VirtualCpu vcpu, int port, int size) {
    return port(vcpu, port, size, true, 0);
  }

  /**
   * Has a device model fill memory with what repeated reads of a port give.
   *
   * @return how many elements are there now
   */
  public int readPort(VirtualCpu vcpu, int port, int size, int count, long gpa) {
    if ((port & ~3) == DATA_PORT) {
      return 0;
    }
    IoreqServer server = find(Space.PORT, port, port + size - 1);
    if (server == null) {
      return 0;
    }
    server.ask(vcpu, IoreqServer.TYPE_PORT, port, size, count, true, gpa);
    return count;
  }

  public void writePort(VirtualCpu vcpu, int port, int size, int value) {
    if (port == ADDRESS_PORT && size == 4) {
      configurationAddress = value;
    }
    port(vcpu, port, size, false, value & 0xffff_ffffL);
  }

  private long port(VirtualCpu vcpu, int port, int size, boolean read, long value) {
    int address = configurationAddress;
    if ((port & ~3) == DATA_PORT && (address & CONFIGURATION_ENABLED) != 0) {
      int function = address >>> 8 & 0xffff;
      long register = address & 0xfc | port & 3;
      return ask(
          vcpu, Space.PCI_FUNCTION, function, function, IoreqServer.TYPE_PCI_CONFIGURATION,
          (long) function << 32 | register, size, read, value);
    }
    return ask(
        vcpu, Space.PORT, port, port + size - 1, IoreqServer.TYPE_PORT, port, size, read, value);
  }

  /** Reads device memory; all ones where nobody answers. On the vCPU's own thread. */
  public long readMemory(VirtualCpu vcpu, long address, int size) {
    return ask(
        vcpu, Space.MEMORY, address, address + size - 1, IoreqServer.TYPE_MEMORY, address, size,
        true, 0);
  }

  public void writeMemory(VirtualCpu vcpu, long address, int size, long value) {
    ask(
        vcpu, Space.MEMORY, address, address + size - 1, IoreqServer.TYPE_MEMORY, address, size,
        false, value);
  }

  private long ask(
      VirtualCpu vcpu, Space space, long first, long last, int type, long address, int size,
      boolean read, long value) {
    IoreqServer server = find(space, first, last);
    return server == null
        ? -1
        : server.ask(vcpu, type, address, size, IoreqServer.ONE, read, value);
  }

  /** Who answers an access, or null. */
  private IoreqServer find(Space space, long first, long last) {
    for (IoreqServer server : servers) {
      if (server != null && server.answers(space, first, last)) {
        return server;
      }
    }
    return null;
  }

  /** The vCPU's domain has given pages back: device models forget what they have mapped of it. */
  void invalidate(VirtualCpu vcpu) {
    for (IoreqServer server : servers) {
      if (server != null && server.isEnabled()) {
        server.ask(vcpu, IoreqServer.TYPE_INVALIDATE, 0, 4, IoreqServer.ONE, false, -1);
      }
    }
  }
}

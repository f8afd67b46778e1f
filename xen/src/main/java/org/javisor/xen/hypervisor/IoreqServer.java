package org.javisor.xen.hypervisor;

import java.util.EnumMap;
import java.util.Map;
import org.javisor.memory.RawMemory;

/**
 * A device model in another domain: which accesses it answers, and the page by which it is asked
 * (public/hvm/ioreq.h). Of each vCPU the page has one request at a time; an event channel of the vCPU
 * tells either side that it is the other one's turn.
 */
final class IoreqServer {
  /** What guests access, with the numbers of {@code XEN_DMOP_IO_RANGE_*}. */
  enum Space {
    PORT,
    MEMORY,
    PCI_FUNCTION
  }

  /** {@code IOREQ_TYPE_*}. */
  static final int TYPE_PORT = 0;

  static final int TYPE_MEMORY = 1;
  static final int TYPE_PCI_CONFIGURATION = 2;

  /** Pages of the domain have gone: what is mapped of it is to be mapped anew. */
  static final int TYPE_INVALIDATE = 8;

  private static final int REQUEST_SIZE = 32;

  // Fields of a request. The last word has the state in bits 16 to 19.
  private static final int ADDRESS = 0;
  private static final int DATA = 8;
  private static final int COUNT = 16;
  private static final int SIZE = 20;
  private static final int CHANNEL = 24;
  private static final int STATE = 28;
  private static final int STATE_SHIFT = 16;
  private static final int STATE_MASK = 0xf;
  private static final int BY_POINTER = 1 << 20;
  private static final int READ = 1 << 21;
  private static final int TYPE_SHIFT = 24;

  /** A count of elements: the one whose value is in the request itself. */
  static final int ONE = 0;

  private static final int NO_REQUEST = 0;
  private static final int READY = 1;
  private static final int ANSWERED = 3;

  private final Domain domain;
  private final int page;
  private final int bufferPage;
  private final int[] channels;
  private final int bufferChannel;
  private final Map<Space, IoRanges> ranges = new EnumMap<>(Space.class);
  private volatile boolean enabled;
  private volatile boolean gone;

  /**
   * Makes one.
   *
   * @param buffered whether there is a page for requests that nobody waits for, too
   * @throws Hypervisor.OutOfMemory if there is no memory, or no event channel, for it
   */
  IoreqServer(Domain domain, Domain model, boolean buffered) {
    this.domain = domain;
    for (Space space : Space.values()) {
      ranges.put(space, new IoRanges());
    }
    Hypervisor host = domain.host();
    page = host.hypervisorFrame();
    channels = new int[domain.vcpuCount()];
    int buffer = -1;
    int bufferPort = 0;
    boolean made = false;
    try {
      for (int i = 0; i < channels.length; i++) {
        VirtualCpu vcpu = domain.vcpu(i);
        channels[i] = channel(model, i, vcpu::wake);
        RawMemory.put32(request(i) + CHANNEL, channels[i]);
      }
      if (buffered) {
        buffer = host.hypervisorFrame();
        bufferPort = channel(model, 0, () -> {});
      }
      made = true;
    } finally {
      bufferPage = buffer;
      bufferChannel = bufferPort;
      if (!made) {
        release();
      }
    }
  }

  private int channel(Domain model, int vcpu, Runnable consumer) {
    long port = domain.events().allocateConsumed(model.id(), vcpu, consumer);
    if (port <= 0) {
      throw new Hypervisor.OutOfMemory();
    }
    return (int) port;
  }

  private long request(int vcpu) {
    return domain.host().arena().address(page) + (long) REQUEST_SIZE * vcpu;
  }

  IoRanges ranges(Space space) {
    return ranges.get(space);
  }

  boolean answers(Space space, long first, long last) {
    return enabled && ranges.get(space).contains(first, last);
  }

  boolean isEnabled() {
    return enabled;
  }

  /** The event channel of the page for requests that nobody waits for; 0 if there is none. */
  int bufferChannel() {
    return bufferChannel;
  }

  /** Uses one of its pages, so that it stays: 0 is the buffer's. -1 if there is none. */
  synchronized int usePage(long index) {
    int frame = index == 0 ? bufferPage : index == 1 ? page : -1;
    if (frame >= 0 && !gone) {
      domain.host().frames().use(frame);
      return frame;
    }
    return -1;
  }

  /** Only one that is enabled is asked; who waits for an answer of one that no longer is, waits no more. */
  void enable(boolean on) {
    enabled = on;
    if (!on) {
      domain.vcpus().forEach(VirtualCpu::wake);
    }
  }

  private static int state(long request) {
    return RawMemory.getVolatile32(request + STATE) >>> STATE_SHIFT & STATE_MASK;
  }

  /**
   * Asks, and waits for the answer. On the vCPU's own thread.
   *
   * @param count elements that are in the guest's memory, from {@code data} on; or {@link #ONE}
   * @return what a read has found; all ones if there came no answer
   */
  long ask(
      VirtualCpu vcpu, int type, long address, int size, int count, boolean read, long data) {
    long at = request(vcpu.id());
    synchronized (this) {
      if (gone) {
        return -1;
      }
      RawMemory.put64(at + ADDRESS, address);
      RawMemory.put64(at + DATA, data);
      RawMemory.put32(at + COUNT, count == ONE ? 1 : count);
      RawMemory.put32(at + SIZE, size);
      RawMemory.putVolatile32(
          at + STATE,
          READY << STATE_SHIFT
              | (count == ONE ? 0 : BY_POINTER)
              | (read ? READ : 0)
              | type << TYPE_SHIFT);
    }
    domain.events().sendConsumed(channels[vcpu.id()]);
    vcpu.awaitAnswer(() -> !enabled || state(at) == ANSWERED);
    synchronized (this) {
      if (gone) {
        return -1; // The page is somebody else's.
      }
      long answer = state(at) == ANSWERED ? RawMemory.get64(at + DATA) : -1;
      RawMemory.putVolatile32(at + STATE, NO_REQUEST);
      return answer;
    }
  }

  /** Gives everything back; nobody waits for it any more. */
  void release() {
    synchronized (this) {
      if (gone) {
        return;
      }
      gone = true;
    }
    enable(false);
    for (int channel : channels) {
      if (channel > 0) {
        domain.events().freeConsumed(channel);
      }
    }
    if (bufferChannel > 0) {
      domain.events().freeConsumed(bufferChannel);
    }
    domain.host().releaseHypervisorFrame(page, domain);
    if (bufferPage >= 0) {
      domain.host().releaseHypervisorFrame(bufferPage, domain);
    }
  }
}

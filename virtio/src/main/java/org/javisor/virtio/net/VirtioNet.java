package org.javisor.virtio.net;

import static org.javisor.virtio.net.NetLayout.*;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadCache;
import org.javisor.network.OffloadSupport;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** A VirtIO network card with one pair of queues and a control queue. */
public final class VirtioNet implements VirtioDevice, Snapshottable<VirtioNet.State> {
  private static final int RECEIVE = 0;
  private static final int TRANSMIT = 1;
  private static final int CONTROL = 2;

  private static final int QUEUE_SIZE = 256;
  private static final int CONTROL_SIZE = 64;

  /** Frames sent in one turn: then the network looks at its sockets again. */
  private static final int FRAMES_A_TURN = 256;

  /** Buffers one frame may be spread over. */
  private static final int MAX_MERGED = QUEUE_SIZE;

  private static final int ETHERNET_HEADER = 14;

  private final NetworkPort port;
  private final GuestMemory memory;
  private final MacAddress permanentMac;
  private final NetworkPort.Doorbell transmitBell;
  private final NetworkPort.Doorbell controlBell;

  private volatile Session session;
  private volatile long mac;

  /** What the filter was when the machine was saved, until the first use of the session. */
  private volatile ReceiveFilter.State restored;

  private volatile OffloadSupport offloads = OffloadSupport.NONE;

  // What follows belongs to the network's thread.
  private final ReceiveFilter filter = new ReceiveFilter();
  private final ControlQueue control;
  private final OffloadCache offloadCache = new OffloadCache();
  private final Chain sending;
  private final List<Chain> receiving = new ArrayList<>();

  /** A header and a frame to the guest; and a frame from it with its header. */
  private final MemorySegment toGuest =
      Arena.ofAuto().allocate(HDR_SIZE + NetworkPort.MAX_FRAME, 16);

  private final ByteBuffer toGuestBytes =
      toGuest.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  private final MemorySegment fromGuest =
      Arena.ofAuto().allocate(HDR_SIZE + NetworkPort.MAX_FRAME, 16);
  private final ByteBuffer fromGuestBytes =
      fromGuest.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);

  /** The session that the filter and the header's length belong to. */
  private Session known;

  private int headerSize = HDR_SIZE;
  private boolean mergeable;
  private boolean unpublished;

  /**
   * @param port what it is plugged into; its owner closes it
   */
  public VirtioNet(NetworkPort port, MacAddress address, GuestMemory memory) {
    this.port = port;
    this.memory = memory;
    this.permanentMac = address;
    this.mac = address.bits();
    control = new ControlQueue(this, memory);
    sending = new Chain(memory);
    transmitBell = port.doorbell(this::transmit);
    controlBell = port.doorbell(this::control);
    port.connect(new Receiver());
  }

  // ---- The device ---------------------------------------------------------------------------

  @Override
  public DeviceType type() {
    return DeviceType.NET;
  }

  @Override
  public long features() {
    return F_CSUM | F_GUEST_CSUM | F_CTRL_GUEST_OFFLOADS | F_MAC | F_GUEST_TSO4 | F_GUEST_TSO6
        | F_HOST_TSO4 | F_HOST_TSO6 | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX
        | F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR;
  }

  /** Section 5.1.3.1. */
  @Override
  public boolean accepts(long features) {
    return needs(features, F_GUEST_TSO4 | F_GUEST_TSO6, F_GUEST_CSUM)
        && needs(features, F_HOST_TSO4 | F_HOST_TSO6, F_CSUM)
        && needs(
            features,
            F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR | F_CTRL_GUEST_OFFLOADS,
            F_CTRL_VQ);
  }

  private static boolean needs(long features, long any, long needed) {
    return (features & any) == 0 || (features & needed) != 0;
  }

  @Override
  public int queues() {
    return 3;
  }

  @Override
  public int queueSize(int queue) {
    return queue == CONTROL ? CONTROL_SIZE : QUEUE_SIZE;
  }

  @Override
  public int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  public int readConfig(int offset) {
    return switch (offset) {
      case CONFIG_STATUS -> S_LINK_UP;
      case CONFIG_MAX_PAIRS -> 1;
      default -> offset < 6 ? (int) (mac >>> 8 * (5 - offset)) & 0xff : 0;
    };
  }

  /** Only a legacy driver sets the address so (section 5.1.4.3). */
  @Override
  public void writeConfig(int offset, int size, int value) {
    for (int i = 0; i < size && offset + i < 6; i++) {
      int shift = 8 * (5 - offset - i);
      mac = mac & ~(0xffL << shift) | (value >>> 8 * i & 0xffL) << shift;
    }
  }

  @Override
  public void start(Session opened) {
    // Of a legacy driver nobody has asked whether its choice makes sense.
    boolean checksum = opened.has(F_GUEST_CSUM);
    offloads =
        new OffloadSupport(
            checksum,
            checksum && opened.has(F_GUEST_TSO4),
            checksum && opened.has(F_GUEST_TSO6));
    session = opened;
    // A network that was refused without a driver offers its frames again.
    port.receiverReady();
  }

  @Override
  public void stop(Session closed) {
    session = null;
    offloads = OffloadSupport.NONE;
  }

  @Override
  public void reset() {
    mac = permanentMac.bits();
    restored = null;
  }

  // ---- Saved state --------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("virtio-net", 1, State.class);

  /**
   * The saved state. Of connections that the network behind the card keeps nothing is saved.
   *
   * @param mac the address
   * @param checksum whether the driver takes frames without checksum, and so on
   * @param filter what the driver wants to receive
   */
  public record State(
      long mac, boolean checksum, boolean tcpV4, boolean tcpV6, ReceiveFilter.State filter) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  /** While paused the network's thread does not touch what belongs to it. */
  @Override
  public State saveState() {
    OffloadSupport now = offloads;
    ReceiveFilter.State saved = restored;
    return new State(
        mac, now.checksum(), now.tcpV4(), now.tcpV6(), saved != null ? saved : filter.save());
  }

  @Override
  public void restoreState(State state) {
    mac = state.mac;
    offloads =
        new OffloadSupport(
            state.checksum,
            state.checksum && state.tcpV4,
            state.checksum && state.tcpV6);
    restored = session == null ? null : state.filter;
  }

  @Override
  public void kick(Session current, int queue) {
    switch (queue) {
      case TRANSMIT -> transmitBell.ring();
      case RECEIVE -> port.receiverReady();
      default -> controlBell.ring();
    }
  }

  // ---- On the network's thread --------------------------------------------------------------

  ReceiveFilter filter() {
    return filter;
  }

  void setMac(long address) {
    mac = address;
    filter.setOwn(address);
  }

  boolean setGuestOffloads(Session current, long wanted) {
    long agreed = 0;
    for (long bit = Long.highestOneBit(GUEST_OFFLOADS); bit != 0; bit >>>= 1) {
      if ((bit & GUEST_OFFLOADS) != 0 && current.has(bit)) {
        agreed |= bit;
      }
    }
    boolean tso4 = (wanted & F_GUEST_TSO4) != 0;
    boolean tso6 = (wanted & F_GUEST_TSO6) != 0;
    boolean checksum = (wanted & F_GUEST_CSUM) != 0;
    if ((wanted & ~agreed) != 0 || (tso4 || tso6) && !checksum) {
      return false;
    }
    offloads = new OffloadSupport(checksum, tso4, tso6);
    return true;
  }

  /** Enters the session, and notes what a new one means. Null if there is none. */
  private Session enter() {
    Session current = session;
    if (current == null || !current.enter()) {
      return null;
    }
    if (current != known) {
      known = current;
      mergeable = current.has(F_MRG_RXBUF);
      headerSize = mergeable || current.has(Features.VERSION_1) ? HDR_SIZE : HDR_SHORT;
      unpublished = false;
      filter.reset(new MacAddress(mac));
      if (current.has(F_CTRL_VLAN)) {
        filter.filterVlans();
      }
      ReceiveFilter.State saved = restored;
      if (saved != null) {
        filter.restore(saved);
        restored = null;
      }
    }
    return current;
  }

  private void control() {
    Session current = enter();
    if (current == null) {
      return;
    }
    try {
      Virtqueue queue = current.queue(CONTROL);
      if (queue != null && current.has(F_CTRL_VQ)) {
        control.serve(current, queue);
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
  }

  private void transmit() {
    Session current = enter();
    if (current == null) {
      return;
    }
    boolean more = false;
    try {
      Virtqueue queue = current.queue(TRANSMIT);
      if (queue != null) {
        more = transmit(current, queue);
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
    if (more) {
      transmitBell.ring();
    }
  }

  /** Returns whether there is more. */
  private boolean transmit(Session current, Virtqueue queue) throws DriverFault {
    int frames = 0;
    boolean more;
    do {
      queue.suppress();
      while (frames < FRAMES_A_TURN && queue.pop(sending)) {
        send(current);
        queue.push(sending.head(), 0);
        frames++;
      }
      more = frames >= FRAMES_A_TURN || queue.rearm();
    } while (more && frames < FRAMES_A_TURN);
    if (frames > 0) {
      current.publish(queue);
    }
    return more;
  }

  /** Sends the frame of a chain. What a card could not send is lost, as on a cable. */
  private void send(Session current) throws DriverFault {
    long length = sending.readableBytes();
    if (length < headerSize) {
      throw new DriverFault("a frame without its header");
    }
    if (length < headerSize + ETHERNET_HEADER || length > headerSize + NetworkPort.MAX_FRAME) {
      return;
    }
    sending.read(0, fromGuest, 0, length);
    Offload offload = offload(current);
    if (offload != null) {
      fromGuestBytes.limit((int) length).position(headerSize);
      port.send(fromGuestBytes, offload);
    }
  }

  /** What the header leaves to us, or null if it makes no sense. */
  private Offload offload(Session current) {
    int flags = fromGuestBytes.get(HDR_FLAGS);
    int gso = fromGuestBytes.get(HDR_GSO_TYPE) & 0xff;
    boolean checksum = (flags & HDR_F_NEEDS_CSUM) != 0 && current.has(F_CSUM);
    Segmentation kind;
    if (gso == GSO_NONE) {
      kind = Segmentation.NONE;
    } else if (gso == GSO_TCPV4 && current.has(F_HOST_TSO4)) {
      kind = Segmentation.TCP_V4;
    } else if (gso == GSO_TCPV6 && current.has(F_HOST_TSO6)) {
      kind = Segmentation.TCP_V6;
    } else {
      return null;
    }
    if (kind == Segmentation.NONE && !checksum) {
      return Offload.NONE;
    }
    int size = kind == Segmentation.NONE ? 0 : fromGuestBytes.getShort(HDR_GSO_SIZE) & 0xffff;
    if (!checksum || kind != Segmentation.NONE && size == 0) {
      return null;
    }
    return offloadCache.get(
        true,
        fromGuestBytes.getShort(HDR_CSUM_START) & 0xffff,
        fromGuestBytes.getShort(HDR_CSUM_OFFSET) & 0xffff,
        kind,
        size);
  }

  /** Frames to the guest. */
  private final class Receiver implements FrameReceiver {
    @Override
    public OffloadSupport offloads() {
      return offloads;
    }

    @Override
    public boolean receive(ByteBuffer frame, Offload offload) {
      Session current = enter();
      if (current == null) {
        Session paused = session;
        // Nobody is there: lost. A paused machine gets it later.
        return paused == null || !paused.isPaused();
      }
      try {
        Virtqueue queue = current.queue(RECEIVE);
        return queue == null || !filter.takes(frame) || put(queue, frame, offload);
      } catch (DriverFault e) {
        current.fail(e);
        return true;
      } catch (GuestMemory.BadAddress e) {
        current.fail(e.getMessage());
        return true;
      } finally {
        current.leave();
      }
    }

    @Override
    public void endOfBurst() {
      Session current = enter();
      if (current == null) {
        return;
      }
      try {
        if (unpublished) {
          unpublished = false;
          current.publish(current.queue(RECEIVE));
        }
      } catch (GuestMemory.BadAddress e) {
        current.fail(e.getMessage());
      } finally {
        current.leave();
      }
    }
  }

  /** Puts a frame into the guest's buffers; false if there is no room. */
  private boolean put(Virtqueue queue, ByteBuffer frame, Offload offload) throws DriverFault {
    int length = frame.remaining();
    int total = headerSize + length;
    int buffers = 0;
    long room = 0;
    queue.suppress();
    while (room < total) {
      if (buffers == receiving.size()) {
        receiving.add(new Chain(memory));
      }
      Chain chain = receiving.get(buffers);
      if (!queue.pop(chain)) {
        if (queue.rearm()) {
          queue.suppress();
          continue;
        }
        giveBack(queue, buffers);
        return false;
      }
      buffers++;
      room += chain.writableBytes();
      if (buffers == 1 && room < headerSize) {
        throw new DriverFault("a buffer of " + room + " bytes for a frame");
      }
      if (room < total && (!mergeable || buffers == MAX_MERGED)) {
        // It will never fit.
        giveBack(queue, buffers);
        return true;
      }
    }
    header(frame, offload, buffers);
    toGuestBytes.put(headerSize, frame, frame.position(), length);
    long at = 0;
    for (int i = 0; i < buffers; i++) {
      Chain chain = receiving.get(i);
      long part = Math.min(total - at, chain.writableBytes());
      chain.write(0, toGuest, at, part);
      queue.push(chain.head(), (int) part);
      at += part;
    }
    unpublished = true;
    return true;
  }

  private static void giveBack(Virtqueue queue, int chains) {
    for (int i = 0; i < chains; i++) {
      queue.unpop();
    }
  }

  private void header(ByteBuffer frame, Offload offload, int buffers) {
    ByteBuffer h = toGuestBytes;
    boolean checksum = offload.checksumNeeded();
    h.put(HDR_FLAGS, (byte) (checksum ? HDR_F_NEEDS_CSUM : 0));
    h.put(
        HDR_GSO_TYPE,
        (byte) switch (offload.segmentation()) {
          case NONE -> GSO_NONE;
          case TCP_V4 -> GSO_TCPV4;
          case TCP_V6 -> GSO_TCPV6;
        });
    int headers = 0;
    if (offload.segmented()) {
      // Another guest of a switch may have said where the TCP header is.
      int dataOffset = frame.position() + offload.checksumStart() + 12;
      headers =
          dataOffset < frame.limit()
              ? offload.checksumStart() + ((frame.get(dataOffset) & 0xf0) >> 2)
              : 0;
    }
    h.putShort(HDR_LEN, (short) headers);
    h.putShort(HDR_GSO_SIZE, (short) offload.segmentSize());
    h.putShort(HDR_CSUM_START, (short) (checksum ? offload.checksumStart() : 0));
    h.putShort(HDR_CSUM_OFFSET, (short) (checksum ? offload.checksumOffset() : 0));
    if (headerSize == HDR_SIZE) {
      h.putShort(HDR_NUM_BUFFERS, (short) buffers);
    }
  }
}

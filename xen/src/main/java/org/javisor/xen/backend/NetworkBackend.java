package org.javisor.xen.backend;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.GrantMapping;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.hypervisor.HostChannel;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.store.Store;

/**
 * A network card for a domain (public/io/netif.h): frames of several pages, checksums and TCP
 * segmentation left undone in both directions, frames to the guest copied into pages it offers.
 *
 * <p>Frames from the guest are taken off the ring on the network's own thread, which the guest's
 * event rings.
 */
public final class NetworkBackend extends XenbusBackend {
  private static final int TX_CHECKSUM_BLANK = 1;
  private static final int TX_MORE_DATA = 4;
  private static final int TX_EXTRA_INFO = 8;

  private static final int RX_DATA_VALIDATED = 1;
  private static final int RX_CHECKSUM_BLANK = 2;
  private static final int RX_MORE_DATA = 4;
  private static final int RX_EXTRA_INFO = 8;

  private static final int EXTRA_GSO = 1;
  private static final int EXTRA_MORE = 1;
  private static final int GSO_TCP_V4 = 1;
  private static final int GSO_TCP_V6 = 2;

  private static final int STATUS_OKAY = 0;
  private static final int STATUS_NULL = 1;
  private static final int STATUS_ERROR = -1;

  private static final int TX_SLOT = 12;
  private static final int RX_SLOT = 8;
  private static final int ETHERNET_HEADER = 14;

  /** Pieces of a frame; front ends send up to 18 (XEN_NETIF_NR_SLOTS_MIN). */
  private static final int MOST_SLOTS = 20;

  private static final int MOST_EXTRAS = 4;

  private final NetworkPort port;
  private final NetworkPort.Doorbell transmit;
  private final LongAdder frames = new LongAdder();
  private volatile Connection connection;

  /** A card of a domain; the port is the caller's to close when the back end has ended. */
  public NetworkBackend(
      Store store, BackendLoop loop, Domain domain, int handle, NetworkPort port) {
    super(store, loop, domain, "vif", handle);
    this.port = port;
    transmit = port.doorbell(this::transmit);
  }

  /** Frames that passed, in both directions. */
  public long frames() {
    return frames.sum();
  }

  @Override
  Map<String, String> features() {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("feature-sg", "1");
    keys.put("feature-gso-tcpv4", "1");
    keys.put("feature-gso-tcpv6", "1");
    keys.put("feature-ipv6-csum-offload", "1");
    keys.put("feature-rx-copy", "1");
    keys.put("feature-rx-flip", "0");
    keys.put("feature-split-event-channels", "1");
    return keys;
  }

  @Override
  void connect() throws GrantTable.Refused, BadFrontend {
    if (!frontendFlag("request-rx-copy")) {
      throw new BadFrontend("a front end that does not ask for frames to be copied");
    }
    boolean split = frontendKey("event-channel-tx").isPresent();
    long txPort = frontendNumber(split ? "event-channel-tx" : "event-channel");
    Ring tx = new Ring(domain().grants().map(frontendNumber("tx-ring-ref"), true), TX_SLOT);
    Ring rx = null;
    Connection next = null;
    try {
      rx = new Ring(domain().grants().map(frontendNumber("rx-ring-ref"), true), RX_SLOT);
      boolean checksum =
          !frontendFlag("feature-no-csum-offload") && frontendFlag("feature-ipv6-csum-offload");
      Connection c =
          new Connection(
              tx,
              rx,
              new OffloadSupport(
                  checksum,
                  checksum && frontendFlag("feature-gso-tcpv4"),
                  checksum && frontendFlag("feature-gso-tcpv6")));
      if (split) {
        c.txChannel = bind(txPort, transmit::ring);
        c.rxChannel = bind(frontendNumber("event-channel-rx"), port::receiverReady);
      } else {
        c.txChannel =
            bind(
                txPort,
                () -> {
                  transmit.ring();
                  port.receiverReady();
                });
        c.rxChannel = c.txChannel;
      }
      next = c;
    } finally {
      if (next == null) {
        tx.close();
        if (rx != null) {
          rx.close();
        }
      }
    }
    connection = next;
    port.connect(next);
    transmit.ring();
  }

  private HostChannel bind(long number, Runnable onNotify) throws BadFrontend {
    HostChannel channel = domain().events().bindHost(number, onNotify);
    if (channel == null) {
      throw new BadFrontend("event channel " + number + " does not wait for domain 0");
    }
    return channel;
  }

  @Override
  void disconnect() {
    port.connect(null);
    connection.close();
    connection = null;
  }

  @Override
  String rings() {
    return "tx " + connection.tx.occupancy() + " rx " + connection.rx.occupancy();
  }

  private void transmit() {
    Connection c = connection;
    if (c != null) {
      c.transmit();
    }
  }

  /** A front end that is connected. Its methods run on the network's thread, but for the last. */
  private final class Connection implements FrameReceiver {
    private final Ring tx;
    private final Ring rx;
    private final OffloadSupport offloads;
    private final byte[] frame = new byte[NetworkPort.MAX_FRAME];
    private final Structure slot = new Structure(new byte[TX_SLOT]);
    private final Structure[] pieces = new Structure[MOST_SLOTS];
    private HostChannel txChannel;
    private HostChannel rxChannel;
    private boolean closed;
    private boolean rxPushed;

    Connection(Ring tx, Ring rx, OffloadSupport offloads) {
      this.tx = tx;
      this.rx = rx;
      this.offloads = offloads;
      for (int i = 0; i < pieces.length; i++) {
        pieces[i] = new Structure(new byte[TX_SLOT]);
      }
      rx.askForEvent(1);
    }

    // ---- From the guest -------------------------------------------------------------------

    synchronized void transmit() {
      boolean tell = false;
      int budget = 4 * tx.size();
      while (budget > 0 && !closed) {
        int available = tx.available();
        int used = available == 0 ? 0 : frame(available);
        if (used == 0) {
          tx.askForEvent(available + 1);
          if (tx.available() == available) {
            break;
          }
        }
        budget -= Math.max(1, used);
        tell |= tx.push();
      }
      if (tell) {
        txChannel.notifyGuest();
      }
      if (budget <= 0 && !closed) {
        transmit.ring(); // Others get their turn, however fast the guest sends.
      }
    }

    private void peek(Structure into, int ahead) {
      byte[] bytes = new byte[TX_SLOT];
      tx.peek(ahead, bytes);
      into.put64(0, new Structure(bytes).u64(0));
      into.put32(8, new Structure(bytes).i32(8));
    }

    /** Takes one frame off the ring; returns the slots it took, 0 if it is not all there yet. */
    private int frame(int available) {
      peek(pieces[0], 0);
      int flags = pieces[0].u16(6);
      int slots = 1;
      int extras = 0;
      Segmentation segmentation = Segmentation.NONE;
      int segmentSize = 0;
      boolean valid = true;
      for (boolean more = (flags & TX_EXTRA_INFO) != 0; more; slots++, extras++) {
        if (slots >= available) {
          return 0;
        }
        if (extras == MOST_EXTRAS) {
          valid = false;
          break;
        }
        peek(slot, slots);
        if (slot.u8(0) == EXTRA_GSO) {
          segmentSize = slot.u16(2);
          segmentation =
              switch (slot.u8(4)) {
                case GSO_TCP_V4 -> Segmentation.TCP_V4;
                case GSO_TCP_V6 -> Segmentation.TCP_V6;
                default -> Segmentation.NONE;
              };
          valid &= segmentation == Segmentation.NONE || segmentSize > 0;
        } else {
          valid = false;
        }
        more = (slot.u8(1) & EXTRA_MORE) != 0;
      }
      int count = 1;
      boolean more = (flags & TX_MORE_DATA) != 0;
      while (more && valid) {
        if (slots >= available) {
          return 0;
        }
        if (count == MOST_SLOTS) {
          valid = false;
          break;
        }
        peek(pieces[count], slots);
        more = (pieces[count].u16(6) & TX_MORE_DATA) != 0;
        count++;
        slots++;
      }
      tx.consume(slots);
      boolean sent = valid && gatherAndSend(count, flags, segmentation, segmentSize);
      answer(pieces[0].u16(8), sent ? STATUS_OKAY : STATUS_ERROR);
      for (int i = 0; i < extras; i++) {
        answer(0, STATUS_NULL);
      }
      for (int i = 1; i < count; i++) {
        answer(pieces[i].u16(8), sent ? STATUS_OKAY : STATUS_ERROR);
      }
      return slots;
    }

    private void answer(int id, int status) {
      byte[] bytes = new byte[4];
      Structure response = new Structure(bytes);
      response.put16(0, id);
      response.put16(2, status);
      tx.respond(bytes);
    }

    /** The first slot's size is the frame's; the others' are their own. */
    private boolean gatherAndSend(
        int count, int flags, Segmentation segmentation, int segmentSize) {
      int total = pieces[0].u16(10);
      int rest = 0;
      for (int i = 1; i < count; i++) {
        rest += pieces[i].u16(10);
      }
      int at = 0;
      if (total < ETHERNET_HEADER || rest >= total) {
        return false;
      }
      try {
        for (int i = 0; i < count; i++) {
          int length = i == 0 ? total - rest : pieces[i].u16(10);
          int offset = pieces[i].u16(4);
          if (offset + length > GrantMapping.SIZE) {
            return false;
          }
          try (GrantMapping page = domain().grants().map(pieces[i].u32(0), false)) {
            page.read(offset, frame, at, length);
          }
          at += length;
        }
      } catch (GrantTable.Refused e) {
        return false;
      }
      boolean blank = (flags & TX_CHECKSUM_BLANK) != 0 || segmentation != Segmentation.NONE;
      Offload offload =
          blank ? Transport.offload(frame, at, segmentation, segmentSize) : Offload.NONE;
      if (offload == null) {
        return false;
      }
      frames.increment();
      port.send(ByteBuffer.wrap(frame, 0, at), offload);
      return true;
    }

    // ---- To the guest ---------------------------------------------------------------------

    @Override
    public OffloadSupport offloads() {
      return offloads;
    }

    @Override
    public synchronized boolean receive(ByteBuffer source, Offload offload) {
      if (closed) {
        return true;
      }
      int length = source.remaining();
      int extras = offload.segmented() ? 1 : 0;
      int slots = (length + GrantMapping.SIZE - 1) / GrantMapping.SIZE + extras;
      if (rx.available() < slots) {
        rx.askForEvent(slots);
        if (rx.available() < slots) {
          return false;
        }
      }
      int position = source.position();
      int done = 0;
      for (int i = 0; i < slots; i++) {
        byte[] request = new byte[RX_SLOT];
        rx.peek(0, request);
        rx.consume(1);
        if (i == 1 && extras == 1) {
          rx.respond(extra(offload));
          continue;
        }
        int chunk = Math.min(GrantMapping.SIZE, length - done);
        Structure asked = new Structure(request);
        boolean first = i == 0;
        int flags =
            (first && offload.checksumNeeded() ? RX_CHECKSUM_BLANK | RX_DATA_VALIDATED : 0)
                | (done + chunk < length ? RX_MORE_DATA : 0)
                | (first && extras == 1 ? RX_EXTRA_INFO : 0);
        int status = chunk;
        try (GrantMapping page = domain().grants().map(asked.u32(4), true)) {
          byte[] bytes = new byte[chunk];
          source.get(position + done, bytes);
          page.write(0, bytes, 0, chunk);
        } catch (GrantTable.Refused e) {
          status = STATUS_ERROR;
        }
        byte[] answer = new byte[RX_SLOT];
        Structure response = new Structure(answer);
        response.put16(0, asked.u16(0));
        response.put16(4, flags);
        response.put16(6, status);
        rx.respond(answer);
        done += chunk;
      }
      rxPushed |= rx.push();
      frames.increment();
      return true;
    }

    private static byte[] extra(Offload offload) {
      byte[] bytes = new byte[RX_SLOT];
      Structure extra = new Structure(bytes);
      extra.put8(0, EXTRA_GSO);
      extra.put16(2, offload.segmentSize());
      extra.put8(4, offload.segmentation() == Segmentation.TCP_V4 ? GSO_TCP_V4 : GSO_TCP_V6);
      return bytes;
    }

    @Override
    public synchronized void endOfBurst() {
      if (rxPushed && !closed) {
        rxPushed = false;
        rxChannel.notifyGuest();
      }
    }

    synchronized void close() {
      closed = true;
      txChannel.close();
      rxChannel.close();
      tx.close();
      rx.close();
    }
  }
}

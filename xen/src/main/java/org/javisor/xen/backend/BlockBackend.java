package org.javisor.xen.backend;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.GrantMapping;
import org.javisor.xen.hypervisor.GrantTable;
import org.javisor.xen.hypervisor.HostChannel;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.store.Store;

/**
 * A disk for a domain (public/io/blkif.h, the x86_64 layout): reads and writes of up to 11 pages, or
 * of up to 256 by indirect segments, flush, discard; pages that stay granted are mapped once.
 *
 * <p>Data is copied between the guest's pages and memory of our own, so that what the disk writes
 * cannot change while it writes.
 */
public final class BlockBackend extends XenbusBackend {
  private static final int OP_READ = 0;
  private static final int OP_WRITE = 1;
  private static final int OP_FLUSH = 3;
  private static final int OP_DISCARD = 5;
  private static final int OP_INDIRECT = 6;

  private static final int OKAY = 0;
  private static final int ERROR = -1;
  private static final int NOT_SUPPORTED = -2;

  private static final int SLOT = 112;
  private static final int RESPONSE = 16;
  private static final int DIRECT_SEGMENTS = 11;
  private static final int INDIRECT_SEGMENTS = 256;
  private static final int SEGMENTS_PER_PAGE = 512;
  private static final int SECTOR = 512;
  private static final int SECTORS_PER_PAGE = 8;

  /** The ring is looked at so often before others get their turn. */
  private static final int MOST_ROUNDS = 4;

  /** Pages kept mapped for a front end that keeps them granted. */
  private static final int MOST_PERSISTENT = 32 * INDIRECT_SEGMENTS;

  private static final int INFO_READ_ONLY = 4;

  private final BlockDevice disk;
  private final LongAdder requests = new LongAdder();

  // Back ends' thread, but for what completions use under the connection's lock.
  private Connection connection;

  /** A disk of a domain; it is the caller's to close when the back end has ended. */
  public BlockBackend(
      Store store, BackendLoop loop, Domain domain, int handle, BlockDevice disk) {
    super(store, loop, domain, "vbd", handle);
    this.disk = disk;
  }

  /** Requests served so far. */
  public long requests() {
    return requests.sum();
  }

  @Override
  Map<String, String> features() {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("feature-flush-cache", "1");
    keys.put("feature-discard", disk.isReadOnly() ? "0" : "1");
    keys.put("discard-granularity", Integer.toString(4096));
    keys.put("discard-alignment", "0");
    keys.put("discard-secure", "0");
    keys.put("feature-persistent", "1");
    keys.put("feature-max-indirect-segments", Integer.toString(INDIRECT_SEGMENTS));
    return keys;
  }

  @Override
  Map<String, String> details() {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("sectors", Long.toString(disk.sizeBytes() / SECTOR));
    keys.put("info", Integer.toString(disk.isReadOnly() ? INFO_READ_ONLY : 0));
    keys.put("sector-size", Integer.toString(SECTOR));
    keys.put("physical-sector-size", "4096");
    return keys;
  }

  @Override
  void connect() throws GrantTable.Refused, BadFrontend {
    String protocol = frontendKey("protocol").orElse("x86_64-abi");
    if (!protocol.equals("x86_64-abi")) {
      throw new BadFrontend("ring protocol " + protocol + ": x86_64-abi expected");
    }
    long port = frontendNumber("event-channel");
    Ring ring = new Ring(domain().grants().map(frontendNumber("ring-ref"), true), SLOT);
    Connection next = new Connection(ring, frontendFlag("feature-persistent"));
    HostChannel channel = domain().events().bindHost(port, next.doorbell);
    if (channel == null) {
      ring.close();
      throw new BadFrontend("event channel " + port + " does not wait for domain 0");
    }
    next.channel = channel;
    connection = next;
    next.doorbell.run();
  }

  @Override
  void disconnect() {
    connection.close();
    connection = null;
  }

  @Override
  String rings() {
    return connection.ring.occupancy();
  }

  /** A part of a page that takes part in a request. */
  private record Segment(GrantMapping page, int offset, int length, boolean transientPage) {}

  /** A front end that is connected. */
  private final class Connection {
    private final Ring ring;
    private final boolean persistent;
    private final Map<Long, GrantMapping> kept = new HashMap<>();
    private final ArrayDeque<MemorySegment> small = new ArrayDeque<>();
    private final ArrayDeque<MemorySegment> large = new ArrayDeque<>();
    private final Arena memory = Arena.ofShared();
    private final Runnable doorbell = loop().doorbell(this::work);
    private HostChannel channel;
    private int inFlight;
    private boolean closed;

    Connection(Ring ring, boolean persistent) {
      this.ring = ring;
      this.persistent = persistent;
    }

    /** Takes requests off the ring and has the disk do them. */
    void work() {
      for (int rounds = 0;; rounds++) {
        if (rounds == MOST_ROUNDS) {
          doorbell.run(); // Others get their turn, however fast the guest asks.
          return;
        }
        List<Structure> taken = new ArrayList<>();
        synchronized (this) {
          if (closed) {
            return;
          }
          int available = ring.available();
          for (int i = 0; i < available; i++) {
            byte[] request = new byte[SLOT];
            ring.peek(0, request);
            ring.consume(1);
            taken.add(new Structure(request));
          }
          if (available == 0) {
            ring.askForEvent(1);
            if (ring.available() == 0) {
              return;
            }
          }
          inFlight += taken.size();
        }
        taken.forEach(this::begin);
      }
    }

    private void begin(Structure request) {
      requests.increment();
      int operation = request.u8(0);
      long id = request.u64(8);
      switch (operation) {
        case OP_READ, OP_WRITE -> transfer(operation, id, request, false);
        // The response names what was done, not how it was asked for.
        case OP_INDIRECT -> transfer(request.u8(1), id, request, true);
        case OP_FLUSH ->
            disk.submit(new BlockRequest.Flush(failure -> end(id, operation, failure)));
        case OP_DISCARD -> discard(id, request);
        default -> respond(id, operation, NOT_SUPPORTED);
      }
    }

    private void discard(long id, Structure request) {
      long sector = request.u64(16);
      long count = request.u64(24);
      if (disk.isReadOnly() || !inside(sector, count)) {
        respond(id, OP_DISCARD, ERROR);
        return;
      }
      disk.submit(
          new BlockRequest.Discard(
              sector * SECTOR, count * SECTOR, failure -> end(id, OP_DISCARD, failure)));
    }

    private boolean inside(long sector, long count) {
      long sectors = disk.sizeBytes() / SECTOR;
      return sector >= 0 && count >= 0 && count <= sectors && sector <= sectors - count;
    }

    private void transfer(int operation, long id, Structure request, boolean indirect) {
      boolean write = operation == OP_WRITE;
      if (operation != OP_READ && operation != OP_WRITE || write && disk.isReadOnly()) {
        respond(id, operation, ERROR);
        return;
      }
      List<Segment> segments = new ArrayList<>();
      long bytes;
      try {
        bytes = indirect ? indirect(request, segments, write) : direct(request, segments, write);
      } catch (GrantTable.Refused | BadFrontend e) {
        release(segments);
        respond(id, operation, ERROR);
        return;
      }
      long sector = request.u64(16);
      if (!inside(sector, bytes / SECTOR)) {
        release(segments);
        respond(id, operation, ERROR);
        return;
      }
      MemorySegment buffer = buffer(bytes);
      MemorySegment data = buffer.asSlice(0, bytes);
      if (write) {
        long at = data.address();
        for (Segment s : segments) {
          s.page.read(s.offset, at, s.length);
          at += s.length;
        }
        release(segments);
        disk.submit(
            new BlockRequest.Write(
                sector * SECTOR,
                data,
                failure -> {
                  giveBack(buffer);
                  end(id, operation, failure);
                }));
      } else {
        disk.submit(
            new BlockRequest.Read(
                sector * SECTOR,
                data,
                failure -> {
                  if (failure == null) {
                    scatter(data, segments);
                  }
                  release(segments);
                  giveBack(buffer);
                  end(id, operation, failure);
                }));
      }
    }

    private void scatter(MemorySegment data, List<Segment> segments) {
      long at = data.address();
      for (Segment s : segments) {
        s.page.write(s.offset, at, s.length);
        at += s.length;
      }
    }

    private long direct(Structure request, List<Segment> segments, boolean write)
        throws GrantTable.Refused, BadFrontend {
      int count = request.u8(1);
      if (count == 0 || count > DIRECT_SEGMENTS) {
        throw new BadFrontend("a request of " + count + " segments");
      }
      long bytes = 0;
      for (int i = 0; i < count; i++) {
        bytes += segment(request, 24 + 8 * i, segments, write);
      }
      return bytes;
    }

    private long indirect(Structure request, List<Segment> segments, boolean write)
        throws GrantTable.Refused, BadFrontend {
      int count = request.u16(2);
      if (count == 0 || count > INDIRECT_SEGMENTS) {
        throw new BadFrontend("an indirect request of " + count + " segments");
      }
      long bytes = 0;
      for (int first = 0; first < count; first += SEGMENTS_PER_PAGE) {
        byte[] list = new byte[8 * Math.min(SEGMENTS_PER_PAGE, count - first)];
        long reference = request.u32(28 + 4 * (first / SEGMENTS_PER_PAGE));
        Segment page = page(reference, 0, list.length, false);
        try {
          page.page.read(0, list, 0, list.length);
        } finally {
          release(List.of(page));
        }
        Structure copy = new Structure(list);
        for (int i = 0; i < list.length / 8; i++) {
          bytes += segment(copy, 8 * i, segments, write);
        }
      }
      return bytes;
    }

    /** Grant, first and last sector of a page. */
    private int segment(Structure from, int offset, List<Segment> segments, boolean write)
        throws GrantTable.Refused, BadFrontend {
      int first = from.u8(offset + 4);
      int last = from.u8(offset + 5);
      if (first > last || last >= SECTORS_PER_PAGE) {
        throw new BadFrontend("sectors " + first + " to " + last + " of a page");
      }
      int length = (last - first + 1) * SECTOR;
      segments.add(page(from.u32(offset), first * SECTOR, length, !write));
      return length;
    }

    private Segment page(long reference, int offset, int length, boolean toGuest)
        throws GrantTable.Refused {
      if (!persistent) {
        return new Segment(domain().grants().map(reference, toGuest), offset, length, true);
      }
      GrantMapping page = kept.get(reference);
      if (page == null) {
        if (kept.size() >= MOST_PERSISTENT) {
          return new Segment(domain().grants().map(reference, toGuest), offset, length, true);
        }
        page = domain().grants().map(reference, true);
        kept.put(reference, page);
      }
      return new Segment(page, offset, length, false);
    }

    private void release(List<Segment> segments) {
      for (Segment s : segments) {
        if (s.transientPage) {
          s.page.close();
        }
      }
    }

    private synchronized MemorySegment buffer(long bytes) {
      boolean fitsSmall = bytes <= (long) DIRECT_SEGMENTS * GrantMapping.SIZE;
      MemorySegment free = (fitsSmall ? small : large).poll();
      return free != null
          ? free
          : memory.allocate(
              (long) (fitsSmall ? DIRECT_SEGMENTS : INDIRECT_SEGMENTS) * GrantMapping.SIZE, 64);
    }

    private synchronized void giveBack(MemorySegment buffer) {
      boolean isSmall = buffer.byteSize() <= (long) DIRECT_SEGMENTS * GrantMapping.SIZE;
      (isSmall ? small : large).add(buffer);
    }

    private void end(long id, int operation, BlockException failure) {
      respond(id, operation, failure == null ? OKAY : ERROR);
    }

    private void respond(long id, int operation, int status) {
      byte[] bytes = new byte[RESPONSE];
      Structure response = new Structure(bytes);
      response.put64(0, id);
      response.put8(8, operation);
      response.put16(10, status);
      boolean tell = false;
      synchronized (this) {
        inFlight--;
        if (!closed) {
          ring.respond(bytes);
          tell = ring.push();
        } else if (inFlight == 0) {
          free();
        }
      }
      if (tell) {
        channel.notifyGuest();
      }
    }

    /** Lets go of the rings at once, and of pages and buffers when nothing uses them any more. */
    synchronized void close() {
      closed = true;
      channel.close();
      ring.close();
      if (inFlight == 0) {
        free();
      }
    }

    private void free() {
      kept.values().forEach(GrantMapping::close);
      kept.clear();
      memory.close();
    }
  }
}

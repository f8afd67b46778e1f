package org.javisor.xen.backend;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
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
 * of up to 256 by indirect segments, flush, discard.
 *
 * <p>Data is copied between the guest's pages and memory of our own, so that what the disk writes
 * cannot change while it writes. Pages that a front end would keep granted are not asked for: it would
 * copy everything once more, and to map a page is cheaper here.
 *
 * <p>Requests are taken where the guest's event is, on its vCPU's thread, which goes back to the guest
 * when it has copied enough; the back ends' thread takes the rest.
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

  /** What is copied before others get their turn, in bytes. */
  private static final int MOST_AT_ONCE = 1 << 20;

  /** Requests beside each other on the disk become one of at most so many bytes. */
  private static final int MOST_TOGETHER = INDIRECT_SEGMENTS * GrantMapping.SIZE;

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
    Connection next = new Connection(ring);
    HostChannel channel = domain().events().bindHost(port, next::notified);
    if (channel == null) {
      ring.close();
      throw new BadFrontend("event channel " + port + " does not wait for domain 0");
    }
    next.channel = channel;
    connection = next;
    next.serve();
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
  private record Segment(GrantMapping page, int offset, int length) {}

  /** A request's share of what is done with it, and how it ended. */
  private record Part(
      long id, int operation, int firstSegment, int endOfSegments, long from, long length,
      int status) {
    Part failed() {
      return new Part(id, operation, firstSegment, endOfSegments, from, length, ERROR);
    }
  }

  /** A front end that is connected. */
  private final class Connection {
    private final Ring ring;
    private final ArrayDeque<MemorySegment> small = new ArrayDeque<>();
    private final ArrayDeque<MemorySegment> large = new ArrayDeque<>();
    private final Arena memory = Arena.ofShared();

    /**
     * How often the guest has asked since nobody took requests; who makes it one, takes them. It begins
     * as that of who connects.
     */
    private final AtomicInteger asked = new AtomicInteger(1);

    private HostChannel channel;
    private int inFlight;
    private boolean closed;

    Connection(Ring ring) {
      this.ring = ring;
    }

    /** The guest's event. */
    void notified() {
      if (asked.getAndIncrement() == 0) {
        serve();
      }
    }

    /** Takes requests as long as the guest asks, by the one who may. */
    void serve() {
      int seen = asked.get();
      do {
        if (!take()) {
          loop().execute(this::serve); // Others get their turn, however fast the guest asks.
          return;
        }
        seen = asked.addAndGet(-seen);
      } while (seen != 0);
    }

    /** Takes requests off the ring and has the disk do them; false if there may be more. */
    private boolean take() {
      for (long copied = 0; copied < MOST_AT_ONCE;) {
        List<Structure> taken = new ArrayList<>();
        synchronized (this) {
          if (closed) {
            return true;
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
              return true;
            }
          }
          inFlight += taken.size();
        }
        copied += begin(taken);
      }
      return false;
    }

    /** Begins requests; returns how many bytes that moved, a page at least for each. */
    private long begin(List<Structure> taken) {
      long moved = (long) taken.size() * GrantMapping.SIZE;
      Transfer open = null;
      for (Structure request : taken) {
        requests.increment();
        int operation = request.u8(0);
        long id = request.u64(8);
        switch (operation) {
          case OP_READ, OP_WRITE -> open = transfer(operation, id, request, false, open);
          // The response names what was done, not how it was asked for.
          case OP_INDIRECT -> open = transfer(request.u8(1), id, request, true, open);
          case OP_FLUSH ->
              disk.submit(new BlockRequest.Flush(failure -> end(id, operation, failure)));
          case OP_DISCARD -> discard(id, request);
          default -> respond(List.of(new Part(id, operation, 0, 0, 0, 0, NOT_SUPPORTED)));
        }
        moved += open == null ? 0 : open.bytes;
      }
      if (open != null) {
        open.submit();
      }
      return moved;
    }

    private void discard(long id, Structure request) {
      long sector = request.u64(16);
      long count = request.u64(24);
      if (disk.isReadOnly() || !inside(sector, count)) {
        refuse(id, OP_DISCARD);
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

    /**
     * Adds a read or write to one that it goes on from, or begins another one.
     *
     * @param open what was begun before, which is submitted if this is not added to it, or null
     * @return what can be gone on from, or null
     */
    private Transfer transfer(
        int operation, long id, Structure request, boolean indirect, Transfer open) {
      boolean write = operation == OP_WRITE;
      if (operation != OP_READ && operation != OP_WRITE || write && disk.isReadOnly()) {
        refuse(id, operation);
        return open;
      }
      List<Segment> segments = new ArrayList<>();
      long bytes;
      try {
        bytes = indirect ? indirect(request, segments, write) : direct(request, segments, write);
      } catch (GrantTable.Refused | BadFrontend e) {
        segments.forEach(s -> s.page.close());
        refuse(id, operation);
        return open;
      }
      long sector = request.u64(16);
      if (!inside(sector, bytes / SECTOR)) {
        segments.forEach(s -> s.page.close());
        refuse(id, operation);
        return open;
      }
      Transfer transfer = open;
      if (open == null || !open.goesOnWith(write, sector, bytes)) {
        if (open != null) {
          open.submit();
        }
        transfer = new Transfer(write, sector);
      }
      transfer.add(id, segments, bytes);
      return transfer;
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
        domain().grants().copyOut(reference, 0, list, 0, list.length);
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
      segments.add(
          new Segment(domain().grants().map(from.u32(offset), !write), first * SECTOR, length));
      return length;
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
      respond(
          List.of(new Part(id, operation, 0, 0, 0, 0, failure == null ? OKAY : ERROR)));
    }

    private void refuse(long id, int operation) {
      respond(List.of(new Part(id, operation, 0, 0, 0, 0, ERROR)));
    }

    private void respond(List<Part> parts) {
      boolean tell = false;
      synchronized (this) {
        inFlight -= parts.size();
        if (!closed) {
          for (Part part : parts) {
            byte[] bytes = new byte[RESPONSE];
            Structure response = new Structure(bytes);
            response.put64(0, part.id);
            response.put8(8, part.operation);
            response.put16(10, part.status);
            ring.respond(bytes);
          }
          tell = ring.push();
        } else if (inFlight == 0) {
          free();
        }
      }
      if (tell) {
        channel.notifyGuest();
      }
    }

    /** Reads or writes beside each other on the disk, which are one to it. */
    private final class Transfer {
      private final boolean write;
      private final long sector;
      private final List<Part> parts = new ArrayList<>();
      private final List<Segment> segments = new ArrayList<>();
      private long bytes;
      private MemorySegment buffer;

      Transfer(boolean write, long sector) {
        this.write = write;
        this.sector = sector;
      }

      boolean goesOnWith(boolean writes, long at, long more) {
        return writes == write && at == sector + bytes / SECTOR && bytes + more <= MOST_TOGETHER;
      }

      void add(long id, List<Segment> more, long length) {
        parts.add(
            new Part(
                id, write ? OP_WRITE : OP_READ, segments.size(), segments.size() + more.size(),
                bytes, length, OKAY));
        segments.addAll(more);
        bytes += length;
      }

      void submit() {
        buffer = buffer(bytes);
        if (write) {
          long at = buffer.address();
          for (Segment s : segments) {
            s.page.read(s.offset, at, s.length);
            s.page.close();
            at += s.length;
          }
        }
        submit(
            0, bytes,
            failure -> {
              if (failure == null) {
                end();
              } else {
                oneByOne(0);
              }
            });
      }

      private void submit(long from, long length, BlockRequest.Completion completion) {
        MemorySegment data = buffer.asSlice(from, length);
        long at = sector * SECTOR + from;
        disk.submit(
            write
                ? new BlockRequest.Write(at, data, completion)
                : new BlockRequest.Read(at, data, completion));
      }

      /** One of them has failed: which of them it is, they tell alone. */
      private void oneByOne(int index) {
        if (index == parts.size()) {
          end();
          return;
        }
        Part part = parts.get(index);
        submit(
            part.from, part.length,
            failure -> {
              if (failure != null) {
                parts.set(index, part.failed());
              }
              oneByOne(index + 1);
            });
      }

      private void end() {
        if (!write) {
          for (Part part : parts) {
            long at = buffer.address() + part.from;
            for (Segment s : segments.subList(part.firstSegment, part.endOfSegments)) {
              if (part.status == OKAY) {
                s.page.write(s.offset, at, s.length);
              }
              s.page.close();
              at += s.length;
            }
          }
        }
        giveBack(buffer);
        respond(parts);
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
      memory.close();
    }
  }
}

package org.javisor.pc.bus;

import static org.javisor.accelerator.TraceCategory.UNKNOWN;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.atomic.LongAdder;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;

/**
 * The port space and the device part of the memory space of one machine.
 *
 * <p>Devices claim ranges and may release them again (a PCI base address moves). Where claims
 * overlap the older one answers; when it goes, the younger one appears. Lookups take no lock:
 * tables are published whole and hold immutable entries, so a vCPU sees either the old or the new
 * mapping while another remaps.
 */
public final class Bus implements GuestBus {
  private static final int PORTS = 0x10000;

  /** A claimed range; {@link #release} gives it back. */
  public abstract static sealed class Claim permits PortClaim, MmioClaim {
    public abstract void release();
  }

  private final class PortClaim extends Claim {
    final int first;
    final int end;
    final PortDevice device;

    PortClaim(int first, int count, PortDevice device) {
      this.first = first;
      this.end = first + count;
      this.device = device;
    }

    @Override
    public void release() {
      synchronized (Bus.this) {
        if (portClaims.remove(this)) {
          mapPorts(first, end);
        }
      }
    }
  }

  private final class MmioClaim extends Claim {
    final long first;
    final long end;
    final MmioDevice device;

    MmioClaim(long first, long size, MmioDevice device) {
      this.first = first;
      this.end = first + size;
      this.device = device;
    }

    @Override
    public void release() {
      synchronized (Bus.this) {
        if (mmioClaims.remove(this)) {
          mapMmio();
        }
      }
    }
  }

  /** Disjoint ranges in ascending order; parallel arrays so that a search touches few lines. */
  private record MmioMap(long[] first, long[] end, MmioClaim[] claim) {
    static final MmioMap EMPTY = new MmioMap(new long[0], new long[0], new MmioClaim[0]);

    int find(long gpa) {
      int low = 0;
      int high = first.length - 1;
      while (low <= high) {
        int mid = (low + high) >>> 1;
        if (gpa < first[mid]) {
          high = mid - 1;
        } else if (gpa >= end[mid]) {
          low = mid + 1;
        } else {
          return mid;
        }
      }
      return -1;
    }
  }

  private final List<PortClaim> portClaims = new ArrayList<>();
  private final List<MmioClaim> mmioClaims = new ArrayList<>();

  /** Racy by design: entries have only final fields, so whichever a reader sees is whole. */
  private final PortClaim[] ports = new PortClaim[PORTS];

  private volatile MmioMap mmio = MmioMap.EMPTY;

  /** Where the last access hit: a hint, checked before use, so races only cost a search. */
  private int lastHit;

  private final Trace trace;
  private final LongAdder accesses = new LongAdder();
  private Doorbells doorbells = Doorbells.NONE;

  /** A bus with nothing on it that tells nobody what is asked of nobody. */
  public Bus() {
    this(Trace.NONE);
  }

  /** A bus with nothing on it; {@code trace} is told of accesses that no device answers. */
  public Bus(Trace trace) {
    this.trace = trace;
  }

  /** How often guests have accessed a device so far. */
  public long accesses() {
    return accesses.sum();
  }

  /** Has doorbells of devices hung there; before there are devices. */
  public void setDoorbells(Doorbells where) {
    doorbells = where;
  }

  /** Where a device may hang doorbells for writes that it would also take from the bus. */
  public Doorbells doorbells() {
    return doorbells;
  }

  /** Claims {@code count} ports from {@code first}. */
  public synchronized Claim claimPorts(int first, int count, PortDevice device) {
    if (first < 0 || count <= 0 || first > PORTS - count) {
      throw new IllegalArgumentException("ports %#x+%#x: outside 0-0xffff".formatted(first, count));
    }
    PortClaim claim = new PortClaim(first, count, device);
    portClaims.add(claim);
    mapPorts(first, first + count);
    return claim;
  }

  /** Claims {@code size} bytes of guest-physical address space from {@code first}. */
  public synchronized Claim claimMmio(long first, long size, MmioDevice device) {
    if (first < 0 || size <= 0 || first + size < 0) {
      throw new IllegalArgumentException("memory %#x+%#x: not a range".formatted(first, size));
    }
    MmioClaim claim = new MmioClaim(first, size, device);
    mmioClaims.add(claim);
    mapMmio();
    return claim;
  }

  private void mapPorts(int first, int end) {
    for (int port = first; port < end; port++) {
      PortClaim owner = null;
      for (PortClaim claim : portClaims) {
        if (port >= claim.first && port < claim.end) {
          owner = claim;
          break;
        }
      }
      ports[port] = owner;
    }
  }

  private void mapMmio() {
    TreeSet<Long> edges = new TreeSet<>();
    for (MmioClaim claim : mmioClaims) {
      edges.add(claim.first);
      edges.add(claim.end);
    }
    List<Long> points = List.copyOf(edges);
    long[] first = new long[points.size()];
    long[] end = new long[points.size()];
    List<MmioClaim> owners = new ArrayList<>();
    for (int i = 0; i + 1 < points.size(); i++) {
      long from = points.get(i);
      MmioClaim owner = null;
      for (MmioClaim claim : mmioClaims) {
        if (from >= claim.first && from < claim.end) {
          owner = claim;
          break;
        }
      }
      if (owner == null) {
        continue;
      }
      int last = owners.size() - 1;
      if (last >= 0 && owners.get(last) == owner && end[last] == from) {
        end[last] = points.get(i + 1);
      } else {
        first[last + 1] = from;
        end[last + 1] = points.get(i + 1);
        owners.add(owner);
      }
    }
    int count = owners.size();
    mmio =
        new MmioMap(
            Arrays.copyOf(first, count),
            Arrays.copyOf(end, count),
            owners.toArray(MmioClaim[]::new));
  }

  @Override
  public int readPort(int port, int size) {
    PortClaim claim = ports[port & 0xffff];
    if (claim != null && (port & 0xffff) + size <= claim.end) {
      accesses.increment();
      return claim.device.read((port & 0xffff) - claim.first, size) & ones(size);
    }
    if (size == 1) {
      trace.line(UNKNOWN, "read of port %#x: no device", port & 0xffff);
      return 0xff;
    }
    int half = size >> 1;
    return readPort(port, half) | readPort(port + half, half) << 8 * half;
  }

  @Override
  public int readPort(int port, int size, int count, long gpa) {
    PortClaim claim = ports[port & 0xffff];
    if (claim == null || (port & 0xffff) + size > claim.end) {
      return 0;
    }
    accesses.increment();
    return claim.device.read((port & 0xffff) - claim.first, size, count, gpa);
  }

  @Override
  public void writePort(int port, int size, int value) {
    PortClaim claim = ports[port & 0xffff];
    if (claim != null && (port & 0xffff) + size <= claim.end) {
      accesses.increment();
      claim.device.write((port & 0xffff) - claim.first, size, value & ones(size));
    } else if (size > 1) {
      int half = size >> 1;
      writePort(port, half, value);
      writePort(port + half, half, value >>> 8 * half);
    } else {
      trace.line(UNKNOWN, "write of %#x to port %#x: no device", value & 0xff, port & 0xffff);
    }
  }

  private static int ones(int size) {
    return size == 4 ? -1 : (1 << 8 * size) - 1;
  }

  @Override
  public long readMmio(long gpa, int size) {
    MmioMap map = mmio;
    int i = lookup(map, gpa);
    if (i >= 0 && gpa + size <= map.end[i]) {
      MmioClaim claim = map.claim[i];
      accesses.increment();
      return claim.device.read(gpa - claim.first, size) & onesLong(size);
    }
    if (size == 1) {
      trace.line(UNKNOWN, "read of memory at %#x: no device", gpa);
      return 0xff;
    }
    int half = size >> 1;
    return readMmio(gpa, half) | readMmio(gpa + half, half) << 8 * half;
  }

  @Override
  public void writeMmio(long gpa, int size, long value) {
    MmioMap map = mmio;
    int i = lookup(map, gpa);
    if (i >= 0 && gpa + size <= map.end[i]) {
      MmioClaim claim = map.claim[i];
      accesses.increment();
      claim.device.write(gpa - claim.first, size, value & onesLong(size));
    } else if (size > 1) {
      int half = size >> 1;
      writeMmio(gpa, half, value);
      writeMmio(gpa + half, half, value >>> 8 * half);
    } else {
      trace.line(UNKNOWN, "write of %#x to memory at %#x: no device", value & 0xff, gpa);
    }
  }

  private int lookup(MmioMap map, long gpa) {
    int i = lastHit;
    if (i < map.first.length && gpa >= map.first[i] && gpa < map.end[i]) {
      return i;
    }
    i = map.find(gpa);
    if (i >= 0) {
      lastHit = i;
    }
    return i;
  }

  private static long onesLong(int size) {
    return size == 8 ? -1L : (1L << 8 * size) - 1;
  }
}

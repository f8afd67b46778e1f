package org.javisor.xen.control;

import java.util.Arrays;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.HypercallFamily;
import org.javisor.xen.hypervisor.IoreqServers;
import org.javisor.xen.hypervisor.Privilege;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.javisor.xen.hypervisor.Structure;

/**
 * {@code dm_op} (public/hvm/dm_op.h): what a program in the privileged domain needs to be the devices
 * of an HVM domain's PC.
 */
final class DeviceModelCalls implements HypercallFamily {
  /** Bytes of {@code struct xen_dm_op}, and of its union's beginning. */
  private static final int SIZE = 40;

  private static final int U = 8;

  /** Bytes of {@code struct xen_dm_op_buf}: address, length. */
  private static final int BUFFER_SIZE = 16;

  private static final int MOST_BUFFERS = 2;

  private static final int WITHOUT_PAGES = 1;

  /** Pages that one call may be about. */
  private static final long MOST_PAGES = 1 << 16;

  private static final int MOST_EXTENTS = 512;
  private static final int EXTENT_SIZE = 16;

  private static final long GFN_LIMIT = 1L << 28;

  private static final int READ_WRITE = 0;
  private static final int READ_ONLY = 1;
  private static final int EVENT_NMI = 2;

  /** Where messages of interrupts go. */
  private static final long MESSAGES = 0xfee0_0000L;

  private static final long MESSAGES_SIZE = 0x10_0000;

  private record Buffer(long address, long size) {}

  @Override
  public long call(Call call) throws GuestArguments.BadPointer, Call.Refused {
    long count = call.argument(1) & 0xffff_ffffL;
    if (count < 1 || count > MOST_BUFFERS) {
      return Errno.EINVAL;
    }
    Domain domain = Privilege.other(call, call.int32(0) & 0xffff);
    if (domain.kind() != DomainKind.HVM) {
      return Errno.EINVAL;
    }
    Structure list = call.structure(2, BUFFER_SIZE * (int) count);
    int size = (int) Math.clamp(list.u64(8), 0, SIZE);
    byte[] bytes = new byte[SIZE];
    call.memory().read(list.u64(0), bytes, size);
    Structure s = new Structure(bytes);
    Buffer extra = count == 1 ? new Buffer(0, 0) : new Buffer(list.u64(16), list.u64(24));
    long result = carryOut(call, domain, s, extra);
    if (result == 0) {
      call.memory().write(list.u64(0), bytes, 0, size);
    }
    return result;
  }

  private static long carryOut(Call call, Domain domain, Structure s, Buffer extra)
      throws GuestArguments.BadPointer {
    IoreqServers servers = domain.ioreqServers();
    return switch (s.i32(0)) {
      case 1 -> create(call, servers, s);
      case 2 -> information(servers, s);
      case 3 -> servers.change(s.u16(U), s.u32(U + 4), true, s.u64(U + 8), s.u64(U + 16));
      case 4 -> servers.change(s.u16(U), s.u32(U + 4), false, s.u64(U + 8), s.u64(U + 16));
      case 5 -> servers.enable(s.u16(U), s.u8(U + 2) != 0);
      case 6 -> servers.destroy(s.u16(U));
      case 7 -> writtenPages(call, s, extra);
      case 8 -> setPciInterrupt(domain, s);
      case 9 -> setIsaInterrupt(domain, s);
      case 10 -> routePciInterrupt(domain, s);
      case 11 -> pagesWritten(call, domain, s, extra);
      case 12 -> setPageType(domain, s);
      case 13 -> inject(domain, s);
      case 14 -> message(domain, s);
      case 16 -> shutDown(domain, s);
      case 17 -> movePages(domain, s);
      case 18 -> 0; // How memory is cached makes no difference here.
      case 20 -> {
        s.put32(U, domain.vcpus().size());
        yield 0;
      }
      default -> Errno.EOPNOTSUPP;
    };
  }

  // ---- Who answers accesses -------------------------------------------------------------------

  private static long create(Call call, IoreqServers servers, Structure s) {
    if (s.u8(U) > 2 || s.u8(U + 1) != 0 || s.u16(U + 2) != 0) {
      return Errno.EINVAL;
    }
    long number = servers.create(call.domain, s.u8(U) != 0);
    if (number < 0) {
      return number;
    }
    s.put16(U + 4, (int) number);
    return 0;
  }

  /** Its pages are not the guest's: whoever wants them maps them as a resource. */
  private static long information(IoreqServers servers, Structure s) {
    if (s.u16(U + 2) != WITHOUT_PAGES) {
      return Errno.EOPNOTSUPP;
    }
    long channel = servers.bufferChannel(s.u16(U));
    if (channel < 0) {
      return channel;
    }
    s.put32(U + 4, (int) channel);
    return 0;
  }

  // ---- Memory ---------------------------------------------------------------------------------

  /**
   * Which pages of a display were written since it was asked last. Nobody keeps account of that, so
   * all may have been.
   */
  private static long writtenPages(Call call, Structure s, Buffer bitmap)
      throws GuestArguments.BadPointer {
    long pages = s.u32(U);
    if (pages == 0) {
      return 0;
    }
    long bytes = (pages + 7) / 8;
    if (pages > MOST_PAGES || bitmap.size < bytes) {
      return Errno.EINVAL;
    }
    byte[] all = new byte[(int) bytes];
    Arrays.fill(all, (byte) 0xff);
    call.memory().write(bitmap.address, all, 0, all.length);
    return 0;
  }

  /** The device model has written to pages, of which a log may be kept. */
  private static long pagesWritten(Call call, Domain domain, Structure s, Buffer list)
      throws GuestArguments.BadPointer {
    long count = s.u32(U);
    if (count > MOST_EXTENTS || list.size < count * EXTENT_SIZE) {
      return Errno.EINVAL;
    }
    Structure extents = call.memory().read(list.address, EXTENT_SIZE * (int) count);
    long pages = 0;
    for (int i = 0; i < count; i++) {
      pages += extents.u32(EXTENT_SIZE * i);
    }
    if (pages > MOST_PAGES) {
      return Errno.E2BIG;
    }
    for (int i = 0; i < count; i++) {
      long first = extents.u64(EXTENT_SIZE * i + 8);
      if (first < 0 || first >= GFN_LIMIT) {
        return Errno.EINVAL;
      }
      for (long page = first; page < first + extents.u32(EXTENT_SIZE * i); page++) {
        domain.pageWritten(page);
      }
    }
    return 0;
  }

  private static long setPageType(Domain domain, Structure s) {
    long count = s.u32(U);
    long first = s.u64(U + 8);
    int type = s.u16(U + 4);
    if (count > MOST_PAGES
        || first < 0
        || first >= GFN_LIMIT
        || type != READ_WRITE && type != READ_ONLY) {
      return Errno.EINVAL;
    }
    for (long page = first; page < first + count; page++) {
      if (!domain.setWritable(page, type == READ_WRITE)) {
        return Errno.EINVAL;
      }
    }
    return 0;
  }

  private static long movePages(Domain domain, Structure s) {
    long count = s.u32(U);
    long from = s.u64(U + 8);
    long to = s.u64(U + 16);
    if (count > MOST_PAGES || from < 0 || from >= GFN_LIMIT || to < 0 || to >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    for (long i = 0; i < count; i++) {
      if (!domain.movePage(from + i << 12, to + i << 12)) {
        return Errno.EINVAL;
      }
    }
    return 0;
  }

  // ---- Interrupts -----------------------------------------------------------------------------

  /** PCI segment, bus, device, pin, level. */
  private static long setPciInterrupt(Domain domain, Structure s) {
    if (s.u16(U) != 0 || s.u8(U + 2) != 0 || s.u8(U + 3) > 31 || s.u8(U + 4) > 3
        || s.u8(U + 5) > 1) {
      return Errno.EINVAL;
    }
    domain.port().setPciInterrupt(s.u8(U + 3), s.u8(U + 4), s.u8(U + 5) == 1);
    return 0;
  }

  private static long setIsaInterrupt(Domain domain, Structure s) {
    if (s.u8(U) > 15 || s.u8(U + 1) > 1) {
      return Errno.EINVAL;
    }
    domain.port().setIsaInterrupt(s.u8(U), s.u8(U + 1) == 1);
    return 0;
  }

  private static long routePciInterrupt(Domain domain, Structure s) {
    if (s.u8(U) > 3 || s.u8(U + 1) > 15) {
      return Errno.EINVAL;
    }
    domain.port().routePciInterrupt(s.u8(U), s.u8(U + 1));
    return 0;
  }

  private static long inject(Domain domain, Structure s) {
    if (s.u32(U) >= domain.vcpus().size()) {
      return Errno.EINVAL;
    }
    if (s.u8(U + 5) != EVENT_NMI) {
      return Errno.EOPNOTSUPP; // What it would interrupt is not known here.
    }
    domain.vcpus().get((int) s.u32(U)).port().nmi();
    return 0;
  }

  private static long message(Domain domain, Structure s) {
    long address = s.u64(U + 8);
    if (address < MESSAGES || address >= MESSAGES + MESSAGES_SIZE) {
      return Errno.EINVAL;
    }
    domain.port().interruptMessage(address, s.i32(U));
    return 0;
  }

  private static long shutDown(Domain domain, Structure s) {
    ShutdownReason[] reasons = ShutdownReason.values();
    if (s.u32(U) >= reasons.length) {
      return Errno.EINVAL;
    }
    ShutdownReason reason = reasons[s.i32(U)];
    if (reason == ShutdownReason.CRASH) {
      domain.crash("its device model gave up");
    } else {
      domain.shutDown(reason);
    }
    return 0;
  }
}

package org.javisor.xen.control;

import java.util.BitSet;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.DirtyLog;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.Structure;

/**
 * {@code XEN_DOMCTL_shadow_op}: of what shadow page tables are for, the log of written pages. There
 * are no such tables, so no memory is set aside for any.
 */
final class DirtyLogCalls {
  /** Where the operation's own fields begin: operation, mode, MiB, bitmap, pages, two figures. */
  private static final int U = 16;

  private static final int OFF = 0;
  private static final int ENABLE_LOG = 2;
  private static final int CLEAN = 11;
  private static final int PEEK = 12;
  private static final int GET_ALLOCATION = 30;
  private static final int SET_ALLOCATION = 31;
  private static final int ENABLE = 32;

  private static final int MODE_LOG = 1 << 2;
  private static final int MODE_LAST_TIME = 1;

  private static final int AT_ONCE = 4096;

  /** Guest frame numbers end at 1 TiB. */
  private static final long MOST_PAGES = 1L << 28;

  private DirtyLogCalls() {}

  static long call(Call call, Domain domain, Structure s) throws GuestArguments.BadPointer {
    if (domain == call.domain) {
      return Errno.EINVAL; // It would have to stand.
    }
    return switch (s.i32(U)) {
      case OFF -> {
        domain.dirtyLog().stop();
        yield 0;
      }
      case ENABLE_LOG -> start(domain);
      case ENABLE -> s.i32(U + 4) == MODE_LOG ? start(domain) : Errno.EINVAL;
      case CLEAN, PEEK -> written(call, domain, s);
      case GET_ALLOCATION -> {
        s.put32(U + 8, 0);
        yield 0;
      }
      case SET_ALLOCATION -> domain.kind().isTranslated() ? 0 : Errno.EINVAL;
      default -> Errno.EINVAL;
    };
  }

  private static long start(Domain domain) {
    if (domain.dirtyLog().isOn()) {
      return Errno.EINVAL;
    }
    domain.dirtyLog().start();
    return 0;
  }

  private static long written(Call call, Domain domain, Structure s)
      throws GuestArguments.BadPointer {
    DirtyLog log = domain.dirtyLog();
    long pages = s.u64(U + 24);
    if (!log.isOn() || (s.i32(U + 4) & ~MODE_LAST_TIME) != 0 || pages < 0 || pages > MOST_PAGES) {
      return Errno.EINVAL;
    }
    BitSet written = log.written(s.i32(U) == CLEAN);
    long bytes = (pages + 7) / 8;
    for (long at = 0; s.u64(U + 16) != 0 && at < bytes; at += AT_ONCE) {
      byte[] part = new byte[(int) Math.min(AT_ONCE, bytes - at)];
      byte[] some = written.get((int) (8 * at), (int) (8 * (at + part.length))).toByteArray();
      System.arraycopy(some, 0, part, 0, some.length);
      call.memory().write(s.u64(U + 16) + at, part, 0, part.length);
    }
    int count = written.cardinality();
    s.put32(U + 32, count);
    s.put32(U + 36, count);
    return 0;
  }
}

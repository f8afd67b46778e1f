package org.javisor.xen.hypervisor;

import java.util.Optional;

/** Who may act for the host and for others: the one place where a domain's privilege counts. */
public final class Privilege {
  private Privilege() {}

  /** Whether the caller has it. */
  public static boolean has(Call call) {
    return call.domain.isPrivileged();
  }

  /** A family that only the privileged domain may call. */
  public static HypercallFamily required(HypercallFamily family) {
    return call -> has(call) ? family.call(call) : Errno.EPERM;
  }

  /** Refuses an operation to all but the privileged domain. */
  public static void require(Call call) throws Call.Refused {
    if (!has(call)) {
      throw new Call.Refused(Errno.EPERM);
    }
  }

  /**
   * The domain that a number means, if the caller may act for it: itself, or any for the privileged
   * domain. Others are not told which numbers exist.
   */
  public static Domain target(Call call, int domid) throws Call.Refused {
    return find(call, domid)
        .orElseThrow(() -> new Call.Refused(has(call) ? Errno.ESRCH : Errno.EPERM));
  }

  /** The same, or nothing if there is none or the caller may not act for it. */
  public static Optional<Domain> find(Call call, int domid) {
    if (call.isSelf(domid)) {
      return Optional.of(call.domain);
    }
    return has(call) ? call.host().domain(domid) : Optional.empty();
  }

  /** The same for what nobody may do to itself. */
  public static Domain other(Call call, int domid) throws Call.Refused {
    Domain domain = target(call, domid);
    if (domain == call.domain) {
      throw new Call.Refused(Errno.EINVAL);
    }
    return domain;
  }
}

package org.javisor.xen.hypervisor.scheduler;

import java.util.Optional;

/**
 * What a physical CPU does next.
 *
 * @param unit who runs, or nobody
 * @param untilNanos when to ask again at the latest; {@link Long#MAX_VALUE} for "when told"
 */
record Decision(Optional<SchedUnit> unit, long untilNanos) {}

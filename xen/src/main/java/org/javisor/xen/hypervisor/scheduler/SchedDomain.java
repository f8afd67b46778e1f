package org.javisor.xen.hypervisor.scheduler;

import java.util.ArrayList;
import java.util.List;

/** What the vCPUs of one domain share in the eyes of the scheduler: weight, cap and budget. */
public final class SchedDomain {
  public static final int DEFAULT_WEIGHT = 256;

  final List<SchedUnit> units = new ArrayList<>();
  int weight = DEFAULT_WEIGHT;

  /** Percent of one physical CPU that all vCPUs together may use; 0 for no limit. */
  int cap;

  /** Nanoseconds left in this period, if there is a cap. */
  long budget;

  long nextReplenish;
}

package org.javisor.xen.hypervisor;

import java.util.concurrent.atomic.AtomicLongArray;

/** The parameters of a translated domain (public/hvm/params.h). */
public final class HvmParams {
  public static final int CALLBACK_IRQ = 0;
  public static final int STORE_PFN = 1;
  public static final int STORE_EVTCHN = 2;
  public static final int CONSOLE_PFN = 17;
  public static final int CONSOLE_EVTCHN = 18;

  private static final int VM86_TSS = 15;
  private static final int ACPI_PORTS = 19;
  private static final int GENERATION_ID = 34;
  private static final int VM86_TSS_SIZED = 37;

  static final int COUNT = 39;

  private final AtomicLongArray values = new AtomicLongArray(COUNT);

  HvmParams() {}

  /** Whether it is one that firmware of a PC sets: where it has put things. */
  static boolean isGuests(long index) {
    return index == VM86_TSS
        || index == ACPI_PORTS
        || index == GENERATION_ID
        || index == VM86_TSS_SIZED;
  }

  public long get(int index) {
    return values.get(index);
  }

  public void set(int index, long value) {
    values.set(index, value);
  }
}

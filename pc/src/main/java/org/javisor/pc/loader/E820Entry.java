package org.javisor.pc.loader;

/**
 * One range of the physical memory map that firmware reports. Source: ACPI 6.5, section 15.3.
 *
 * @param type {@link #RAM} or one of the others
 */
public record E820Entry(long base, long size, int type) {
  public static final int RAM = 1;
  public static final int RESERVED = 2;
  public static final int ACPI = 3;
  public static final int NVS = 4;

  public E820Entry {
    if (size <= 0 || base < 0 || base + size < 0) {
      throw new IllegalArgumentException(
          "memory range %#x+%#x: a positive size expected".formatted(base, size));
    }
  }

  /** The first address behind the range. */
  public long end() {
    return base + size;
  }
}

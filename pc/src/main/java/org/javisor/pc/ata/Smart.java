package org.javisor.pc.ata;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Self-monitoring (ATA-6, 8.55) of a disk that is always well: its data structures, with their
 * checksums, and no attribute that could ever exceed a threshold.
 */
final class Smart {
  static final int ENABLE = 0xd8;
  static final int DISABLE = 0xd9;

  private static final int READ_DATA = 0xd0;
  private static final int READ_THRESHOLDS = 0xd1;
  private static final int AUTOSAVE = 0xd2;
  private static final int SAVE_ATTRIBUTES = 0xd3;
  private static final int EXECUTE_OFFLINE = 0xd4;
  private static final int READ_LOG = 0xd5;
  private static final int RETURN_STATUS = 0xda;

  private static final int LOG_DIRECTORY = 0;
  private static final int ERROR_LOG = 1;
  private static final int SELF_TEST_LOG = 6;

  // Offsets in the data structure, and its revision.
  private static final int REVISION = 0x10;
  private static final int CAPABILITY = 368;
  private static final int CHECKSUM = 511;

  /** Fills a sector for functions that read one. */
  boolean fill(int function, int log, MemorySegment sector) {
    switch (function) {
      case READ_DATA, READ_THRESHOLDS -> {
        clear(sector, REVISION);
        if (function == READ_DATA) {
          sector.set(ValueLayout.JAVA_BYTE, CAPABILITY, (byte) 3);
          sector.set(ValueLayout.JAVA_BYTE, CAPABILITY + 2, (byte) 1); // error logging
        }
      }
      case READ_LOG -> {
        switch (log) {
          case LOG_DIRECTORY, ERROR_LOG, SELF_TEST_LOG -> clear(sector, 1);
          default -> {
            return false;
          }
        }
      }
      default -> {
        return false;
      }
    }
    int sum = 0;
    for (int i = 0; i < CHECKSUM; i++) {
      sum += sector.get(ValueLayout.JAVA_BYTE, i);
    }
    sector.set(ValueLayout.JAVA_BYTE, CHECKSUM, (byte) -sum);
    return true;
  }

  private static void clear(MemorySegment sector, int revision) {
    sector.asSlice(0, AtaDevice.SECTOR).fill((byte) 0);
    sector.set(ValueLayout.JAVA_BYTE, 0, (byte) revision);
  }

  /** Whether a function without data is carried out, which changes nothing here. */
  boolean accepts(int function) {
    return switch (function) {
      case AUTOSAVE, SAVE_ATTRIBUTES, EXECUTE_OFFLINE, RETURN_STATUS -> true;
      default -> false;
    };
  }
}

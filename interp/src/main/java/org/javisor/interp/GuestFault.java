package org.javisor.interp;

/**
 * An exception of the architecture on its way to the guest. One instance per vCPU, without a stack
 * trace, since faults are frequent; {@link Cpu} fills it in.
 */
final class GuestFault extends RuntimeException {
  private static final long serialVersionUID = 1L;

  static final int NO_ERROR_CODE = -1;

  static final int DE = 0;
  static final int DB = 1;
  static final int NMI = 2;
  static final int BP = 3;
  static final int OF = 4;
  static final int BR = 5;
  static final int UD = 6;
  static final int NM = 7;
  static final int DF = 8;
  static final int TS = 10;
  static final int NP = 11;
  static final int SS = 12;
  static final int GP = 13;
  static final int PF = 14;
  static final int MF = 16;
  static final int AC = 17;
  static final int XM = 19;

  int vector;
  int errorCode;

  GuestFault() {
    super("guest fault", null, false, false);
  }

  GuestFault with(int vector, int errorCode) {
    this.vector = vector;
    this.errorCode = errorCode;
    return this;
  }

  /** Exceptions that make a double fault when they meet (Intel SDM volume 3, table 6-5). */
  static boolean contributory(int vector) {
    return vector == DE || vector >= TS && vector <= GP;
  }

  /** Whether the error code is that of a segment, a TSS or an IDT entry. */
  boolean namesSelector() {
    return vector >= TS && vector <= GP;
  }
}

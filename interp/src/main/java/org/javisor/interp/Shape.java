package org.javisor.interp;

/**
 * What a step template is specialised for.
 *
 * @param kind which operation of the template's family
 * @param size operand size in bytes
 * @param other a second size: that of the source of an extension
 * @param target where the destination is: {@link #REG} or {@link #MEM}
 * @param source where the source is: {@link #REG}, {@link #MEM} or {@link #IMM}
 * @param address how the address of the memory operand is computed
 */
record Shape(int kind, int size, int other, int target, int source, int address) {
  static final int REG = 0;
  static final int MEM = 1;
  static final int IMM = 2;

  // How an address is computed.
  /** No memory operand. */
  static final int NO_ADDRESS = 0;

  /** Displacement only: absolute, or relative to RIP. */
  static final int FIXED = 1;

  static final int BASE = 2;
  static final int BASE_INDEX = 3;

  /** 64-bit mode with FS or GS. */
  static final int SEGMENT = 4;

  /** Anything else: 32-bit addresses in 64-bit mode, legacy modes with their checks. */
  static final int CHECKED = 5;

  static final Shape NONE = new Shape(0, 8, 0, REG, REG, NO_ADDRESS);
}

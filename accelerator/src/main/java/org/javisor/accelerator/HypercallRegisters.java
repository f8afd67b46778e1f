package org.javisor.accelerator;

/**
 * The general registers of a vCPU that is in the middle of VMCALL or VMMCALL. Only for the vCPU's
 * own thread, and only until the call returns; every interface has a convention of its own as to
 * which register means what.
 */
public interface HypercallRegisters {
  int RAX = 0;
  int RCX = 1;
  int RDX = 2;
  int RBX = 3;
  int RSP = 4;
  int RBP = 5;
  int RSI = 6;
  int RDI = 7;
  int R8 = 8;
  int R9 = 9;
  int R10 = 10;

  /**
   * Reads a register.
   *
   * @param register 0 to 15, in encoding order
   * @return all 64 bits in 64-bit code, else the low 32, zero extended
   */
  long get(int register);

  /** Writes a register: all 64 bits in 64-bit code, else the low 32, which clears the upper half. */
  void set(int register, long value);

  /** Whether the caller is 64-bit code. */
  boolean is64Bit();

  /** The caller's current privilege level, 0 to 3. */
  int privilegeLevel();
}

package org.javisor.accelerator;

/**
 * A vCPU of a kernel without privilege in the middle of a trap: what whoever stands in for ring 0
 * reads and changes. Only for the vCPU's own thread, and only until the trap's handler returns.
 *
 * <p>Such a vCPU is at privilege level 3 always. What tells its kernel from its programs is which page
 * tables are in use and whose rights memory is accessed with; page-table entries are the kernel's and
 * the programs' alike, whatever their U bit says.
 */
public interface TrapRegisters extends HypercallRegisters {
  int R11 = 11;

  // Segment registers, in encoding order.
  int ES = 0;
  int CS = 1;
  int SS = 2;
  int DS = 3;
  int FS = 4;
  int GS = 5;

  /** Memory that is not there, or may not be accessed so. */
  final class Fault extends Exception {
    private static final long serialVersionUID = 1L;
    public static final Fault INSTANCE = new Fault();

    private Fault() {
      super("memory fault", null, false, false);
    }
  }

  /** In an exception the address of the instruction; in a system call of the one behind it. */
  long rip();

  void setRip(long rip);

  /** RFLAGS. */
  long flags();

  void setFlags(long flags);

  /** The address of the last page fault. */
  long cr2();

  int selector(int segment);

  /** The base of FS or GS. */
  long base(int segment);

  void setBase(int segment, long base);

  /** Sets CS and SS to selectors of flat 64-bit code and data of ring 3, unread. */
  void setFlat(int cs, int ss);

  /**
   * Sets CS and SS to descriptors of ring 3 from the tables.
   *
   * @return whether they are code and writable data; if not, nothing has changed
   */
  boolean setCodeAndStack(int cs, int ss);

  /** Loads a data segment register as MOV would; false if that faults, and nothing has changed. */
  boolean loadSegment(int segment, int selector);

  /** Where the descriptor tables are; an empty LDT has no bytes. */
  void setDescriptorTables(long gdt, int gdtLimit, long ldt, int ldtBytes);

  /**
   * Goes on with other page tables, of the kernel or of its programs, without forgetting translations
   * of either.
   */
  void enter(boolean kernel, long cr3);

  /** Whether memory is accessed with the kernel's rights. */
  boolean isKernel();

  /** Forgets all translations. */
  void flush();

  /**
   * The tables in use are those of another address space: forgets translations of the lower half of
   * addresses; those of the upper half are the same.
   *
   * @param space a number for the address space
   * @param keep whether nothing has changed in it since it was last in use
   */
  void switchLowerHalf(int space, boolean keep);

  /** Forgets those of one page. */
  void flushPage(long linear);

  /** Reads 8 bytes as the guest would now. */
  long load(long linear) throws Fault;

  /** Reads as many bytes of code as there are up to the array's length; returns how many. */
  int fetch(long linear, byte[] code);

  /** Writes 8 bytes as the guest would now. */
  void store(long linear, long value) throws Fault;

  /**
   * Executes the instruction at RIP as if the page of an address could be written. If it raises an
   * exception of another kind, that one is the next trap.
   */
  void executeWriting(long linear);

  long cr4();

  /** Changes CR4 with all that depends on it; false if the CPU does not take the value. */
  boolean setCr4(long value);

  boolean taskSwitched();

  /** CR0.TS: the next use of floating point is #NM. */
  void setTaskSwitched(boolean on);

  long debugRegister(int number);

  /** Returns false if the register does not exist or does not take the value. */
  boolean setDebugRegister(int number, long value);

  /** XCR0; returns false if the CPU has none or does not take the value. */
  boolean setXcr0(long value);
}

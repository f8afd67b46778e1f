package org.javisor.interp;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * The layout of a vCPU's block: the architectural registers in native memory, where both the
 * interpreter and emitted code find them. Offsets in bytes from the block's address.
 */
public final class VcpuBlock {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8–R15, 8 bytes each. */
  public static final int GPR = 0;

  /** A slot that always holds zero: the register of an absent base or index. */
  public static final int ZERO = 128;

  /** RFLAGS, where emitted code reads and leaves the arithmetic flags. */
  public static final int RFLAGS = 144;

  /** RFLAGS without the arithmetic flags, which wherever they are kept are not here; 4 bytes. */
  public static final int SYSTEM_FLAGS = 152;

  /** Bases of FS and GS in 64-bit mode. */
  public static final int FS_BASE = 160;

  public static final int GS_BASE = 168;

  /** IA32_KERNEL_GS_BASE. */
  public static final int KERNEL_GS_BASE = 176;

  /** The selectors of ES CS SS DS FS GS LDTR TR, 4 bytes each. */
  public static final int SELECTORS = 184;

  /** Not zero if an interrupt waits for IF; 4 bytes. */
  public static final int WAITING = 216;

  /**
   * A change of privilege that translated code has made and that segments and CPL do not show yet:
   * {@link #BY_SYSCALL} or {@link #BY_SYSRET}; 4 bytes.
   */
  public static final int PRIVILEGE = 220;

  public static final int BY_SYSCALL = 1;
  public static final int BY_SYSRET = 2;

  /** IA32_LSTAR. */
  public static final int LSTAR = 224;

  /** The bits of RFLAGS that SYSCALL leaves; 4 bytes. */
  public static final int SYSCALL_KEEPS = 232;

  /** Not zero if SYSCALL and SYSRET between 64-bit code are not of the plain kind; 4 bytes. */
  public static final int SYSCALL_SPECIAL = 236;

  /**
   * Guest-physical address of the top page table in four-level paging with NXE and CR0.WP, or -1 if
   * paging is of another kind.
   */
  public static final int WALK_ROOT = 240;

  /** Bit 8 if CR4.PGE is set: a page-table entry's G bit counts; 4 bytes. */
  public static final int GLOBAL_BIT = 248;

  /** CS and SS as SYSCALL and as SYSRET to 64-bit code load them: selectors, 4 bytes each. */
  public static final int KERNEL_SELECTORS = 272;

  public static final int USER_SELECTORS = 280;

  /** Not zero if RDTSC is for the kernel only; 4 bytes. */
  public static final int NO_USER_TSC = 256;

  /** IA32_TSC_AUX. */
  public static final int TSC_AUX = 264;

  /** Not zero if RDFSBASE and its likes are undefined; 4 bytes. */
  public static final int NO_FSGSBASE = 252;

  /** FXSAVE64 image, 16-byte aligned (Intel SDM volume 1, table 10-2). */
  public static final int FX = 512;

  public static final int FCW = FX;
  public static final int FSW = FX + 2;
  public static final int MXCSR = FX + 24;
  public static final int ST = FX + 32;
  public static final int XMM = FX + 160;

  /** XSAVE header, then the high halves of YMM0–15, as in the standard XSAVE format. */
  public static final int XSAVE_HEADER = FX + 512;

  public static final int YMM_HIGH = FX + 576;

  /** Memory operand of an instruction that runs on the host's units: 64 bytes, aligned. */
  public static final int SCRATCH = 2048;

  /** Room for emitted one-instruction stubs: saved host control words, results. */
  public static final int STUB = 2112;

  /** Where what is architectural ends: a reset clears up to here. */
  private static final int ARCHITECTURAL = 4096;

  /**
   * What other threads want of this vCPU before its next block; 4 bytes, changed atomically.
   * The translator has words of its own on both sides of it.
   */
  public static final int ATTENTION = 4096 + 4;

  /**
   * The address of a table with 4 bytes a frame: in which entries of the TLB the frame may be
   * writable. Two times 16 bits, each an entry's number plus one or 0; all bits for more than two.
   */
  public static final int WRITABLE_SLOTS = 4096 + 24;

  /** Words of the translator. */
  public static final int TRANSLATOR = 4096 + 64;

  /** The software TLB: its parts, as {@link Mmu} lays them out. */
  public static final int TLB = 8192;

  public static final int TLB_PART_BYTES = Mmu.PART_BYTES;

  /**
   * What is known of the TLB's entries: how many were filled from pages that are not global, and
   * from global ones (4 bytes each), which (4 bytes each, {@link #TLB_FILLED_MAX} at most), which are
   * global now (a byte each), and the ranges of large pages seen (8 bytes each).
   */
  public static final int TLB_FILLED_COUNT = TLB + Mmu.TLB_BYTES;

  public static final int TLB_FILLED_GLOBAL_COUNT = TLB_FILLED_COUNT + 4;
  public static final int TLB_LARGE = TLB_FILLED_COUNT + 8;
  public static final int TLB_FILLED_MAX = 1024;
  public static final int TLB_FILLED = TLB_LARGE + 32;
  public static final int TLB_FILLED_GLOBAL = TLB_FILLED + 4 * TLB_FILLED_MAX;
  public static final int TLB_GLOBAL = TLB_FILLED_GLOBAL + 4 * TLB_FILLED_MAX;

  public static final int TLB_ENTRIES = Mmu.ENTRIES;

  /**
   * How many of them are used, a power of two: all, unless a test wants entries to be replaced often
   * and sets this property.
   */
  public static final int TLB_USED =
      Math.max(2, Integer.getInteger("javisor.test.tlbEntries", TLB_ENTRIES));

  /**
   * Whether to have only one of two entries filled: a TLB of one entry. An access to the end of a page
   * relies on the next page having another entry.
   */
  public static final boolean ONE_ENTRY =
      Integer.getInteger("javisor.test.tlbEntries", TLB_ENTRIES) == 1;

  /** Whether an empty entry cannot have the tag of a page that belongs into another entry. */
  public static final boolean FEW_ENTRIES = TLB_USED < 4;

  /** The tag of an empty entry then: of an address that is not canonical, and that no test uses. */
  public static final long NO_PAGE = -(1L << 52);

  /** Offsets in a part of the TLB, whose first table is the tags for reading. */
  public static final int TLB_WRITE = Mmu.WRITE;

  public static final int TLB_ADDEND = Mmu.ADDEND;

  /** The translator's tables, of {@link #TABLES_SIZE} bytes. */
  public static final int TABLES = TLB_GLOBAL + 3 * Mmu.ENTRIES + 4095 & -4096;

  public static final int TABLES_SIZE = 1 << 20;

  public static final int SIZE = TABLES + TABLES_SIZE;

  private VcpuBlock() {}

  /** Allocates a zeroed block. */
  static long allocate() {
    return HostMemory.mapAnonymous(SIZE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  static void clear(long block) {
    RawMemory.fill(block, ARCHITECTURAL, 0);
  }
}

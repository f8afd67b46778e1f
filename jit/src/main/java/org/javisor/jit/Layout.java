package org.javisor.jit;

import org.javisor.interp.VcpuBlock;

/** Where translated code has what: host registers, and words of the vCPU block. */
final class Layout {
  /**
   * Host registers of the guest's RAX to R15, or -1 for those that stay in the block. RCX is needed
   * for JRCXZ and shifts; RSP stays a valid stack, for handlers of signals run on it.
   */
  private static final int[] HOST = {
    Emitter.RAX, Emitter.R15, Emitter.RDX, Emitter.RBX,
    Emitter.R13, Emitter.RBP, Emitter.RSI, Emitter.RDI,
    Emitter.R8, Emitter.R9, Emitter.R10, Emitter.R11,
    -1, -1, -1, -1
  };

  /** Scratch registers: any use of them ends with the instruction. */
  static final int S0 = Emitter.RCX;

  static final int S1 = Emitter.R12;
  static final int S2 = Emitter.R14;

  static final int GUEST_RSP = Emitter.R13;
  static final int GUEST_RCX = Emitter.R15;

  // Words of the block. ATTENTION lies between the two epochs, so that one load sees it and one.
  static final int ATTENTION = VcpuBlock.ATTENTION;

  /** Generation of the mappings that are not global; 4 bytes before {@link #ATTENTION}. */
  static final int EPOCH_LOCAL = ATTENTION - 4;

  /** Generation of the global mappings; 4 bytes behind {@link #ATTENTION}. */
  static final int EPOCH_GLOBAL = ATTENTION + 4;

  private static final int WORDS = VcpuBlock.TRANSLATOR;

  /** Arithmetic flags at entry and exit: AH as LAHF has it, AL 1 if OF. */
  static final int FLAGS = WORDS;

  /** The linear address of an access, or the target of an indirect jump, at exit. */
  static final int ADDRESS = WORDS + 8;

  /** A value across two accesses of one instruction. */
  static final int TEMPORARY = WORDS + 16;

  // Masks of PEXT that are used most: on the host's stack, at offsets from RSP, for shorter code.
  /** The bits of a linear address that choose a TLB entry. */
  static final int STACK_TLB_MASK = 0;

  /** The bits of the page number. */
  static final int STACK_PAGE_MASK = 8;

  /** The bits of an address that choose an entry of the jump cache. */
  static final int STACK_JUMP_MASK = 16;

  static final int STACK_BYTES = 24;

  /** Which parts of frames hold code: {@code Core.coverage}. */
  static final int COVERAGE = WORDS + 512;

  /** Which constants in code may be stored to: {@code Core.constants}. */
  static final int CONSTANTS = WORDS + 656;

  /** Where a store across two pages is made that are no neighbours on the host, or 0. */
  static final int SPLIT = WORDS + 584;

  // Such a store goes to CROSSING first; then so many bytes go here, and the rest there.
  static final int SPLIT_FIRST = WORDS + 592;
  static final int SPLIT_COUNT = WORDS + 600;
  static final int SPLIT_SECOND = WORDS + 608;
  static final int SPLIT_REST = WORDS + 616;

  /** Masks of PEXT for the block index. */
  static final int CODE_PAGE_MASK = WORDS + 624;

  static final int INDEX_MASK = WORDS + 632;

  /** Lookups in the block index until one comes to Java; and the exit of the one under way. */
  static final int LOOKUPS = WORDS + 640;

  static final int LOOKUP_SITE = WORDS + 644;

  /** Where a call goes on once its target has been looked up. */
  static final int LOOKUP_RETURN = WORDS + 648;

  /** How often traced blocks were entered, 8 bytes each. */
  static final int HITS = WORDS + 520;

  /** Where an access goes on that needs no second check. */
  static final int CONTINUE = WORDS + 432;

  /** The bytes of an access across two pages. */
  static final int CROSSING = WORDS + 448;

  /** What to add to the addresses of groups of accesses, 8 bytes each. */
  static final int GROUPS = WORDS + 368;

  static final int GROUPS_MAX = 8;

  // Masks of PEXT in the block.

  /** All bits of the system flags but DF. */
  static final int NOT_DF = WORDS + 48;

  /** The lowest 1, 2, 3, 4 and 5 bits, 8 bytes each. */
  static final int LOW_BITS = WORDS + 56;

  /** Zero while the vector registers of the guest are in the host's. */
  static final int VECTORS_ABSENT = WORDS + 104;

  /** The exit to take if they cannot be loaded. */
  static final int VECTORS_SITE = WORDS + 108;

  /** The host's MXCSR while the guest's is loaded. */
  static final int HOST_MXCSR = WORDS + 112;

  /** The exception masks of MXCSR. */
  static final int MXCSR_MASKS = WORDS + 120;

  static final int SAVED_RAX = WORDS + 128;

  /** DF alone. */
  static final int DF_ONLY = WORDS + 136;

  /** All bits of the system flags but IF; but AC; what PUSHF shows of them; the arithmetic flags. */
  static final int NOT_IF = WORDS + 144;

  static final int NOT_AC = WORDS + 152;
  static final int PUSHED_SYSTEM = WORDS + 160;
  static final int ARITHMETIC = WORDS + 168;

  // What the page walk needs to know, and where it saves registers.
  /** The address of an access's last byte. */
  static final int LAST_BYTE = WORDS + 176;

  /** The guest-physical map, how many frames it has, and the flags of machine frames. */
  static final int MAP = WORDS + 184;

  static final int MAP_FRAMES = WORDS + 192;
  static final int FRAME_FLAGS = WORDS + 200;

  /** The host address of machine frame 0. */
  static final int ARENA = WORDS + 208;

  /** Address bits of a page-table entry, and reserved ones. */
  static final int PHYSICAL_MASK = WORDS + 216;

  static final int RESERVED_BITS = WORDS + 224;

  /** Not zero if there are other vCPUs. */
  static final int SEVERAL = WORDS + 232;

  static final int WALK_SAVED = WORDS + 240;

  /** Zero while the guest's x87 registers are in the host's; the vector registers are, too, then. */
  static final int X87_ABSENT = WORDS + 288;

  /** Opcode, address and operand of the last x87 instruction while its registers are loaded. */
  static final int X87_FOP = WORDS + 296;

  static final int X87_FIP = WORDS + 304;
  static final int X87_FDP = WORDS + 312;

  /** What to add to the host's clock for the guest's time-stamp counter. */
  static final int TSC_AHEAD = WORDS + 328;

  /** Zero if the guest's time is that clock's. */
  static final int NO_CLOCK = WORDS + 336;

  /** A struct timespec. */
  static final int TIME = WORDS + 344;

  /** The exception masks of FCW. */
  static final int X87_PLAIN = WORDS + 320;

  // The jump caches, one for each part of the TLB: negated addresses, then code.
  static final int JUMP_ENTRIES = 1 << 13;
  static final int JUMP_SHIFT = 2;

  // The block index: pages that code may be fetched from, and blocks; see BlockIndex.
  private static final int PAGE_TABLES = VcpuBlock.TABLES + 3 * 2 * JUMP_ENTRIES * 8;
  static final int INDEX_KEYS = PAGE_TABLES + 3 * 2 * BlockIndex.PAGES * 8;
  static final int INDEX_ADDRESSES = INDEX_KEYS + BlockIndex.ENTRIES * 8;
  static final int INDEX_CODE = INDEX_ADDRESSES + BlockIndex.ENTRIES * 8;

  private Layout() {}

  static int codeTags(int part) {
    return PAGE_TABLES + part * 2 * BlockIndex.PAGES * 8;
  }

  static int codeAddends(int part) {
    return codeTags(part) + BlockIndex.PAGES * 8;
  }

  static int host(int guest) {
    return HOST[guest];
  }

  static int slot(int guest) {
    return VcpuBlock.GPR + 8 * guest;
  }

  static int jumpTags(int part) {
    return VcpuBlock.TABLES + part * 2 * JUMP_ENTRIES * 8;
  }

  static int jumpCode(int part) {
    return jumpTags(part) + JUMP_ENTRIES * 8;
  }

  /** Where the negated address of an entry is; entries are numbered through all parts. */
  static int jumpTag(int slot) {
    return jumpTags(slot / JUMP_ENTRIES) + 8 * (slot % JUMP_ENTRIES);
  }

  static int jumpTarget(int slot) {
    return jumpCode(slot / JUMP_ENTRIES) + 8 * (slot % JUMP_ENTRIES);
  }

  static int tlbTags(int part, boolean write) {
    return VcpuBlock.TLB + part * VcpuBlock.TLB_PART_BYTES + (write ? VcpuBlock.TLB_WRITE : 0);
  }

  static int tlbAddends(int part) {
    return VcpuBlock.TLB + part * VcpuBlock.TLB_PART_BYTES + VcpuBlock.TLB_ADDEND;
  }
}

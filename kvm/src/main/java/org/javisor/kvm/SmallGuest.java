package org.javisor.kvm;

import java.util.HexFormat;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * The smallest machine that code can run on in every mode: 2 MiB of RAM with tables for long mode,
 * mapped onto itself for both rings, and no device but a port that takes the guest's last word.
 */
final class SmallGuest implements EmptyBus, BarePlatform {
  static final long RAM = 2 << 20;

  /** Where code and its result go. */
  static final int CODE = 0x1_0000;

  static final int HANDLER = 0x1_8000;
  static final int RESULT = 0x2_0000;

  /** The guest says here that it has come to its end. */
  static final int END_PORT = 0x10;

  // The guest-physical layout.
  private static final long PML4 = 0x1000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;
  private static final long GDT = 0x6000;
  private static final long IDT = 0x7000;
  private static final long TSS = 0x9000;
  private static final long KERNEL_STACK = 0xf000;
  private static final long USER_STACK = 0x1_f000;

  static final int CODE_SELECTOR = 0x08;
  private static final int DATA_SELECTOR = 0x10;
  private static final int USER_DATA_SELECTOR = 0x1b;
  private static final int USER_CODE_SELECTOR = 0x23;
  private static final int TSS_SELECTOR = 0x28;
  private static final int CODE_32_SELECTOR = 0x38;

  private static final int LARGE_USER_PAGE = 0x87;
  private static final int USER_TABLE = 7;
  private static final int MAPPED_LARGE_PAGES = 512;

  private final GuestMemory memory;
  private volatile int lastWord = -1;
  private Runnable onEnd = () -> {};

  SmallGuest() {
    // As much again for who maps more.
    memory = new GuestMemory(new FrameArena(2 * RAM));
    memory.mapRam(0, RAM);
    tables();
  }

  GuestMemory memory() {
    return memory;
  }

  /** What the guest said at its end, or -1 if it has not yet. */
  int lastWord() {
    return lastWord;
  }

  /** Has something done when the guest has come to its end. */
  void onEnd(Runnable action) {
    onEnd = action;
  }

  private void tables() {
    memory.write64(PML4, PDPT | USER_TABLE);
    memory.write64(PDPT, PD | USER_TABLE);
    for (int i = 0; i < MAPPED_LARGE_PAGES; i++) {
      memory.write64(PD + 8L * i, (long) i << 21 | LARGE_USER_PAGE);
    }
    memory.write64(GDT + CODE_SELECTOR, 0x00af_9b00_0000_ffffL);
    memory.write64(GDT + DATA_SELECTOR, 0x00cf_9300_0000_ffffL);
    memory.write64(GDT + (USER_DATA_SELECTOR & ~7), 0x00cf_f300_0000_ffffL);
    memory.write64(GDT + (USER_CODE_SELECTOR & ~7), 0x00af_fb00_0000_ffffL);
    memory.write64(GDT + TSS_SELECTOR, 0x0000_8b00_0000_0067L | TSS << 16);
    memory.write64(GDT + CODE_32_SELECTOR, 0x00cf_9b00_0000_ffffL);
    memory.write64(TSS + 4, KERNEL_STACK);
  }

  /** Puts machine code, in hexadecimal, at an address. */
  void code(long gpa, String hex) {
    memory.write(gpa, HexFormat.of().parseHex(hex));
  }

  /** Has a vector served by 64-bit code at an address; user code may raise it by INT. */
  void gate(int vector, long handler) {
    memory.write64(
        IDT + 16L * vector,
        handler & 0xffff | (long) CODE_SELECTOR << 16 | 0xee00L << 32
            | (handler >>> 16 & 0xffff) << 48);
    memory.write64(IDT + 16L * vector + 8, handler >>> 32);
  }

  // ---- The states in which it starts ----------------------------------------------------------

  private static CpuState blank(long rip) {
    CpuState s = new CpuState();
    s.rip = rip;
    s.fxsave[0] = 0x7f;
    s.fxsave[1] = 0x03;
    s.fxsave[24] = (byte) 0x80;
    s.fxsave[25] = 0x1f;
    s.dr[6] = 0xffff_0ff0L;
    s.dr[7] = 0x400;
    s.ldtr.set(0, 0, 0xffff, 0x82);
    s.tr.set(0, 0, 0xffff, 0x8b);
    s.idtLimit = 0x3ff;
    s.gdtLimit = 0xffff;
    s.cr0 = 0x10;
    return s;
  }

  /** 16-bit real mode; the code segment begins at {@code base}, the others at 0. */
  CpuState realMode(long base) {
    CpuState s = blank(0);
    for (CpuState.Segment segment : s.segments()) {
      segment.set(0, 0, 0xffff, 0x93);
    }
    s.cs.set((int) (base >> 4), base, 0xffff, 0x9b);
    s.gpr[4] = 0xf000;
    return s;
  }

  private CpuState withTables(long rip) {
    CpuState s = blank(rip);
    for (CpuState.Segment segment : s.segments()) {
      segment.set(DATA_SELECTOR, 0, -1, 0xc093);
    }
    s.tr.set(TSS_SELECTOR, TSS, 0x67, 0x8b);
    s.gdtBase = GDT;
    s.gdtLimit = 0x3f;
    s.idtBase = IDT;
    s.idtLimit = 0xfff;
    s.gpr[4] = KERNEL_STACK;
    return s;
  }

  /** Flat 32-bit protected mode without paging. */
  CpuState protectedMode(long rip) {
    CpuState s = withTables(rip);
    s.cs.set(CODE_32_SELECTOR, 0, -1, 0xc09b);
    s.cr0 = 0x11;
    return s;
  }

  /** 64-bit mode in ring 0, SSE on. */
  CpuState longMode(long rip) {
    CpuState s = withTables(rip);
    s.cs.set(CODE_SELECTOR, 0, -1, 0xa09b);
    s.cr0 = 0x8001_0033L;
    s.cr3 = PML4;
    s.cr4 = 0x620;
    s.efer = 0x501;
    s.star = (long) CODE_SELECTOR << 32 | (long) DATA_SELECTOR << 48;
    return s;
  }

  /** 64-bit mode in ring 3. */
  CpuState userMode(long rip) {
    CpuState s = longMode(rip);
    for (CpuState.Segment segment : s.segments()) {
      segment.set(USER_DATA_SELECTOR, 0, -1, 0xc0f3);
    }
    s.cs.set(USER_CODE_SELECTOR, 0, -1, 0xa0fb);
    s.gpr[4] = USER_STACK;
    return s;
  }

  // ---- What is around it ------------------------------------------------------------------------

  @Override
  public void writePort(int port, int size, int value) {
    if (port == END_PORT) {
      lastWord = value;
      onEnd.run();
    }
  }

  @Override
  public long apicBase() {
    return 0xfee0_0900L;
  }

}

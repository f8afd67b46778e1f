package org.javisor.pc.loader;

import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;

/** The states in which boot protocols start vCPU 0, and the tables they stand on. */
final class StartState {
  /** Linux asks for these selectors: boot.rst, "32-bit Boot Protocol", {@code __BOOT_CS}. */
  private static final int CODE_SELECTOR = 0x10;

  private static final int DATA_SELECTOR = 0x18;
  private static final int GDT_ENTRIES = 4;

  // Access rights in the layout of CpuState.Segment: present, accessed, granular by 4 KiB.
  private static final int CODE_32 = 0xc09b;
  private static final int CODE_64 = 0xa09b;
  private static final int DATA_32 = 0xc093;
  private static final int CODE_16 = 0x009b;
  private static final int DATA_16 = 0x0093;
  private static final int LDT = 0x0082;
  private static final int TSS_BUSY = 0x008b;

  private static final long CR0_PE = 1;
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PAE = 1 << 5;
  private static final long EFER_LME = 1 << 8;
  private static final long EFER_LMA = 1 << 10;

  private static final long PTE_TABLE = 0x3; // present, writable
  private static final long PTE_LARGE = 0x83; // and a page of 2 MiB
  private static final int GIBIBYTES = 4;

  private StartState() {}

  /** Flat protected mode without paging. */
  static CpuState protectedMode(GuestPlacement placement, long entry) throws KernelFormatException {
    CpuState state = common(placement, CODE_32);
    state.rip = entry;
    state.cr0 = CR0_PE | CR0_ET;
    return state;
  }

  /** Long mode, the first 4 GiB mapped onto themselves. */
  static CpuState longMode(GuestPlacement placement, long entry) throws KernelFormatException {
    CpuState state = common(placement, CODE_64);
    state.rip = entry;
    state.cr0 = CR0_PE | CR0_ET | CR0_PG;
    state.cr3 = identityTables(placement);
    state.cr4 = CR4_PAE;
    state.efer = EFER_LME | EFER_LMA;
    return state;
  }

  /** Real mode at {@code segment + 0x20}, as the Linux setup code is entered. */
  static CpuState realMode(int segment, int stackPointer) {
    CpuState state = new CpuState();
    fpu(state);
    int data = segment;
    for (CpuState.Segment s : state.segments()) {
      s.set(data, (long) data << 4, 0xffff, DATA_16);
    }
    int code = segment + 0x20;
    state.cs.set(code, (long) code << 4, 0xffff, CODE_16);
    state.ldtr.set(0, 0, 0xffff, LDT);
    state.tr.set(0, 0, 0xffff, TSS_BUSY);
    state.idtLimit = 0x3ff;
    state.gdtLimit = 0xffff;
    state.cr0 = CR0_ET;
    state.gpr[4] = stackPointer;
    return state;
  }

  private static CpuState common(GuestPlacement placement, int code) throws KernelFormatException {
    CpuState state = new CpuState();
    fpu(state);
    GuestMemory memory = placement.memory();
    long gdt = placement.allocateLow(GDT_ENTRIES * 8, 16, "the GDT");
    memory.write64(gdt, 0);
    memory.write64(gdt + 8, 0);
    memory.write64(gdt + CODE_SELECTOR, descriptor(code));
    memory.write64(gdt + DATA_SELECTOR, descriptor(DATA_32));
    state.gdtBase = gdt;
    state.gdtLimit = GDT_ENTRIES * 8 - 1;
    for (CpuState.Segment s : state.segments()) {
      s.set(DATA_SELECTOR, 0, -1, DATA_32);
    }
    state.cs.set(CODE_SELECTOR, 0, -1, code);
    state.ldtr.set(0, 0, 0xffff, LDT);
    state.tr.set(0, 0, 0xffff, TSS_BUSY);
    return state;
  }

  /** A descriptor of base 0 and the largest limit. Source: Intel SDM volume 3, figure 3-8. */
  private static long descriptor(int attributes) {
    return 0x000f_0000_0000_ffffL | (long) attributes << 40;
  }

  /** What FNINIT and a reset leave: all exceptions masked. */
  private static void fpu(CpuState state) {
    state.fxsave[0] = 0x7f;
    state.fxsave[1] = 0x03;
    state.fxsave[24] = (byte) 0x80;
    state.fxsave[25] = 0x1f;
    state.dr[6] = 0xffff0ff0L;
    state.dr[7] = 0x400;
  }

  private static long identityTables(GuestPlacement placement) throws KernelFormatException {
    GuestMemory memory = placement.memory();
    long root = placement.allocateLow((2 + GIBIBYTES) * 4096L, 4096, "the page tables");
    long pointers = root + 4096;
    long directories = pointers + 4096;
    for (long at = root; at < directories; at += 8) {
      memory.write64(at, 0);
    }
    memory.write64(root, pointers | PTE_TABLE);
    for (int i = 0; i < GIBIBYTES; i++) {
      memory.write64(pointers + i * 8L, directories + i * 4096L | PTE_TABLE);
    }
    for (int i = 0; i < GIBIBYTES * 512; i++) {
      memory.write64(directories + i * 8L, (long) i << 21 | PTE_LARGE);
    }
    return root;
  }
}

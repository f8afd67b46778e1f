package org.javisor.conformance.block;

import java.util.Arrays;
import org.javisor.accelerator.CpuState;

/**
 * What all blocks find: page tables, descriptors, and for each vector a HLT of its own. Low
 * guest-physical memory is mapped into the high half for the supervisor; pages of code and data in
 * the low half are each case's own.
 */
final class World {
  static final int MEMORY = 0x4_0000;
  static final long KERNEL = 0xffff_8000_0000_0000L;

  // Guest-physical.
  static final int PML4 = 0x1000;
  private static final int PDPT = 0x2000;
  private static final int PD = 0x3000;
  static final int PT = 0x4000;
  private static final int KERNEL_PDPT = 0xa000;
  private static final int KERNEL_PD = 0xb000;
  static final int KERNEL_PT = 0xc000;
  private static final int GDT = 0x6000;
  private static final int IDT = 0x7000;
  static final int HANDLERS = 0x8000;
  private static final int TSS = 0x9000;
  private static final int FAULT_STACK = 0xf000;
  static final int KERNEL_CODE = 0x1_0000;
  static final int USER_CODE = 0x2_0000;
  static final int DATA = 0x3_0000;
  static final int DATA_FRAMES = 16;

  // Linear addresses of the user's half.
  static final long USER_DATA = 0x40_0000;
  static final int DATA_PAGES = 8;
  static final long USER_TEXT = 0x41_0000;

  static final int USER_CS = 0x33;
  static final int USER_SS = 0x2b;
  static final int KERNEL_CS = 0x10;
  static final int KERNEL_SS = 0x18;

  static final int CR4_SMEP = 1 << 20;
  static final int CR4_SMAP = 1 << 21;

  private World() {}

  /** Where the entry of a page of the user's half is. */
  static int entry(long linear) {
    return PT + (int) (linear >>> 12 & 511) * 8;
  }

  static void put64(byte[] memory, int at, long value) {
    for (int i = 0; i < 8; i++) {
      memory[at + i] = (byte) (value >>> 8 * i);
    }
  }

  static long get64(byte[] memory, int at) {
    long value = 0;
    for (int i = 0; i < 8; i++) {
      value |= (memory[at + i] & 0xffL) << 8 * i;
    }
    return value;
  }

  static byte[] memory() {
    byte[] m = new byte[MEMORY];
    put64(m, PML4, PDPT | 0x67);
    put64(m, PDPT, PD | 0x67);
    put64(m, PD + 8 * (int) (USER_DATA >> 21), PT | 0x67);
    put64(m, PML4 + 8 * 256, KERNEL_PDPT | 0x63);
    put64(m, KERNEL_PDPT, KERNEL_PD | 0x63);
    put64(m, KERNEL_PD, KERNEL_PT | 0x63);
    for (int i = 0; i < MEMORY >> 12; i++) {
      put64(m, KERNEL_PT + 8 * i, (long) i << 12 | 0x163);
    }
    put64(m, GDT + 0x10, 0x00af_9b00_0000_ffffL);
    put64(m, GDT + 0x18, 0x00cf_9300_0000_ffffL);
    put64(m, GDT + 0x20, 0x00cf_fb00_0000_ffffL);
    put64(m, GDT + 0x28, 0x00cf_f300_0000_ffffL);
    put64(m, GDT + 0x30, 0x00af_fb00_0000_ffffL);
    for (int i = 0; i < 256; i++) {
      long handler = KERNEL + HANDLERS + 16L * i;
      long gate = i == 3 || i == 4 ? 0xee01 : 0x8e01; // stack 1 of the interrupt stack table
      put64(
          m, IDT + 16 * i,
          handler & 0xffff | (long) KERNEL_CS << 16 | gate << 32 | (handler >>> 16 & 0xffff) << 48);
      put64(m, IDT + 16 * i + 8, handler >>> 32);
    }
    Arrays.fill(m, HANDLERS, HANDLERS + 0x1000, (byte) 0xf4);
    put64(m, TSS + 4, KERNEL + FAULT_STACK);
    put64(m, TSS + 36, KERNEL + FAULT_STACK);
    m[TSS + 102] = 0x68; // no I/O permission map
    Arrays.fill(m, KERNEL_CODE, KERNEL_CODE + 0x2000, (byte) 0xcc);
    Arrays.fill(m, USER_CODE, USER_CODE + 0x4000, (byte) 0xcc);
    return m;
  }

  static CpuState state(boolean user) {
    CpuState s = new CpuState();
    s.cs.set(user ? USER_CS : KERNEL_CS, 0, -1, user ? 0xa0fb : 0xa09b);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es}) {
      data.set(user ? USER_SS : KERNEL_SS, 0, -1, user ? 0xc0f3 : 0xc093);
    }
    s.tr.set(0x40, KERNEL + TSS, 0x67, 0x8b);
    s.gdtBase = KERNEL + GDT;
    s.gdtLimit = 0x7f;
    s.idtBase = KERNEL + IDT;
    s.idtLimit = 0xfff;
    s.cr0 = 0x8005_0033L;
    s.cr3 = PML4;
    s.cr4 = 0x5_06a0; // PAE, PGE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE
    s.xcr0 = 7;
    s.efer = 0xd01;
    s.star = (long) (USER_CS - 0x10) << 48 | (long) KERNEL_CS << 32;
    s.lstar = KERNEL + KERNEL_CODE;
    s.rip = user ? USER_TEXT : KERNEL + KERNEL_CODE;
    return s;
  }

  /** Whether the next instruction is a handler's. */
  static boolean handles(CpuState s) {
    long at = s.rip - KERNEL - HANDLERS;
    return at >= 0 && at < 0x1000;
  }

  /** The vector whose handler has halted, or -1. */
  static int vector(CpuState s) {
    long at = s.rip - 1 - KERNEL - HANDLERS;
    return at >= 0 && at < 0x1000 ? (int) at >> 4 : -1;
  }
}

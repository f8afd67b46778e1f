package org.javisor.jit;

import static org.javisor.jit.Emitter.NONE;
import static org.javisor.jit.Emitter.RAX;
import static org.javisor.jit.Emitter.RBX;
import static org.javisor.jit.Emitter.RCX;
import static org.javisor.jit.Emitter.RDI;
import static org.javisor.jit.Emitter.RDX;
import static org.javisor.jit.Emitter.RSI;
import static org.javisor.jit.Layout.S0;
import static org.javisor.jit.Layout.S1;
import static org.javisor.jit.Layout.S2;

import org.javisor.interp.Core;
import org.javisor.interp.VcpuBlock;

/**
 * The walk of four-level page tables as host code, for the plain case: everything is present,
 * permitted, marked accessed and, for a write, dirty. It fills the TLB as {@code
 * org.javisor.interp.Mmu} does and has the access checked again; all else is an exit, so that faults
 * and their order are made in one place.
 *
 * <p>Entered with the linear address in S2, the number of the exit in S0, and where to go on in S1.
 */
final class PageWalk {
  private static final int P = 1;
  private static final int W = 2;
  private static final int U = 4;
  private static final int A = 1 << 5;
  private static final int D = 1 << 6;
  private static final int PS = 1 << 7;

  // Conditions of Jcc.
  private static final int BELOW = 2;
  private static final int NOT_BELOW = 3;
  private static final int ZERO = 4;
  private static final int NOT_ZERO = 5;
  private static final int SIGN = 8;
  private static final int LESS = 12;
  private static final int NOT_LESS = 13;

  private static final int[] SAVED = {RDX, RBX, RSI, RDI, S0, S1};

  private final Emitter e;
  private final int part;
  private final boolean write;
  private final boolean deprivileged;
  private final int[] bails = new int[64];
  private int bailCount;

  /**
   * Prepares a walk.
   *
   * @param deprivileged whether the kernel has its pages to itself by tables of its own and not by
   *     their U bits
   */
  PageWalk(Emitter e, int part, boolean write, boolean deprivileged) {
    this.e = e;
    this.part = part;
    this.write = write;
    this.deprivileged = deprivileged;
  }

  private void bailIf(int condition) {
    bails[bailCount++] = e.jumpIf(condition);
  }

  private void testByte(int register, int bits) {
    e.test(register, bits);
  }

  void emit(int exit) {
    e.gsStore(RAX, Layout.SAVED_RAX);
    for (int i = 0; i < SAVED.length; i++) {
      e.gsStore(SAVED[i], Layout.WALK_SAVED + 8 * i);
    }
    e.putFlagsAside();

    // Canonical, within one page, paging of the kind known here.
    e.mov(RAX, S2);
    e.shift(true, 4, RAX, 16);
    e.shift(true, 7, RAX, 16);
    e.rr(true, 0x3b, RAX, S2);
    bailIf(NOT_ZERO);
    e.gsLoad(RAX, Layout.LAST_BYTE);
    e.rr(true, 0x33, RAX, S2);
    e.shift(true, 5, RAX, 12);
    int crosses = e.jumpIf(NOT_ZERO);
    e.gsLoad(RAX, VcpuBlock.WALK_ROOT);
    e.rr(true, 0x85, RAX, RAX);
    bailIf(SIGN);
    e.movImmediate(RBX, 0xffff_ffffL);
    e.gsLoad(RSI, Layout.MAP);

    int[] large = new int[2];
    for (int shift = 39; shift >= 12; shift -= 9) {
      e.mov(RDX, S2);
      e.shift(true, 5, RDX, shift);
      e.alu(false, 4, RDX, 511);
      e.lea(true, RAX, RAX, RDX, 3, 0);
      mapEntry();
      // ECX: the map's entry; the page-table entry is in that frame.
      e.shift(false, 5, RCX, 4);
      e.shift(true, 4, RCX, 12);
      e.mov32(RDX, RAX);
      e.alu(false, 4, RDX, 4095);
      e.rr(true, 0x03, RCX, RDX);
      e.gs(true, 0x03, RCX, Layout.ARENA);
      e.memory(true, 0x8b, RAX, RCX, NONE, 0, 0);
      e.mov32(RDX, RAX);
      e.not(RDX);
      testByte(RDX, P | A);
      bailIf(NOT_ZERO);
      e.gsLoad(RDX, Layout.RESERVED_BITS);
      e.rr(true, 0x85, RAX, RDX);
      bailIf(NOT_ZERO);
      e.rr(false, 0x23, RBX, RAX);
      if (shift == 39) {
        testByte(RAX, PS);
        bailIf(NOT_ZERO);
      } else if (shift > 12) {
        testByte(RAX, PS);
        large[shift == 30 ? 0 : 1] = e.jumpIf(NOT_ZERO);
      } else {
        e.mov(RDI, RAX);
      }
      e.gs(true, 0x23, RAX, Layout.PHYSICAL_MASK);
    }
    int toLeaf = e.jump();
    int[] leaves = new int[2];
    for (int i = 0; i < 2; i++) {
      e.land(large[i]);
      leaves[i] = largePage(i == 0 ? 30 : 21);
    }
    e.land(toLeaf);
    e.land(leaves[0]);
    e.land(leaves[1]);
    leaf();
    restore();
    e.gsJump(Layout.WALK_SAVED + 8 * 5);
    e.land(crosses);
    crossing();
    for (int i = 0; i < bailCount; i++) {
      e.land(bails[i]);
    }
    restore();
    e.gsLoad32(S0, Layout.WALK_SAVED + 8 * 4);
    e.land(e.jump(), exit);
  }

  /** Loads the map's entry for the guest-physical address in RAX into ECX. */
  private void mapEntry() {
    e.mov(RDX, RAX);
    e.shift(true, 5, RDX, 12);
    e.gs(true, 0x3b, RDX, Layout.MAP_FRAMES);
    bailIf(NOT_BELOW);
    e.memory(false, 0x8b, RCX, RSI, RDX, 2, 0);
    testByte(RCX, 1);
    bailIf(ZERO);
  }

  /** Its entry is in RAX: leaves the page's address there; returns the jump to the common end. */
  private int largePage(int shift) {
    int offset = (1 << shift) - 1;
    e.test(RAX, offset & ~0x1fff);
    bailIf(NOT_ZERO);
    // INVLPG must know of it; the interpreter notes it.
    e.rr(true, 0x85, S2, S2);
    int high = e.jumpIf(SIGN);
    noted(VcpuBlock.TLB_LARGE);
    int known = e.jump();
    e.land(high);
    noted(VcpuBlock.TLB_LARGE + 16);
    e.land(known);
    e.mov(RDI, RAX);
    e.gs(true, 0x23, RAX, Layout.PHYSICAL_MASK);
    e.shift(true, 5, RAX, shift);
    e.shift(true, 4, RAX, shift);
    e.mov32(RDX, S2);
    e.alu(false, 4, RDX, offset & ~4095);
    e.rr(true, 0x0b, RAX, RDX);
    return e.jump();
  }

  private void noted(int range) {
    e.gs(true, 0x3b, S2, range);
    bailIf(LESS);
    e.gs(true, 0x3b, S2, range + 8);
    bailIf(NOT_LESS);
  }

  /** RAX: the page's guest-physical address; RDI: its entry; RBX: rights. */
  private void leaf() {
    if (part == Core.USER && !deprivileged) {
      testByte(RBX, U);
      bailIf(ZERO);
    } else if (part == Core.SUPERVISOR) {
      testByte(RBX, U);
      bailIf(NOT_ZERO);
    }
    mapEntry();
    // Writable by map (bit 1), rights (bit 1) and dirty (bit 6 moved to 1), and nobody listens.
    e.mov32(S1, RCX);
    e.rr(false, 0x23, S1, RBX);
    e.mov32(RDX, RDI);
    e.shift(false, 5, RDX, 5);
    e.rr(false, 0x23, S1, RDX);
    e.shift(false, 5, RCX, 4);
    e.gsLoad(RAX, Layout.FRAME_FLAGS);
    e.b(0x0f, 0xb6, 0x04);
    e.b(0x08); // movzx eax, byte [rax + rcx]
    e.test(RAX, 7);
    int free = e.jumpIf(ZERO);
    if (write) {
      besideCode();
    }
    e.movImmediate(S1, 0);
    e.land(free);
    if (write) {
      e.test(S1, W);
      bailIf(ZERO);
    }
    e.mov32(RSI, RCX); // the frame
    e.shift(true, 4, RCX, 12);
    e.gs(true, 0x03, RCX, Layout.ARENA);
    e.mov(RDX, S2);
    e.alu(true, 4, RDX, -4096);
    e.rr(true, 0x2b, RCX, RDX);
    e.mov(RAX, S2);
    e.shift(true, 5, RAX, 12);
    e.alu(false, 4, RAX, VcpuBlock.TLB_USED - 1);
    if (VcpuBlock.ONE_ENTRY) {
      emptyOther();
    }
    // RAX: the index; RCX: the addend; RDX: the page.
    e.gsIndexed(true, 0x89, RCX, RAX, 3, Layout.tlbAddends(part));
    e.b(0x48, 0xf7, 0xda); // neg rdx
    e.gsIndexed(true, 0x89, RDX, RAX, 3, Layout.tlbTags(part, false));
    emptyTag();
    e.test(S1, W);
    int readOnly = e.jumpIf(ZERO);
    noteWritable();
    int noted = e.jump();
    e.land(readOnly);
    e.mov(RDX, RCX);
    e.land(noted);
    e.gsIndexed(true, 0x89, RDX, RAX, 3, Layout.tlbTags(part, true));
    note();
    recheckFlags();
  }

  /** Empties the other one of two entries. RAX: the index. */
  private void emptyOther() {
    e.alu(false, 6, RAX, 1);
    e.movImmediate(RBX, VcpuBlock.NO_PAGE);
    e.gsIndexed(true, 0x89, RBX, RAX, 3, Layout.tlbTags(part, false));
    e.gsIndexed(true, 0x89, RBX, RAX, 3, Layout.tlbTags(part, true));
    e.alu(false, 6, RAX, 1);
  }

  /** The tag of the entry in RAX when it is empty, into RCX. */
  private void emptyTag() {
    if (VcpuBlock.FEW_ENTRIES) {
      e.movImmediate(RCX, VcpuBlock.NO_PAGE);
      return;
    }
    e.mov32(RCX, RAX);
    e.alu(false, 6, RCX, 2);
    e.shift(true, 4, RCX, 12);
    e.b(0x48, 0xf7, 0xd9); // neg rcx
  }

  /**
   * A store to a frame that holds code elsewhere goes on, this once. RCX: the frame; RAX: its flags;
   * S1: whether it may be written otherwise.
   */
  private void besideCode() {
    e.alu(false, 7, RAX, 1); // CODE alone
    bailIf(NOT_ZERO);
    e.test(S1, W);
    bailIf(ZERO);
    e.gs(false, 0x83, 7, Layout.SEVERAL);
    e.b(0); // cmp dword gs:[SEVERAL], 0
    bailIf(NOT_ZERO);
    e.gs(true, 0x83, 7, Layout.CONTINUE);
    e.b(0); // cmp qword gs:[CONTINUE], 0
    bailIf(ZERO);
    e.mov(RAX, S2);
    e.shift(true, 5, RAX, 6);
    e.alu(false, 4, RAX, 63);
    e.gsLoad(RDX, Layout.LAST_BYTE);
    e.shift(true, 5, RDX, 6);
    e.alu(false, 4, RDX, 63);
    e.rr(false, 0x3b, RDX, RAX);
    bailIf(NOT_ZERO);
    e.gsLoad(RDX, Layout.COVERAGE);
    e.memory(true, 0x8b, RDX, RDX, RCX, 3, 0);
    e.b(0x48, 0x0f, 0xa3);
    e.b(0xc2); // bt rdx, rax
    int notCovered = e.jumpIf(NOT_BELOW);
    constant();
    e.land(notCovered);
    e.shift(true, 4, RCX, 12);
    e.gs(true, 0x03, RCX, Layout.ARENA);
    e.mov(RDX, S2);
    e.alu(true, 4, RDX, -4096);
    e.rr(true, 0x2b, RCX, RDX);
    e.mov(S1, RCX);
    restore();
    e.gsJump(Layout.CONTINUE);
  }

  /** Goes on if the store is of exactly a constant that code reads where it stands. RCX: the frame. */
  private void constant() {
    e.mov(RDI, S2);
    e.alu(false, 4, RDI, 4095);
    e.mov(RDX, RCX);
    e.shift(true, 4, RDX, 12);
    e.rr(true, 0x0b, RDX, RDI);
    e.gsLoad(RAX, Layout.LAST_BYTE);
    e.rr(true, 0x2b, RAX, S2);
    e.lea(true, RAX, RAX, NONE, 0, 1);
    e.shift(true, 4, RAX, 56);
    e.rr(true, 0x0b, RDX, RAX);
    e.shift(false, 5, RDI, 2);
    e.alu(false, 4, RDI, 63);
    e.gsLoad(RAX, Layout.CONSTANTS);
    e.memory(true, 0x3b, RDX, RAX, RDI, 3, 0); // cmp rdx, [rax + 8 * rdi]
    bailIf(NOT_ZERO);
  }

  /**
   * Another vCPU may have begun to translate the frame since its flags were read: it has set the
   * flag before it looks at the list of what is filled. RSI: the frame.
   */
  private void recheckFlags() {
    e.gs(false, 0x83, 7, Layout.SEVERAL);
    e.b(0); // cmp dword gs:[SEVERAL], 0
    int single = e.jumpIf(ZERO);
    e.b(0x0f, 0xae, 0xf0); // mfence
    e.gsLoad(RDX, Layout.FRAME_FLAGS);
    e.b(0x0f, 0xb6, 0x14);
    e.b(0x32); // movzx edx, byte [rdx + rsi]
    e.test(RDX, 1);
    int stillFree = e.jumpIf(ZERO);
    e.mov(RAX, S2);
    e.shift(true, 5, RAX, 12);
    e.alu(false, 4, RAX, VcpuBlock.TLB_USED - 1);
    emptyTag();
    e.gsIndexed(true, 0x89, RCX, RAX, 3, Layout.tlbTags(part, true));
    e.land(stillFree);
    e.land(single);
  }

  /** As the MMU does for a frame, RSI, that may be written through an entry, RAX. */
  private void noteWritable() {
    e.lea(false, RBX, RAX, NONE, 0, part * VcpuBlock.TLB_ENTRIES + 1);
    e.gsLoad(RCX, VcpuBlock.WRITABLE_SLOTS);
    e.memory(true, 0x8d, RCX, RCX, RSI, 2, 0); // lea rcx, [rcx + 4 * rsi]
    e.b(0x66, 0x39, 0x19); // cmp [rcx], bx
    int known = e.jumpIf(ZERO);
    e.b(0x66, 0x39);
    e.b(0x59, 0x02); // cmp [rcx + 2], bx
    int knownToo = e.jumpIf(ZERO);
    e.b(0x66, 0x83);
    e.b(0x79, 0x02, 0x00); // cmp word [rcx + 2], 0
    int many = e.jumpIf(NOT_ZERO);
    e.b(0xc1, 0x21, 0x10); // shl dword [rcx], 16
    e.b(0x66, 0x89, 0x19); // mov [rcx], bx
    int added = e.jump();
    e.land(many);
    e.memory(false, 0x83, 7, RCX, NONE, 0, 0);
    e.b(0xff); // cmp dword [rcx], -1
    int alreadyMany = e.jumpIf(ZERO);
    int replaced = replaceStale(0);
    int replacedToo = replaceStale(16);
    e.b(0xc7, 0x01);
    e.i32(-1); // mov dword [rcx], -1
    e.land(alreadyMany);
    e.land(replaced);
    e.land(replacedToo);
    e.land(added);
    e.land(knownToo);
    e.land(known);
  }

  /**
   * Notes the entry instead of one through which the frame can no longer be written. RCX: the notes of
   * the frame, RSI; RAX: the index.
   *
   * @param bits the note, by its first bit
   * @return the jump if that is done
   */
  private int replaceStale(int bits) {
    e.memory(false, 0x8b, S1, RCX, NONE, 0, 0);
    if (bits > 0) {
      e.shift(false, 5, S1, bits);
    } else {
      e.alu(false, 4, S1, 0xffff);
    }
    e.lea(false, S1, S1, NONE, 0, -1);
    // Of each part there are three tables, one behind the other.
    e.mov32(RBX, S1);
    e.alu(false, 4, RBX, -VcpuBlock.TLB_ENTRIES);
    e.lea(false, S1, S1, RBX, 1, 0);
    e.gsIndexed(true, 0x8b, RBX, S1, 3, VcpuBlock.TLB + VcpuBlock.TLB_ADDEND);
    e.gsIndexed(true, 0x2b, RBX, S1, 3, VcpuBlock.TLB + VcpuBlock.TLB_WRITE);
    e.mov(S1, RSI);
    e.shift(true, 4, S1, 12);
    e.gs(true, 0x03, S1, Layout.ARENA);
    e.rr(true, 0x3b, S1, RBX);
    int inUse = e.jumpIf(ZERO);
    e.lea(false, RBX, RAX, NONE, 0, part * VcpuBlock.TLB_ENTRIES + 1);
    e.b(0x66);
    e.memory(false, 0x89, RBX, RCX, NONE, 0, bits >> 3);
    int done = e.jump();
    e.land(inUse);
    return done;
  }

  /** Notes the entry as filled, for flushes. RAX: the index. */
  private void note() {
    e.lea(false, RDX, RAX, NONE, 0, part * VcpuBlock.TLB_ENTRIES);
    if (deprivileged) {
      // The upper half is the kernel's, and it says when that changes.
      e.mov(RCX, S2);
      e.shift(true, 5, RCX, 63);
    } else {
      e.mov32(RCX, RDI);
      e.gs(false, 0x23, RCX, VcpuBlock.GLOBAL_BIT);
      e.shift(false, 5, RCX, 8);
    }
    e.b(0x65, 0x88, 0x8a);
    e.i32(VcpuBlock.TLB_GLOBAL); // mov gs:[rdx + TLB_GLOBAL], cl
    e.gsIndexed(false, 0x8b, RAX, RCX, 2, VcpuBlock.TLB_FILLED_COUNT);
    e.alu(false, 7, RAX, VcpuBlock.TLB_FILLED_MAX);
    int room = e.jumpIf(BELOW);
    e.movImmediate(RAX, VcpuBlock.TLB_FILLED_MAX);
    int count = e.jump();
    e.land(room);
    e.mov32(RBX, RCX);
    e.shift(false, 4, RBX, 10);
    e.rr(false, 0x03, RBX, RAX);
    e.gsIndexed(false, 0x89, RDX, RBX, 2, VcpuBlock.TLB_FILLED);
    e.land(count);
    e.lea(false, RAX, RAX, NONE, 0, 1);
    e.gsIndexed(false, 0x89, RAX, RCX, 2, VcpuBlock.TLB_FILLED_COUNT);
  }

  /**
   * An access across two pages that are both in the TLB: if they are neighbours on the host, too, it
   * goes on as one; otherwise the bytes of a load are put together, and those of a store taken apart.
   */
  private void crossing() {
    e.gs(true, 0x83, 7, Layout.CONTINUE);
    e.b(0); // cmp qword gs:[CONTINUE], 0
    bailIf(ZERO);
    e.mov(RDX, S2);
    e.alu(true, 4, RDX, -4096);
    entry(RCX);
    e.lea(true, RDX, RDX, NONE, 0, 4096);
    entry(RBX);
    e.mov(S1, RCX);
    e.rr(true, 0x3b, RCX, RBX);
    if (write) {
      int neighbours = e.jumpIf(ZERO);
      split();
      e.land(neighbours);
    } else {
      int neighbours = e.jumpIf(ZERO);
      // RDX: the second page. RSI, RDI and RCX for REP MOVSB.
      e.b(0xf3, 0x48, 0x0f);
      e.b(0xae, 0xcf); // rdgsbase rdi
      e.lea(true, RDI, RDI, NONE, 0, Layout.CROSSING);
      e.mov(S1, RDI);
      e.rr(true, 0x2b, S1, S2);
      e.lea(true, RSI, S2, RCX, 0, 0);
      e.mov(RCX, RDX);
      e.rr(true, 0x2b, RCX, S2);
      e.b(0xf3, 0xa4); // rep movsb
      e.lea(true, RSI, RDX, RBX, 0, 0);
      e.gsLoad(RCX, Layout.LAST_BYTE);
      e.rr(true, 0x2b, RCX, RDX);
      e.lea(true, RCX, RCX, NONE, 0, 1);
      e.b(0xf3, 0xa4);
      e.land(neighbours);
    }
    restore();
    e.gsJump(Layout.CONTINUE);
  }

  /**
   * Has a store go where its bytes can be taken from. RDX: the second page; RCX and RBX: what to add
   * for the host's addresses of both.
   */
  private void split() {
    e.gs(true, 0x83, 7, Layout.SPLIT);
    e.b(0); // cmp qword gs:[SPLIT], 0
    bailIf(ZERO);
    e.lea(true, RAX, S2, RCX, 0, 0);
    e.gsStore(RAX, Layout.SPLIT_FIRST);
    e.lea(true, RAX, RDX, RBX, 0, 0);
    e.gsStore(RAX, Layout.SPLIT_SECOND);
    e.mov(RAX, RDX);
    e.rr(true, 0x2b, RAX, S2);
    e.gsStore(RAX, Layout.SPLIT_COUNT);
    e.gsLoad(RAX, Layout.LAST_BYTE);
    e.rr(true, 0x2b, RAX, RDX);
    e.lea(true, RAX, RAX, NONE, 0, 1);
    e.gsStore(RAX, Layout.SPLIT_REST);
    e.b(0xf3, 0x48, 0x0f);
    e.b(0xae, 0xc8); // rdgsbase rax
    e.lea(true, S1, RAX, NONE, 0, Layout.CROSSING);
    e.rr(true, 0x2b, S1, S2);
    restore();
    e.gsJump(Layout.SPLIT);
  }

  /** Loads the addend of the page in RDX. */
  private void entry(int to) {
    e.mov(RAX, RDX);
    e.shift(true, 5, RAX, 12);
    e.alu(false, 4, RAX, VcpuBlock.TLB_USED - 1);
    e.gsIndexed(true, 0x8b, to, RAX, 3, Layout.tlbTags(part, write));
    e.rr(true, 0x03, to, RDX);
    bailIf(NOT_ZERO);
    e.gsIndexed(true, 0x8b, to, RAX, 3, Layout.tlbAddends(part));
  }

  private void restore() {
    e.takeFlagsBack();
    e.gsLoad(RAX, Layout.SAVED_RAX);
    for (int i = 0; i < 4; i++) {
      e.gsLoad(SAVED[i], Layout.WALK_SAVED + 8 * i);
    }
  }
}

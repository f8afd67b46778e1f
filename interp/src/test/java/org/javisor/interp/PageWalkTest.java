package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/**
 * The walk through page tables in long mode: presence, rights, reserved bits, sizes, accessed and
 * dirty bits, and accesses that cross a page. Source: Intel SDM volume 3, sections 4.5 to 4.8; where
 * it leaves open whether a walk that fails marks the tables it went through, it does not.
 */
class PageWalkTest {
  private static final int PF = 14;
  private static final int RAX = 0;
  private static final int RBX = 3;
  private static final int RDI = 7;
  private static final long P = 1;
  private static final long W = 2;
  private static final long U = 4;
  private static final long A = 1 << 5;
  private static final long D = 1 << 6;
  private static final long PS = 1 << 7;
  private static final long CR0_WP = 1 << 16;

  private static final long PML4 = 0x1000;
  private static final long PDPT = 0x2000;
  private static final long PD = 0x3000;

  private static final String LOAD = "48 8b 07"; // mov rax, [rdi]
  private static final String STORE = "48 89 07"; // mov [rdi], rax

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));

  private void expect(int error, long address) {
    assertEquals(PF, b.vector, "vector");
    assertEquals(error, b.errorCode, "error code");
    assertEquals(address, b.after.cr2, "CR2");
    assertEquals(0, b.rip, "saved RIP");
  }

  private void expectNone() {
    assertEquals(Bench.NONE, b.vector, "vector");
  }

  private long entry() {
    return b.memory.read64(Bench.entry(Bench.USER_DATA));
  }

  @Test
  void errorCodesOfWhatIsNotPresent() {
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.map(Bench.USER_DATA, Bench.USER_DATA, W | U);
    b.run(0, LOAD);
    expect(0, Bench.USER_DATA);
    b.run(0, STORE);
    expect(2, Bench.USER_DATA);
    b.state.gpr[4] = 0;
    b.map(Bench.USER_DATA + 0x1000, Bench.USER_DATA, P | W | U);
    b.run(3, LOAD);
    expect(4, Bench.USER_DATA);
    b.run(3, STORE);
    expect(6, Bench.USER_DATA);
  }

  /** Breaks if rights are taken from one level alone. */
  @Test
  void rightsAreThoseOfAllLevels() {
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.state.cr0 &= ~CR0_WP; // for the stack of the supervisor
    for (long at : new long[] {PML4, PDPT, PD + 8}) {
      long whole = b.memory.read64(at);
      b.memory.write64(at, whole & ~W);
      b.run(3, STORE);
      expect(7, Bench.USER_DATA);
      b.run(3, LOAD);
      expectNone();
      b.memory.write64(at, whole);
    }
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | W);
    b.run(3, LOAD);
    expect(5, Bench.USER_DATA);
    b.run(0, STORE);
    expectNone();
  }

  @Test
  void theSupervisorWritesWhatIsReadOnlyUnlessWriteProtected() {
    b.state.gpr[RDI] = Bench.KERNEL_DATA;
    b.map(Bench.KERNEL_DATA, Bench.KERNEL_DATA, P);
    b.state.cr0 &= ~CR0_WP;
    b.run(0, STORE);
    expectNone();
    b.state.cr0 |= CR0_WP;
    b.run(0, STORE);
    expect(3, Bench.KERNEL_DATA);
    b.run(0, LOAD + STORE);
    assertEquals(3, b.rip, "the page is in the TLB, and still not to be written");
  }

  @Test
  void reservedBits() {
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | W | U | 1L << 51);
    b.run(3, LOAD);
    expect(0xd, Bench.USER_DATA);
    b.run(0, STORE);
    expect(0xb, Bench.USER_DATA);
    b.map(Bench.USER_DATA, Bench.USER_DATA, W | U | 1L << 51);
    b.run(3, LOAD);
    expect(4, Bench.USER_DATA); // of what is not present nothing is reserved
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | W | U | 0x7ffL << 52);
    b.run(3, LOAD);
    expectNone(); // long mode ignores these
    long pml4e = b.memory.read64(PML4);
    b.memory.write64(PML4 + 8, PDPT | 7 | PS);
    b.state.gpr[RDI] = 1L << 39 | Bench.USER_DATA;
    b.run(3, LOAD);
    expect(0xd, 1L << 39 | Bench.USER_DATA);
    b.memory.write64(PML4, pml4e);
    b.memory.write64(PD + 16, 0x20_0000 | P | W | U | PS | 1 << 13); // 2 MiB, its address not a multiple
    b.state.gpr[RDI] = 0x40_0000;
    b.run(3, LOAD);
    expect(0xd, 0x40_0000);
  }

  @Test
  void largePages() {
    b.memory.write64(Bench.OTHER + 0x10, 0x4455);
    b.memory.write64(PD + 16, 0x20_0000 | P | W | U | PS);
    b.state.gpr[RDI] = 0x40_0000 + Bench.OTHER + 0x10 - 0x20_0000;
    b.run(3, LOAD);
    expectNone();
    assertEquals(0x4455, b.after.gpr[RAX]);
    b.memory.write64(PDPT + 8, P | W | U | PS); // 1 GiB
    b.state.gpr[RDI] = 0x4000_0000 + Bench.OTHER + 0x10;
    b.run(3, LOAD);
    expectNone();
    assertEquals(0x4455, b.after.gpr[RAX]);
    assertEquals(A, b.memory.read64(PDPT + 8) & (A | D));
  }

  /** Breaks if a bit is set too early, too late, or for a walk that came to nothing. */
  @Test
  void accessedAndDirtyBits() {
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | U);
    b.memory.write64(PD + 8, b.memory.read64(PD + 8) & ~A);
    b.run(3, STORE);
    expect(7, Bench.USER_DATA);
    assertEquals(0, entry() & (A | D), "the fault marks nothing");
    b.run(3, LOAD);
    assertEquals(A, entry() & (A | D));
    assertEquals(A, b.memory.read64(PD + 8) & A);
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | W | U);
    b.run(3, LOAD + STORE);
    assertEquals(A | D, entry() & (A | D), "a store after a load");
    b.map(Bench.USER_DATA, Bench.USER_DATA, P | W | U);
    b.state.gpr[RAX] = 1;
    b.run(3, "48 0f b1 1f"); // cmpxchg that fails writes what it read
    assertEquals(A | D, entry() & (A | D));
  }

  /** Breaks if the first page is written before the second is known to be there. */
  @Test
  void accessesThatCrossAPage() {
    long second = Bench.USER_DATA + 0x2000;
    long at = second - 3;
    b.state.gpr[RDI] = at;
    b.state.gpr[RAX] = 0x1122_3344_5566_7788L;
    b.run(3, STORE + "31 c0" + LOAD);
    expectNone();
    assertEquals(0x1122_3344_5566_7788L, b.after.gpr[RAX]);
    b.map(second, Bench.OTHER, P | W | U);
    b.run(3, STORE + "31 c0" + LOAD);
    assertEquals(0x1122_3344_5566_7788L, b.after.gpr[RAX], "into two frames");
    assertEquals(0x11, b.memory.read8(Bench.OTHER + 4));
    b.memory.write64(at, 0);
    b.map(second, Bench.OTHER, P | U);
    b.run(3, STORE);
    expect(7, second);
    assertEquals(0, b.memory.read32(at) & 0xff_ffff, "nothing of it was stored");
    b.map(second, 0, 0);
    b.run(3, LOAD);
    expect(4, second);
    b.map(second - 0x1000, 0, 0);
    b.run(3, LOAD);
    expect(4, at);
    b.run(3, "f0 48 01 07"); // lock add [rdi], rax
    expect(6, at);
  }

  /** Breaks if an instruction that lies in two pages is fetched from one. */
  @Test
  void instructionsThatCrossAPage() {
    long second = Bench.USER_CODE + 0x1000;
    b.state.gpr[RBX] = 0;
    String nops = "90 ".repeat(0xffd);
    b.run(3, nops + "48 81 c3 44 33 22 11"); // add rbx, 11223344h
    expectNone();
    assertEquals(0x1122_3344, b.after.gpr[RBX]);
    b.map(second, 0, 0);
    b.run(3, nops + "48 81 c3 44 33 22 11");
    assertEquals(PF, b.vector);
    assertEquals(0x14, b.errorCode);
    assertEquals(second, b.after.cr2, "what is missing is the second page");
    assertEquals(0xffd, b.rip, "of the instruction that begins in the first");
  }
}

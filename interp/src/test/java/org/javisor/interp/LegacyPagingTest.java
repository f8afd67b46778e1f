package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.HexFormat;
import org.javisor.accelerator.CpuState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * 32-bit paging and PAE paging, and the page-directory-pointer-table entries that the latter keeps in
 * registers. Source: Intel SDM volume 3, sections 4.3, 4.4 and 4.7; AMD APM volume 2, section 5.2.
 */
class LegacyPagingTest {
  private static final int NONE = LegacyBench.NONE;
  private static final int GP = 13;
  private static final int PF = 14;
  private static final int EAX = 0;
  private static final int ECX = 1;
  private static final int EBX = 3;
  private static final int EDI = 7;

  private static final long P = 1;
  private static final long W = 2;
  private static final long U = 4;
  private static final long A = 1 << 5;
  private static final long D = 1 << 6;
  private static final long PS = 1 << 7;
  private static final long NX = 1L << 63;
  private static final long CR0_WP = 1 << 16;
  private static final long CR4_PSE = 1 << 4;
  private static final long CR4_PAE = 1 << 5;
  private static final long CR4_PGE = 1 << 7;
  private static final long EFER_NXE = 1 << 11;

  /** Page directories: of 32-bit paging, of the first GiB of PAE paging, of its last. */
  private static final long DIRECTORY = 0xa000;

  private static final long FIRST_DIRECTORY = 0xb000;
  private static final long LAST_DIRECTORY = 0xc000;

  /** A table for the first addresses, which are physical ones, and one for those under test. */
  private static final long TABLE = 0xd000;

  private static final long TESTED_TABLE = 0xe000;

  /** Not at the beginning of a page. */
  private static final long POINTERS = 0x1_1fe0;

  private static final long OTHER_POINTERS = 0x1_1f00;

  /** The address under test: in the second of a directory's ranges, in the first GiB or the last. */
  private static final long LOW = 0x40_1000;

  private static final long HIGH = 0xc040_1000L;
  private static final long FRAME = 0x30_0000;

  private static final String LOAD = "8b 07"; // mov eax, [edi]
  private static final String STORE = "89 07"; // mov [edi], eax
  private static final String CALL = "ff d7"; // call edi
  private static final String SET_CR3 = "0f 22 d8"; // mov cr3, eax

  private final LegacyBench b = new LegacyBench();
  private final CpuState s = b.state;

  @BeforeEach
  void setUp() {
    s.cr0 = 0x8000_0033L;
    s.gpr[EDI] = LOW;
    b.memory.write32(FRAME, 0x1122_3344);
  }

  private void plain() {
    s.cr4 = 0;
    s.cr3 = DIRECTORY;
    for (int i = 0; i < 1024; i++) {
      b.memory.write32(TABLE + 4L * i, (int) (i << 12 | P | W | U));
    }
    b.memory.write32(DIRECTORY, (int) (TABLE | P | W | U));
    b.memory.write32(DIRECTORY + 4, (int) (TESTED_TABLE | P | W | U));
    map(FRAME | P | W | U);
  }

  private void map(long entry) {
    b.memory.write32(TESTED_TABLE + 4, (int) entry);
  }

  private void pae() {
    s.cr4 = CR4_PAE;
    s.cr3 = POINTERS;
    for (int i = 0; i < 512; i++) {
      b.memory.write64(TABLE + 8L * i, (long) i << 12 | P | W | U);
    }
    b.memory.write64(FIRST_DIRECTORY, TABLE | P | W | U);
    b.memory.write64(FIRST_DIRECTORY + 16, TESTED_TABLE | P | W | U);
    b.memory.write64(LAST_DIRECTORY + 16, TESTED_TABLE | P | W | U);
    for (long table : new long[] {POINTERS, OTHER_POINTERS}) {
      b.memory.write64(table, FIRST_DIRECTORY | P);
      b.memory.write64(table + 24, LAST_DIRECTORY | P);
    }
    mapWide(FRAME | P | W | U);
  }

  private void mapWide(long entry) {
    b.memory.write64(TESTED_TABLE + 8, entry);
  }

  private void run(int cpl, String hex) {
    b.run(cpl, hex);
  }

  private void expect(int error, long address) {
    assertEquals(PF, b.vector, "vector");
    assertEquals(error, b.errorCode, "error code");
    assertEquals(address, b.after.cr2, "CR2");
  }

  private void expectNone() {
    assertEquals(NONE, b.vector, "vector");
  }

  private void expectLoaded() {
    expectNone();
    assertEquals(0x1122_3344L, b.after.gpr[EAX]);
  }

  // ---- 32-bit paging ------------------------------------------------------------------------

  @Test
  void plainErrorCodesOfBothLevels() {
    plain();
    for (long at : new long[] {DIRECTORY + 4, TESTED_TABLE + 4}) {
      int whole = b.memory.read32(at);
      b.memory.write32(at, (int) (whole & ~P));
      run(0, LOAD);
      expect(0, LOW);
      run(0, STORE);
      expect(2, LOW);
      run(3, LOAD);
      expect(4, LOW);
      run(3, STORE);
      expect(6, LOW);
      b.memory.write32(at, (int) (whole & ~U));
      run(3, LOAD);
      expect(5, LOW);
      run(0, LOAD);
      expectLoaded();
      b.memory.write32(at, (int) (whole & ~W));
      run(3, STORE);
      expect(7, LOW);
      run(0, STORE);
      expectNone();
      s.cr0 |= CR0_WP;
      run(0, STORE);
      expect(3, LOW);
      s.cr0 &= ~CR0_WP;
      b.memory.write32(at, whole);
      b.memory.write32(FRAME, 0x1122_3344);
    }
    run(3, LOAD);
    expectLoaded();
  }

  /** Breaks if the error code tells of a fetch where nothing can forbid one. */
  @Test
  void plainFetches() {
    plain();
    map(FRAME | W);
    run(0, CALL);
    expect(0, LOW);
    s.efer = EFER_NXE; // this mode has no such bit
    run(0, CALL);
    expect(0, LOW);
    for (int i = 0; i < 512; i++) {
      b.memory.write32(TABLE + 4L * i, (int) (i << 12 | P | W));
    }
    s.cr4 |= 1 << 20; // SMEP
    run(0, CALL);
    expect(0x10, LOW);
    map(FRAME | P | U);
    run(0, CALL);
    expect(0x11, LOW);
  }

  @Test
  void plainAccessedAndDirtyBits() {
    plain();
    run(3, LOAD);
    assertEquals(A, b.memory.read32(DIRECTORY + 4) & (A | D));
    assertEquals(A, b.memory.read32(TESTED_TABLE + 4) & (A | D));
    run(3, STORE);
    assertEquals(A, b.memory.read32(DIRECTORY + 4) & (A | D));
    assertEquals(A | D, b.memory.read32(TESTED_TABLE + 4) & (A | D));
    map(FRAME | P | W);
    b.memory.write32(DIRECTORY + 4, (int) (TESTED_TABLE | P | W | U));
    run(3, STORE);
    expect(7, LOW);
    assertEquals(0, b.memory.read32(TESTED_TABLE + 4) & (A | D), "the fault marks nothing");
    assertEquals(0, b.memory.read32(DIRECTORY + 4) & (A | D));
  }

  @Test
  void pagesOf4MiB() {
    plain();
    b.memory.write32(DIRECTORY + 4, (int) (P | W | U | PS));
    s.cr4 = CR4_PSE;
    s.gpr[EDI] = 0x40_0000 + FRAME;
    run(3, LOAD);
    expectLoaded();
    assertEquals(A, b.memory.read32(DIRECTORY + 4) & (A | D));
    run(3, STORE);
    assertEquals(A | D, b.memory.read32(DIRECTORY + 4) & (A | D));
    b.memory.write32(DIRECTORY + 4, (int) (P | W | U | PS | 1 << 21));
    run(3, LOAD);
    expect(0xd, 0x40_0000 + FRAME);
    b.memory.write32(DIRECTORY + 4, (int) (P | W | U | PS | 1 << 13)); // 4 GiB
    run(3, STORE + LOAD);
    expectNone();
    assertEquals(0xffff_ffffL, b.after.gpr[EAX] & 0xffff_ffffL, "there is nothing");
  }

  /** Breaks if PS means something while CR4.PSE says that it does not. */
  @Test
  void pagesOf4MiBAreTablesWithoutPse() {
    plain();
    b.memory.write32(DIRECTORY + 4, (int) (TESTED_TABLE | P | W | U | PS));
    run(3, LOAD);
    expectLoaded();
  }

  @Test
  void plainAccessesThatCrossAPage() {
    plain();
    b.memory.write32(TESTED_TABLE + 8, (int) (Bench.OTHER + 0x1000 | P | U));
    s.gpr[EDI] = LOW + 0xffe;
    b.memory.write16(FRAME + 0xffe, 0x3344);
    b.memory.write16(FRAME + 0x1000, 0x1122);
    run(3, LOAD);
    expectLoaded();
    run(3, STORE);
    expect(7, LOW + 0x1000);
    assertEquals(0x3344, b.memory.read16(FRAME + 0xffe), "nothing of it was stored");
    run(3, "f0 01 07"); // lock add [edi], eax
    expect(7, LOW + 0x1000);
    b.memory.write32(TESTED_TABLE + 8, 0);
    run(3, LOAD);
    expect(4, LOW + 0x1000);
  }

  // ---- PAE paging ---------------------------------------------------------------------------

  @Test
  void paeErrorCodesOfAllLevels() {
    pae();
    s.gpr[EDI] = HIGH;
    run(3, LOAD);
    expectLoaded();
    for (long at : new long[] {POINTERS + 24, LAST_DIRECTORY + 16, TESTED_TABLE + 8}) {
      long whole = b.memory.read64(at);
      b.memory.write64(at, whole & ~P);
      run(0, LOAD);
      expect(0, HIGH);
      run(3, STORE);
      expect(6, HIGH);
      b.memory.write64(at, whole);
    }
    for (long at : new long[] {LAST_DIRECTORY + 16, TESTED_TABLE + 8}) {
      long whole = b.memory.read64(at);
      b.memory.write64(at, whole & ~U);
      run(3, LOAD);
      expect(5, HIGH);
      b.memory.write64(at, whole & ~W);
      run(3, STORE);
      expect(7, HIGH);
      run(0, STORE);
      expectNone();
      s.cr0 |= CR0_WP;
      run(0, STORE);
      expect(3, HIGH);
      s.cr0 &= ~CR0_WP;
      b.memory.write64(at, whole);
    }
  }

  @Test
  void paeFetches() {
    pae();
    b.memory.write8(FRAME, 0xc3); // ret
    for (long at : new long[] {FIRST_DIRECTORY + 16, TESTED_TABLE + 8}) {
      long whole = b.memory.read64(at);
      run(3, CALL);
      expectNone();
      b.memory.write64(at, whole | NX);
      run(3, CALL);
      expect(0xd, LOW); // reserved without EFER.NXE; and no fetch is told of
      s.efer = EFER_NXE;
      run(3, CALL);
      expect(0x15, LOW);
      run(3, LOAD);
      expectNone();
      s.efer = 0;
      b.memory.write64(at, whole);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {40, 51, 52, 58, 62})
  void paeReservedBits(int bit) {
    pae();
    for (long at : new long[] {FIRST_DIRECTORY + 16, TESTED_TABLE + 8}) {
      long whole = b.memory.read64(at);
      b.memory.write64(at, whole | 1L << bit);
      run(3, LOAD);
      expect(0xd, LOW);
      b.memory.write64(at, (whole | 1L << bit) & ~P);
      run(3, LOAD);
      expect(4, LOW);
      b.memory.write64(at, whole);
    }
  }

  @Test
  void paeAccessedAndDirtyBits() {
    pae();
    run(3, LOAD);
    assertEquals(A, b.memory.read64(TESTED_TABLE + 8) & (A | D));
    run(3, STORE);
    assertEquals(A | D, b.memory.read64(TESTED_TABLE + 8) & (A | D));
    assertEquals(A, b.memory.read64(FIRST_DIRECTORY + 16) & (A | D));
    assertEquals(0, b.memory.read64(POINTERS) & (A | D), "of which the uppermost has none");
  }

  @Test
  void pagesOf2MiB() {
    pae();
    b.memory.write64(FIRST_DIRECTORY + 16, 0x20_0000 | P | W | U | PS); // whatever CR4.PSE says
    s.gpr[EDI] = 0x40_0000 + FRAME - 0x20_0000;
    run(3, LOAD);
    expectLoaded();
    run(3, STORE);
    assertEquals(A | D, b.memory.read64(FIRST_DIRECTORY + 16) & (A | D));
    b.memory.write64(FIRST_DIRECTORY + 16, 0x20_0000 | P | W | U | PS | 1 << 13);
    run(3, LOAD);
    expect(0xd, 0x40_0000 + FRAME - 0x20_0000);
  }

  // ---- the four entries that the CPU holds ---------------------------------------------------

  /** Breaks if the entries are read when an address is translated. */
  @Test
  void pointersAreHeldUntilCr3IsLoaded() {
    pae();
    s.gpr[EDI] = HIGH;
    String forget = "0f 01 3f"; // invlpg [edi]
    String change = "c7 05 f8 1f 01 00 00 00 00 00"; // mov dword [POINTERS + 24], 0
    run(0, change + forget + LOAD);
    expectLoaded();
    b.memory.write64(POINTERS + 24, LAST_DIRECTORY | P);
    run(0, change + "0f 20 d8 0f 22 d8" + LOAD); // mov eax, cr3; mov cr3, eax
    expect(0, HIGH);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 6, 7, 8, 40, 51, 52, 62, 63})
  void reservedBitsOfPointersFaultWhenTheyAreLoaded(int bit) {
    pae();
    s.efer = EFER_NXE;
    s.gpr[EAX] = OTHER_POINTERS;
    b.memory.write64(OTHER_POINTERS + 8, 1L << bit); // not present
    run(0, SET_CR3);
    expectNone();
    assertEquals(OTHER_POINTERS, b.after.cr3);
    b.memory.write64(OTHER_POINTERS + 8, 1L << bit | P);
    run(0, "90" + SET_CR3);
    assertEquals(GP, b.vector);
    assertEquals(0, b.errorCode);
    assertEquals(1, b.eip);
    assertEquals(POINTERS, b.after.cr3);
    assertEquals(0, b.after.pdptes[1], "none of them was loaded");
  }

  @Test
  void ignoredBitsOfPointers() {
    pae();
    s.gpr[EDI] = HIGH;
    b.memory.write64(POINTERS + 24, LAST_DIRECTORY | P | 0xe18); // PWT, PCD, AVL
    run(3, LOAD);
    expectLoaded();
  }

  /** Which bits of CR4 load them when they change, and which do not. */
  @Test
  void cr4LoadsPointers() {
    pae();
    String change = "c7 05 e8 1f 01 00 41 00 00 00"; // mov dword [POINTERS + 8], 41h, reserved
    for (long bit : new long[] {CR4_PGE, CR4_PSE, 1 << 20}) {
      b.memory.write64(POINTERS + 8, 0);
      s.gpr[ECX] = CR4_PAE | bit;
      run(0, change + "0f 22 e1"); // mov cr4, ecx
      assertEquals(GP, b.vector);
      assertEquals(CR4_PAE, b.after.cr4);
    }
    b.memory.write64(POINTERS + 8, 0);
    s.gpr[ECX] = CR4_PAE | 1 << 2; // TSD
    run(0, change + "0f 22 e1");
    expectNone();
    b.memory.write64(POINTERS + 8, 0);
    s.gpr[ECX] = CR4_PAE | CR4_PGE;
    run(0, "c7 05 e8 1f 01 00 01 b0 00 00 0f 22 e1"); // one that is well formed
    expectNone();
    assertArrayEquals(
        new long[] {FIRST_DIRECTORY | P, FIRST_DIRECTORY | P, 0, LAST_DIRECTORY | P},
        b.after.pdptes);
  }

  @Test
  void pagingTurnedOnAndOffLoadsPointers() {
    pae();
    s.gpr[EBX] = 0x3300_0033;
    String off = "0f 20 c0 0f ba f0 1f 0f 22 c0"; // mov eax, cr0; btr eax, 31; mov cr0, eax
    String on = "0f ba e8 1f 0f 22 c0"; // bts eax, 31; mov cr0, eax
    String change = "c7 05 e8 1f 01 00 41 00 00 00"; // mov dword [POINTERS + 8], 41h, reserved
    run(0, off + change);
    expectNone();
    assertNull(b.after.pdptes);
    b.memory.write64(POINTERS + 8, 0);
    run(0, off + change + on);
    assertEquals(GP, b.vector);
    assertEquals(0, b.after.cr0 & 1L << 31);
    b.memory.write64(POINTERS + 8, 0);
    // Caches turned off, without a change of paging.
    run(0, change + "0f 20 c0 0f ba e8 1e 0f 22 c0"); // bts eax, 30
    assertEquals(GP, b.vector);
    b.memory.write64(POINTERS + 8, 0);
    run(0, change + "0f 20 c0 0f ba e8 03 0f 22 c0"); // bts eax, 3
    expectNone();
  }

  /** From 32-bit paging to PAE paging, while paging is on: both map the code alike. */
  @Test
  void paeTurnedOnLoadsPointers() {
    pae();
    s.cr4 = 0;
    s.cr3 = POINTERS & 0xffff_f000L; // a directory, and in its last entries a table of pointers
    b.memory.write32(s.cr3, (int) (P | W | U | PS));
    b.memory.write32(s.cr3 + 4, 0);
    s.cr4 = CR4_PSE;
    s.gpr[ECX] = CR4_PSE | CR4_PAE;
    b.memory.write64(s.cr3 + 8, 0x1000 | P | W); // reserved in the other mode
    run(0, "0f 22 e1"); // mov cr4, ecx
    assertEquals(GP, b.vector);
    assertEquals(CR4_PSE, b.after.cr4);
  }

  @Test
  void aTaskSwitchLoadsPointers() {
    pae();
    long task = 0x2_0000;
    b.put(LegacyBench.FREE, LegacyBench.descriptor(task, 0x67, 0x89, 0));
    b.memory.write32(task + 0x1c, (int) OTHER_POINTERS);
    b.memory.write32(task + 0x20, 0x2_1000);
    b.memory.write32(task + 0x24, 2);
    b.memory.write32(task + 0x38, 0x1_e000);
    for (int i = 0; i < 6; i++) {
      b.memory.write32(task + 0x48 + 4L * i, i == 1 ? 0x08 : 0x10);
    }
    b.memory.write8(0x2_1000, 0xcc);
    b.memory.write64(OTHER_POINTERS + 8, FIRST_DIRECTORY | P);
    run(0, "ea 00 00 00 00 30 00"); // jmp 30h:0
    assertEquals(3, b.vector, "the INT3 of the new task");
    assertEquals(OTHER_POINTERS, b.after.cr3);
    assertEquals(FIRST_DIRECTORY | P, b.after.pdptes[1]);
    b.put(LegacyBench.FREE, LegacyBench.descriptor(task, 0x67, 0x89, 0));
    b.memory.write64(OTHER_POINTERS + 8, FIRST_DIRECTORY | P | W);
    run(0, "90 ea 00 00 00 00 30 00");
    assertEquals(GP, b.vector);
    assertEquals(1, b.eip);
    assertEquals(0x28, b.after.tr.selector, "the task is still the old one");
  }

  /** Breaks if a vCPU that was saved goes on with what memory holds. */
  @Test
  void pointersBelongToTheState() {
    pae();
    s.gpr[EDI] = HIGH;
    run(0, "c7 05 f8 1f 01 00 00 00 00 00"); // mov dword [POINTERS + 24], 0
    expectNone();
    b.memory.write(Bench.KERNEL_CODE, HexFormat.of().parseHex("8b07cc"));
    b.after.rip = Bench.KERNEL_CODE;
    b.after.halted = false;
    b.resume(b.after);
    assertEquals(0x1122_3344L, b.after.gpr[EAX]);
    b.after.rip = Bench.KERNEL_CODE;
    b.after.halted = false;
    b.after.pdptes = null;
    b.resume(b.after);
    expect(0, HIGH);
  }
}

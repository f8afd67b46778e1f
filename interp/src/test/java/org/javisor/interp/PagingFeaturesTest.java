package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.EnumSet;
import org.javisor.isa.CpuFeature;
import org.junit.jupiter.api.Test;

/**
 * NX, SMEP, SMAP, PCID, INVPCID and global pages, rule by rule: Intel SDM volume 3, sections 4.6
 * and 4.10. Any rule that a kernel's protection or its TLB management relies on breaks one of these.
 */
class PagingFeaturesTest {
  private static final int PF = 14;
  private static final int GP = 13;
  private static final int UD = 6;

  private static final long CR4_PGE = 1 << 7;
  private static final long CR4_PCIDE = 1 << 17;
  private static final long CR4_SMEP = 1 << 20;
  private static final long CR4_SMAP = 1 << 21;
  private static final long AC = 1 << 18;
  private static final long NX = Long.MIN_VALUE;

  private static final int RAX = 0;
  private static final int RCX = 1;
  private static final int RDX = 2;
  private static final int RBX = 3;
  private static final int RSI = 6;
  private static final int RDI = 7;

  private static final String LOAD = "48 8b 07"; // mov rax, [rdi]
  private static final String STORE = "48 89 07"; // mov [rdi], rax

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));

  private void expect(int vector, int error) {
    assertEquals(vector, b.vector, "vector");
    assertEquals(error, b.errorCode, "error code");
  }

  private void expect(int vector) {
    assertEquals(vector, b.vector, "vector");
  }

  // ---- NX ---------------------------------------------------------------------------------

  @Test
  void noExecute() {
    b.state.gpr[RAX] = Bench.KERNEL_DATA;
    b.memory.write8(Bench.KERNEL_DATA, 0xcc);
    b.run(0, "ff e0");
    expect(3);
    b.map(Bench.KERNEL_DATA, Bench.KERNEL_DATA, 3 | NX);
    b.run(0, "ff e0"); // jmp rax
    expect(PF, 0x11);
    assertEquals(Bench.KERNEL_DATA, b.after.cr2);
    assertEquals(Bench.KERNEL_DATA - Bench.KERNEL_CODE, b.rip, "a fetch faults at the target");
    b.state.gpr[RDI] = Bench.KERNEL_DATA;
    b.run(0, LOAD);
    expect(Bench.NONE);
    // Without EFER.NXE the bit is reserved, for data too.
    b.state.efer &= ~0x800;
    b.run(0, LOAD);
    expect(PF, 9);
  }

  // ---- SMEP -------------------------------------------------------------------------------

  @Test
  void supervisorExecutionPrevention() {
    b.state.gpr[RAX] = Bench.USER_DATA;
    b.memory.write8(Bench.USER_DATA, 0xcc);
    b.run(0, "ff e0");
    expect(3);
    b.state.cr4 |= CR4_SMEP;
    b.run(0, "ff e0");
    expect(PF, 0x11);
    // The bit that tells of a fetch is there with SMEP even without NX.
    b.state.efer &= ~0x800;
    b.run(0, "ff e0");
    expect(PF, 0x11);
    // Data is not its business, and the user executes.
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.run(0, LOAD);
    expect(Bench.NONE);
    b.run(3, "90");
    expect(Bench.NONE);
  }

  // ---- SMAP -------------------------------------------------------------------------------

  @Test
  void supervisorAccessPrevention() {
    b.state.gpr[RDI] = Bench.USER_DATA;
    b.run(0, LOAD);
    expect(Bench.NONE);
    b.state.cr4 |= CR4_SMAP;
    b.run(0, LOAD);
    expect(PF, 1);
    b.run(0, STORE);
    expect(PF, 3);
    b.run(0, "0f 01 cb" + LOAD + STORE); // stac
    expect(Bench.NONE);
    assertEquals(AC, b.after.rflags & AC);
    b.run(0, "0f 01 cb 0f 01 ca" + LOAD); // stac, clac
    expect(PF, 1);
    assertEquals(0, b.after.rflags & AC);
    b.state.rflags = AC | 2;
    b.run(0, LOAD);
    expect(Bench.NONE);
    b.state.rflags = 2;
    b.run(3, LOAD);
    expect(Bench.NONE);
    b.state.gpr[RDI] = Bench.KERNEL_DATA;
    b.run(0, LOAD);
    expect(Bench.NONE);
  }

  /** An access that the CPU makes for itself is refused whatever AC says. */
  @Test
  void accessPreventionOfImplicitAccesses() {
    b.memory.write64(Bench.USER_DATA + 8, b.memory.read64(Bench.GDT + 0x10));
    b.state.ldtr.set(0x30, Bench.USER_DATA, 0x3f, 0x82);
    b.state.gpr[RAX] = 0xc; // its second entry
    b.state.rflags = AC | 2;
    b.run(0, "0f 00 e0"); // verr ax
    expect(Bench.NONE);
    b.state.cr4 |= CR4_SMAP;
    b.run(0, "0f 00 e0");
    expect(PF, 1);
    assertEquals(Bench.USER_DATA + 8, b.after.cr2);
  }

  @Test
  void accessPreventionInstructionsNeedPrivilegeAndFeature() {
    b.run(3, "0f 01 cb");
    expect(UD);
    b.run(3, "0f 01 ca");
    expect(UD);
    EnumSet<CpuFeature> without =
        EnumSet.copyOf(CpuModels.features(CpuModels.of("x86-64-v2", 1)));
    without.remove(CpuFeature.SMAP);
    Bench other = new Bench(CpuModels.of("no SMAP", without));
    other.run(0, "0f 01 cb");
    assertEquals(UD, other.vector);
    other.state.gpr[RAX] = Bench.CR4_START | CR4_SMAP;
    other.run(0, "0f 22 e0"); // mov cr4, rax
    assertEquals(GP, other.vector);
  }

  // ---- PCID -------------------------------------------------------------------------------

  private void setCr4(long value) {
    b.state.gpr[RAX] = value;
    b.run(0, "0f 22 e0");
  }

  @Test
  void pcidIsTurnedOnWithPcidZeroOnly() {
    long cr3 = b.state.cr3;
    b.state.cr3 = cr3 | 0x18; // PCD and PWT, which become part of the PCID
    setCr4(Bench.CR4_START | CR4_PCIDE);
    expect(GP, 0);
    b.state.cr3 = cr3;
    setCr4(Bench.CR4_START | CR4_PCIDE);
    expect(Bench.NONE);
    assertEquals(Bench.CR4_START | CR4_PCIDE, b.after.cr4);
  }

  @Test
  void pcidHoldsPagingOn() {
    b.state.cr4 |= CR4_PCIDE;
    b.state.gpr[RAX] = b.state.cr0 & 0x7fff_ffffL;
    b.run(0, "0f 22 c0"); // mov cr0, rax
    expect(GP, 0);
  }

  @Test
  void bit63OfCr3IsNoPartOfIt() {
    b.state.cr4 |= CR4_PCIDE;
    b.state.gpr[RAX] = b.state.cr3 | 5 | Long.MIN_VALUE;
    b.run(0, "0f 22 d8 0f 20 db"); // mov cr3, rax; mov rbx, cr3
    expect(Bench.NONE);
    assertEquals(b.state.cr3 | 5, b.after.gpr[RBX]);
    // Without PCIDE the bit is reserved, as are those above the physical address's.
    b.state.cr4 &= ~CR4_PCIDE;
    b.run(0, "0f 22 d8");
    expect(GP, 0);
    b.state.cr4 |= CR4_PCIDE;
    b.state.gpr[RAX] = b.state.cr3 | 1L << 45;
    b.run(0, "0f 22 d8");
    expect(GP, 0);
  }

  /**
   * Fills the TLB with a page, maps it to another frame, does something, and loads again.
   *
   * @return whether the load saw the new mapping
   */
  private boolean flushes(long flags, String something) {
    long page = Bench.KERNEL_DATA;
    b.memory.write64(page, 0x1111);
    b.map(page, page, flags);
    b.state.gpr[RDI] = page;
    b.state.gpr[RSI] = Bench.entry(page);
    b.state.gpr[RDX] = Bench.OTHER | flags;
    b.run(0, LOAD + "48 89 16" + something + LOAD); // mov [rsi], rdx
    expect(Bench.NONE);
    b.map(page, page, 3);
    assertEquals(true, b.after.gpr[RAX] == 0x1111 || b.after.gpr[RAX] == 0x2222);
    return b.after.gpr[RAX] == 0x2222;
  }

  private static final String RELOAD_CR3 = "0f 20 db 0f 22 db"; // mov rbx, cr3; mov cr3, rbx
  private static final long G = 0x103;

  @Test
  void globalPages() {
    assertEquals(true, flushes(3, RELOAD_CR3), "a load of CR3 forgets what is not global");
    assertEquals(false, flushes(G, RELOAD_CR3), "and keeps what is");
    assertEquals(true, flushes(G, "0f 01 3f"), "INVLPG [rdi] forgets a global page");
    String toggle = "0f 20 e3 80 f3 80 0f 22 e3 80 f3 80 0f 22 e3"; // CR4.PGE off and on
    assertEquals(true, flushes(G, toggle), "so does a change of CR4.PGE");
    b.state.cr4 &= ~CR4_PGE;
    assertEquals(true, flushes(G, RELOAD_CR3), "without CR4.PGE there are none");
  }

  @Test
  void loadOfCr3ForgetsThePcidThatItLoads() {
    b.state.cr4 |= CR4_PCIDE;
    assertEquals(true, flushes(3, RELOAD_CR3));
  }

  // ---- INVPCID ----------------------------------------------------------------------------

  private static final String INVPCID = "66 0f 38 82 19"; // invpcid rbx, [rcx]

  private void descriptor(long type, long pcid, long linear) {
    b.state.gpr[RBX] = type;
    b.state.gpr[RCX] = Bench.KERNEL_DATA + 0x1000;
    b.memory.write64(Bench.KERNEL_DATA + 0x1000, pcid);
    b.memory.write64(Bench.KERNEL_DATA + 0x1008, linear);
  }

  @Test
  void invpcidForgets() {
    b.state.cr4 |= CR4_PCIDE;
    descriptor(0, 0, Bench.KERNEL_DATA);
    assertEquals(true, flushes(3, INVPCID), "one address");
    descriptor(1, 0, 0);
    assertEquals(true, flushes(3, INVPCID), "one PCID");
    descriptor(2, 0, 0);
    assertEquals(true, flushes(G, INVPCID), "everything, global pages too");
    descriptor(3, 0, 0);
    assertEquals(true, flushes(3, INVPCID), "everything but global pages");
  }

  @Test
  void invpcidFaults() {
    b.state.cr4 |= CR4_PCIDE;
    descriptor(4, 0, 0);
    b.run(0, INVPCID);
    expect(GP, 0);
    descriptor(1, 0x1000, 0);
    b.run(0, INVPCID);
    expect(GP, 0);
    descriptor(0, 0, 1L << 47);
    b.run(0, INVPCID);
    expect(GP, 0);
    descriptor(0, 5, Bench.KERNEL_DATA);
    b.run(0, INVPCID);
    expect(Bench.NONE);
    b.run(3, INVPCID);
    expect(GP, 0);
    // Without PCIDE there is PCID 0 only.
    b.state.cr4 &= ~CR4_PCIDE;
    b.run(0, INVPCID);
    expect(GP, 0);
    descriptor(1, 5, 0);
    b.run(0, INVPCID);
    expect(GP, 0);
    descriptor(0, 0, Bench.KERNEL_DATA);
    b.run(0, INVPCID);
    expect(Bench.NONE);
    b.state.gpr[RCX] = 0x50_0000; // not mapped
    b.run(0, INVPCID);
    expect(PF, 0);
  }
}

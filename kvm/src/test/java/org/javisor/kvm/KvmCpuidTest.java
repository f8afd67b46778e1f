package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.javisor.kvm.host.KvmDevice.CpuidEntry;
import org.junit.jupiter.api.Test;

/** The CPUID answers, from the model and what a host supports. */
class KvmCpuidTest {
  private static final int SSE2 = 1 << 26;
  private static final int XMM = 1 << 25;

  /** A host with SSE2, CX16, x2APIC and POPCNT, of another vendor than the model's. */
  private static final List<CpuidEntry> HOST =
      List.of(
          new CpuidEntry(0, 0, 0x20, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
          new CpuidEntry(1, 0, 0x000a_0671, 0, 1 << 13 | 1 << 21 | 1 << 23, XMM | SSE2),
          new CpuidEntry(7, 0, 0, 1, 4, 0),
          new CpuidEntry(0x4000_0001, 0, 1 << 3 | 1 << 7, 0, 0, 0),
          new CpuidEntry(0x8000_0001, 0, 0, 0, 1, 1 << 29),
          new CpuidEntry(0x8000_0008, 0, 0x3027, 0, 0, 0));

  private static CpuidEntry find(List<CpuidEntry> table, int leaf, int subleaf) {
    return table.stream()
        .filter(e -> e.leaf() == leaf && e.subleaf() == subleaf)
        .findFirst()
        .orElseThrow();
  }

  private static List<CpuidEntry> table(int id, boolean registers) {
    return new KvmCpuid(new TestMachine.Model(), HOST, 2_596_134_000L, false, registers)
        .table(id);
  }

  /** Breaks if a guest is promised a feature that its CPU does not have. */
  @Test
  void featuresAreThoseOfModelAndHost() {
    CpuidEntry one = find(table(0, true), 1, 0);
    assertEquals(1 << 13 | 1 << 21 | 1 << 23 | 1 << 24 | 1 << 31, one.ecx());
    assertEquals(XMM | SSE2, one.edx() & ~(1 << 28 | 1 << 9));
    assertEquals(1, find(table(0, true), 7, 0).ebx());
    assertEquals(4, find(table(0, true), 7, 0).ecx());
    assertEquals(3, find(table(0, true), 0x8000_0001, 0).ecx(), "LAHF, and a topology bit");
    assertEquals(8, find(table(0, true), 0x4000_0001, 0).eax());
  }

  /** Breaks if a guest finds x2APIC or a deadline timer whose registers nobody answers. */
  @Test
  void withoutRegisterExitsThereIsNoX2apic() {
    assertEquals(0, find(table(0, false), 1, 0).ecx() & (1 << 21 | 1 << 24));
  }

  /** Breaks if a guest sends through KVM's local APICs where KVM has none. */
  @Test
  void hypercallsOfTheKernelsApicNeedIt() {
    KvmCpuid kernel =
        new KvmCpuid(new TestMachine.Model(), HOST, 2_596_134_000L, true, true);
    assertEquals(1 << 3 | 1 << 7, find(kernel.table(0), 0x4000_0001, 0).eax());
    assertEquals(1 << 3, find(table(0, true), 0x4000_0001, 0).eax());
  }

  /** Breaks if the vendor is one thing and the silicon another. */
  @Test
  void vendorAndFamilyAreTheHosts() {
    CpuidEntry zero = find(table(0, true), 0, 0);
    assertEquals(0x756e_6547, zero.ebx());
    assertEquals(0x16, zero.eax(), "the highest leaf is the model's");
    assertEquals(0x000a_0671, find(table(0, true), 1, 0).eax());
    assertEquals(0x756e_6547, find(table(0, true), 0x8000_0000, 0).ebx());
  }

  /** Breaks if a vCPU reads another one's number. */
  @Test
  void everyVcpuHasItsOwnNumber() {
    assertEquals(3, find(table(3, true), 1, 0).ebx() >>> 24);
    assertEquals(3, find(table(3, true), 0xb, 0).edx());
  }

  /** Breaks if a guest that trusts CPUID runs its clock at another rate than its counter. */
  @Test
  void theFrequencyIsTheHosts() {
    CpuidEntry crystal = find(table(0, true), 0x15, 0);
    long hertz = (crystal.ecx() & 0xffff_ffffL) * crystal.ebx() / crystal.eax();
    assertEquals(2_596_134_000L, hertz);
    assertEquals(2596, find(table(0, true), 0x16, 0).eax());
    assertEquals(2_596_134, find(table(0, true), 0x4000_0010, 0).eax());
  }

  /** Breaks if a guest believes in more address bits than the host translates. */
  @Test
  void physicalAddressBitsAreTheFewer() {
    assertEquals(0x27, find(table(0, true), 0x8000_0008, 0).eax() & 0xff);
  }

  /** Breaks if the kernel does not hand the guest the table it was given. */
  @Test
  void theGuestReadsTheTable() {
    HostKvm.needs("long-mode");
    try (TestMachine m = new TestMachine(IrqChip.USER, 2)) {
      // mov eax,1; xor ecx,ecx; cpuid; each stored; hlt
      m.longMode(
          "b80100000031c90fa289042500000200891c2504000200890c25080002008914250c000200f4");
      int ecx = m.memory.read32(TestMachine.RESULT + 8);
      assertTrue(ecx < 0, "a hypervisor is present");
      assertEquals(0, m.memory.read32(TestMachine.RESULT + 4) >>> 24);
      m.vcpus.get(1).setState(m.guest.longMode(TestMachine.CODE));
      m.vcpus.get(1).run();
      assertEquals(1, m.memory.read32(TestMachine.RESULT + 4) >>> 24);
    }
  }
}

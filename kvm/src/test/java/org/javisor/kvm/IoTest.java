package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.VmExit;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmDevice;
import org.javisor.kvm.host.KvmDevice.CpuidEntry;
import org.javisor.kvm.host.KvmUnavailable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Exits to devices, and ends. */
class IoTest {
  private TestMachine m;

  @BeforeEach
  void machine() {
    HostKvm.needs("real-mode");
    m = new TestMachine();
  }

  @AfterEach
  void end() {
    if (m != null) {
      m.close();
    }
  }

  /** Breaks if a port access arrives with another size or value, or its answer is lost. */
  @Test
  void portsOfEverySize() {
    m.bus.values.addAll(List.of(0xa1L, 0xb2b3L, 0xc4c5c6c7L));
    // mov eax,0x11223344; out dx,al/ax/eax; in al/ax/eax,dx, each stored
    m.realMode("ba341266b844332211eeef66efec66a30020ed66a3042066ed66a30820f4");
    assertEquals(
        List.of(
            "out 1234/1=44", "out 1234/2=3344", "out 1234/4=11223344", "in 1234/1", "in 1234/2",
            "in 1234/4"),
        m.bus.log);
    assertEquals(0x112233a1, m.memory.read32(0x2000));
    assertEquals(0x1122b2b3, m.memory.read32(0x2004));
    assertEquals(0xc4c5c6c7, m.memory.read32(0x2008));
  }

  /** Breaks if of a string instruction's elements only the first is looked at. */
  @Test
  void stringOutput() {
    m.memory.write(0x2000, "HELLO".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
    m.memory.write64(0x2010, 0x0000_3333_2222_1111L);
    // rep outsb of 5, rep outsw of 3
    m.realMode("ba8000be0020b90500fcf36eb90300be1020f36ff4");
    assertEquals(
        List.of(
            "out 80/1=48", "out 80/1=45", "out 80/1=4c", "out 80/1=4c", "out 80/1=4f",
            "out 80/2=1111", "out 80/2=2222", "out 80/2=3333"),
        m.bus.log);
  }

  /** Breaks if the elements of a string input come in another order or size. */
  @Test
  void stringInput() {
    m.bus.values.addAll(List.of(1L, 2L, 3L, 4L, 5L, 6L, 0x0a0b0c0dL, 0x11121314L));
    // rep insb of 6, rep insd of 2
    m.realMode("ba8000bf0020b90600fcf36cb9020066f36df4");
    assertEquals(0x0c0d_0605_0403_0201L, m.memory.read64(0x2000));
    assertEquals(0x1112_1314_0a0bL, m.memory.read64(0x2008) & 0xffff_ffff_ffffL);
  }

  /** Breaks if device memory is read or written with another size than the guest's. */
  @Test
  void deviceMemoryOfEverySize() {
    HostKvm.needs("long-mode");
    m.bus.values.addAll(List.of(0x1aL, 0x2b2bL, 0x3c3c3c3cL, 0x4d4d4d4d4d4d4d4dL));
    m.longMode(
        "48c7c300000010b011880366c743023322c743047766554448b88877665544332211488943080fb603488904"
            + "25000002000fb7430248890425080002008b43044889042510000200488b43084889042518000200f4");
    assertEquals(
        List.of(
            "write 10000000/1=11", "write 10000002/2=2233", "write 10000004/4=44556677",
            "write 10000008/8=1122334455667788", "read 10000000/1", "read 10000002/2",
            "read 10000004/4", "read 10000008/8"),
        m.bus.log);
    assertEquals(0x1a, m.memory.read64(TestMachine.RESULT));
    assertEquals(0x2b2b, m.memory.read64(TestMachine.RESULT + 8));
    assertEquals(0x3c3c3c3c, m.memory.read64(TestMachine.RESULT + 16));
    assertEquals(0x4d4d4d4d4d4d4d4dL, m.memory.read64(TestMachine.RESULT + 24));
  }

  /** Breaks if a device is given an access of a size it does not know. */
  @Test
  void anAccessAcrossAPageIsCutIntoKnownSizes() {
    HostKvm.needs("long-mode");
    // mov [0x10000ffd],0xa1b2c3d4; mov eax,[0x10000ffd]
    m.bus.values.addAll(List.of(0xd4L, 0xc3L, 0xb2L, 0xa1L));
    m.longMode("48c7c3fd0f0010b8d4c3b2a189038b034889042500000200f4");
    int bytes = 0;
    for (String access : m.bus.log) {
      int size = Integer.parseInt(access.replaceAll(".*/(\\d).*", "$1"));
      assertTrue(List.of(1, 2, 4, 8).contains(size), m.bus.log::toString);
      bytes += size;
    }
    assertEquals(8, bytes, m.bus.log::toString);
  }

  /** Breaks if 32-bit code, its stack or calls do not work from our state. */
  @Test
  void protectedMode() {
    // mov eax,0x12345678; mov [RESULT],eax; call 1f; hlt; 1: add [RESULT],1; ret
    m.guest.code(
        TestMachine.CODE, "b878563412a300000200e801000000f483050000020001c3");
    assertEquals(VmExit.Halt.INSTANCE, m.run(m.guest.protectedMode(TestMachine.CODE)));
    assertEquals(0x12345679, m.memory.read32(TestMachine.RESULT));
  }

  /** Breaks if a halted vCPU does not go on behind its HLT, or does so without a reason. */
  @Test
  void aHaltLastsUntilAnInterrupt() {
    m.realModeHandler(0x41, "cf"); // iret
    m.guest.code(TestMachine.CODE, "fbf440f440f4"); // sti; hlt; inc ax; hlt; inc ax; hlt
    assertEquals(VmExit.Halt.INSTANCE, m.run(m.guest.realMode(TestMachine.CODE)));
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(0, m.vcpu().state().gpr[0]);
    m.platform().vectors.add(0x41);
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(1, m.vcpu().state().gpr[0]);
  }

  /** Breaks if a vCPU that is given the state of a halted one does not see that its interrupts are on. */
  @Test
  void aHaltOfAnotherVcpuLastsUntilAnInterrupt() {
    m.realModeHandler(0x41, "cf"); // iret
    // inc ax; 1: hlt; jmp 1b: KVM may find a moment for the interrupt only behind the HLT
    m.guest.code(TestMachine.CODE, "40f4ebfd");
    CpuState halted = m.guest.realMode(TestMachine.CODE);
    halted.halted = true;
    halted.rflags |= 1 << 9;
    assertEquals(VmExit.Halt.INSTANCE, m.run(halted));
    assertEquals(0, m.vcpu().state().gpr[0]);
    m.platform().vectors.add(0x41);
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(1, m.vcpu().state().gpr[0]);
  }

  /** Breaks if a vCPU whose interrupts are off goes on although nothing could wake it. */
  @Test
  void aHaltWithInterruptsOffStays() {
    m.platform().vectors.add(0x41);
    m.realMode("faf440f4"); // cli; hlt; inc ax; hlt
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals(0, m.vcpu().state().gpr[0]);
  }

  /** Breaks if a triple fault is not told, or without what a person needs to find it. */
  @Test
  void aTripleFaultIsReported() {
    CpuState s = m.guest.protectedMode(TestMachine.CODE);
    s.idtLimit = 0;
    m.guest.code(TestMachine.CODE, "b8cefaedfe0f0b"); // mov eax,0xfeedface; ud2
    String report = assertInstanceOf(VmExit.Shutdown.class, m.run(s)).report();
    assertTrue(report.startsWith("triple fault on vCPU 0"), report);
    assertTrue(report.contains("RAX 00000000feedface"), report);
    assertTrue(report.contains("ud2"), report);
  }

  /** Breaks if the end of KVM's own knowledge is told without the instruction. */
  @Test
  void anInternalErrorIsReportedWithTheInstruction() {
    HostKvm.needs("long-mode");
    // jmp to device memory: no KVM fetches code from there
    m.guest.code(TestMachine.CODE, "48c7c000000010ffe0");
    String report =
        assertInstanceOf(VmExit.Shutdown.class, m.run(m.guest.longMode(TestMachine.CODE)))
            .report();
    assertTrue(report.startsWith("KVM cannot go on with vCPU 0"), report);
    assertTrue(report.contains("RIP 0000000010000000"), report);
    assertTrue(report.contains("no code can be read at RIP"), report);
  }

  /** Breaks if the bytes that KVM cannot emulate are not shown as what they are. */
  @Test
  void whatCannotBeEmulatedIsDisassembled() {
    HostKvm.needs("long-mode");
    // fld dword [rbx] from device memory, which no KVM's emulator knows; hlt
    m.guest.code(TestMachine.CODE, "48c7c300000010d903f4");
    String report =
        assertInstanceOf(VmExit.Shutdown.class, m.run(m.guest.longMode(TestMachine.CODE)))
            .report();
    assertTrue(
        report.startsWith(
            "KVM cannot go on with vCPU 0: an instruction it cannot emulate, at fld"),
        report);
    assertTrue(report.contains("d9 03  fld"), report);
    assertTrue(report.contains("f4  hlt"), report);
  }

  /**
   * Breaks if what a guest asks the kernel for, which is for the whole machine, is passed over. Hyper-V's
   * crash register is how a guest on x86 can do that.
   */
  @Test
  void aSystemEventIsReported() throws KvmUnavailable {
    HostKvm.needs("long-mode");
    try (KvmDevice device = KvmDevice.open()) {
      Assumptions.assumeTrue(
          device.extension(KvmAbi.CAP_HYPERV) != 0, "this host's KVM lacks KVM_CAP_HYPERV");
    }
    List<CpuidEntry> table = new ArrayList<>(m.vm.cpuid(0));
    table.removeIf(entry -> entry.leaf() == 0x4000_0001 || entry.leaf() == 0x4000_0003);
    table.add(new CpuidEntry(0x4000_0001, 0, 0x3123_7648, 0, 0, 0)); // "Hv#1"
    table.add(new CpuidEntry(0x4000_0003, 0, 0, 0, 0, 1 << 10)); // it has crash registers
    m.vcpu().setCpuid(table);
    // mov ecx,0x40000105; xor eax,eax; mov edx,0x80000000; wrmsr; hlt
    m.guest.code(TestMachine.CODE, "b90501004031c0ba000000800f30f4");
    VmExit exit = m.run(m.guest.longMode(TestMachine.CODE));
    String report = assertInstanceOf(VmExit.Shutdown.class, exit).report();
    assertEquals(
        "the guest on vCPU 0 asked KVM to report its crash",
        report.lines().findFirst().orElse(""));
    assertTrue(report.contains("wrmsr") || report.contains("hlt"), report);
  }
}

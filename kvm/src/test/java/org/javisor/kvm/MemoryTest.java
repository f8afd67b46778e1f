package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.VmExit;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The memory map as slots, its changes, and the dirty log. */
class MemoryTest {
  /** Behind the RAM, mapped by the guest's page tables. */
  private static final long BEHIND = 0x30_0000;

  private TestMachine m;

  @BeforeEach
  void machine() {
    HostKvm.needs("long-mode");
    m = new TestMachine();
  }

  @AfterEach
  void end() {
    if (m != null) {
      m.close();
    }
  }

  /** Breaks if consecutive frames become many slots, or a hole is not cut out of one. */
  @Test
  void runsBecomeSlots() {
    assertEquals(1, m.vm.memorySlots());
    m.memory.unmap(0x10_0000, 0x1000);
    assertEquals(2, m.vm.memorySlots());
    int frame = m.memory.arena().allocate(4);
    m.memory.map(0x10_0000, 0x1000, frame, true);
    assertEquals(3, m.vm.memorySlots());
    m.memory.map(BEHIND, 0x1000, frame + 1, true);
    m.memory.map(BEHIND + 0x2000, 0x1000, frame + 2, false);
    assertEquals(5, m.vm.memorySlots());
    m.memory.unmap(0, 4 << 20);
    assertEquals(0, m.vm.memorySlots());
  }

  /** Breaks if a change that changes nothing disturbs the slots, or the map cannot be put back. */
  @Test
  void mappingTheSameAgainKeepsTheSlot() {
    int frame = m.memory.frame(0);
    m.memory.map(0, SmallGuest.RAM, frame, true);
    assertEquals(1, m.vm.memorySlots());
    m.longMode("b801000000f4");
  }

  /** Breaks if ROM can be written, or a write to it does not reach the bus as on the interpreter. */
  @Test
  void romIsReadAndNotWritten() {
    byte[] rom = new byte[4096];
    rom[0] = 0x11;
    m.memory.mapRom(BEHIND, rom);
    // mov eax,[0x300000]; mov [RESULT],rax; mov byte [0x300004],0x55; hlt
    m.longMode("8b0425000030004889042500000200c604250400300055f4");
    assertEquals(0x11, m.memory.read64(TestMachine.RESULT));
    assertEquals(0, m.memory.read8(BEHIND + 4));
    assertEquals(List.of("write 300004/1=55"), m.bus.log);
  }

  /** Breaks if the guest still sees a frame that was unmapped: it may be another guest's by then. */
  @Test
  void unmappedMemoryIsDeviceMemory() {
    int frame = m.memory.arena().allocate(1);
    m.memory.map(BEHIND, 0x1000, frame, true);
    RawMemory.put32(m.memory.arena().address(frame), 0x1234);
    String read = "8b0425000030004889042500000200f4"; // mov eax,[0x300000]; store; hlt
    m.longMode(read);
    assertEquals(0x1234, m.memory.read64(TestMachine.RESULT));
    m.memory.unmap(BEHIND, 0x1000);
    m.bus.values.add(0x5678L);
    m.longMode(read);
    assertEquals(0x5678, m.memory.read64(TestMachine.RESULT));
    assertEquals(List.of("read 300000/4"), m.bus.log);
  }

  /** Breaks if a map can change only while no vCPU runs, or a running one misses the change. */
  @Test
  void theMapChangesUnderARunningGuest() throws InterruptedException {
    int frames = m.memory.arena().allocate(2);
    RawMemory.put32(m.memory.arena().address(frames + 1), 0x12345678);
    m.memory.map(BEHIND, 0x1000, frames, true);
    // 1: mov eax,[0x300000]; cmp eax,0x12345678; jne 1b; mov eax,1; out 0x10,al; hlt
    m.guest.code(
        TestMachine.CODE, "e6118b0425000030003d7856341275f2b801000000e610f4");
    m.vcpu().setState(m.guest.longMode(TestMachine.CODE));
    CountDownLatch started = m.bus.expect(0x11, 1);
    TestMachine.Running running = m.start(m.vcpu());
    assertTrue(started.await(20, TimeUnit.SECONDS));
    for (int i = 0; i < 50; i++) {
      // Elsewhere, in the slot that the guest runs from: it must see no hole there.
      m.memory.unmap(0x18_0000, 0x1000);
      m.memory.map(0x18_0000, 0x1000, m.memory.frame(0) + 0x180, true);
    }
    m.memory.map(BEHIND, 0x1000, frames + 1, true);
    assertEquals(VmExit.Halt.INSTANCE, running.await());
    assertEquals(List.of("out 11/1=0", "out 10/1=1"), m.bus.log);
  }

  /** Breaks if a device of a vCPU's own exit cannot change the map: it would wait for itself. */
  @Test
  void aDeviceChangesTheMapFromTheVcpusOwnThread() {
    m.bus.onWrite = () -> m.memory.unmap(0x10_0000, 0x1000);
    m.longMode("e620f4"); // out 0x20,al; hlt
    assertEquals(2, m.vm.memorySlots());
  }

  /** Breaks if a written page is not in the log, or the log is never emptied. */
  @Test
  void writtenPagesAreLogged() {
    // mov byte [0x30000],1; mov byte [0x45000],1; mov byte [0x7ffff],1; hlt
    String write = "c604250000030001c60425005004000 1c60425ffff070001f4".replace(" ", "");
    m.vm.setDirtyLog(true);
    m.longMode(write);
    BitSet pages = m.vm.takeDirtyPages();
    assertTrue(pages.get(0x30) && pages.get(0x45) && pages.get(0x7f), pages::toString);
    assertFalse(pages.get(0x44) || pages.get(0x100), pages::toString);
    assertTrue(m.vm.takeDirtyPages().isEmpty());
    // A log survives a change of the map.
    m.longMode(write);
    m.memory.unmap(0x10_0000, 0x1000);
    BitSet after = m.vm.takeDirtyPages();
    assertTrue(after.get(0x30) && after.get(0x45) && after.get(0x7f), after::toString);
    m.vm.setDirtyLog(false);
    m.longMode(write);
    assertTrue(m.vm.takeDirtyPages().isEmpty());
  }

  /** Breaks if two vCPUs do not share memory, or their locked instructions are not atomic. */
  @Test
  void twoVcpusShareMemory() throws InterruptedException {
    HostKvm.needs("page-fault");
    try (TestMachine two = new TestMachine(IrqChip.USER, 2)) {
      // In ring 3: mov ecx,1000000; 1: lock inc [RESULT]; dec ecx; jnz 1b; then a page fault
      two.guest.code(
          TestMachine.CODE, "b940420f00f0ff042500000200ffc975f4488b0c2500000040");
      two.guest.code(TestMachine.HANDLER, "f4");
      two.guest.gate(14, TestMachine.HANDLER);
      for (KvmVcpu vcpu : two.vcpus) {
        org.javisor.accelerator.CpuState s = two.guest.userMode(TestMachine.CODE);
        // Each vCPU enters the handler on a stack of its own.
        s.tr.base += 0x200L * vcpu.id();
        two.memory.write64(s.tr.base + 4, 0xf000L - 0x400L * vcpu.id());
        vcpu.setState(s);
      }
      List<TestMachine.Running> running = two.vcpus.stream().map(two::start).toList();
      for (TestMachine.Running r : running) {
        assertEquals(VmExit.Halt.INSTANCE, r.await());
      }
      assertEquals(2_000_000, two.memory.read32(TestMachine.RESULT));
    }
  }
}

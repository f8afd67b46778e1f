package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.MachineClock;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The state in and out. */
class StateTest {
  private TestMachine m;

  @BeforeEach
  void machine() {
    HostKvm.accelerator();
    m = new TestMachine();
  }

  @AfterEach
  void end() {
    if (m != null) {
      m.close();
    }
  }

  /** Breaks if a register is lost, or changes place, on its way into the kernel and back. */
  @Test
  void everythingComesBackAsItWasSet() {
    Random random = new Random(8);
    CpuState s = m.guest.userMode(0x1_2345);
    for (int i = 0; i < 16; i++) {
      s.gpr[i] = random.nextLong();
    }
    s.rflags = 0xad7 & ~0x300;
    for (int i = 160; i < 416; i++) {
      s.fxsave[i] = (byte) random.nextInt(); // XMM registers
    }
    s.fs.set(0x1b, 0x7fff_1234_5000L, -1, 0xc0f3);
    s.gs.set(0x1b, 0xffff_8000_1234_5000L, -1, 0xc0f3);
    s.ldtr.set(0x30, 0x4_0000, 0xffff, 0x82);
    s.cr2 = 0x1234_5678_9000L;
    for (int i = 0; i < 4; i++) {
      s.dr[i] = 0x1000L * (i + 1);
    }
    s.dr[7] = 0x401;
    s.lstar = 0xffff_ffff_8100_0000L;
    s.cstar = 0xffff_ffff_8100_1000L;
    s.sfmask = 0x47700;
    s.kernelGsBase = 0xffff_8880_0000_0000L;
    s.sysenterCs = 0x10;
    s.sysenterEsp = 0xffff_ffff_8200_0000L;
    s.sysenterEip = 0xffff_ffff_8100_2000L;
    s.pat = 0x0407_0506_0007_0106L;
    s.pendingInterrupt = 0x93;
    m.vcpu().setState(s);
    assertSame(s, m.vcpu().state());
  }

  /** Breaks if the upper halves of AVX registers are lost where the host has them. */
  @Test
  void upperHalvesOfAvxRegisters() throws java.io.IOException {
    Assumptions.assumeTrue(
        Files.readString(Path.of("/proc/cpuinfo")).contains(" avx "), "the host has no AVX");
    CpuState s = m.guest.longMode(0);
    s.ymmHigh[0] = 1;
    s.ymmHigh[255] = 2;
    m.vcpu().setState(s);
    assertArrayEquals(s.ymmHigh, m.vcpu().state().ymmHigh);
    assertEquals(1, m.vcpu().state().xcr0);
    m.vcpu().reset();
    assertArrayEquals(new byte[256], m.vcpu().state().ymmHigh);
  }

  private static void assertSame(CpuState expected, CpuState actual) {
    assertArrayEquals(expected.gpr, actual.gpr);
    assertEquals(expected.rip, actual.rip);
    assertEquals(expected.rflags, actual.rflags);
    for (int i = 0; i < 6; i++) {
      assertSame("segment " + i, expected.segments()[i], actual.segments()[i]);
    }
    assertSame("LDTR", expected.ldtr, actual.ldtr);
    assertSame("TR", expected.tr, actual.tr);
    assertEquals(expected.gdtBase, actual.gdtBase);
    assertEquals(expected.gdtLimit, actual.gdtLimit);
    assertEquals(expected.idtBase, actual.idtBase);
    assertEquals(expected.idtLimit, actual.idtLimit);
    assertEquals(expected.cr0, actual.cr0);
    assertEquals(expected.cr2, actual.cr2);
    assertEquals(expected.cr3, actual.cr3);
    assertEquals(expected.cr4, actual.cr4);
    assertEquals(expected.efer, actual.efer);
    assertArrayEquals(expected.dr, actual.dr);
    assertEquals(expected.star, actual.star);
    assertEquals(expected.lstar, actual.lstar);
    assertEquals(expected.cstar, actual.cstar);
    assertEquals(expected.sfmask, actual.sfmask);
    assertEquals(expected.kernelGsBase, actual.kernelGsBase);
    assertEquals(expected.sysenterCs, actual.sysenterCs);
    assertEquals(expected.sysenterEsp, actual.sysenterEsp);
    assertEquals(expected.sysenterEip, actual.sysenterEip);
    assertEquals(expected.pat, actual.pat);
    assertEquals(expected.pendingInterrupt, actual.pendingInterrupt);
    for (int i = 160; i < 416; i++) {
      assertEquals(expected.fxsave[i], actual.fxsave[i], "FXSAVE byte " + i);
    }
    assertEquals(expected.fxsave[0], actual.fxsave[0]);
    assertEquals(expected.fxsave[24], actual.fxsave[24]);
  }

  private static void assertSame(String name, CpuState.Segment e, CpuState.Segment a) {
    assertEquals(
        "%x %x %x %x".formatted(e.selector, e.base, e.limit, e.attributes),
        "%x %x %x %x".formatted(a.selector, a.base, a.limit, a.attributes),
        name);
  }

  /** Breaks if something of a guest outlives its reset, or the CPU does not start where it should. */
  @Test
  void resetForgetsTheGuest() {
    CpuState s = m.guest.userMode(0x1_2345);
    s.gpr[3] = 42;
    s.fxsave[160] = 1;
    s.lstar = 0x1000;
    s.pat = 0x0407_0506_0007_0106L;
    s.pendingInterrupt = 0x93;
    m.vcpu().setState(s);
    m.vcpu().reset();
    CpuState r = m.vcpu().state();
    assertEquals(0xfff0, r.rip);
    assertEquals(0xffff_0000L, r.cs.base);
    assertEquals(0x6000_0010L, r.cr0);
    assertEquals(0, r.cr4 | r.efer | r.cr3 | r.gpr[3] | r.fxsave[160] | r.lstar);
    assertEquals(0x600, r.gpr[2]);
    assertEquals(2, r.rflags);
    assertEquals(CpuState.NO_INTERRUPT, r.pendingInterrupt);
    assertEquals(s.pat, r.pat, "INIT leaves the page attribute table alone");
  }

  /** Breaks if a vCPU that was created or reset does not begin at the reset vector. */
  @Test
  void executionBeginsAtTheResetVector() {
    HostKvm.needs("real-mode");
    m.memory.map(0xffff_f000L, 0x1000, m.memory.arena().allocate(1), false);
    byte[] code = {(byte) 0xb0, 0x21, (byte) 0xe6, 0x10, (byte) 0xf4}; // mov al,0x21; out; hlt
    int frame = m.memory.frame(0xffff_f000L);
    org.javisor.memory.RawMemory.copyIn(
        code, 0, m.memory.arena().address(frame) + 0xff0, code.length);
    m.vcpu().reset();
    assertEquals(VmExit.Halt.INSTANCE, m.vcpu().run());
    assertEquals("[out 10/1=21]", m.bus.log.toString());
  }

  /** Breaks if flushing translations changes the state, or is refused in some mode. */
  @Test
  void flushingTranslationsChangesNothing() {
    for (CpuState s : new CpuState[] {m.guest.realMode(0), m.guest.userMode(0)}) {
      m.vcpu().setState(s);
      m.vcpu().flushTlb();
      assertSame(s, m.vcpu().state());
    }
  }

  /**
   * Breaks if what a guest chose of kvm-clock, memory types and the like is lost on the way, or what
   * another accelerator has besides is not passed over.
   */
  @Test
  void otherRegistersTravelToo() {
    CpuState s = m.guest.longMode(0);
    s.tscAdjust = 0x1234;
    s.otherMsrs.put(0x2ff, 0xc06L);
    s.otherMsrs.put(0x200, 0x8000_0006L);
    s.otherMsrs.put(0x4b56_4d01, 0x3001L); // kvm-clock in the page at 0x3000
    s.otherMsrs.put(0xc001_0015, 0x10L); // HWCR: stays behind
    m.vcpu().setState(s);
    CpuState t = m.vcpu().state();
    assertEquals(0x1234, t.tscAdjust);
    for (int msr : new int[] {0x2ff, 0x200, 0x4b56_4d01}) {
      assertEquals(s.otherMsrs.get(msr), t.otherMsrs.get(msr), () -> "MSR %x".formatted(msr));
    }
    m.vcpu().setState(t);
    assertEquals(t.otherMsrs, m.vcpu().state().otherMsrs);
  }

  /** Breaks if time passes for time-stamp counters while the machine's clock stands, or they differ. */
  @Test
  void timeStampCountersStandWithTheClock() throws InterruptedException {
    MachineClock clock = new MachineClock(Clock.host(), 0);
    SmallGuest guest = new SmallGuest();
    clock.resume();
    try (KvmVm vm =
        HostKvm.accelerator()
            .createVm(guest.memory(), guest, new TestMachine.Model(), clock, Trace.NONE)) {
      List<KvmVcpu> vcpus = List.of(vm.createVcpu(0, guest), vm.createVcpu(1, guest));
      long second = HostKvm.accelerator().tscHertz();
      vcpus.forEach(vcpu -> vcpu.setTscOffset(1000 * second));
      Assumptions.assumeTrue(
          Math.abs(vcpus.getFirst().tscOffset() - 1000 * second) < second,
          "this host's KVM does not move its guests' time-stamp counters");
      for (int i = 0; i < 3; i++) {
        vm.pause();
        List<Long> ahead = vcpus.stream().map(KvmVcpu::tscOffset).toList();
        assertEquals(ahead.get(0), ahead.get(1), "their counters are one");
        long shown = vcpus.get(1).readTsc();
        clock.pause();
        Thread.sleep(100);
        clock.resume();
        for (int v = 0; v < vcpus.size(); v++) {
          vcpus.get(v).setTscOffset(ahead.get(v));
        }
        vm.resume();
        long passed = vcpus.get(1).readTsc() - shown;
        long limit = HostKvm.accelerator().tscHertz() / 20;
        assertTrue(passed >= 0 && passed < limit, "%d ticks have passed".formatted(passed));
      }
    }
  }

  /** Breaks if a linear address leads elsewhere than the CPU's own walk. */
  @Test
  void translation() {
    m.vcpu().setState(m.guest.longMode(0));
    assertEquals(0x12_3456, m.vcpu().translate(0x12_3456));
    assertEquals(-1, m.vcpu().translate(0x4000_0000L));
    assertEquals(-1, m.vcpu().translate(0xffff_8000_0000_0000L));
    m.vcpu().setState(m.guest.realMode(0));
    assertEquals(0xffff_ffffL, m.vcpu().translate(-1L));
  }

  /**
   * Breaks if the platform's deadline timer is set without knowing where the guest's time-stamp
   * counter is.
   */
  @Test
  void thePlatformKnowsTheTimeStampCounter() {
    HostKvm.needs("long-mode");
    // rdtsc; mov [RESULT],eax; mov [RESULT+4],edx; mov ecx,0x6e0; wrmsr; hlt
    m.longMode("0f31890425000002008914250400 0200b9e00600000f30f4".replace(" ", ""));
    long offset = m.platform().tscOffsets.getLast();
    long ahead = m.memory.read64(TestMachine.RESULT) - (offset + m.vm.tscReference().clockTicks());
    long minute = 60 * HostKvm.accelerator().tscHertz();
    assertTrue(Math.abs(ahead) < minute, "the guest reads %d ticks more".formatted(ahead));
    assertEquals(-1, m.vcpu().instructions());
  }
}

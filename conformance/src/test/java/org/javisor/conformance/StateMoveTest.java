package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.guest.FlatGuest;
import org.javisor.interp.CpuModels;
import org.javisor.interp.InterpAccelerator;
import org.javisor.kvm.KvmAccelerator;
import org.javisor.kvm.host.KvmUnavailable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** A guest that moves between accelerators while it runs does not notice. */
class StateMoveTest {
  /**
   * Integer, memory, stack, vector and floating-point instructions, each using what the one before
   * left; then a write of the sum to the device, and a jump to the beginning.
   */
  private static final String LOOP =
      "488b03480fafc14801d048c1c2074831c248890366480f6ec0660fd4c8660f70d11b660fefcaf30f7f4b10504158"
          + "f2490f2ad9f20f58e34d11c14c890febc1";

  private static final int LEGS = 101;
  private static final int FIRST_XMM = 160;
  private static final int XMM_END = 416;

  /** RF has no meaning between two instructions of ours. */
  private static final long RESUME = 1 << 16;

  private static KvmAccelerator kvm() {
    try {
      return KvmAccelerator.open();
    } catch (KvmUnavailable e) {
      Assumptions.abort("no KVM here: " + e.getMessage());
      throw new AssertionError(e);
    }
  }

  private static CpuState start(FlatGuest guest) {
    CpuState s = guest.start();
    s.gpr[3] = FlatGuest.DATA;
    s.gpr[7] = FlatGuest.DEVICE;
    s.gpr[1] = 0x5851_f42d_4c95_7f2dL;
    s.gpr[2] = 0x1405_7b7e_f767_814fL;
    guest.memory().write64(FlatGuest.DATA, 88);
    s.lstar = 0xffff_ffff_8100_0000L;
    s.kernelGsBase = 0xffff_8880_0000_0000L;
    return s;
  }

  private static Vm vm(Accelerator accelerator, FlatGuest guest) {
    return accelerator.createVm(
        guest.memory(), guest, CpuModels.of("x86-64-v2", 1), Clock.host(), Trace.NONE);
  }

  /** Runs until the guest has written to the device so often, and adds what it wrote. */
  private static void run(Vcpu vcpu, FlatGuest guest, int writes, List<Long> written) {
    int end = written.size() + writes;
    guest.onDeviceWrite(
        value -> {
          written.add(value);
          if (written.size() == end) {
            vcpu.kick();
          }
        });
    assertEquals(VmExit.Kicked.INSTANCE, vcpu.run());
    assertEquals(end, written.size());
  }

  /**
   * Breaks if a register or a flag is lost on the way, or the two disagree about an instruction. The
   * last leg is the interpreter's: where exactly a kick stops is each accelerator's own matter.
   */
  @Test
  void aGuestMovesBetweenKvmAndInterpreter() {
    KvmAccelerator kvm = kvm();
    FlatGuest moving = new FlatGuest(LOOP);
    FlatGuest staying = new FlatGuest(LOOP);
    Random random = new Random(31);
    try (Vm onInterp = vm(new InterpAccelerator(), moving);
        Vm onKvm = vm(kvm, moving);
        Vm reference = vm(new InterpAccelerator(), staying)) {
      Vcpu[] places = {onInterp.createVcpu(0, moving), onKvm.createVcpu(0, moving)};
      CpuState state = start(moving);
      List<Long> written = new ArrayList<>();
      for (int leg = 0; leg < LEGS; leg++) {
        Vcpu place = places[leg % 2];
        place.setState(state);
        run(place, moving, 1 + random.nextInt(40), written);
        state = place.state();
      }
      Vcpu still = reference.createVcpu(0, staying);
      still.setState(start(staying));
      List<Long> expected = new ArrayList<>();
      run(still, staying, written.size(), expected);
      assertEquals(expected, written);
      assertSame(still.state(), state);
      byte[] one = new byte[64];
      byte[] other = new byte[64];
      staying.memory().read(FlatGuest.DATA, one, 0, 64);
      moving.memory().read(FlatGuest.DATA, other, 0, 64);
      assertArrayEquals(one, other);
    }
  }

  private static void assertSame(CpuState expected, CpuState actual) {
    assertArrayEquals(expected.gpr, actual.gpr);
    assertEquals(expected.rip, actual.rip);
    assertEquals(expected.rflags & ~RESUME, actual.rflags & ~RESUME);
    assertArrayEquals(
        Arrays.copyOfRange(expected.fxsave, FIRST_XMM, XMM_END),
        Arrays.copyOfRange(actual.fxsave, FIRST_XMM, XMM_END));
    CpuState.Segment[] mine = expected.segments();
    CpuState.Segment[] theirs = actual.segments();
    for (int i = 0; i < mine.length; i++) {
      assertEquals(mine[i].selector, theirs[i].selector);
      assertEquals(mine[i].base, theirs[i].base);
      assertEquals(mine[i].limit, theirs[i].limit);
      assertEquals(mine[i].attributes, theirs[i].attributes);
    }
    assertEquals(expected.cr0, actual.cr0);
    assertEquals(expected.cr3, actual.cr3);
    assertEquals(expected.cr4, actual.cr4);
    assertEquals(expected.efer, actual.efer);
    assertEquals(expected.lstar, actual.lstar);
    assertEquals(expected.kernelGsBase, actual.kernelGsBase);
    assertEquals(expected.pat, actual.pat);
  }
}

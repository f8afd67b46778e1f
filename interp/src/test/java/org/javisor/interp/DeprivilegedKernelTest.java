package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.TrapHandler;
import org.javisor.accelerator.TrapRegisters;
import org.javisor.accelerator.VmExit;
import org.junit.jupiter.api.Test;

/**
 * A kernel without privilege: everything that would enter ring 0 is a trap for who stands in for it,
 * and nothing goes through descriptor tables.
 */
class DeprivilegedKernelTest {
  private static final int PF = 14;
  private static final int RAX = 0;
  private static final int RCX = 1;

  /** Records traps; answers with what a test says. The first exception that it does not know ends. */
  private static final class Handler implements BarePlatform, TrapHandler {
    private static final int MOST = 50;

    final List<String> traps = new ArrayList<>();
    Consumer<TrapRegisters> onCall = r -> {};
    Consumer<TrapRegisters> onException;
    boolean complete = true;

    @Override
    public Optional<TrapHandler> trapHandler() {
      return Optional.of(this);
    }

    @Override
    public boolean exception(TrapRegisters r, int vector, int errorCode, boolean software) {
      traps.add(vector + "/" + errorCode + (software ? " software" : ""));
      if (onException == null || vector == 6 || traps.size() > MOST) {
        return false;
      }
      onException.accept(r);
      return true;
    }

    @Override
    public void interrupt(TrapRegisters r) {
      traps.add("interrupt");
    }

    @Override
    public boolean systemCall(TrapRegisters r) {
      traps.add("call " + r.get(RAX) + " " + (r.rip() - Bench.USER_CODE));
      onCall.accept(r);
      boolean now = complete;
      complete = true;
      return now;
    }

    @Override
    public void systemEnter(TrapRegisters r) {
      traps.add("enter");
      r.setRip(r.rip() + 2);
    }
  }

  private final Handler handler = new Handler();
  private final Bench b =
      new Bench(CpuModels.of("x86-64-v2", 1), new InterpAccelerator(), handler);

  /** Runs code of a kernel in ring 3 up to UD2. */
  private CpuState run(boolean kernel, String hex) {
    b.memory.write(
        Bench.USER_CODE, HexFormat.of().parseHex(hex.replace(" ", "") + "0f0b"));
    CpuState s = b.state;
    s.cs.set(0x23, 0, -1, 0xa0fb);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es}) {
      data.set(0x1b, 0, -1, 0xc0f3);
    }
    s.tr.set(0, 0, 0, 0x8b);
    s.gpr[4] = Bench.USER_DATA + 0x800;
    s.rip = Bench.USER_CODE;
    s.rflags = 0x202;
    s.deprivilegedKernel = kernel;
    b.vcpu.setState(s);
    VmExit exit;
    do {
      exit = b.vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    assertInstanceOf(VmExit.Shutdown.class, exit);
    assertEquals("6/-1", handler.traps.removeLast());
    return b.vcpu.state();
  }

  @Test
  void systemCallsAndInterruptsAreTraps() {
    handler.onCall = r -> r.set(RAX, 7);
    CpuState after = run(true, "b8 05 00 00 00  0f 05  0f 34");
    assertEquals(List.of("call 5 7", "enter"), handler.traps);
    assertEquals(7, after.gpr[RAX]);
    assertEquals(0x23, after.cs.selector, "segments are the handler's affair");
  }

  /** Breaks if a call that is to be continued is passed over, or its registers are lost. */
  @Test
  void aCallThatIsNotCompleteIsMadeAgain() {
    handler.complete = false;
    handler.onCall = r -> r.set(RAX, r.get(RAX) + 1);
    assertEquals(7, run(true, "b8 05 00 00 00  0f 05").gpr[RAX]);
    assertEquals(List.of("call 5 7", "call 6 7"), handler.traps);
  }

  @Test
  void whatNeedsRingZeroIsAFault() {
    handler.onException = r -> r.setRip(r.rip() + 2);
    run(true, "0f 30  0f 32  f4 90  fa 90  fb 90  ec 90  cd 80 90 90  0f 09");
    assertEquals(
        List.of(
            "13/0", "13/0", "13/0", "13/0", "13/0", "13/0", "128/-1 software"),
        handler.traps.subList(0, 7));
  }

  /** Breaks if the U bit keeps a kernel from its pages, or a read-only page can be written. */
  @Test
  void pageTablesSayWhatMayBeReadAndWrittenAndNotWho() {
    b.memory.write64(Bench.KERNEL_DATA, 42);
    b.map(Bench.KERNEL_DATA, Bench.KERNEL_DATA, 1);
    String load = "48 8b 04 25 00 00 02 00";
    assertEquals(42, run(true, load).gpr[RAX]);
    assertEquals(42, run(false, load).gpr[RAX]);
    handler.onException =
        r -> {
          assertEquals(Bench.KERNEL_DATA, r.cr2());
          r.setRip(r.rip() + 8);
        };
    run(true, "48 89 04 25 00 00 02 00");
    run(false, "48 89 04 25 00 00 02 00");
    assertEquals(List.of(PF + "/3", PF + "/7"), handler.traps);
  }

  /** Breaks if a page stays writable after the one write that was let through. */
  @Test
  void oneWriteToAReadOnlyPageIsLetThrough() {
    b.map(Bench.USER_DATA, Bench.USER_DATA, 5);
    b.memory.write64(Bench.USER_DATA, 1);
    int[] writes = new int[1];
    handler.onException =
        r -> {
          writes[0]++;
          r.executeWriting(r.cr2());
        };
    // xchg [USER_DATA], rcx; lock and qword [USER_DATA], -2
    b.state.gpr[RCX] = 0x77;
    CpuState after = run(true, "48 87 0c 25 00 00 21 00  f0 48 83 24 25 00 00 21 00 fe");
    assertEquals(2, writes[0]);
    assertEquals(1, after.gpr[RCX]);
    assertEquals(0x76, b.memory.read64(Bench.USER_DATA));
  }

  @Test
  void otherTablesKeepWhatIsKnownOfBoth() {
    boolean[] kernel = new boolean[1];
    handler.onCall =
        r -> {
          kernel[0] = r.isKernel();
          r.enter(!r.isKernel(), b.state.cr3);
        };
    run(true, "0f 05");
    assertTrue(kernel[0]);
    assertFalse(b.vcpu.state().deprivilegedKernel);
  }

  @Test
  void memoryIsReadAndWrittenAsTheGuestWould() {
    b.map(0x3_0000, 0x3_0000, 1);
    handler.onCall =
        r -> {
          assertThrows(TrapRegisters.Fault.class, () -> r.store(0x3_0000, 1));
          assertThrows(TrapRegisters.Fault.class, () -> r.load(1L << 40));
          assertThrows(TrapRegisters.Fault.class, () -> r.load(1L << 60));
          try {
            r.store(Bench.USER_DATA, 99);
            r.set(RAX, r.load(Bench.USER_DATA));
          } catch (TrapRegisters.Fault e) {
            throw new AssertionError(e);
          }
          assertEquals(0x05, code(r));
        };
    assertEquals(99, run(true, "0f 05").gpr[RAX]);
  }

  private static int code(TrapRegisters r) {
    byte[] code = new byte[4];
    assertEquals(4, r.fetch(r.rip() - 1, code));
    assertEquals(0, r.fetch(1L << 40, code));
    return code[0];
  }
}

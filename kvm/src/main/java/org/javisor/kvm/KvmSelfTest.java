package org.javisor.kvm;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.kvm.host.KvmException;

/**
 * Small guests that do what every kernel does. There are hosts whose {@code /dev/kvm} answers every
 * request and runs only part of the instruction set: by an emulator, or nested in something that
 * does not pass everything on.
 *
 * <p>Each guest ends by writing a byte to a port and halting, with a known value in memory.
 */
final class KvmSelfTest {
  static final int LAST_WORD = 0x5a;
  private static final long SLOWEST_NANOS = 2_000_000_000L;

  /** mov al,0x5a; out 0x10,al; hlt. */
  private static final String END = "b05ae610f4";

  /** mov [RESULT],rax. */
  private static final String STORE_RAX = "4889042500000200";

  /**
   * One guest.
   *
   * @param start puts its code and tables into place and returns its first state
   * @param result what it leaves in memory
   */
  private record Step(String name, Function<SmallGuest, CpuState> start, long result) {}

  /** What did not work, in one line. */
  record Failure(String step, String what) {
    Failure {
      what = what.replaceAll("\\s+", " ");
    }

    @Override
    public String toString() {
      return step + " (" + what + ")";
    }
  }

  /** In the order in which a kernel comes to need them. */
  private static final List<Step> STEPS =
      List.of(
          new Step("real-mode", KvmSelfTest::realMode, 0),
          new Step("long-mode", KvmSelfTest::longMode, 0x6688_aacc_6688_aaccL),
          new Step("sse", KvmSelfTest::sse, 0x0000_000e_0000_000eL),
          new Step("int", KvmSelfTest::softwareInterrupt, 0x77),
          new Step("page-fault", KvmSelfTest::pageFault, 0x4000_0000L),
          new Step("syscall", KvmSelfTest::systemCall, 0x88));

  private KvmSelfTest() {}

  /** The names of the tests, in order. */
  static List<String> steps() {
    return STEPS.stream().map(Step::name).toList();
  }

  /** Runs the tests up to the first that fails. */
  static Optional<Failure> run(KvmAccelerator accelerator) {
    for (Step step : STEPS) {
      Optional<Failure> failure = run(accelerator, step);
      if (failure.isPresent()) {
        return failure;
      }
    }
    return Optional.empty();
  }

  /** Runs one of the tests, as for those who need only what it tests. */
  static Optional<Failure> run(KvmAccelerator accelerator, String name) {
    for (Step step : STEPS) {
      if (step.name.equals(name)) {
        return run(accelerator, step);
      }
    }
    throw new IllegalArgumentException("no self-test " + name + ": one of " + steps());
  }

  private static Optional<Failure> run(KvmAccelerator accelerator, Step step) {
    SmallGuest guest = new SmallGuest();
    try (KvmVm vm =
        accelerator.createVm(
            guest.memory(), guest, new Plain(), Clock.host(), Trace.NONE)) {
      KvmVcpu vcpu = vm.createVcpu(0, guest);
      vcpu.setState(step.start.apply(guest));
      VmExit exit = watched(vcpu);
      return judge(step, guest, exit).map(what -> new Failure(step.name, what));
    } catch (KvmException e) {
      return Optional.of(new Failure(step.name, e.getMessage()));
    }
  }

  /** Runs the vCPU, and kicks it if it does not end by itself. */
  static VmExit watched(KvmVcpu vcpu) {
    Thread watchdog =
        Thread.ofPlatform()
            .daemon()
            .name("javisor-kvm-probe")
            .start(
                () -> {
                  LockSupport.parkNanos(SLOWEST_NANOS);
                  vcpu.kick();
                });
    try {
      return vcpu.run();
    } finally {
      LockSupport.unpark(watchdog);
    }
  }

  private static Optional<String> judge(Step step, SmallGuest guest, VmExit exit) {
    return switch (exit) {
      case VmExit.Kicked() -> Optional.of("the guest did not come to its end in 2 s");
      case VmExit.Shutdown(String report) -> Optional.of(report.lines().findFirst().orElse(""));
      case VmExit.Debug() -> Optional.of("the guest stopped as for a debugger");
      case VmExit.Halt() -> {
        long result = guest.memory().read64(SmallGuest.RESULT);
        yield guest.lastWord() != LAST_WORD
            ? Optional.of("the guest halted too early")
            : result != step.result
                ? Optional.of("the guest computed %#x, not %#x".formatted(result, step.result))
                : Optional.empty();
      }
    };
  }

  // ---- The guests -------------------------------------------------------------------------------

  private static CpuState realMode(SmallGuest guest) {
    guest.code(SmallGuest.CODE, END);
    return guest.realMode(SmallGuest.CODE);
  }

  private static CpuState longMode(SmallGuest guest) {
    // movabs rax,0x1122334455667788; mov rbx,rax; rol rbx,32; add rax,rbx
    guest.code(
        SmallGuest.CODE, "48b888776655443322114889c348c1c3204801d8" + STORE_RAX + END);
    return guest.longMode(SmallGuest.CODE);
  }

  private static CpuState sse(SmallGuest guest) {
    // mov eax,7; movd xmm0,eax; pshufd xmm0,xmm0,0; paddd xmm0,xmm0; movdqu [RESULT],xmm0
    guest.code(
        SmallGuest.CODE,
        "b807000000660f6ec0660f70c000660ffec0f30f7f042500000200" + END);
    return guest.longMode(SmallGuest.CODE);
  }

  private static CpuState softwareInterrupt(SmallGuest guest) {
    // xor eax,eax; int 0x80, whose handler does mov eax,0x77; iretq
    guest.code(SmallGuest.CODE, "31c0cd80" + STORE_RAX + END);
    guest.code(SmallGuest.HANDLER, "b87700000048cf");
    guest.gate(0x80, SmallGuest.HANDLER);
    return guest.longMode(SmallGuest.CODE);
  }

  private static CpuState pageFault(SmallGuest guest) {
    // In ring 3: mov rax,[0x40000000]. In ring 0: mov rax,cr2
    guest.code(SmallGuest.CODE, "488b042500000040");
    guest.code(SmallGuest.HANDLER, "0f20d0" + STORE_RAX + END);
    guest.gate(14, SmallGuest.HANDLER);
    return guest.userMode(SmallGuest.CODE);
  }

  private static CpuState systemCall(SmallGuest guest) {
    // In ring 3: mov eax,1; syscall; store; mov eax,0; syscall
    guest.code(SmallGuest.CODE, "b8010000000f05" + STORE_RAX + "b8000000000f05");
    // In ring 0: test eax,eax; jz end; mov eax,0x88; sysretq
    guest.code(SmallGuest.HANDLER, "85c07408b888000000480f07" + END);
    CpuState s = guest.userMode(SmallGuest.CODE);
    s.lstar = SmallGuest.HANDLER;
    return s;
  }

  /** A CPU model that has what the guests use, and is as the host in all else. */
  static final class Plain implements CpuModel {
    @Override
    public String name() {
      return "probe";
    }

    @Override
    public int[] cpuid(int leaf, int subleaf) {
      return switch (leaf) {
        case 0 -> new int[] {1, 0, 0, 0};
        case 1 -> new int[] {0, 0, -1, -1};
        case 0x8000_0000 -> new int[] {0x8000_0008, 0, 0, 0};
        case 0x8000_0001 -> new int[] {0, 0, -1, -1};
        case 0x8000_0008 -> new int[] {48 << 8 | 40, 0, 0, 0};
        default -> new int[4];
      };
    }
  }
}

package org.javisor.conformance;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.HexFormat;
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
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * A report: one compute loop on the host itself, in ring 3 of a KVM guest, and on the interpreter.
 * After {@code mvn package}:
 *
 * <pre>java --enable-native-access=ALL-UNNAMED -cp 'conformance/target/classes:cli/target/lib/*' \
 *   org.javisor.conformance.KvmSpeedReport</pre>
 */
public final class KvmSpeedReport {
  private static final long LOOPS = 500_000_000L;
  private static final long INTERP_LOOPS = 20_000_000L;
  private static final int ROUNDS = 5;

  /** xor eax,eax; 1: add rax,rcx; ror rax,3; dec rcx; jnz 1b. The count is in RCX. */
  private static final String LOOP = "31c04801c848c1c80348ffc975f4";

  /** mov rbx,[NOWHERE]. */
  private static final String END = "488b1c2500000040";

  private static final Clock CLOCK = Clock.host();

  private KvmSpeedReport() {}

  public static void main(String[] args) throws Throwable {
    double host = host();
    System.out.printf("host    %6.3f ns a loop turn%n", host);
    try {
      double kvm = guest(KvmAccelerator.open(), LOOPS);
      System.out.printf("kvm     %6.3f ns, %.2f times the host's%n", kvm, kvm / host);
    } catch (KvmUnavailable e) {
      System.out.println("kvm     not here: " + e.getMessage());
    }
    double interp = guest(new InterpAccelerator(), INTERP_LOOPS);
    System.out.printf("interp  %6.3f ns, %.1f times the host's%n", interp, interp / host);
  }

  /** The best of some rounds, in nanoseconds a turn. */
  private static double host() throws Throwable {
    byte[] code = HexFormat.of().parseHex("4889f9" + LOOP + "c3"); // mov rcx,rdi; loop; ret
    long page =
        HostMemory.mapAnonymous(
            4096, HostMemory.PROT_READ | HostMemory.PROT_WRITE | HostMemory.PROT_EXEC);
    RawMemory.copyIn(code, 0, page, code.length);
    MethodHandle loop =
        Linker.nativeLinker()
            .downcallHandle(
                RawMemory.segment(page, 4096),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
    long best = Long.MAX_VALUE;
    for (int i = 0; i < ROUNDS; i++) {
      long begin = CLOCK.nanos();
      long result = (long) loop.invokeExact(LOOPS);
      best = Math.min(best, CLOCK.nanos() - begin);
      if (result == 0) {
        throw new AssertionError("the loop computes something else");
      }
    }
    return (double) best / LOOPS;
  }

  private static double guest(Accelerator accelerator, long loops) {
    FlatGuest guest = new FlatGuest(LOOP + END);
    try (Vm vm =
        accelerator.createVm(
            guest.memory(), guest, CpuModels.of("x86-64-v2", 1), CLOCK, Trace.NONE)) {
      Vcpu vcpu = vm.createVcpu(0, guest);
      long best = Long.MAX_VALUE;
      for (int i = 0; i < ROUNDS; i++) {
        CpuState start = guest.start();
        start.gpr[1] = loops;
        vcpu.setState(start);
        long begin = CLOCK.nanos();
        VmExit exit = vcpu.run();
        best = Math.min(best, CLOCK.nanos() - begin);
        if (!(exit instanceof VmExit.Halt)) {
          throw new AssertionError("the guest ended with " + exit);
        }
      }
      return (double) best / loops;
    }
  }
}

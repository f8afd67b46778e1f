package org.javisor.conformance.litmus;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.guest.FlatGuest;
import org.javisor.interp.CpuModels;

/** A guest with several vCPUs, each on a thread of its own, that run code of ours to its end. */
final class Crew implements AutoCloseable {
  /** Where a vCPU's code begins: {@code CODE + vcpu * CODE_SIZE}. */
  static final int CODE_SIZE = 0x1000;

  /** A counter that vCPUs meet at. */
  static final long BARRIER = FlatGuest.DATA;

  /** Shared memory for the tests. */
  static final long SHARED = FlatGuest.FREE;

  static final int SHARED_SIZE = 6 << 20;

  /** How often a vCPU looks at the barrier before it lets others have its CPU. */
  private static final int SPINS = 2000;

  private static final int SPINS_IF_CROWDED = 40;

  // Registers by number, as in CpuState.
  static final int RBX = 3;
  static final int RSI = 6;
  static final int RDI = 7;
  static final int R12 = 12;
  static final int R14 = 14;
  static final int R15 = 15;

  private final FlatGuest guest = new FlatGuest(FlatGuest.SMALL + SHARED_SIZE);
  private final Vm vm;
  private final List<Vcpu> vcpus = new ArrayList<>();
  private final ExecutorService threads;
  private final int spins;

  Crew(Accelerator accelerator, int size) {
    vm =
        accelerator.createVm(
            guest.memory(), guest, CpuModels.of("x86-64-v2", size), Clock.host(), Trace.NONE);
    for (int i = 0; i < size; i++) {
      vcpus.add(vm.createVcpu(i, guest));
    }
    threads = Executors.newFixedThreadPool(size);
    spins = size > Runtime.getRuntime().availableProcessors() ? SPINS_IF_CROWDED : SPINS;
  }

  FlatGuest guest() {
    return guest;
  }

  int size() {
    return vcpus.size();
  }

  void code(int vcpu, Code code) {
    byte[] bytes = code.toBytes();
    if (bytes.length > CODE_SIZE) {
      throw new IllegalArgumentException(bytes.length + " bytes of code");
    }
    guest.memory().write(FlatGuest.CODE + (long) vcpu * CODE_SIZE, bytes);
  }

  /**
   * Appends the code that meets the other vCPUs: RBX has the counter's address, R15 how far it was.
   * Uses EAX, ECX and flags.
   */
  void meet(Code code) {
    code.hex("f0ff03"); // lock inc dword [rbx]
    code.hex("4183c7").byte8(size()); // add r15d, size
    code.byte8(0xb9).int32(spins); // mov ecx, spins
    int wait = code.position();
    code.hex("8b03 4429f8"); // mov eax, [rbx]; sub eax, r15d
    code.hex("0f8914000000"); // jns behind the jmp
    code.hex("ffc9").jump(5, wait); // dec ecx; jnz
    code.hex("f390").byte8(0xb9).int32(spins); // pause; mov ecx, spins
    code.byte8(0xe9).int32(wait - (code.position() + 4)); // jmp
  }

  /** Appends the code that ends a vCPU's run. */
  static void end(Code code) {
    code.hex("488b1c25").int32((int) FlatGuest.NOWHERE); // mov rbx, [NOWHERE]
  }

  /** The state in which a vCPU begins: at its code, with the barrier in RBX and R15. */
  CpuState start(int vcpu) {
    CpuState s = guest.start(vcpu);
    s.rip = FlatGuest.CODE + (long) vcpu * CODE_SIZE;
    s.gpr[RBX] = BARRIER;
    return s;
  }

  /** Runs all vCPUs from the states given until each has come to its end. */
  void run(List<CpuState> states) throws InterruptedException {
    guest.memory().write64(BARRIER, 0);
    List<Future<?>> running = new ArrayList<>();
    for (int i = 0; i < vcpus.size(); i++) {
      Vcpu vcpu = vcpus.get(i);
      CpuState state = states.get(i);
      running.add(
          threads.submit(
              () -> {
                vcpu.setState(state);
                VmExit exit;
                do {
                  exit = vcpu.run();
                } while (exit instanceof VmExit.Kicked);
                if (!(exit instanceof VmExit.Halt)) {
                  throw new IllegalStateException("a vCPU ended with " + exit);
                }
              }));
    }
    for (Future<?> future : running) {
      try {
        future.get();
      } catch (ExecutionException e) {
        throw new AssertionError("a vCPU failed", e.getCause());
      }
    }
  }

  /** What a vCPU has come to; after {@link #run}. */
  CpuState state(int vcpu) {
    return vcpus.get(vcpu).state();
  }

  @Override
  public void close() {
    threads.shutdownNow();
    vm.close();
  }
}

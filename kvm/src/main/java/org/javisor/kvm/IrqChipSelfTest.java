package org.javisor.kvm;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.kvm.KvmDoorbells.Place;
import org.javisor.kvm.KvmInterrupts.Chip;
import org.javisor.kvm.KvmInterrupts.Route;
import org.javisor.kvm.KvmSelfTest.Failure;
import org.javisor.kvm.host.EventFd;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;

/**
 * Whether the interrupt controllers in the kernel do what a PC needs of them, found out with small
 * guests in real mode: whoever fails this runs machines with controllers in this process.
 */
final class IrqChipSelfTest {
  /** What a machine with controllers in the kernel asks of it. */
  private static final Map<Integer, String> NEEDED =
      new TreeMap<>(
          Map.of(
              KvmAbi.CAP_IRQCHIP, "KVM_CAP_IRQCHIP",
              KvmAbi.CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING",
              KvmAbi.CAP_IRQFD, "KVM_CAP_IRQFD",
              KvmAbi.CAP_PIT2, "KVM_CAP_PIT2",
              KvmAbi.CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2",
              KvmAbi.CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD",
              KvmAbi.CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"));

  /** The test of what is there at all; the others' names begin with it. */
  static final String NAME = "irqchip";

  private static final long LOCAL_APIC = 0xfee0_0000L;
  private static final int VECTOR = 0x41;
  private static final int TIMER_VECTOR = 0x20;
  private static final int GSI = 24;
  private static final int DOORBELL = 0x600;

  /** The 8259: vectors from 0x20 on, all masked but the timer. */
  private static final String PIC = "b011e620b020e621b004e621b001e621b0fee621";

  /** The 8254: counter 0, mode 2, count 0x1000. */
  private static final String PIT = "b034e643b000e640b010e640";

  /** sti; 1: hlt; jmp 1b. */
  private static final String WAIT = "fbf4ebfd";

  /** mov al,0x5a; out 0x10,al; then for ever as it is: cli; hlt. */
  private static final String END = "b05ae610faf4";

  /** mov dx,DOORBELL; mov al,1; out dx,al. */
  private static final String RING = "ba0006b001ee";

  /** Bits of the spurious vector register: the local APIC is on. */
  private static final int SPURIOUS = 0xf0;

  private interface Step {
    /** Prepares the guest and, where something has to come from outside, does that. */
    Optional<String> run(Machine machine) throws KvmException;
  }

  private static final Map<String, Step> STEPS =
      new TreeMap<>(
          Map.of(
              "irqchip-timer", IrqChipSelfTest::timer,
              "irqchip-message", IrqChipSelfTest::message,
              "irqchip-doorbell", IrqChipSelfTest::doorbell,
              "irqchip-startup", IrqChipSelfTest::startup));

  private IrqChipSelfTest() {}

  static List<String> steps() {
    return List.copyOf(STEPS.keySet());
  }

  /** Runs the tests up to the first that fails. */
  static Optional<Failure> run(KvmAccelerator accelerator) {
    for (Map.Entry<Integer, String> capability : NEEDED.entrySet()) {
      if (accelerator.extension(capability.getKey()) == 0) {
        return Optional.of(new Failure(NAME, "the kernel lacks " + capability.getValue()));
      }
    }
    for (String step : STEPS.keySet()) {
      Optional<Failure> failure = run(accelerator, step);
      if (failure.isPresent()) {
        return failure;
      }
    }
    return Optional.empty();
  }

  /** Runs one of the tests. */
  static Optional<Failure> run(KvmAccelerator accelerator, String step) {
    try (Machine machine = new Machine(accelerator)) {
      return STEPS.get(step).run(machine).map(what -> new Failure(step, what));
    } catch (KvmException e) {
      return Optional.of(new Failure(step, e.getMessage()));
    }
  }

  /** Two vCPUs with controllers in the kernel, of which the second waits for its start. */
  private static final class Machine implements AutoCloseable {
    final SmallGuest guest = new SmallGuest();
    final KvmVm vm;
    final KvmVcpu first;
    final KvmVcpu second;

    Machine(KvmAccelerator accelerator) {
      vm =
          accelerator.with(IrqChip.KERNEL)
              .createVm(
                  guest.memory(), guest, new KvmSelfTest.Plain(), Clock.host(), Trace.NONE);
      first = vm.createVcpu(0, guest);
      second = vm.createVcpu(1, guest);
      byte[] apic = first.lapic();
      apic[SPURIOUS] = (byte) 0xff;
      apic[SPURIOUS + 1] |= 1;
      first.setLapic(apic);
    }

    void code(String hex) {
      guest.code(SmallGuest.CODE, hex);
      first.setState(guest.realMode(SmallGuest.CODE));
    }

    void handler(int vector, String hex) {
      guest.code(SmallGuest.HANDLER, hex);
      guest.memory().write32(vector * 4L, SmallGuest.HANDLER >> 4 << 16);
    }

    /** Runs a vCPU until the guest has said its last word. */
    Optional<String> toItsEnd(KvmVcpu vcpu) {
      guest.onEnd(vcpu::kick);
      VmExit exit = KvmSelfTest.watched(vcpu);
      if (guest.lastWord() == KvmSelfTest.LAST_WORD) {
        return Optional.empty();
      }
      return Optional.of(
          exit instanceof VmExit.Shutdown(String report)
              ? report.lines().findFirst().orElse("")
              : "the guest did not come to its end in 2 s");
    }

    @Override
    public void close() {
      vm.close();
    }
  }

  /** The 8254 interrupts a halted vCPU through the 8259. */
  private static Optional<String> timer(Machine m) {
    m.vm.interrupts().setRoutes(List.of(new Route.Pin(0, Chip.MASTER_8259, 0)));
    m.handler(TIMER_VECTOR, END);
    m.code(PIC + PIT + WAIT);
    return m.toItsEnd(m.first);
  }

  /** The signal of an event interrupts a halted vCPU. */
  private static Optional<String> message(Machine m) {
    m.vm.interrupts().setRoutes(List.of(new Route.Message(GSI, LOCAL_APIC, VECTOR)));
    m.handler(VECTOR, END);
    m.code(WAIT);
    try (EventFd event = EventFd.create()) {
      m.vm.interrupts().attach(event, GSI);
      Thread sender =
          Thread.ofPlatform()
              .daemon()
              .start(
                  () -> {
                    LockSupport.parkNanos(2_000_000);
                    event.signal();
                  });
      Optional<String> result = m.toItsEnd(m.first);
      join(sender);
      return result;
    }
  }

  private static void join(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** A write to a port is the signal of an event. */
  private static Optional<String> doorbell(Machine m) {
    try (EventFd event = EventFd.create()) {
      m.vm.doorbells().attach(event, new Place.Port(DOORBELL, 1), OptionalLong.of(1));
      m.code(RING + END);
      Optional<String> result = m.toItsEnd(m.first);
      return result.isEmpty() && event.take() != 1
          ? Optional.of("the guest's write did not ring")
          : result;
    }
  }

  /** A vCPU is started by another's message. */
  private static Optional<String> startup(Machine m) {
    m.guest.code(0x8000, END);
    long toSecond = LOCAL_APIC | 1 << 12;
    m.vm.interrupts().signal(toSecond, 5 << 8); // INIT
    m.vm.interrupts().signal(toSecond, 6 << 8 | 8); // start-up at page 8
    return m.toItsEnd(m.second);
  }
}

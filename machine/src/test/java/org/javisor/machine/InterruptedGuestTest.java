package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.state.StateException;
import org.javisor.kvm.IrqChip;
import org.javisor.kvm.KvmProbe;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * One machine on every accelerator, with interrupt controllers here and in the kernel: guests that are
 * halted until timers and devices interrupt them.
 */
@Timeout(120)
class InterruptedGuestTest {
  private static final MachineListener NOBODY =
      new MachineListener() {
        @Override
        public void message(String line) {}

        @Override
        public void trace(TraceCategory category, String line) {}
      };

  @TempDir private Path folder;

  /** A machine with this kernel; skips the test where the host has no such accelerator. */
  private MachineConfig config(Path kernel, String accelerator, int cpus) {
    try {
      AcceleratorChoice choice = AcceleratorChoice.of(accelerator, 1, line -> {});
      KvmProbe.Result probe = KvmProbe.remembered(folder.resolve("probe"));
      Assumptions.assumeTrue(
          !choice.chipsInKernel() || probe.irqChip() == IrqChip.KERNEL, probe::whyNotKernel);
    } catch (MachineException e) {
      Assumptions.abort(e.getMessage());
    }
    MachineConfig c = TinyKernel.config(kernel).withAccelerator(accelerator);
    return new MachineConfig(
        c.kernel(), c.firmware(), c.unpackedKernel(), c.initrd(), c.protocol(), c.commandLine(),
        c.memory(), cpus, c.cpuModel(), c.accelerator(), c.trace(), c.gdb(), c.debugExitPort(),
        c.disks(), c.nets(), c.shares());
  }

  private static Machine start(MachineConfig config, TinyKernel.Output output) throws Exception {
    return Machine.start(config, output, Optional.empty(), NOBODY);
  }

  /** Breaks if a vCPU that is halted is not woken by a timer, or a second one cannot be started. */
  @ParameterizedTest
  @ValueSource(strings = {"interp", "jit", "kvm,irqchip=user", "kvm,irqchip=kernel"})
  void ticksWakeAHaltedCpu(String accelerator) throws Exception {
    MachineConfig config = config(DeviceKernel.ticks(folder, true), accelerator, 2);
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(config, output)) {
      assertTrue(TinyKernel.counts(output.take(30)));
    }
  }

  /**
   * Breaks if a VirtIO queue's doorbell does not reach the device, or the device's message not the
   * vCPU, by whichever way they go.
   */
  @ParameterizedTest
  @ValueSource(strings = {"interp", "jit", "kvm,irqchip=user", "kvm,irqchip=kernel"})
  void aDeviceIsAskedAndAnswers(String accelerator) throws Exception {
    MachineConfig config = config(DeviceKernel.requests(folder), accelerator, 1);
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(config, output)) {
      assertTrue(TinyKernel.counts(output.take(200)));
    }
  }

  /** Breaks if a machine notices that it stood, or was in a file meanwhile. */
  @ParameterizedTest
  @ValueSource(strings = {"interp", "jit", "kvm,irqchip=user", "kvm,irqchip=kernel"})
  void interruptsGoOnAfterAPauseAndInAnotherProcess(String accelerator) throws Exception {
    for (Path kernel : List.of(
        DeviceKernel.ticks(folder, true), DeviceKernel.requests(folder))) {
      MachineConfig config = config(kernel, accelerator, 2);
      Path file = folder.resolve("saved");
      TinyKernel.Output output = new TinyKernel.Output();
      String seen;
      try (Machine machine = start(config, output)) {
        seen = output.take(5);
        for (int i = 0; i < 3; i++) {
          machine.pause();
          seen += output.take(0);
          Thread.sleep(30);
          assertEquals("", output.take(0), "it stands");
          machine.resume();
          seen += output.take(3);
        }
        machine.pause();
        seen += output.take(0);
        machine.save("interrupted", file);
      }
      TinyKernel.Output after = new TinyKernel.Output();
      try (SavedMachine saved = SavedMachine.open(file);
          Machine machine =
              Machine.restore(
                  saved, saved.config(Optional.empty(), TraceSelection.NONE, Optional.empty()),
                  after, Optional.empty(), List.of(), NOBODY, false)) {
        seen += after.take(10);
        assertTrue(TinyKernel.counts(seen), seen);
      }
    }
  }

  /** Breaks if an interrupt is lost that comes while the machine is paused. */
  @ParameterizedTest
  @ValueSource(strings = {"interp", "jit", "kvm,irqchip=user", "kvm,irqchip=kernel"})
  void whatComesInAPauseIsNotLost(String accelerator) throws Exception {
    MachineConfig config = config(DeviceKernel.input(folder), accelerator, 1);
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(config, output)) {
      Thread.sleep(100); // The guest sets up its serial line; what comes before waits in it.
      String seen = "";
      for (int i = 0; i < 5; i++) {
        output.type('x');
        seen += output.take(1);
        machine.pause();
        output.type('y');
        Thread.sleep(10);
        assertEquals("", output.take(0));
        machine.resume();
        seen += output.take(1);
      }
      assertEquals("123456789:", seen);
    }
  }

  /** Breaks if the kernel's controllers are lost on the way into a machine that has others. */
  @ParameterizedTest
  @ValueSource(strings = {"kvm,irqchip=kernel", "kvm,irqchip=user"})
  void otherControllersAreRefused(String accelerator) throws Exception {
    MachineConfig config = config(DeviceKernel.ticks(folder, false), accelerator, 1);
    Path file = folder.resolve("saved");
    TinyKernel.Output output = new TinyKernel.Output();
    try (Machine machine = start(config, output)) {
      output.take(2);
      machine.pause();
      machine.save("interrupted", file);
    }
    boolean inKernel = accelerator.endsWith("kernel");
    String other = inKernel ? "kvm,irqchip=user" : "kvm,irqchip=kernel";
    try (SavedMachine saved = SavedMachine.open(file)) {
      StateException refused =
          assertThrows(
              StateException.class,
              () -> Machine.restore(
                  saved,
                  saved.config(Optional.of(other), TraceSelection.NONE, Optional.empty()),
                  output, Optional.empty(), List.of(), NOBODY, false));
      assertEquals(
          "its interrupt controllers were %s the host's kernel: take --accel %s".formatted(
              inKernel ? "in" : "not in", accelerator),
          refused.getMessage());
    }
  }
}

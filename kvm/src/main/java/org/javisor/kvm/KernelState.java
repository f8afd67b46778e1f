package org.javisor.kvm;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.kvm.KvmInterrupts.Chip;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;

/**
 * What the kernel has of a machine besides vCPUs and memory: the clock that it shows, and interrupt
 * controllers and the 8254 where they are its own. Its timers run on while the machine is paused; so
 * all of that is read when the machine comes to stand, and written back when it goes on.
 */
final class KernelState implements Pausable {
  private static final StateFormat<ClockState> CLOCK_FORMAT =
      StateFormat.of("kvm-kernel-clock", 1, ClockState.class);
  private static final StateFormat<ChipsState> CHIPS_FORMAT =
      StateFormat.of("kvm-kernel-chips", 1, ChipsState.class);
  private static final StateFormat<LapicState> LAPIC_FORMAT =
      StateFormat.of("kvm-kernel-lapic", 1, LapicState.class);

  /** The saved state of kvm-clock: the nanoseconds that it shows. */
  record ClockState(long nanos) {}

  /** The saved state of the 8259 pair, the IOAPIC and the 8254: images as the kernel has them. */
  record ChipsState(byte[] master, byte[] slave, byte[] ioApic, byte[] pit) {
    ChipsState {
      StateCheck.length("8259 registers", master.length, KvmInterrupts.CHIP_REGISTERS);
      StateCheck.length("8259 registers", slave.length, KvmInterrupts.CHIP_REGISTERS);
      StateCheck.length("IOAPIC registers", ioApic.length, KvmInterrupts.CHIP_REGISTERS);
      StateCheck.length("8254 state", pit.length, KvmInterrupts.PIT_STATE);
    }
  }

  /**
   * The saved state of a local APIC.
   *
   * @param base IA32_APIC_BASE
   * @param page its registers
   * @param deadline IA32_TSC_DEADLINE
   * @param mpState whether the vCPU runs, is halted or waits for its start, which its local APIC knows
   */
  record LapicState(long base, byte[] page, long deadline, int mpState) {
    LapicState {
      StateCheck.length("local APIC registers", page.length, KvmAbi.LAPIC_SIZE);
      StateCheck.range("the vCPU's state", mpState, KvmAbi.MP_RUNNABLE, KvmAbi.MP_SIPI_RECEIVED);
    }
  }

  /** A part: how it is read from the kernel, and written. */
  private static final class Part<R extends Record> implements Snapshottable<R> {
    private final StateFormat<R> format;
    private final Supplier<R> read;
    private final Consumer<R> write;
    private R state;

    Part(StateFormat<R> format, Supplier<R> read, Consumer<R> write) {
      this.format = format;
      this.read = read;
      this.write = write;
    }

    @Override
    public void pause() {
      state = read.get();
    }

    @Override
    public void resume() {
      write.accept(state);
    }

    @Override
    public StateFormat<R> stateFormat() {
      return format;
    }

    @Override
    public R saveState() {
      return state;
    }

    @Override
    public void restoreState(R restored) throws StateException {
      try {
        write.accept(restored);
      } catch (KvmException e) {
        throw new StateException(e.getMessage(), e);
      }
      state = restored;
    }
  }

  private final KvmVm vm;
  private List<Part<?>> parts = List.of();

  KernelState(KvmVm vm) {
    this.vm = vm;
  }

  /** All vCPUs have been made by now. */
  private List<Part<?>> parts() {
    if (parts.isEmpty()) {
      List<Part<?>> all = new ArrayList<>();
      if (vm.irqChip() == IrqChip.KERNEL) {
        all.add(new Part<>(CHIPS_FORMAT, this::readChips, this::writeChips));
        for (KvmVcpu vcpu : vm.vcpus()) {
          all.add(
              new Part<>(LAPIC_FORMAT, () -> readLapic(vcpu), state -> writeLapic(vcpu, state)));
        }
      }
      // The last, so that as little as possible is added to it by the others.
      all.add(
          new Part<>(
              CLOCK_FORMAT,
              () -> new ClockState(vm.guestClock()),
              state -> vm.setGuestClock(state.nanos)));
      parts = List.copyOf(all);
    }
    return parts;
  }

  @Override
  public void pause() {
    parts().forEach(Part::pause);
  }

  @Override
  public void resume() {
    parts().forEach(Part::resume);
  }

  void addParts(Map<String, Snapshottable<?>> target) {
    int lapic = 0;
    for (Part<?> part : parts()) {
      String name = part.format.kind();
      target.put(part.format == LAPIC_FORMAT ? name + "." + lapic++ : name, part);
    }
  }

  private ChipsState readChips() {
    KvmInterrupts interrupts = vm.interrupts();
    return new ChipsState(
        interrupts.chip(Chip.MASTER_8259),
        interrupts.chip(Chip.SLAVE_8259),
        interrupts.chip(Chip.IOAPIC),
        interrupts.pit());
  }

  private void writeChips(ChipsState state) {
    KvmInterrupts interrupts = vm.interrupts();
    interrupts.setPit(state.pit);
    interrupts.setChip(Chip.MASTER_8259, state.master);
    interrupts.setChip(Chip.SLAVE_8259, state.slave);
    interrupts.setChip(Chip.IOAPIC, state.ioApic);
  }

  private static LapicState readLapic(KvmVcpu vcpu) {
    // First: the kernel carries out a start-up that waits when it is asked this.
    int mpState = vcpu.mpState();
    return new LapicState(
        vcpu.localApicBase(), vcpu.lapic(), vcpu.tscDeadline(), mpState);
  }

  private static void writeLapic(KvmVcpu vcpu, LapicState state) {
    vcpu.setLocalApicBase(state.base);
    vcpu.setLapic(state.page);
    vcpu.setTscDeadline(state.deadline);
    vcpu.setMpState(state.mpState);
  }
}

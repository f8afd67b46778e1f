package org.javisor.pc;

import java.util.Map;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SwitchedLine;
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.interrupt.KernelChips;
import org.javisor.pc.paravirt.StealTime;
import org.javisor.pc.timer.SpeakerTimer;

/**
 * The host kernel's interrupt controllers and 8254. Nothing of them is on the bus, port 0x61 neither,
 * and there is nothing around a CPU that would have to be asked: its local APIC, paravirtual clock,
 * steal time and hypercalls are the kernel's too.
 */
final class HostChips implements Chips {
  /** The first state of a machine is the kernel's to make. */
  private static final VcpuPlatform NOTHING = new BarePlatform() {};

  private final KernelChips kernel;
  private final InterruptLines lines;
  private final SwitchedLine timerLine;

  /** Never told of by the guest, so it does nothing. */
  private final StealTime stealTime;

  HostChips(KernelChips kernel, PcPlatform.Environment env) {
    this.kernel = kernel;
    lines = new InterruptLines(kernel::set);
    timerLine = new SwitchedLine(lines.isa(0));
    stealTime = new StealTime(env.memory(), env.timers().clock());
  }

  @Override
  public InterruptLines lines() {
    return lines;
  }

  @Override
  public void message(long address, int data) {
    kernel.message(address, data);
  }

  @Override
  public void nmi() {
    kernel.nmi();
  }

  @Override
  public void replaceTimer(boolean on) {
    kernel.replaceTimer(on);
    timerLine.select(on);
  }

  @Override
  public IrqLine replacedTimer() {
    return timerLine.second();
  }

  @Override
  public SpeakerTimer speakerTimer() {
    return SpeakerTimer.NONE;
  }

  @Override
  public VcpuPlatform platform(int vcpu) {
    return NOTHING;
  }

  @Override
  public StealTime stealTime(int vcpu) {
    return stealTime;
  }

  /** The kernel knows which vCPU it runs. */
  @Override
  public void enter(int vcpu) {}

  /** A machine that is reset is made anew, and its chips with it. */
  @Override
  public void reset() {}

  @Override
  public void presetByBios() {
    kernel.presetByBios();
  }

  /** They are saved with the rest of what the kernel has. */
  @Override
  public void addParts(Map<String, Snapshottable<?>> parts) {}

  @Override
  public String report() {
    return "interrupt controllers in the host's kernel\n";
  }
}

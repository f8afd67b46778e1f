package org.javisor.pc;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SwitchedLine;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.interrupt.IoApic;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.interrupt.PicPair;
import org.javisor.pc.paravirt.KvmClock;
import org.javisor.pc.paravirt.KvmHypercalls;
import org.javisor.pc.paravirt.StealTime;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.pc.timer.Pit;
import org.javisor.pc.timer.SpeakerTimer;

/** The board's own interrupt controllers and 8254, on the bus. */
final class BoardChips implements Chips {
  private final Bus bus;
  private final ApicFabric fabric = new ApicFabric();
  private final List<PcVcpuPlatform> platforms = new ArrayList<>();
  private final ApicWindow apicWindow;
  private final IoApic ioApic;
  private final PicPair pic;
  private final InterruptLines lines;
  private final SwitchedLine timerLine;
  private final Pit pit;

  BoardChips(PcConfig config, PcPlatform.Environment env, Bus bus) {
    this.bus = bus;
    DeviceTimers timers = env.timers();

    // The 8259 pair's INTR goes to the first CPU's LINT0 and, as on boards since the Pentium, to
    // IOAPIC input 0.
    ioApic = new IoApic(fabric);
    pic =
        new PicPair(
            level -> {
              fabric.setIntr(level);
              ioApic.set(0, level);
            });
    lines = new InterruptLines(pic, ioApic);
    fabric.onEndOfInterrupt(ioApic::endOfInterrupt);
    bus.claimMmio(IoApic.BASE, IoApic.SIZE, ioApic);
    bus.claimPorts(0x20, 2, pic.masterPorts());
    bus.claimPorts(0xa0, 2, pic.slavePorts());
    bus.claimPorts(0x4d0, 2, pic.edgeLevelPorts());

    // What surrounds each CPU.
    KvmHypercalls hypercalls = new KvmHypercalls(fabric, env.vcpus());
    for (int i = 0; i < config.vcpus(); i++) {
      AtomicLong tscOffset = new AtomicLong();
      GuestTsc tsc = new GuestTsc(config.tscHertz(), tscOffset::get);
      LocalApic apic = fabric.add(env.vcpus().get(i), pic::acknowledge, timers, tsc);
      KvmClock clock = new KvmClock(env.memory(), timers.clock(), tsc);
      StealTime stealTime = new StealTime(env.memory(), timers.clock());
      platforms.add(new PcVcpuPlatform(apic, clock, stealTime, hypercalls, tscOffset));
    }
    apicWindow = new ApicWindow(fabric, fabric.count());
    bus.claimMmio(LocalApic.DEFAULT_BASE, 0x1000, apicWindow);

    timerLine = new SwitchedLine(lines.isa(0));
    pit = new Pit(timers, timerLine.first());
    bus.claimPorts(0x40, 4, pit);
  }

  @Override
  public InterruptLines lines() {
    return lines;
  }

  @Override
  public void message(long address, int data) {
    fabric.message(address, data);
  }

  @Override
  public void nmi() {
    fabric.nmi();
  }

  @Override
  public void replaceTimer(boolean on) {
    timerLine.select(on);
  }

  @Override
  public IrqLine replacedTimer() {
    return timerLine.second();
  }

  @Override
  public SpeakerTimer speakerTimer() {
    return pit;
  }

  @Override
  public PcVcpuPlatform platform(int vcpu) {
    return platforms.get(vcpu);
  }

  @Override
  public StealTime stealTime(int vcpu) {
    return platforms.get(vcpu).stealTime();
  }

  @Override
  public void enter(int vcpu) {
    apicWindow.enter(vcpu);
  }

  @Override
  public void reset() {
    pit.reset();
    pic.reset();
    ioApic.reset();
    platforms.forEach(PcVcpuPlatform::reset);
  }

  @Override
  public void presetByBios() {
    int[][] controllers = {{0x20, 0x08, 1 << 2, 0xfa}, {0xa0, 0x70, 2, 0xff}};
    for (int[] controller : controllers) {
      bus.writePort(controller[0], 1, 0x11); // ICW1: edge triggered, cascade, ICW4 follows
      bus.writePort(controller[0] + 1, 1, controller[1]); // ICW2: vectors
      bus.writePort(controller[0] + 1, 1, controller[2]); // ICW3: the cascade
      bus.writePort(controller[0] + 1, 1, 1); // ICW4: 8086
      bus.writePort(controller[0] + 1, 1, controller[3]); // OCW1: only tick and cascade pass
    }
    bus.writePort(0x43, 1, 0x36); // counter 0, both bytes, square wave
    bus.writePort(0x40, 1, 0); // 65,536 ticks: 18.2 Hz
    bus.writePort(0x40, 1, 0);
  }

  @Override
  public void addParts(Map<String, Snapshottable<?>> parts) {
    parts.put("pit", pit);
    parts.put("pic", pic);
    parts.put("ioapic", ioApic);
    for (int i = 0; i < platforms.size(); i++) {
      platforms.get(i).addParts(i, parts);
    }
  }

  @Override
  public String report() {
    StringBuilder text = new StringBuilder();
    text.append(pic).append('\n').append(ioApic).append('\n');
    for (int i = 0; i < fabric.count(); i++) {
      text.append(fabric.apic(i)).append('\n');
    }
    return text.toString();
  }
}

package org.javisor.pc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.acpi.GeneralEvents;
import org.javisor.pc.acpi.PowerManagement;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SwitchedLine;
import org.javisor.pc.config.PcConfig;
import org.javisor.pc.firmware.FwCfg;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.interrupt.IoApic;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.interrupt.PicPair;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.pc.legacy.DebugExit;
import org.javisor.pc.legacy.I8042;
import org.javisor.pc.legacy.SystemPorts;
import org.javisor.pc.legacy.TestInterrupts;
import org.javisor.pc.paravirt.KvmClock;
import org.javisor.pc.paravirt.KvmHypercalls;
import org.javisor.pc.paravirt.StealTime;
import org.javisor.pc.pci.HostBridge440Fx;
import org.javisor.pc.pci.IsaBridgePiix3;
import org.javisor.pc.pci.PciBus;
import org.javisor.pc.pci.PciHotplug;
import org.javisor.pc.pci.PowerPiix4;
import org.javisor.pc.serial.CharacterBackend;
import org.javisor.pc.serial.DebugConsole;
import org.javisor.pc.serial.Uart16550;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.pc.timer.Hpet;
import org.javisor.pc.timer.Pit;
import org.javisor.pc.timer.Rtc;

/**
 * A PC around its CPUs: every device, wired as on the board. The machine's builder makes one, gives
 * {@link #bus} and {@link #platform} to the accelerator, and adds PCI devices to {@link #pci}.
 */
public final class PcPlatform {
  private static final int[] SERIAL_PORTS = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
  private static final int[] SERIAL_IRQS = {4, 3, 4, 3};

  /**
   * What the PC stands on and reports to.
   *
   * @param vcpus one a virtual CPU, by APIC id
   * @param serial back ends of COM1 to COM4; missing ones have nothing at the line's end
   * @param debug takes the output of debug ports 0x402 and 0xe9
   * @param trace is told of ports and addresses nobody answers
   */
  public record Environment(
      GuestMemory memory,
      DeviceTimers timers,
      List<? extends VcpuControl> vcpus,
      HostBridge440Fx.ShadowControl shadow,
      List<CharacterBackend> serial,
      CharacterBackend debug,
      MachineActions actions,
      Trace trace) {
    public Environment {
      vcpus = List.copyOf(vcpus);
      serial = List.copyOf(serial);
    }

    /** Without firmware, debug output or trace; COM1 at {@code console}. */
    public static Environment of(
        GuestMemory memory,
        DeviceTimers timers,
        List<? extends VcpuControl> vcpus,
        CharacterBackend console,
        MachineActions actions) {
      return new Environment(
          memory,
          timers,
          vcpus,
          HostBridge440Fx.ShadowControl.NONE,
          List.of(console),
          CharacterBackend.NONE,
          actions,
          Trace.NONE);
    }
  }

  private final PcConfig config;
  private final Bus bus;
  private final ApicFabric fabric = new ApicFabric();
  private final List<PcVcpuPlatform> platforms = new ArrayList<>();
  private final ApicWindow apicWindow;
  private final IoApic ioApic;
  private final PicPair pic;
  private final InterruptLines lines;
  private final Pit pit;
  private final Hpet hpet;
  private final Rtc rtc;
  private final List<Uart16550> serial = new ArrayList<>();
  private final I8042 keyboard;
  private final SystemPorts systemPorts;
  private final PowerManagement power;
  private final GeneralEvents events;
  private final PciHotplug hotplug;
  private final PciBus pci;
  private final FwCfg firmware;
  private final DeviceTimers timers;
  private final Optional<TestInterrupts> testInterrupts;

  /** Builds the whole PC. */
  public PcPlatform(PcConfig config, Environment env) {
    this.config = config;
    bus = new Bus(env.trace());
    if (env.vcpus().size() != config.vcpus()) {
      throw new IllegalArgumentException(
          "%d vCPUs given, %d configured".formatted(env.vcpus().size(), config.vcpus()));
    }
    timers = env.timers();
    Runnable reset = env.actions()::reset;

    // Interrupt controllers. The 8259 pair's INTR goes to the first CPU's LINT0 and, as on boards
    // since the Pentium, to IOAPIC input 0.
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

    // Timers. The HPET can take over the lines of the 8254 and the RTC.
    SwitchedLine irq0 = new SwitchedLine(lines.isa(0));
    SwitchedLine irq8 = new SwitchedLine(lines.isa(8));
    pit = new Pit(timers, irq0.first());
    rtc = new Rtc(timers, irq8.first());
    rtc.describeMachine(config.lowRam(), config.highRam(), config.vcpus());
    bus.claimPorts(0x40, 4, pit);
    bus.claimPorts(0x70, 2, rtc);
    if (config.hpet()) {
      hpet = new Hpet(timers, legacyLines(irq0, irq8), hpetLines());
      bus.claimMmio(Hpet.BASE, Hpet.SIZE, hpet);
    } else {
      hpet = null;
    }

    // The board's odd ports.
    systemPorts = new SystemPorts(pit, reset);
    keyboard = new I8042(lines.isa(1), reset);
    bus.claimPorts(0x60, 1, keyboard.dataPort());
    bus.claimPorts(0x61, 1, systemPorts.controlB());
    bus.claimPorts(0x64, 1, keyboard.commandPort());
    bus.claimPorts(0x80, 1, systemPorts.diagnostic());
    bus.claimPorts(0x92, 1, systemPorts.controlA());
    bus.claimPorts(0xcf9, 1, systemPorts.resetControl());
    testInterrupts = config.debugExitPort() != 0 ? Optional.of(testInterrupts()) : Optional.empty();
    if (testInterrupts.isPresent()) {
      bus.claimPorts(config.debugExitPort(), 4, new DebugExit(env.actions()::debugExit));
      TestInterrupts test = testInterrupts.get();
      bus.claimPorts(TestInterrupts.PORT, test.ports(), test);
    }

    // Characters.
    for (int i = 0; i < SERIAL_PORTS.length; i++) {
      CharacterBackend backend =
          i < env.serial().size() ? env.serial().get(i) : CharacterBackend.NONE;
      serial.add(new Uart16550(timers, lines.isa(SERIAL_IRQS[i]), backend));
      bus.claimPorts(SERIAL_PORTS[i], 8, serial.get(i));
    }
    DebugConsole debug = new DebugConsole(env.debug());
    bus.claimPorts(0xe9, 1, debug);
    bus.claimPorts(0x402, 1, debug);

    // Power management and PCI. A PCI interrupt wire ends at an IOAPIC input of its own and, by
    // way of the ISA bridge's routing, at the 8259 pair.
    power =
        new PowerManagement(
            timers, lines.isa(PcConfig.SCI), config.pmTimerBits(), env.actions()::powerOff);
    events = new GeneralEvents(lines.isa(PcConfig.SCI));
    bus.claimPorts(GeneralEvents.BASE, GeneralEvents.SIZE, events);
    hotplug = new PciHotplug(events::raise);
    bus.claimPorts(PciHotplug.BASE, PciHotplug.SIZE, hotplug);
    IsaBridgePiix3 isaBridge = new IsaBridgePiix3(lines::isa);
    pci =
        new PciBus(
            bus,
            (slot, pin) -> pciWire(PcConfig.pciInterrupt(slot, pin), isaBridge),
            fabric::message);
    pci.attach(0, 0, new HostBridge440Fx(env.shadow()));
    pci.attach(PcConfig.ISA_BRIDGE_SLOT, 0, isaBridge);
    pci.attach(PcConfig.ISA_BRIDGE_SLOT, 3, new PowerPiix4(bus, power, config.pmBase()));
    bus.claimPorts(0xcf8, 8, pci);

    // What firmware asks about the machine.
    firmware = new FwCfg(env.memory());
    firmware.set(0x03, 8, config.lowRam() + config.highRam());
    firmware.set(0x05, 2, config.vcpus());
    firmware.set(0x0f, 2, config.vcpus());
    firmware.addFile("etc/e820", ramMap());
    bus.claimPorts(0x510, FwCfg.PORTS, firmware);
  }

  private TestInterrupts testInterrupts() {
    return new TestInterrupts(
        IntStream.range(0, 16).mapToObj(i -> i == 2 ? IrqLine.NONE : lines.isa(i)).toList());
  }

  /** The RAM as firmware reads it: address, length and type 1, packed. */
  private byte[] ramMap() {
    ByteBuffer map =
        ByteBuffer.allocate(config.highRam() > 0 ? 40 : 20).order(ByteOrder.LITTLE_ENDIAN);
    map.putLong(0).putLong(config.lowRam()).putInt(1);
    if (config.highRam() > 0) {
      map.putLong(1L << 32).putLong(config.highRam()).putInt(1);
    }
    return map.array();
  }

  private IrqLine pciWire(int gsi, IsaBridgePiix3 isaBridge) {
    IrqLine input = lines.gsi(gsi);
    IrqLine legacy = isaBridge.wire(gsi & 3);
    return level -> {
      input.set(level);
      legacy.set(level);
    };
  }

  private IrqLine[] hpetLines() {
    IrqLine[] all = new IrqLine[3 * 8];
    for (int i = 0; i < all.length; i++) {
      all[i] = lines.gsi(16 + i % 8);
    }
    return all;
  }

  private static Hpet.LegacyLines legacyLines(SwitchedLine irq0, SwitchedLine irq8) {
    return new Hpet.LegacyLines() {
      @Override
      public void replace(boolean on) {
        irq0.select(on);
        irq8.select(on);
      }

      @Override
      public IrqLine timer() {
        return irq0.second();
      }

      @Override
      public IrqLine clock() {
        return irq8.second();
      }
    };
  }

  /** Puts every device into its state after power-on; the vCPUs must not be running. */
  public void reset() {
    pci.reset();
    firmware.reset();
    power.reset();
    events.reset();
    hotplug.reset();
    serial.forEach(Uart16550::reset);
    keyboard.reset();
    systemPorts.reset();
    if (hpet != null) {
      hpet.reset();
    }
    rtc.reset();
    pit.reset();
    pic.reset();
    ioApic.reset();
    platforms.forEach(PcVcpuPlatform::reset);
  }

  /**
   * Every part that has state, by name, in the order in which they are restored: what pulls at an
   * interrupt line before the controller at its end, and what decides about addresses first.
   *
   * @throws org.javisor.accelerator.state.NotSavableException if there is a PCI function that cannot
   *     be saved
   */
  public Map<String, Snapshottable<?>> parts() {
    Map<String, Snapshottable<?>> parts = new LinkedHashMap<>();
    parts.put("pci", pci);
    parts.putAll(pci.parts());
    parts.put("fw-cfg", firmware);
    parts.put("pm", power);
    parts.put("general-events", events);
    parts.put("hotplug", hotplug);
    for (int i = 0; i < serial.size(); i++) {
      parts.put("serial." + i, serial.get(i));
    }
    parts.put("keyboard", keyboard);
    parts.put("system-ports", systemPorts);
    if (hpet != null) {
      parts.put("hpet", hpet);
    }
    parts.put("rtc", rtc);
    parts.put("pit", pit);
    testInterrupts.ifPresent(test -> parts.put("test-interrupts", test));
    parts.put("pic", pic);
    parts.put("ioapic", ioApic);
    for (int i = 0; i < platforms.size(); i++) {
      platforms.get(i).addParts(i, parts);
    }
    return parts;
  }

  /** Every part that acts on its own. */
  public List<Pausable> pausables() {
    return pci.pausables();
  }

  public PcConfig config() {
    return config;
  }

  /** Where the guest's port and memory-mapped I/O goes. */
  public GuestBus bus() {
    return bus;
  }

  /** The bus, for machines that add devices of their own. */
  public Bus devices() {
    return bus;
  }

  /** What surrounds a vCPU. */
  public PcVcpuPlatform platform(int vcpu) {
    return platforms.get(vcpu);
  }

  /**
   * The calling thread runs this vCPU from now on. Needed with more than one vCPU: every CPU finds
   * its own local APIC at the same address, and a bus access does not say who makes it.
   */
  public void enter(int vcpu) {
    apicWindow.enter(vcpu);
  }

  public PciBus pci() {
    return pci;
  }

  /** Devices that come and go while the machine runs. */
  public PciHotplug hotplug() {
    return hotplug;
  }

  /** Files for firmware are added here before the guest starts. */
  public FwCfg firmware() {
    return firmware;
  }

  /** The time of the board's devices. */
  public DeviceTimers timers() {
    return timers;
  }

  public InterruptLines lines() {
    return lines;
  }

  public Uart16550 serial(int index) {
    return serial.get(index);
  }

  public I8042 keyboard() {
    return keyboard;
  }

  public Rtc rtc() {
    return rtc;
  }

  /** Presses the power button: a guest that listens shuts down. */
  public void pressPowerButton() {
    power.pressPowerButton();
  }

  /** Interrupts every CPU that takes NMIs on LINT1. */
  public void nmi() {
    fabric.nmi();
  }

  /** The last progress code that firmware wrote to port 0x80. */
  public int lastDiagnostic() {
    return systemPorts.lastDiagnostic();
  }

  /** The state of the interrupt controllers, for a person who looks why a guest hangs. */
  public String interruptReport() {
    StringBuilder text = new StringBuilder();
    text.append(pic).append('\n').append(ioApic).append('\n');
    for (int i = 0; i < fabric.count(); i++) {
      text.append(fabric.apic(i)).append('\n');
    }
    return text.toString();
  }
}

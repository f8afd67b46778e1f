package org.javisor.pc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VcpuPlatform;
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
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.interrupt.KernelChips;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.pc.legacy.DebugExit;
import org.javisor.pc.legacy.I8042;
import org.javisor.pc.legacy.SystemPorts;
import org.javisor.pc.legacy.TestInterrupts;
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
import org.javisor.pc.timer.Hpet;
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
  private final Chips chips;
  private final InterruptLines lines;
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

  /** Builds the whole PC, with interrupt controllers and an 8254 of its own. */
  public PcPlatform(PcConfig config, Environment env) {
    this(config, env, new Bus(env.trace()), Optional.empty());
  }

  /**
   * Builds the whole PC on a bus with nothing on it yet.
   *
   * @param kernel interrupt controllers and an 8254 of the host's kernel, instead of the board's own
   */
  public PcPlatform(
      PcConfig config, Environment env, Bus bus, Optional<KernelChips> kernel) {
    this.config = config;
    this.bus = bus;
    if (env.vcpus().size() != config.vcpus()) {
      throw new IllegalArgumentException(
          "%d vCPUs given, %d configured".formatted(env.vcpus().size(), config.vcpus()));
    }
    timers = env.timers();
    Runnable reset = env.actions()::reset;

    // Interrupt controllers, the 8254, and what surrounds each CPU.
    chips =
        kernel.isPresent()
            ? new HostChips(kernel.get(), env)
            : new BoardChips(config, env, bus);
    lines = chips.lines();

    // Timers. The HPET can take over the lines of the 8254 and the RTC.
    SwitchedLine irq8 = new SwitchedLine(lines.isa(8));
    rtc = new Rtc(timers, irq8.first());
    rtc.describeMachine(config.lowRam(), config.highRam(), config.vcpus());
    bus.claimPorts(0x70, 2, rtc);
    if (config.hpet()) {
      hpet = new Hpet(timers, legacyLines(irq8), hpetLines());
      bus.claimMmio(Hpet.BASE, Hpet.SIZE, hpet);
    } else {
      hpet = null;
    }

    // The board's odd ports.
    systemPorts = new SystemPorts(chips.speakerTimer(), reset);
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
            chips::message);
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

  private Hpet.LegacyLines legacyLines(SwitchedLine irq8) {
    return new Hpet.LegacyLines() {
      @Override
      public void replace(boolean on) {
        chips.replaceTimer(on);
        irq8.select(on);
      }

      @Override
      public IrqLine timer() {
        return chips.replacedTimer();
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
    chips.reset();
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
    testInterrupts.ifPresent(test -> parts.put("test-interrupts", test));
    chips.addParts(parts);
    return parts;
  }

  /** Every part that acts on its own. */
  public List<Pausable> pausables() {
    return pci.pausables();
  }

  /** Says that all parts, and the vCPUs, have been restored: input that came meanwhile goes on. */
  public void restored() {
    serial.forEach(Uart16550::takeInput);
  }

  /**
   * Sets up the 8259 pair and the 8254 as a BIOS leaves them, on a machine that has none: vectors 0x08
   * and 0x70, only the tick passes, 18.2 times a second.
   */
  public void presetByBios() {
    chips.presetByBios();
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

  /**
   * What surrounds a vCPU, of a PC with interrupt controllers of its own.
   *
   * @throws IllegalStateException if they are the kernel's
   */
  public PcVcpuPlatform platform(int vcpu) {
    if (chips instanceof BoardChips own) {
      return own.platform(vcpu);
    }
    throw new IllegalStateException("the local APICs are the kernel's");
  }

  /** What surrounds a vCPU, whoever has its local APIC. */
  public VcpuPlatform surroundings(int vcpu) {
    return chips.platform(vcpu);
  }

  /** What a vCPU's guest may know of its thread. */
  public StealTime stealTime(int vcpu) {
    return chips.stealTime(vcpu);
  }

  /**
   * The calling thread runs this vCPU from now on. Needed with more than one vCPU: every CPU finds
   * its own local APIC at the same address, and a bus access does not say who makes it.
   */
  public void enter(int vcpu) {
    chips.enter(vcpu);
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
    chips.nmi();
  }

  /** The last progress code that firmware wrote to port 0x80. */
  public int lastDiagnostic() {
    return systemPorts.lastDiagnostic();
  }

  /** The state of the interrupt controllers, for a person who looks why a guest hangs. */
  public String interruptReport() {
    return chips.report();
  }
}

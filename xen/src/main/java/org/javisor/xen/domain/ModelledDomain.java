package org.javisor.xen.domain;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.ApicPlatform;
import org.javisor.pc.ApicWindow;
import org.javisor.pc.acpi.AcpiTables;
import org.javisor.pc.acpi.PowerManagement;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.bus.SwitchedLine;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.legacy.SystemPorts;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.pc.loader.E820Entry;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;
import org.javisor.pc.timer.Hpet;
import org.javisor.pc.timer.Pit;
import org.javisor.pc.timer.Rtc;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.IoreqServers;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * An HVM domain that domain 0 builds. Interrupt controllers and timers of its PC are the hypervisor's;
 * every access to anything else is answered by a device model in domain 0, Debian's QEMU. Source: Xen
 * docs/designs/dmop.pandoc, public/hvm/ioreq.h.
 */
public final class ModelledDomain extends TranslatedDomain {
  /** Where firmware of Xen puts the registers of ACPI. */
  private static final int ACPI = 0xb000;

  private static final int DEBUG_PORT = 0xe9;
  private static final int TIMER_BITS = 32;
  private static final int SCI = 9;
  private static final int PORTS = 0x1_0000;
  private static final long MEMORY_END = 1L << 52;

  /** Inputs of the I/O APIC that each of the HPET's comparators may be routed to. */
  private static final int HPET_INPUTS = 8;

  private static final int FIRST_HPET_INPUT = 16;

  private final PcInterrupts interrupts = new PcInterrupts();
  private final IoreqServers models;
  private PowerManagement power;

  private ModelledDomain(Domain domain) {
    super(domain);
    models = domain.ioreqServers();
  }

  /** Connects a domain that domain 0 has created, and will fill and start. */
  public static void equip(Machinery machinery, Domain domain) {
    ModelledDomain made = new ModelledDomain(domain);
    made.equip(machinery, made.wire(machinery));
    made.vcpus().forEach(TranslatedVcpu::runOnOwnThread);
  }

  // ---- What a toolstack does instead ----------------------------------------------------------

  @Override
  List<E820Entry> layOut(DomainBoot boot) {
    throw new AssertionError("domain 0 lays it out");
  }

  @Override
  AcpiTables.Blob acpiTables() {
    throw new AssertionError("firmware makes the tables");
  }

  @Override
  BootProtocol protocol() {
    throw new AssertionError("firmware boots it");
  }

  @Override
  Map<String, Snapshottable<?>> parts() {
    return new LinkedHashMap<>();
  }

  @Override
  Bus wire(Machinery machinery, DomainBoot boot) {
    return wire(machinery);
  }

  // ---- The board ------------------------------------------------------------------------------

  private Bus wire(Machinery machinery) {
    Bus bus = new Bus(machinery.trace());
    DeviceTimers timers = timers();
    interrupts.claim(bus);
    ApicWindow window = new ApicWindow(interrupts.fabric(), vcpus().size());
    bus.claimMmio(LocalApic.DEFAULT_BASE, PAGE, window);
    for (int i = 0; i < vcpus().size(); i++) {
      int id = i;
      AtomicLong tscOffset = new AtomicLong();
      GuestTsc tsc = new GuestTsc(machinery.hypervisor().tscHertz(), tscOffset::get);
      TranslatedVcpu vcpu = vcpus().get(i);
      LocalApic apic = interrupts.fabric().add(vcpu, interrupts::acknowledge, timers, tsc);
      vcpu.hasApic(apic);
      vcpu.wire(new ApicPlatform(apic, tscOffset), apic::request, () -> window.enter(id));
    }
    wireTimers(bus, timers);
    power = new PowerManagement(timers, interrupts.isa(SCI), TIMER_BITS, () -> {});
    bus.claimPorts(ACPI + PowerManagement.EVENT, 4, part(power, PowerManagement.EVENT));
    bus.claimPorts(ACPI + PowerManagement.TIMER, 4, part(power, PowerManagement.TIMER));
    bus.claimPorts(DEBUG_PORT, 1, new DebugPort());
    // What nobody has claimed before is the device models'.
    bus.claimPorts(0, PORTS, new ModelPorts());
    bus.claimMmio(0, MEMORY_END, new ModelMemory());
    return bus;
  }

  private void wireTimers(Bus bus, DeviceTimers timers) {
    SwitchedLine irq0 = new SwitchedLine(interrupts.isa(0));
    SwitchedLine irq8 = new SwitchedLine(interrupts.isa(8));
    Pit pit = new Pit(timers, irq0.first());
    bus.claimPorts(0x40, 4, pit);
    bus.claimPorts(0x61, 1, new SystemPorts(pit, () -> {}).controlB());
    bus.claimPorts(0x70, 2, new SharedClock(new Rtc(timers, irq8.first())));
    IrqLine[] inputs = new IrqLine[3 * HPET_INPUTS];
    for (int i = 0; i < inputs.length; i++) {
      inputs[i] = interrupts.input(FIRST_HPET_INPUT + i % HPET_INPUTS);
    }
    Hpet.LegacyLines legacy =
        new Hpet.LegacyLines() {
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
    bus.claimMmio(Hpet.BASE, Hpet.SIZE, new Hpet(timers, legacy, inputs));
  }

  /** A part of a block of registers. */
  private static PortDevice part(PortDevice block, int first) {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        return block.read(first + offset, size);
      }

      @Override
      public void write(int offset, int size, int value) {
        block.write(first + offset, size, value);
      }
    };
  }

  /** Whose thread this is. */
  private VirtualCpu current() {
    for (TranslatedVcpu vcpu : vcpus()) {
      if (vcpu.isOnOwnThread()) {
        return vcpu.virtualCpu();
      }
    }
    throw new AssertionError("devices are accessed by vCPUs only");
  }

  private final class ModelPorts implements PortDevice {
    @Override
    public int read(int offset, int size) {
      return (int) models.readPort(current(), offset, size);
    }

    @Override
    public int read(int offset, int size, int count, long gpa) {
      return models.readPort(current(), offset, size, count, gpa);
    }

    @Override
    public void write(int offset, int size, int value) {
      models.writePort(current(), offset, size, value);
    }
  }

  private final class ModelMemory implements MmioDevice {
    @Override
    public long read(long offset, int size) {
      return models.readMemory(current(), offset, size);
    }

    @Override
    public void write(long offset, int size, long value) {
      models.writeMemory(current(), offset, size, value);
    }
  }

  /** What firmware says becomes lines of the hypervisor's console. */
  private final class DebugPort implements ByteDevice {
    private static final int LONGEST_LINE = 80;
    private final StringBuilder line = new StringBuilder();

    @Override
    public int read(int offset) {
      return 0xff;
    }

    @Override
    public synchronized void write(int offset, int value) {
      if (value >= ' ' && value < 0x7f) {
        line.append((char) value);
      }
      if (value == '\n' && !line.isEmpty() || line.length() >= LONGEST_LINE) {
        domain().host().console().log("(" + domain() + ") " + line);
        line.setLength(0);
      }
    }
  }

  /** Clock and memory of one chip: the clock is the hypervisor's, its memory the device model's. */
  private final class SharedClock implements ByteDevice {
    private static final int INDEX_PORT = 0x70;

    /** Registers of the clock are below. */
    private static final int CLOCK_REGISTERS = 14;

    private final Rtc clock;
    private volatile int index;

    SharedClock(Rtc clock) {
      this.clock = clock;
    }

    @Override
    public int read(int offset) {
      return offset == 1 && index < CLOCK_REGISTERS
          ? clock.read(1)
          : (int) models.readPort(current(), INDEX_PORT + offset, 1);
    }

    @Override
    public void write(int offset, int value) {
      if (offset == 0) {
        index = value & 0x7f;
        clock.write(0, value);
      }
      if (index >= CLOCK_REGISTERS) {
        models.writePort(current(), INDEX_PORT + offset, 1, value);
      } else if (offset == 1) {
        clock.write(1, value);
      }
    }
  }

  // ---- What device models and toolstack ask ---------------------------------------------------

  @Override
  public void setPciInterrupt(int device, int pin, boolean asserted) {
    interrupts.setPci(device, pin, asserted);
  }

  @Override
  public void setIsaInterrupt(int irq, boolean asserted) {
    interrupts.setIsa(irq, asserted);
  }

  @Override
  public void routePciInterrupt(int wire, int irq) {
    interrupts.route(wire, irq);
  }

  @Override
  public void interruptMessage(long address, int data) {
    interrupts.fabric().message(address, data);
  }

  @Override
  public void pressPowerButton() {
    power.pressPowerButton();
  }

  @Override
  void stopDevices() {
    vcpus().forEach(TranslatedVcpu::endOwnThread);
  }
}

package org.javisor.machine;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Consumer;
import org.javisor.accelerator.state.Pausable;
import org.javisor.kvm.KvmDoorbells.Place;
import org.javisor.kvm.KvmInterrupts;
import org.javisor.kvm.KvmInterrupts.Chip;
import org.javisor.kvm.KvmInterrupts.Route;
import org.javisor.kvm.KvmVcpu;
import org.javisor.kvm.KvmVm;
import org.javisor.kvm.MessageRoutes;
import org.javisor.kvm.host.EventFd;
import org.javisor.kvm.host.EventLoop;
import org.javisor.kvm.host.KvmException;
import org.javisor.pc.bus.Doorbells;
import org.javisor.pc.interrupt.InterruptLines;
import org.javisor.pc.interrupt.KernelChips;

/**
 * What the kernel has of a PC's board on KVM: interrupt controllers and the 8254, messages by irqfd,
 * and doorbells by ioeventfd, which ring on a thread of this machine.
 */
final class KernelBoard implements KernelChips, Doorbells, Pausable, AutoCloseable {
  private static final int ISA_LINES = 16;
  private static final int SLAVE_LINES = 8;

  private final KvmVm vm;
  private final KvmInterrupts interrupts;
  private final MessageRoutes messages;
  private final EventLoop bells;
  private final int anySize;

  // Guarded by this.
  private boolean closed;
  private boolean paused;
  private final List<Runnable> deferred = new ArrayList<>();

  /**
   * Wires the controllers of a machine whose chips are the kernel's.
   *
   * @param failure told of a bug in what a doorbell does
   */
  KernelBoard(KvmVm vm, Consumer<Throwable> failure) {
    this.vm = vm;
    interrupts = vm.interrupts();
    messages = new MessageRoutes(interrupts, wiring(), InterruptLines.GSIS);
    // Writes of the size that VirtIO names, where the kernel does not take all.
    anySize = vm.doorbells().takeAnySize() ? 0 : 2;
    bells = new EventLoop("javisor-doorbells", failure);
  }

  /**
   * The board's wiring: ISA interrupts to the 8259 pair and the IOAPIC, where the timer's input is 2;
   * the others to the IOAPIC. ISA interrupt 2 is the wire between the two 8259s.
   */
  private static List<Route> wiring() {
    List<Route> routes = new ArrayList<>();
    for (int gsi = 0; gsi < InterruptLines.GSIS; gsi++) {
      if (gsi == 2) {
        continue;
      }
      if (gsi < SLAVE_LINES) {
        routes.add(new Route.Pin(gsi, Chip.MASTER_8259, gsi));
      } else if (gsi < ISA_LINES) {
        routes.add(new Route.Pin(gsi, Chip.SLAVE_8259, gsi - SLAVE_LINES));
      }
      routes.add(new Route.Pin(gsi, Chip.IOAPIC, gsi == 0 ? 2 : gsi));
    }
    return routes;
  }

  // ---- Interrupt controllers ------------------------------------------------------------------

  // While the machine is paused its controllers are left alone: their state is written back when it
  // goes on, and what came meanwhile follows then. Something may still come when the machine is gone:
  // somebody types at a console.

  @Override
  public synchronized void set(int gsi, boolean asserted) {
    if (paused) {
      deferred.add(() -> interrupts.setLine(gsi, asserted));
    } else if (!closed) {
      interrupts.setLine(gsi, asserted);
    }
  }

  @Override
  public synchronized void message(long address, int data) {
    if (paused) {
      deferred.add(() -> messages.send(address, data));
    } else if (!closed) {
      messages.send(address, data);
    }
  }

  /** Before the state of the controllers is read. */
  @Override
  public synchronized void pause() {
    paused = true;
  }

  /** After the state of the controllers was written back. */
  @Override
  public synchronized void resume() {
    paused = false;
    deferred.forEach(Runnable::run);
    deferred.clear();
  }

  @Override
  public void nmi() {
    vm.vcpus().forEach(KvmVcpu::pulseLint1);
  }

  @Override
  public void presetByBios() {
    interrupts.presetPic(Chip.MASTER_8259, 0x08, 0xfa);
    interrupts.presetPic(Chip.SLAVE_8259, 0x70, 0xff);
    interrupts.presetPit();
  }

  @Override
  public void replaceTimer(boolean on) {
    interrupts.cutPitOff(on);
  }

  // ---- Doorbells ------------------------------------------------------------------------------

  @Override
  public Bell memory(long gpa, Runnable ring) {
    return hang(new Place.Memory(gpa, anySize), OptionalLong.empty(), ring);
  }

  @Override
  public Bell port(int port, int size, int value, Runnable ring) {
    return hang(new Place.Port(port, size), OptionalLong.of(value), ring);
  }

  private Bell hang(Place place, OptionalLong value, Runnable ring) {
    EventFd event = bells.add(ring);
    try {
      vm.doorbells().attach(event, place, value);
    } catch (KvmException e) {
      // The guest has put two devices at one place, or there are too many: the bus serves it.
      bells.remove(event);
      return () -> {};
    }
    return () -> {
      vm.doorbells().detach(event, place, value);
      bells.remove(event);
    };
  }

  /** Ends the doorbells. The vCPUs must be gone and the devices at rest. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
    }
    bells.close();
    messages.close();
  }
}

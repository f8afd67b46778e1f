package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.javisor.kvm.host.Errno;
import org.javisor.kvm.host.EventFd;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;
import org.javisor.kvm.host.KvmFd;

/**
 * Interrupts of a machine whose controllers are in the kernel ({@link IrqChip#KERNEL}): lines,
 * messages, event file descriptors that become either by a table of routes, and the state of the
 * controllers and the 8254. With {@link IrqChip#USER} there is nobody to interrupt, and everything here
 * throws {@link IllegalStateException}.
 *
 * <p>All methods may be called from any thread.
 */
public final class KvmInterrupts {
  /** Where a global system interrupt leads. */
  public sealed interface Route {
    int gsi();

    /** To an input of a controller. */
    record Pin(int gsi, Chip chip, int pin) implements Route {}

    /** To a message: what a device writes to a local APIC. */
    record Message(int gsi, long address, int data) implements Route {}
  }

  /** A controller in the kernel. */
  public enum Chip {
    MASTER_8259,
    SLAVE_8259,
    IOAPIC
  }

  /** Bytes of a controller's registers. */
  public static final int CHIP_REGISTERS = KvmAbi.IRQCHIP_SIZE - KvmAbi.IRQCHIP_REGISTERS;

  /** Bytes of the 8254's state. */
  public static final int PIT_STATE = KvmAbi.PIT_SIZE;

  // struct kvm_pic_state: members that are set, a byte each.
  private static final int PIC_MASK = 2;
  private static final int PIC_VECTORS = 5;
  private static final int PIC_WORD_4 = 13;

  // struct kvm_pit_channel_state of counter 0: a count of up to 65,536 in 4 bytes, modes in one.
  private static final int PIT_COUNT = 0;
  private static final int PIT_ACCESS = 12;
  private static final int PIT_MODE = 13;

  private static final int ROUTE_SIZE = 48;
  private static final int ROUTE_TO_CHIP = 1;
  private static final int ROUTE_TO_MESSAGE = 2;

  private final KvmFd vm;
  private final IrqChip irqChip;

  KvmInterrupts(KvmFd vm, IrqChip irqChip) {
    this.vm = vm;
    this.irqChip = irqChip;
  }

  private void needChips() {
    if (irqChip != IrqChip.KERNEL) {
      throw new IllegalStateException("no interrupt controllers in the kernel");
    }
  }

  /** Drives a line of the controllers in the kernel. */
  public void setLine(int gsi, boolean level) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(8, 8);
      request.set(JAVA_INT, 0, gsi);
      request.set(JAVA_INT, 4, level ? 1 : 0);
      vm.must("KVM_IRQ_LINE", KvmAbi.IRQ_LINE, request);
    }
  }

  /**
   * Sends an interrupt message.
   *
   * @return whether a vCPU took it
   */
  public boolean signal(long address, int data) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment message = arena.allocate(32, 8);
      message.set(JAVA_INT, 0, (int) address);
      message.set(JAVA_INT, 4, (int) (address >>> 32));
      message.set(JAVA_INT, 8, data);
      int result = vm.ioctl(KvmAbi.SIGNAL_MSI, message);
      // What the kernel says if there is no such local APIC: its -1 comes out as this number.
      if (result < 0 && result != -Errno.EPERM) {
        throw new KvmException("KVM_SIGNAL_MSI", -result);
      }
      return result > 0;
    }
  }

  /** Replaces all routes. */
  public void setRoutes(List<Route> routes) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment table = arena.allocate(8 + (long) routes.size() * ROUTE_SIZE, 8);
      table.set(JAVA_INT, 0, routes.size());
      for (int i = 0; i < routes.size(); i++) {
        write(table.asSlice(8 + (long) i * ROUTE_SIZE, ROUTE_SIZE), routes.get(i));
      }
      vm.must("KVM_SET_GSI_ROUTING", KvmAbi.SET_GSI_ROUTING, table);
    }
  }

  /** struct kvm_irq_routing_entry: gsi, type, flags, padding, union. */
  private static void write(MemorySegment entry, Route route) {
    entry.set(JAVA_INT, 0, route.gsi());
    switch (route) {
      case Route.Pin(int _, Chip chip, int pin) -> {
        entry.set(JAVA_INT, 4, ROUTE_TO_CHIP);
        entry.set(JAVA_INT, 16, chip.ordinal());
        entry.set(JAVA_INT, 20, pin);
      }
      case Route.Message(int _, long address, int data) -> {
        entry.set(JAVA_INT, 4, ROUTE_TO_MESSAGE);
        entry.set(JAVA_INT, 16, (int) address);
        entry.set(JAVA_INT, 20, (int) (address >>> 32));
        entry.set(JAVA_INT, 24, data);
      }
    }
  }

  /** Every signal of {@code event} raises the interrupt as an edge, without this process. */
  public void attach(EventFd event, int gsi) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(32, 8);
      request.set(JAVA_INT, 0, event.number());
      request.set(JAVA_INT, 4, gsi);
      vm.must("KVM_IRQFD", KvmAbi.IRQFD, request);
    }
  }

  /** Makes the controllers, and the 8254 on interrupt 0. Before the first vCPU is created. */
  void createChips() {
    vm.must("KVM_CREATE_IRQCHIP", KvmAbi.CREATE_IRQCHIP, 0);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment configuration = arena.allocate(64, 8);
      configuration.set(JAVA_LONG, 0, 1L); // the speaker's port is the kernel's as well
      vm.must("KVM_CREATE_PIT2", KvmAbi.CREATE_PIT2, configuration);
    }
  }

  // ---- State of the controllers in the kernel -------------------------------------------------

  /** The registers of a controller, as {@link #setChip} takes them back: 512 bytes. */
  public byte[] chip(Chip chip) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocate(KvmAbi.IRQCHIP_SIZE, 8);
      image.set(JAVA_INT, 0, chip.ordinal());
      vm.must("KVM_GET_IRQCHIP", KvmAbi.GET_IRQCHIP, image);
      return image.asSlice(KvmAbi.IRQCHIP_REGISTERS).toArray(JAVA_BYTE);
    }
  }

  public void setChip(Chip chip, byte[] registers) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocate(KvmAbi.IRQCHIP_SIZE, 8);
      image.set(JAVA_INT, 0, chip.ordinal());
      MemorySegment.copy(
          registers, 0, image, JAVA_BYTE, KvmAbi.IRQCHIP_REGISTERS, CHIP_REGISTERS);
      vm.must("KVM_SET_IRQCHIP", KvmAbi.SET_IRQCHIP, image);
    }
  }

  /** The state of the 8254, as {@link #setPit} takes it back: 112 bytes. */
  public byte[] pit() {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      return readPit(arena).toArray(JAVA_BYTE);
    }
  }

  private MemorySegment readPit(Arena arena) {
    MemorySegment image = arena.allocate(KvmAbi.PIT_SIZE, 8);
    vm.must("KVM_GET_PIT2", KvmAbi.GET_PIT2, image);
    return image;
  }

  /** Sets the state of the 8254. What counts begins a period anew. */
  public void setPit(byte[] state) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocate(KvmAbi.PIT_SIZE, 8);
      MemorySegment.copy(state, 0, image, JAVA_BYTE, 0, KvmAbi.PIT_SIZE);
      vm.must("KVM_SET_PIT2", KvmAbi.SET_PIT2, image);
    }
  }

  /**
   * Sets up a chip of the 8259 pair as its initialisation words would. Before the first vCPU runs.
   *
   * @param vectors its first vector
   * @param mask the inputs that do not interrupt, a bit each
   */
  public void presetPic(Chip chip, int vectors, int mask) {
    byte[] registers = chip(chip);
    registers[PIC_MASK] = (byte) mask;
    registers[PIC_VECTORS] = (byte) vectors;
    registers[PIC_WORD_4] = 1;
    setChip(chip, registers);
  }

  /** Has counter 0 of the 8254 count 65,536 ticks again and again, as a square wave. */
  public void presetPit() {
    byte[] state = pit();
    state[PIT_ACCESS] = 3;
    state[PIT_MODE] = 3;
    state[PIT_COUNT] = 0;
    state[PIT_COUNT + 1] = 0;
    state[PIT_COUNT + 2] = 1;
    setPit(state);
  }

  /** Whether the 8254 is cut off from interrupt 0, because an HPET drives that. */
  public void cutPitOff(boolean off) {
    needChips();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = readPit(arena);
      int flags = image.get(JAVA_INT, KvmAbi.PIT_FLAGS);
      image.set(
          JAVA_INT,
          KvmAbi.PIT_FLAGS,
          off ? flags | KvmAbi.PIT_HPET_LEGACY : flags & ~KvmAbi.PIT_HPET_LEGACY);
      vm.must("KVM_SET_PIT2", KvmAbi.SET_PIT2, image);
    }
  }
}

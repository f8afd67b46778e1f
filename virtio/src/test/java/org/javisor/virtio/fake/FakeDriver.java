package org.javisor.virtio.fake;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.StateWriter;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.pci.PciBus;
import org.javisor.virtio.device.Features;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.transport.VirtioMmio;
import org.javisor.virtio.transport.VirtioPci;

/** Finds a device by its registers and sets it up, as a guest's driver does. */
public final class FakeDriver {
  /** By which registers. */
  public enum Transport {
    PCI_MODERN,
    PCI_LEGACY,
    MMIO
  }

  public static final int STATUS_NEEDS_RESET = 64;

  private static final int LEGACY_AT = 0xc000;
  private static final long MODERN_AT = 0xe000_0000L;
  private static final long MSIX_AT = 0xe100_0000L;
  private static final long MMIO_AT = 0xd000_0000L;

  public final FakeMemory memory;
  public final Bus bus = new Bus();
  public final List<FakeQueue> queues = new ArrayList<>();

  /** Interrupt messages, by their data. */
  public final List<Integer> messages = new ArrayList<>();

  /** How often the line went up. */
  public final AtomicInteger lineRises = new AtomicInteger();

  private final Transport transport;
  private volatile boolean line;
  private PciBus pci;
  private VirtioPci function;
  private long common;
  private long notify;
  private long isr;
  private long config;
  private int notifyMultiplier;
  private boolean msix;
  private long features;

  public FakeDriver(Transport transport, FakeMemory memory, VirtioDevice device) {
    this.transport = transport;
    this.memory = memory;
    IrqLine wire =
        level -> {
          if (level && !line) {
            lineRises.incrementAndGet();
          }
          line = level;
        };
    if (transport == Transport.MMIO) {
      VirtioMmio mmio = new VirtioMmio(device, memory.ram, wire, Trace.NONE);
      bus.claimMmio(MMIO_AT, VirtioMmio.SIZE, mmio);
      return;
    }
    function = new VirtioPci(device, memory.ram, Trace.NONE);
    pci =
        new PciBus(
            bus,
            (slot, pin) -> wire,
            (address, data) -> {
              synchronized (messages) {
                messages.add(data);
              }
            });
    pci.attach(3, 0, function);
    if (transport == Transport.PCI_LEGACY) {
      function.writeConfig(0x10, 4, LEGACY_AT);
    }
    function.writeConfig(0x14, 4, (int) MSIX_AT);
    function.writeConfig(0x20, 4, (int) MODERN_AT);
    function.writeConfig(4, 2, 7);
    findCapabilities();
  }

  /** Saves the device, makes it again as {@code other}, and goes on with that. */
  public void saveAndRestore(VirtioDevice other) {
    Map<String, Snapshottable<?>> saved = new LinkedHashMap<>();
    function.pause();
    function.addParts("pci", saved);
    StateWriter writer = new StateWriter();
    saved.forEach(writer::section);
    VirtioPci next = new VirtioPci(other, memory.ram, Trace.NONE);
    pci.detach(3);
    pci.attach(3, 0, next);
    next.pause();
    try {
      StateReader reader = new StateReader(writer.finish());
      Map<String, Snapshottable<?>> restored = new LinkedHashMap<>();
      next.addParts("pci", restored);
      for (Map.Entry<String, Snapshottable<?>> part : restored.entrySet()) {
        reader.restore(part.getKey(), part.getValue());
      }
    } catch (StateException e) {
      throw new AssertionError(e);
    }
    function.core().reset();
    function = next;
    next.resume();
  }

  /** The PCI function. */
  public VirtioPci function() {
    return function;
  }

  private void findCapabilities() {
    for (int at = function.readConfig(0x34, 1); at != 0; at = function.readConfig(at + 1, 1)) {
      if (function.readConfig(at, 1) == 9) {
        long address = MODERN_AT + (function.readConfig(at + 8, 4) & 0xffff_ffffL);
        switch (function.readConfig(at + 3, 1)) {
          case 1 -> common = address;
          case 2 -> {
            notify = address;
            notifyMultiplier = function.readConfig(at + 16, 4);
          }
          case 3 -> isr = address;
          case 4 -> config = address;
          default -> {
            // The window in the configuration space has a test of its own.
          }
        }
      }
    }
  }

  /** Has interrupts come as messages: data 100 for changes, 200 and up for queues. */
  public void useMsix(int vectors) {
    msix = true;
    for (int i = 0; i < vectors; i++) {
      bus.writeMmio(MSIX_AT + 16L * i, 8, 0xfee0_0000L);
      bus.writeMmio(MSIX_AT + 16L * i + 8, 4, i == 0 ? 100 : 200 + i - 1);
      bus.writeMmio(MSIX_AT + 16L * i + 12, 4, 0);
    }
    for (int at = function.readConfig(0x34, 1); at != 0; at = function.readConfig(at + 1, 1)) {
      if (function.readConfig(at, 1) == 0x11) {
        function.writeConfig(at + 2, 2, 0x8000);
      }
    }
  }

  // ---- Registers ----------------------------------------------------------------------------

  public int status() {
    return switch (transport) {
      case PCI_MODERN -> (int) bus.readMmio(common + 20, 1);
      case PCI_LEGACY -> bus.readPort(LEGACY_AT + 18, 1);
      case MMIO -> (int) bus.readMmio(MMIO_AT + 0x70, 4);
    };
  }

  public void setStatus(int value) {
    switch (transport) {
      case PCI_MODERN -> bus.writeMmio(common + 20, 1, value);
      case PCI_LEGACY -> bus.writePort(LEGACY_AT + 18, 1, value);
      case MMIO -> bus.writeMmio(MMIO_AT + 0x70, 4, value);
    }
  }

  public long offered() {
    return switch (transport) {
      case PCI_MODERN -> {
        bus.writeMmio(common, 4, 1);
        long high = bus.readMmio(common + 4, 4);
        bus.writeMmio(common, 4, 0);
        yield high << 32 | bus.readMmio(common + 4, 4);
      }
      case PCI_LEGACY -> bus.readPort(LEGACY_AT, 4) & 0xffff_ffffL;
      case MMIO -> {
        bus.writeMmio(MMIO_AT + 0x14, 4, 1);
        long high = bus.readMmio(MMIO_AT + 0x10, 4);
        bus.writeMmio(MMIO_AT + 0x14, 4, 0);
        yield high << 32 | bus.readMmio(MMIO_AT + 0x10, 4);
      }
    };
  }

  private void choose(long wanted) {
    switch (transport) {
      case PCI_MODERN -> {
        for (int i = 0; i < 2; i++) {
          bus.writeMmio(common + 8, 4, i);
          bus.writeMmio(common + 12, 4, wanted >>> 32 * i & 0xffff_ffffL);
        }
      }
      case PCI_LEGACY -> bus.writePort(LEGACY_AT + 4, 4, (int) wanted);
      case MMIO -> {
        for (int i = 0; i < 2; i++) {
          bus.writeMmio(MMIO_AT + 0x24, 4, i);
          bus.writeMmio(MMIO_AT + 0x20, 4, wanted >>> 32 * i & 0xffff_ffffL);
        }
      }
    }
  }

  /** Reads a field of the device's configuration space. */
  public long config(int offset, int size) {
    return switch (transport) {
      case PCI_MODERN -> bus.readMmio(config + offset, size);
      case PCI_LEGACY ->
          bus.readPort(LEGACY_AT + (msix ? 24 : 20) + offset, size)
              & (size == 4 ? 0xffff_ffffL : (1L << 8 * size) - 1);
      case MMIO -> bus.readMmio(MMIO_AT + 0x100 + offset, size);
    };
  }

  public void setConfig(int offset, int size, int value) {
    switch (transport) {
      case PCI_MODERN -> bus.writeMmio(config + offset, size, value);
      case PCI_LEGACY -> bus.writePort(LEGACY_AT + (msix ? 24 : 20) + offset, size, value);
      case MMIO -> bus.writeMmio(MMIO_AT + 0x100 + offset, size, value);
    }
  }

  /** Reads the interrupt status, and acknowledges it. */
  public int takeInterrupt() {
    return switch (transport) {
      case PCI_MODERN -> (int) bus.readMmio(isr, 1);
      case PCI_LEGACY -> bus.readPort(LEGACY_AT + 19, 1);
      case MMIO -> {
        int status = (int) bus.readMmio(MMIO_AT + 0x60, 4);
        bus.writeMmio(MMIO_AT + 0x64, 4, status);
        yield status;
      }
    };
  }

  public boolean line() {
    return line;
  }

  // ---- Set-up (VirtIO 1.2, section 3.1.1) ---------------------------------------------------

  /** Agrees on those of the wanted features that are offered; returns whether they stuck. */
  public boolean negotiate(long wanted) {
    setStatus(0);
    setStatus(1);
    setStatus(3);
    features = wanted & offered();
    choose(features);
    if (transport == Transport.PCI_LEGACY) {
      return true;
    }
    setStatus(3 | 8);
    return (status() & 8) != 0;
  }

  /** Chooses exactly these, offered or not. */
  public boolean insist(long wanted) {
    setStatus(0);
    setStatus(3);
    choose(wanted);
    setStatus(3 | 8);
    return (status() & 8) != 0;
  }

  public boolean has(long feature) {
    return (features & feature) != 0;
  }

  /** Sets up queue {@code index} of at most {@code size} descriptors. */
  public FakeQueue setUpQueue(int index, int size) {
    int largest =
        switch (transport) {
          case PCI_MODERN -> {
            bus.writeMmio(common + 22, 2, index);
            yield (int) bus.readMmio(common + 24, 2);
          }
          case PCI_LEGACY -> {
            bus.writePort(LEGACY_AT + 14, 2, index);
            yield bus.readPort(LEGACY_AT + 12, 2);
          }
          case MMIO -> {
            bus.writeMmio(MMIO_AT + 0x30, 4, index);
            yield (int) bus.readMmio(MMIO_AT + 0x34, 4);
          }
        };
    boolean legacy = transport == Transport.PCI_LEGACY;
    // A legacy driver must take the size it is given.
    int used = legacy ? largest : Math.min(size, largest);
    FakeQueue queue =
        new FakeQueue(
            memory, used, legacy, has(Features.INDIRECT_DESC), has(Features.EVENT_IDX));
    place(index, queue);
    while (queues.size() <= index) {
      queues.add(null);
    }
    queues.set(index, queue);
    return queue;
  }

  private void place(int index, FakeQueue queue) {
    switch (transport) {
      case PCI_MODERN -> {
        bus.writeMmio(common + 24, 2, queue.size());
        bus.writeMmio(common + 32, 8, queue.rings.descriptors());
        bus.writeMmio(common + 40, 4, queue.rings.available());
        bus.writeMmio(common + 44, 4, 0);
        bus.writeMmio(common + 48, 8, queue.rings.used());
        if (msix) {
          bus.writeMmio(common + 16, 2, 0);
          bus.writeMmio(common + 26, 2, 1 + index);
        }
        bus.writeMmio(common + 28, 2, 1);
      }
      case PCI_LEGACY -> {
        if (msix) {
          bus.writePort(LEGACY_AT + 20, 2, 0);
          bus.writePort(LEGACY_AT + 22, 2, 1 + index);
        }
        bus.writePort(LEGACY_AT + 8, 4, (int) (queue.rings.descriptors() >> 12));
      }
      case MMIO -> {
        bus.writeMmio(MMIO_AT + 0x38, 4, queue.size());
        bus.writeMmio(MMIO_AT + 0x80, 4, queue.rings.descriptors());
        bus.writeMmio(MMIO_AT + 0x90, 4, queue.rings.available());
        bus.writeMmio(MMIO_AT + 0xa0, 4, queue.rings.used());
        bus.writeMmio(MMIO_AT + 0x44, 4, 1);
      }
    }
  }

  public void driverOk() {
    setStatus(transport == Transport.PCI_LEGACY ? 7 : 15);
  }

  /** All of it: features, queues of 64, DRIVER_OK. */
  public FakeDriver start(long wanted, int queueCount) {
    if (!negotiate(wanted)) {
      throw new AssertionError("the features were refused");
    }
    for (int i = 0; i < queueCount; i++) {
      setUpQueue(i, 64);
    }
    driverOk();
    return this;
  }

  public void kick(int queue) {
    switch (transport) {
      case PCI_MODERN -> bus.writeMmio(notify + (long) notifyMultiplier * queue, 2, queue);
      case PCI_LEGACY -> bus.writePort(LEGACY_AT + 16, 2, queue);
      case MMIO -> bus.writeMmio(MMIO_AT + 0x50, 4, queue);
    }
  }

  public boolean needsReset() {
    return (status() & STATUS_NEEDS_RESET) != 0;
  }

  /** Waits until the device has noticed what the driver did. */
  public void awaitNeedsReset() {
    for (int i = 0; i < 5_000 && !needsReset(); i++) {
      try {
        Thread.sleep(i < 50 ? 0 : 1);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    if (!needsReset()) {
      throw new AssertionError("the device did not notice within five seconds");
    }
  }
}

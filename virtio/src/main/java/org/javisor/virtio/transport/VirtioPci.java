package org.javisor.virtio.transport;

import java.util.Arrays;
import java.util.Map;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.pci.Msix;
import org.javisor.pc.pci.PciDevice;
import org.javisor.virtio.device.DeviceCore;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.VirtioDevice;

/**
 * A VirtIO device on the PCI bus (VirtIO 1.2, section 4.1). Base address registers: 0 the registers
 * of legacy drivers in the port space, 1 the MSI-X table, 4 the modern registers. A device that had
 * legacy drivers is transitional: both kinds find it.
 */
public final class VirtioPci extends PciDevice implements Snapshottable<VirtioPci.State> {
  private static final int VENDOR = 0x1af4;
  private static final int MODERN_DEVICE = 0x1040;

  private static final int CAPABILITY_VENDOR = 0x09;
  private static final int CFG_COMMON = 1;
  private static final int CFG_NOTIFY = 2;
  private static final int CFG_ISR = 3;
  private static final int CFG_DEVICE = 4;
  private static final int CFG_PCI = 5;

  /** The parts of base address register 4, a page each. */
  private static final int MODERN_BAR = 4;

  private static final int PART = 0x1000;
  private static final int COMMON = 0;
  private static final int ISR = PART;
  private static final int DEVICE = 2 * PART;
  private static final int NOTIFY = 3 * PART;
  private static final int MODERN_SIZE = 4 * PART;

  /** {@code struct virtio_pci_common_cfg}, section 4.1.4.3. */
  private static final int COMMON_SIZE = 56;

  private static final int NOTIFY_MULTIPLIER = 4;

  /** Legacy registers, section 4.1.4.10. */
  private static final int LEGACY_FEATURES = 0;

  private static final int LEGACY_DRIVER_FEATURES = 4;
  private static final int LEGACY_QUEUE_PFN = 8;
  private static final int LEGACY_QUEUE_SIZE = 12;
  private static final int LEGACY_QUEUE_SELECT = 14;
  private static final int LEGACY_QUEUE_NOTIFY = 16;
  private static final int LEGACY_STATUS = 18;
  private static final int LEGACY_ISR = 19;
  private static final int LEGACY_CONFIG_VECTOR = 20;
  private static final int LEGACY_QUEUE_VECTOR = 22;
  private static final int LEGACY_CONFIG = 20;
  private static final int LEGACY_CONFIG_MSIX = 24;

  private static final int ISR_QUEUE = 1;
  private static final int ISR_CONFIG = 2;
  private static final int NO_VECTOR = 0xffff;

  private final DeviceCore core;
  private final Msix msix;
  private final int vectors;
  private final int configAccess;
  private volatile boolean msixOn;
  private volatile boolean master;

  /** Guards the interrupt status and the level of the pin, which follow each other. */
  private final Object isrLock = new Object();

  private int isr;

  /** Selectors and vectors of the driver; a driver sets them up on one CPU. */
  private volatile int queueSelect;

  private volatile int featureSelect;
  private volatile int driverFeatureSelect;
  private volatile int configVector = NO_VECTOR;
  private final int[] queueVector;

  public VirtioPci(VirtioDevice device, GuestMemory memory, Trace trace) {
    super(identity(device.type()));
    core = new DeviceCore(device, memory, trace);
    queueVector = new int[core.queues()];
    Arrays.fill(queueVector, NO_VECTOR);
    vectors = Math.min(core.queues() + 1, 2048);
    useInterruptPin(1);
    msix = new Msix(this, 1, vectors);
    if (device.type().transitionalId() != 0) {
      int size = LEGACY_CONFIG_MSIX + device.configSize();
      addPortBar(0, Math.max(32, Integer.highestOneBit(2 * size - 1)), legacyPorts());
    }
    addMemoryBar(MODERN_BAR, MODERN_SIZE, true, true, modern());
    capability(CFG_COMMON, COMMON, COMMON_SIZE, 16);
    int notify = capability(CFG_NOTIFY, NOTIFY, NOTIFY_MULTIPLIER * core.queues(), 20);
    initialise(notify + 16, 4, NOTIFY_MULTIPLIER);
    capability(CFG_ISR, ISR, 1, 16);
    capability(CFG_DEVICE, DEVICE, Math.max(4, device.configSize()), 16);
    configAccess = capability(CFG_PCI, 0, 0, 20);
    setWritable(configAccess + 4, 1, 0xff); // bar
    setWritable(configAccess + 8, 4, -1); // offset
    setWritable(configAccess + 12, 4, -1); // length
    hangDoorbells(device.type());
    core.connect(
        new DeviceCore.Interrupts() {
          @Override
          public void queue(int queue) {
            interrupt(ISR_QUEUE, queueVector[queue]);
          }

          @Override
          public void config() {
            interrupt(ISR_CONFIG, configVector);
          }
        });
  }

  private static Identity identity(DeviceType type) {
    boolean transitional = type.transitionalId() != 0;
    return new Identity(
        VENDOR,
        transitional ? type.transitionalId() : MODERN_DEVICE + type.id(),
        transitional ? 0 : 1,
        type.pciClass(),
        VENDOR,
        transitional ? type.id() : MODERN_DEVICE + type.id());
  }

  private void hangDoorbells(DeviceType type) {
    for (int i = 0; i < core.queues(); i++) {
      int queue = i;
      addDoorbell(MODERN_BAR, NOTIFY + NOTIFY_MULTIPLIER * i, () -> ring(queue, false));
      if (type.transitionalId() != 0) {
        addPortDoorbell(0, LEGACY_QUEUE_NOTIFY, 2, i, () -> ring(queue, true));
      }
    }
  }

  /** The driver has put something into a queue. */
  private void ring(int queue, boolean legacy) {
    if (legacy || master) {
      core.kick(queue, legacy);
    }
  }

  /** {@code struct virtio_pci_cap}. */
  private int capability(int type, int offset, int length, int size) {
    int at = addCapability(CAPABILITY_VENDOR, size);
    initialise(at + 2, 1, size);
    initialise(at + 3, 1, type);
    initialise(at + 4, 1, type == CFG_PCI ? 0 : MODERN_BAR);
    initialise(at + 8, 4, offset);
    initialise(at + 12, 4, length);
    return at;
  }

  /** The part that is the same on all transports. */
  public DeviceCore core() {
    return core;
  }

  // ---- Configuration space of the function --------------------------------------------------

  @Override
  public int readConfig(int offset, int size) {
    if (isWindow(offset)) {
      int at = windowOffset(size);
      return at < 0 ? 0 : (int) readModern(at, size);
    }
    return super.readConfig(offset, size);
  }

  @Override
  public void writeConfig(int offset, int size, int value) {
    if (isWindow(offset)) {
      int at = windowOffset(size);
      if (at >= 0) {
        writeModern(at, size, value);
      }
      return;
    }
    super.writeConfig(offset, size, value);
  }

  /** The window of VIRTIO_PCI_CAP_PCI_CFG through which firmware reaches the modern registers. */
  private boolean isWindow(int offset) {
    return configAccess != 0 && offset >= configAccess + 16 && offset < configAccess + 20;
  }

  private int windowOffset(int size) {
    int bar = super.readConfig(configAccess + 4, 1);
    int at = super.readConfig(configAccess + 8, 4);
    int length = super.readConfig(configAccess + 12, 4);
    boolean good =
        bar == MODERN_BAR && length == size && at >= 0 && at <= MODERN_SIZE - size
            && (at & size - 1) == 0;
    return good ? at : -1;
  }

  @Override
  protected void configChanged(int offset, int size) {
    // Called by the constructor of the super class too.
    if (msix != null) {
      msix.configChanged(offset, size);
      msixOn = msix.enabled();
      master = busMaster();
    }
  }

  @Override
  public void reset() {
    core.reset();
    msix.reset();
    clearDriverState();
    super.reset();
  }

  private void clearDriverState() {
    queueSelect = 0;
    featureSelect = 0;
    driverFeatureSelect = 0;
    configVector = NO_VECTOR;
    Arrays.fill(queueVector, NO_VECTOR);
    takeIsr();
  }

  // ---- Pause and saved state ----------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("virtio-pci", 1, State.class);

  /**
   * The saved state, apart from what kinds of devices have of their own.
   *
   * @param isr the interrupt status
   * @param select queue, feature and driver feature selectors
   * @param configVector MSI-X vectors, 0xffff for none
   */
  public record State(
      PciDevice.State pci, Msix.State msix, DeviceCore.State core, int isr, int[] select,
      int configVector, int[] queueVectors) {
    public State {
      StateCheck.bits("the interrupt status", isr, ISR_QUEUE | ISR_CONFIG);
      StateCheck.length("selectors", select.length, 3);
      StateCheck.range("the vector", configVector, 0, NO_VECTOR);
    }
  }

  @Override
  public void pause() {
    core.pause();
  }

  @Override
  public void resume() {
    core.resume();
  }

  @Override
  public void addParts(String name, Map<String, Snapshottable<?>> parts) {
    parts.put(name, this);
    if (core.device() instanceof Snapshottable<?> own) {
      parts.put(name + "." + core.device().type().name(), own);
    } else if (!core.device().isStateless()) {
      throw new NotSavableException(
          "a VirtIO " + core.device().type().name() + " device cannot be saved");
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    int interrupts;
    synchronized (isrLock) {
      interrupts = isr;
    }
    return new State(
        savePci(), msix.save(), core.save(), interrupts,
        new int[] {queueSelect, featureSelect, driverFeatureSelect}, configVector,
        queueVector.clone());
  }

  @Override
  public void restoreState(State state) throws StateException {
    if (state.queueVectors.length != queueVector.length) {
      throw new StateException(
          state.queueVectors.length + " vectors, " + queueVector.length + " expected");
    }
    restorePci(state.pci);
    msix.restore(state.msix);
    synchronized (isrLock) {
      isr = state.isr;
    }
    queueSelect = state.select[0];
    featureSelect = state.select[1];
    driverFeatureSelect = state.select[2];
    configVector = vector(state.configVector);
    for (int i = 0; i < queueVector.length; i++) {
      queueVector[i] = vector(state.queueVectors[i] & 0xffff);
    }
    core.restore(state.core);
  }

  // ---- Interrupts ---------------------------------------------------------------------------

  private void interrupt(int bit, int vector) {
    if (msixOn) {
      if (vector != NO_VECTOR) {
        msix.raise(vector);
      }
      return;
    }
    synchronized (isrLock) {
      isr |= bit;
      setIntx(true);
    }
  }

  /** Reading the interrupt status clears it and releases the pin. */
  private int takeIsr() {
    synchronized (isrLock) {
      int value = isr;
      isr = 0;
      setIntx(false);
      return value;
    }
  }

  private int vector(int value) {
    return value < vectors ? value : NO_VECTOR;
  }

  private int vectorOfQueue() {
    int queue = queueSelect;
    return queue < queueVector.length ? queueVector[queue] : NO_VECTOR;
  }

  private void setVectorOfQueue(int value) {
    int queue = queueSelect;
    if (queue < queueVector.length) {
      queueVector[queue] = vector(value);
    }
  }

  private void setStatus(int value, boolean legacy) {
    if (legacy && (value & DeviceCore.STATUS_DRIVER_OK) != 0 && !master) {
      // The first legacy drivers did not know that a device must be let at memory.
      super.writeConfig(COMMAND, 2, super.readConfig(COMMAND, 2) | 4);
    }
    core.setStatus(value, legacy);
    if (value == 0) {
      clearDriverState();
    }
  }

  // ---- Modern registers ---------------------------------------------------------------------

  private MmioDevice modern() {
    return new MmioDevice() {
      @Override
      public long read(long offset, int size) {
        return readModern((int) offset, size);
      }

      @Override
      public void write(long offset, int size, long value) {
        writeModern((int) offset, size, value);
      }
    };
  }

  private long readModern(int offset, int size) {
    if (offset < COMMON_SIZE) {
      return readCommon(offset, size);
    }
    if (offset == ISR) {
      return takeIsr();
    }
    if (offset >= DEVICE && offset < NOTIFY) {
      if (size == 8) {
        return core.readConfig(offset - DEVICE, 4) & 0xffff_ffffL
            | (long) core.readConfig(offset - DEVICE + 4, 4) << 32;
      }
      return core.readConfig(offset - DEVICE, size);
    }
    return 0;
  }

  private void writeModern(int offset, int size, long value) {
    if (offset >= NOTIFY) {
      if ((offset - NOTIFY) % NOTIFY_MULTIPLIER == 0) {
        ring((offset - NOTIFY) / NOTIFY_MULTIPLIER, false);
      }
    } else if (offset < COMMON_SIZE) {
      writeCommon(offset, size, value);
    } else if (offset >= DEVICE && size <= 4) {
      core.writeConfig(offset - DEVICE, size, (int) value);
    }
  }

  /** Fields are read whole, 64-bit ones also by halves (section 4.1.3.1). */
  private long readCommon(int offset, int size) {
    int queue = queueSelect;
    long value =
        switch (offset) {
          case 0 -> featureSelect;
          case 4 -> word(core.offeredFeatures(), featureSelect);
          case 8 -> driverFeatureSelect;
          case 12 -> word(core.driverFeatures(), driverFeatureSelect);
          case 16 -> configVector;
          case 18 -> core.queues();
          case 20 -> core.status();
          case 21 -> core.configGeneration();
          case 22 -> queue;
          case 24 -> core.queueSize(queue);
          case 26 -> vectorOfQueue();
          case 28 -> core.enabled(queue) ? 1 : 0;
          case 30 -> queue; // queue_notify_off
          case 32 -> core.descriptors(queue);
          case 36 -> core.descriptors(queue) >>> 32;
          case 40 -> core.available(queue);
          case 44 -> core.available(queue) >>> 32;
          case 48 -> core.used(queue);
          case 52 -> core.used(queue) >>> 32;
          default -> 0;
        };
    return size == 8 ? value : value & (1L << 8 * size) - 1;
  }

  private static long word(long features, int select) {
    return select == 0 || select == 1 ? features >>> 32 * select & 0xffff_ffffL : 0;
  }

  private void writeCommon(int offset, int size, long value) {
    int queue = queueSelect;
    int small = (int) value & 0xffff;
    switch (offset) {
      case 0 -> featureSelect = (int) value;
      case 8 -> driverFeatureSelect = (int) value;
      case 12 -> {
        int select = driverFeatureSelect;
        if (select == 0 || select == 1) {
          core.setDriverFeatures(half(core.driverFeatures(), select == 1, value), false);
        } else if (value != 0) {
          // A bit that was never offered: FEATURES_OK will not stick.
          core.setDriverFeatures(-1, false);
        }
      }
      case 16 -> configVector = vector(small);
      case 20 -> setStatus((int) value & 0xff, false);
      case 22 -> queueSelect = small;
      case 24 -> core.setQueueSize(queue, small);
      case 26 -> setVectorOfQueue(small);
      case 28 -> {
        if (small == 1) {
          core.enable(queue);
        }
      }
      case 32 -> core.setDescriptors(queue, low(core.descriptors(queue), size, value));
      case 36 -> core.setDescriptors(queue, half(core.descriptors(queue), true, value));
      case 40 -> core.setAvailable(queue, low(core.available(queue), size, value));
      case 44 -> core.setAvailable(queue, half(core.available(queue), true, value));
      case 48 -> core.setUsed(queue, low(core.used(queue), size, value));
      case 52 -> core.setUsed(queue, half(core.used(queue), true, value));
      default -> {
        // Read only, or not there.
      }
    }
  }

  private static long low(long old, int size, long value) {
    return size == 8 ? value : half(old, false, value);
  }

  private static long half(long old, boolean high, long value) {
    return high
        ? old & 0xffff_ffffL | value << 32
        : old & 0xffff_ffff_0000_0000L | value & 0xffff_ffffL;
  }

  // ---- Legacy registers ---------------------------------------------------------------------

  private PortDevice legacyPorts() {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        return readLegacy(offset, size);
      }

      @Override
      public void write(int offset, int size, int value) {
        writeLegacy(offset, size, value);
      }
    };
  }

  /** Where the device's own fields start: after two vectors, if there are any. */
  private int legacyConfig() {
    return msixOn ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
  }

  private int readLegacy(int offset, int size) {
    if (offset >= legacyConfig()) {
      return core.readConfig(offset - legacyConfig(), size);
    }
    return switch (offset) {
      case LEGACY_FEATURES -> (int) core.offeredFeatures();
      case LEGACY_DRIVER_FEATURES -> (int) core.driverFeatures();
      case LEGACY_QUEUE_PFN -> core.legacyPage(queueSelect);
      case LEGACY_QUEUE_SIZE ->
          queueSelect < core.queues() ? core.device().queueSize(queueSelect) : 0;
      case LEGACY_QUEUE_SELECT -> queueSelect;
      case LEGACY_STATUS -> core.status();
      case LEGACY_ISR -> takeIsr();
      case LEGACY_CONFIG_VECTOR -> configVector;
      case LEGACY_QUEUE_VECTOR -> vectorOfQueue();
      default -> 0;
    };
  }

  private void writeLegacy(int offset, int size, int value) {
    if (offset >= legacyConfig()) {
      core.writeConfig(offset - legacyConfig(), size, value);
      return;
    }
    switch (offset) {
      case LEGACY_DRIVER_FEATURES -> core.setDriverFeatures(value & 0xffff_ffffL, true);
      case LEGACY_QUEUE_PFN -> core.setLegacyPage(queueSelect, value);
      case LEGACY_QUEUE_SELECT -> queueSelect = value & 0xffff;
      case LEGACY_QUEUE_NOTIFY -> ring(value & 0xffff, true);
      case LEGACY_STATUS -> setStatus(value & 0xff, true);
      case LEGACY_CONFIG_VECTOR -> configVector = vector(value & 0xffff);
      case LEGACY_QUEUE_VECTOR -> setVectorOfQueue(value & 0xffff);
      default -> {
        // Read only, or not there.
      }
    }
  }
}

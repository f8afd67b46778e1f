package org.javisor.virtio.transport;

import org.javisor.accelerator.Trace;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.virtio.device.DeviceCore;
import org.javisor.virtio.device.VirtioDevice;

/**
 * A VirtIO device behind memory-mapped registers, version 2 (VirtIO 1.2, section 4.2.2), and one
 * level-triggered interrupt. Nobody can find it by looking: the guest is told by its command line or
 * by ACPI.
 */
public final class VirtioMmio implements MmioDevice {
  /** Bytes of its registers, with the device's own. */
  public static final int SIZE = 0x200;

  private static final int MAGIC = 0x74726976;
  private static final int VERSION = 2;
  private static final int VENDOR = 0x1af4;
  private static final int CONFIG = 0x100;

  private static final int INTERRUPT_QUEUE = 1;
  private static final int INTERRUPT_CONFIG = 2;

  private final DeviceCore core;
  private final IrqLine line;
  private volatile int queueSelect;
  private volatile int featureSelect;
  private volatile int driverFeatureSelect;

  /** Guards the interrupt status and the level of the line, which follow each other. */
  private final Object interruptLock = new Object();

  private int interruptStatus;

  public VirtioMmio(VirtioDevice device, GuestMemory memory, IrqLine line, Trace trace) {
    this.line = line;
    core = new DeviceCore(device, memory, trace);
    core.connect(
        new DeviceCore.Interrupts() {
          @Override
          public void queue(int queue) {
            interrupt(INTERRUPT_QUEUE);
          }

          @Override
          public void config() {
            interrupt(INTERRUPT_CONFIG);
          }
        });
  }

  /** The part that is the same on all transports. */
  public DeviceCore core() {
    return core;
  }

  private void interrupt(int bit) {
    synchronized (interruptLock) {
      interruptStatus |= bit;
      line.set(true);
    }
  }

  private void acknowledge(int bits) {
    synchronized (interruptLock) {
      interruptStatus &= ~bits;
      line.set(interruptStatus != 0);
    }
  }

  private int interruptStatus() {
    synchronized (interruptLock) {
      return interruptStatus;
    }
  }

  /** The machine was reset. */
  public void reset() {
    core.reset();
    clearDriverState();
  }

  private void clearDriverState() {
    queueSelect = 0;
    featureSelect = 0;
    driverFeatureSelect = 0;
    acknowledge(-1);
  }

  @Override
  public long read(long offset, int size) {
    int at = (int) offset;
    if (at >= CONFIG) {
      if (size == 8) {
        return core.readConfig(at - CONFIG, 4) & 0xffff_ffffL
            | (long) core.readConfig(at - CONFIG + 4, 4) << 32;
      }
      return core.readConfig(at - CONFIG, size);
    }
    if (size != 4) {
      return 0;
    }
    int queue = queueSelect;
    return switch (at) {
      case 0x000 -> MAGIC;
      case 0x004 -> VERSION;
      case 0x008 -> core.device().type().id();
      case 0x00c -> VENDOR;
      case 0x010 -> {
        int select = featureSelect;
        yield select == 0 || select == 1
            ? core.offeredFeatures() >>> 32 * select & 0xffff_ffffL
            : 0;
      }
      case 0x034 -> queue < core.queues() ? core.device().queueSize(queue) : 0;
      case 0x044 -> core.enabled(queue) ? 1 : 0;
      case 0x060 -> interruptStatus();
      case 0x070 -> core.status();
      // Shared memory regions: none, which a length of -1 says.
      case 0x0b0, 0x0b4, 0x0b8, 0x0bc -> 0xffff_ffffL;
      case 0x0fc -> core.configGeneration();
      default -> 0;
    };
  }

  @Override
  public void write(long offset, int size, long value) {
    int at = (int) offset;
    if (at >= CONFIG) {
      if (size <= 4) {
        core.writeConfig(at - CONFIG, size, (int) value);
      }
      return;
    }
    if (size != 4) {
      return;
    }
    int queue = queueSelect;
    switch (at) {
      case 0x014 -> featureSelect = (int) value;
      case 0x020 -> {
        int select = driverFeatureSelect;
        if (select == 0 || select == 1) {
          core.setDriverFeatures(half(core.driverFeatures(), select == 1, value), false);
        } else if (value != 0) {
          core.setDriverFeatures(-1, false);
        }
      }
      case 0x024 -> driverFeatureSelect = (int) value;
      case 0x030 -> queueSelect = (int) value & 0xffff;
      case 0x038 -> core.setQueueSize(queue, (int) value & 0xffff);
      case 0x044 -> {
        if (value == 1) {
          core.enable(queue);
        }
      }
      case 0x050 -> core.kick((int) value & 0xffff, false);
      case 0x064 -> acknowledge((int) value);
      case 0x070 -> {
        core.setStatus((int) value & 0xff, false);
        if ((value & 0xff) == 0) {
          clearDriverState();
        }
      }
      case 0x080 -> core.setDescriptors(queue, half(core.descriptors(queue), false, value));
      case 0x084 -> core.setDescriptors(queue, half(core.descriptors(queue), true, value));
      case 0x090 -> core.setAvailable(queue, half(core.available(queue), false, value));
      case 0x094 -> core.setAvailable(queue, half(core.available(queue), true, value));
      case 0x0a0 -> core.setUsed(queue, half(core.used(queue), false, value));
      case 0x0a4 -> core.setUsed(queue, half(core.used(queue), true, value));
      default -> {
        // Read only, or not there.
      }
    }
  }

  private static long half(long old, boolean high, long value) {
    return high
        ? old & 0xffff_ffffL | value << 32
        : old & 0xffff_ffff_0000_0000L | value & 0xffff_ffffL;
  }
}

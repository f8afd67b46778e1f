package org.javisor.virtio.fuzz;

import org.javisor.accelerator.Trace;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.pci.PciBus;
import org.javisor.virtio.device.DeviceCore;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.SplitLayout;
import org.javisor.virtio.transport.VirtioPci;

/**
 * Reads bytes as a program: set the device up (mostly well, or nothing would happen), write
 * descriptors and rings, ring doorbells, write registers, start anew. An exception that comes out is
 * a finding.
 */
final class HostileDriver {
  private static final long MEMORY = 1 << 20;
  private static final int LEGACY_AT = 0xc000;
  private static final long MODERN_AT = 0xe000_0000L;

  /** Where the rings of a queue are, and data everywhere above. */
  private static final long RINGS = 0x4000;

  private static final int QUEUE = 16;
  private static final long DATA = 0x8_0000;

  private final byte[] program;
  private int at;
  private final GuestMemory memory;
  private final Bus bus = new Bus();
  private final VirtioPci function;
  private final VirtioDevice device;
  private final int[] available;

  /** Makes the device for a guest's memory. */
  interface Maker {
    VirtioDevice make(GuestMemory memory);
  }

  HostileDriver(Maker maker, byte[] program) {
    this.program = program;
    memory = Ram.take();
    device = maker.make(memory);
    function = new VirtioPci(device, memory, Trace.NONE);
    PciBus pci = new PciBus(bus, (slot, pin) -> IrqLine.NONE, (address, data) -> {});
    pci.attach(3, 0, function);
    function.writeConfig(0x10, 4, LEGACY_AT);
    function.writeConfig(0x20, 4, (int) MODERN_AT);
    function.writeConfig(4, 2, 7);
    available = new int[device.queues()];
  }

  /** One guest memory for all programs of a run: making one takes longer than a program. */
  private static final class Ram {
    private static GuestMemory ram;

    static synchronized GuestMemory take() {
      if (ram == null) {
        ram = new GuestMemory(new FrameArena(MEMORY));
        ram.mapRam(0, MEMORY);
      }
      ram.write(0, new byte[(int) MEMORY]);
      return ram;
    }
  }

  private int next() {
    return at < program.length ? program[at++] & 0xff : 0;
  }

  private int next16() {
    return next() | next() << 8;
  }

  private int next32() {
    return next16() | next16() << 16;
  }

  /** Small, or an edge, or anything. */
  private int length() {
    return switch (next() & 7) {
      case 0 -> next32();
      case 1 -> 0;
      case 2 -> 1;
      case 3 -> 512;
      default -> next16();
    };
  }

  /** Mostly where memory is. */
  private long address() {
    return switch (next() & 15) {
      case 0 -> (long) next32() << 32 | next32();
      case 1 -> MEMORY - (next() & 31);
      case 2 -> RINGS + next16();
      default -> DATA + (next16() << 2);
    };
  }

  void run() {
    setUp(next());
    while (at < program.length) {
      step(next());
    }
    function.reset();
  }

  private void setUp(int how) {
    DeviceCore core = function.core();
    boolean legacy = (how & 1) != 0 && device.type().transitionalId() != 0;
    core.setStatus(0, legacy);
    core.setStatus(3, legacy);
    long choice = (how & 2) != 0 ? -1L : ~(long) next32();
    core.setDriverFeatures(core.offeredFeatures() & (choice | 1L << 32), legacy);
    if (!legacy) {
      core.setStatus(11, false);
    }
    for (int i = 0; i < device.queues(); i++) {
      available[i] = 0;
      long base = RINGS + 0x2000L * i;
      if (legacy) {
        core.setLegacyPage(i, (int) (base >> 12));
      } else {
        core.setQueueSize(i, QUEUE);
        core.setDescriptors(i, base);
        core.setAvailable(i, base + 0x200);
        core.setUsed(i, base + 0x400);
        core.enable(i);
      }
    }
    core.setStatus(legacy ? 7 : 15, legacy);
  }

  private void step(int what) {
    DeviceCore core = function.core();
    int queue = next() % device.queues();
    long descriptors = core.descriptors(queue);
    long ring = core.available(queue);
    int size = Math.max(1, core.queueSize(queue));
    switch (what % 12) {
      case 0, 1, 2 -> {
        // A descriptor of this queue.
        long d = descriptors + 16L * (next() % 8);
        poke64(d, address());
        poke32(d + 8, length());
        poke16(d + 12, next() % 8);
        poke16(d + 14, next() % 9);
      }
      case 3, 4 -> {
        // A request of one to three buffers, as most devices want them.
        int head = next() % 5;
        int readable = next() % 3;
        for (int i = 0; i < 3; i++) {
          long d = descriptors + 16L * (head + i);
          poke64(d, DATA + (next16() << 2));
          poke32(d + 8, i == 0 ? 16 + (next() & 63) : length() & 0xffff);
          poke16(d + 12, (i < 2 ? 1 : 0) | (i > readable ? 2 : 0));
          poke16(d + 14, head + i + 1);
        }
        offer(queue, ring, size, head);
        kick(queue);
      }
      case 5 -> {
        offer(queue, ring, size, (next() & 15) == 0 ? next16() : next() % 8);
        kick(queue);
      }
      case 6 -> kick(queue);
      case 7 -> {
        // Data: headers are at the beginning of buffers, which are anywhere.
        long a = DATA + (next16() << 2);
        for (int i = 0; i < 6; i++) {
          poke32(a + 4L * i, (next() & 3) == 0 ? next32() : next());
        }
      }
      case 8 -> poke16(ring + 2, next16());
      case 9 -> bus.writeMmio(MODERN_AT + (next16() & 0x3fff), 1 << next() % 4, next32());
      case 10 -> {
        int offset = next() & 63;
        if ((next() & 1) == 0) {
          bus.writePort(LEGACY_AT + offset, 1 << next() % 3, next32());
        } else {
          core.writeConfig(offset, 1 << next() % 3, next32());
        }
      }
      default -> {
        if ((next() & 3) == 0) {
          setUp(next());
        } else {
          outside(next());
        }
      }
    }
  }

  /** Something happens at the device's far end. */
  private void outside(int what) {
    if (device instanceof FarEnd far) {
      far.happen(what);
    }
  }

  /** A device whose far end can do something too. */
  interface FarEnd {
    void happen(int what);
  }

  private void offer(int queue, long ring, int size, int head) {
    poke16(ring + 4 + 2L * (available[queue] & size - 1), head);
    available[queue] = available[queue] + 1 & 0xffff;
    poke16(ring + 2, available[queue]);
  }

  private void kick(int queue) {
    function.core().kick(queue, (function.core().driverFeatures() >>> 32 & 1) == 0);
  }

  private void poke16(long address, int value) {
    if (memory.contains(address, 2, true)) {
      memory.write16(address, value);
    }
  }

  private void poke32(long address, int value) {
    if (memory.contains(address, 4, true)) {
      memory.write32(address, value);
    }
  }

  private void poke64(long address, long value) {
    if (memory.contains(address, 8, true)) {
      memory.write64(address, value);
    }
  }

  static {
    if (DATA + (0xffff << 2) + 24 >= MEMORY || SplitLayout.usedBytes(QUEUE) > 0x1c00) {
      throw new AssertionError("the layout does not fit");
    }
  }
}

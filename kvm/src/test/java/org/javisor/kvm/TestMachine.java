package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;

/** A machine of one vCPU or more, whose devices write down what they are asked. */
final class TestMachine implements AutoCloseable {
  static final int CODE = SmallGuest.CODE;
  static final int HANDLER = SmallGuest.HANDLER;
  static final int RESULT = SmallGuest.RESULT;

  /** Device memory that {@link SmallGuest} maps for 64-bit code. */
  static final long DEVICE = 0x1000_0000L;

  final SmallGuest guest = new SmallGuest();
  final GuestMemory memory = guest.memory();
  final Bus bus = new Bus();
  final List<Platform> platforms = new ArrayList<>();
  final List<KvmVcpu> vcpus = new ArrayList<>();
  final KvmVm vm;

  TestMachine() {
    this(IrqChip.USER, 1);
  }

  TestMachine(IrqChip irqChip, int vcpuCount) {
    vm =
        HostKvm.accelerator().with(irqChip)
            .createVm(memory, bus, new Model(), Clock.host(), Trace.NONE);
    for (int i = 0; i < vcpuCount; i++) {
      platforms.add(new Platform());
      vcpus.add(vm.createVcpu(i, platforms.get(i)));
    }
  }

  KvmVcpu vcpu() {
    return vcpus.getFirst();
  }

  Platform platform() {
    return platforms.getFirst();
  }

  /** Sets vCPU 0 and runs it. */
  VmExit run(CpuState state) {
    vcpu().setState(state);
    return vcpu().run();
  }

  /** Runs 16-bit code to its HLT. */
  void realMode(String code) {
    guest.code(CODE, code);
    assertEquals(VmExit.Halt.INSTANCE, run(guest.realMode(CODE)));
  }

  /** Runs 64-bit code of ring 0 to its HLT. */
  void longMode(String code) {
    guest.code(CODE, code);
    assertEquals(VmExit.Halt.INSTANCE, run(guest.longMode(CODE)));
  }

  /** Puts a real-mode interrupt handler into place. */
  void realModeHandler(int vector, String code) {
    guest.code(HANDLER, code);
    memory.write32(vector * 4L, HANDLER >> 4 << 16);
  }

  /** Runs a vCPU on a thread of its own. */
  Running start(KvmVcpu vcpu) {
    return new Running(vcpu);
  }

  @Override
  public void close() {
    vm.close();
  }

  /** A vCPU that runs until it is kicked or ends by itself. */
  static final class Running {
    private final Thread thread;
    private volatile VmExit exit;
    private volatile Throwable failure;

    Running(KvmVcpu vcpu) {
      thread =
          Thread.ofPlatform()
              .daemon()
              .start(
                  () -> {
                    try {
                      exit = vcpu.run();
                    } catch (Throwable t) {
                      failure = t;
                    }
                  });
    }

    /** The exit; a test fails rather than wait for ever. */
    VmExit await() throws InterruptedException {
      thread.join(20_000);
      if (failure != null) {
        throw new AssertionError("the vCPU's thread failed", failure);
      }
      return exit;
    }
  }

  /** Devices: a log of accesses in words, values to read, and a latch for one port. */
  static final class Bus implements GuestBus {
    final List<String> log = new ArrayList<>();
    final Queue<Long> values = new ConcurrentLinkedQueue<>();
    private int awaitedPort = -1;
    private CountDownLatch latch = new CountDownLatch(0);
    volatile Runnable onWrite = () -> {};

    /** A latch that each write to a port counts down. */
    synchronized CountDownLatch expect(int port, int writes) {
      awaitedPort = port;
      latch = new CountDownLatch(writes);
      return latch;
    }

    private long next() {
      Long value = values.poll();
      return value == null ? 0 : value;
    }

    @Override
    public synchronized int readPort(int port, int size) {
      log.add("in %x/%d".formatted(port, size));
      return (int) next();
    }

    @Override
    public void writePort(int port, int size, int value) {
      synchronized (this) {
        log.add("out %x/%d=%x".formatted(port, size, value));
        if (port == awaitedPort) {
          latch.countDown();
        }
      }
      onWrite.run();
    }

    @Override
    public synchronized long readMmio(long gpa, int size) {
      log.add("read %x/%d".formatted(gpa, size));
      return next();
    }

    @Override
    public synchronized void writeMmio(long gpa, int size, long value) {
      log.add("write %x/%d=%x".formatted(gpa, size, value));
    }
  }

  /** A local APIC reduced to a queue of vectors and a log of registers. */
  static final class Platform implements VcpuPlatform {
    final Queue<Integer> vectors = new ConcurrentLinkedQueue<>();
    final List<String> log = new ArrayList<>();
    final List<Long> tscOffsets = new ArrayList<>();
    volatile int taskPriority;
    volatile long apicBase = 0xfee0_0900L;

    @Override
    public boolean hasInterrupt() {
      return !vectors.isEmpty();
    }

    @Override
    public int acknowledgeInterrupt() {
      Integer vector = vectors.poll();
      return vector == null ? -1 : vector;
    }

    @Override
    public int taskPriority() {
      return taskPriority;
    }

    @Override
    public void setTaskPriority(int value) {
      log.add("cr8=" + value);
      taskPriority = value;
    }

    @Override
    public long apicBase() {
      return apicBase;
    }

    @Override
    public void setTscOffset(long ticks) {
      tscOffsets.add(ticks);
    }

    @Override
    public long readMsr(int msr) throws UnknownMsr {
      log.add("rdmsr %x".formatted(msr));
      return switch (msr) {
        case 0x802 -> 0x77;
        case 0x6e0 -> 0x99;
        default -> throw UnknownMsr.INSTANCE;
      };
    }

    @Override
    public void writeMsr(int msr, long value) throws UnknownMsr {
      log.add("wrmsr %x=%x".formatted(msr, value));
      if (msr == 0x1b) {
        apicBase = value;
      }
    }
  }

  /** Has every feature that the host can give. */
  static final class Model implements CpuModel {
    @Override
    public String name() {
      return "test";
    }

    @Override
    public int[] cpuid(int leaf, int subleaf) {
      return switch (leaf) {
        case 0 -> new int[] {0x16, 0, 0, 0};
        case 1 -> new int[] {0x0060_0f30, 8 << 8, -1, -1};
        case 7 -> subleaf == 0 ? new int[] {0, -1, -1, -1} : new int[4];
        case 0x15 -> new int[] {1, 1, 1_000_000_000, 0};
        case 0x4000_0000 -> new int[] {0x4000_0010, 0x4b4d_564b, 0x564b_4d56, 0x4d};
        case 0x4000_0001 -> new int[] {1 << 3 | 1 << 7 | 1 << 24, 0, 0, 0};
        case 0x8000_0000 -> new int[] {0x8000_0008, 0, 0, 0};
        case 0x8000_0001 -> new int[] {0, 0, -1, -1};
        case 0x8000_0008 -> new int[] {48 << 8 | 40, 0, 0, 0};
        default -> new int[4];
      };
    }
  }
}

package org.javisor.xen.hypervisor;

import java.util.UUID;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.HypercallRegisters;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;

/** A PV domain of 4 MiB whose kernel is the test: linear addresses are machine addresses. */
final class FakePv {
  static final long PAGE = 4096;
  private static final int[] REGISTERS = {7, 6, 2, 10, 8, 9};

  final Domain domain;
  final int[] frames;

  FakePv(Hypervisor host) {
    this(host.createDomain(new DomainConfig(DomainKind.PV, new UUID(1, 2), 2, 2048, 32)), 1024);
    domain.vcpus().getFirst().bringUp();
  }

  /** Connects a domain that was created by somebody else, and may give it pages. */
  FakePv(Domain created, int pages) {
    domain = created;
    frames = domain.populateMachine(pages);
    domain.attach(
        new DomainPort() {
          @Override
          public boolean setCallback(long via) {
            return false;
          }

          @Override
          public long initialiseVcpu(int vcpu, byte[] context) {
            return Errno.EINVAL;
          }

          @Override
          public int vcpuContextSize() {
            return GuestContext.SIZE;
          }

          @Override
          public byte[] hypercallPage() {
            return new byte[] {1, 2, 3};
          }
        },
        DomainListener.NONE);
    domain.vcpus().forEach(v -> v.attach(new Port(v)));
  }

  /** The first byte of a page of its own. */
  long page(int index) {
    return frames[index] * PAGE;
  }

  /** A vCPU that has page tables and does nothing with them. */
  private final class Port implements PvPort {
    private final FakeVcpu cpu;
    private long kernelTop;
    private long userTop;
    private final long[] callbacks = new long[8];
    private byte[] context = new byte[GuestContext.SIZE];

    Port(VirtualCpu vcpu) {
      cpu = new FakeVcpu(vcpu.id());
    }

    @Override
    public Vcpu cpu() {
      return cpu;
    }

    @Override
    public void upcall() {}

    @Override
    public boolean hasWork() {
      return false;
    }

    @Override
    public VmExit run() {
      return VmExit.Halt.INSTANCE;
    }

    @Override
    public void setUpcallVector(int vector) {}

    @Override
    public void start(CpuState state) {}

    @Override
    public void nmi() {}

    @Override
    public void setTrap(int vector, int flags, int cs, long address) {}

    @Override
    public void clearTraps() {}

    @Override
    public void setKernelStack(long sp) {}

    @Override
    public boolean setCallback(int type, boolean maskEvents, long address) {
      if (type < 8) {
        callbacks[type] = address << 1 | (maskEvents ? 1 : 0);
      }
      return type < 8;
    }

    @Override
    public long callback(int type) {
      return callbacks[type] >> 1;
    }

    @Override
    public boolean callbackMasksEvents(int type) {
      return (callbacks[type] & 1) != 0;
    }

    @Override
    public byte[] context() {
      return context.clone();
    }

    @Override
    public long setContext(byte[] newContext) {
      context = newContext.clone();
      return 0;
    }

    @Override
    public void setTaskSwitched(boolean on) {}

    @Override
    public long setSegmentBase(int which, long base) {
      return 0;
    }

    @Override
    public boolean setDebugRegister(int number, long value) {
      return true;
    }

    @Override
    public long debugRegister(int number) {
      return 0;
    }

    @Override
    public void gdtChanged() {}

    @Override
    public void setLdt(long linear, int entries) {}

    @Override
    public long kernelTop() {
      return kernelTop;
    }

    @Override
    public long setKernelTop(long frame) {
      if (!domain.pv().exchangeTop(frame, kernelTop)) {
        return Errno.EINVAL;
      }
      kernelTop = frame;
      return 0;
    }

    @Override
    public long setUserTop(long frame) {
      if (!domain.pv().exchangeTop(frame, userTop)) {
        return Errno.EINVAL;
      }
      userTop = frame;
      return 0;
    }

    @Override
    public void flush() {}

    @Override
    public void flushPage(long linear) {}

    @Override
    public void flushFromOutside() {}
  }

  /** Makes a hypercall, as often as it wants to be continued. */
  long call(int vcpu, int number, long... arguments) {
    long[] values = new long[16];
    values[HypercallRegisters.RAX] = number;
    for (int i = 0; i < arguments.length; i++) {
      values[REGISTERS[i]] = arguments[i];
    }
    HypercallRegisters registers =
        new HypercallRegisters() {
          @Override
          public long get(int register) {
            return values[register];
          }

          @Override
          public void set(int register, long value) {
            values[register] = value;
          }

          @Override
          public boolean is64Bit() {
            return true;
          }

          @Override
          public int privilegeLevel() {
            return 3;
          }
        };
    for (int turn = 0; turn < 1 << 20; turn++) {
      if (domain.host().hypercalls().enter(domain.vcpus().get(vcpu), registers)) {
        return values[HypercallRegisters.RAX];
      }
    }
    throw new AssertionError("hypercall " + number + " does not end");
  }
}

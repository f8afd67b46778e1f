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
    domain =
        host.createDomain(new DomainConfig(DomainKind.PV, new UUID(1, 2), 2, 2048, 32));
    frames = domain.populateMachine(1024);
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
            return 5168;
          }
        },
        DomainListener.NONE);
    domain.vcpus().forEach(v -> v.attach(new Port(v)));
    domain.vcpus().getFirst().bringUp();
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
      return type < 8;
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
    public void setLdtEntries(int entries) {}

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

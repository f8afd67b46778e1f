package org.javisor.xen.hypervisor;

import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.HypercallRegisters;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;
import org.javisor.xen.control.ControlInterface;
import org.javisor.xen.control.DomainMaker;

/** A domain whose kernel is the test: it makes hypercalls and looks at its memory. */
public final class FakeDomain {
  /** Where arguments are put: nothing else is there. */
  public static final long ARGUMENTS = 0x10_0000;

  private static final int[] REGISTERS = {7, 6, 2, 10, 8, 9};
  private static final int[] REGISTERS_32 = {3, 1, 2, 6, 7, 5};

  private final Domain domain;
  final List<FakePort> ports = new ArrayList<>();

  /** A host of 64 MiB with one physical CPU. */
  public static Hypervisor host() {
    return new Hypervisor(
        64 << 20,
        1,
        1_000_000_000L,
        Clock.host(),
        (d, error) -> {
          throw new AssertionError(d + " met a bug", error);
        });
  }

  /** A PVH domain of 4 MiB, paused. */
  public FakeDomain(Hypervisor host, int vcpus) {
    this(
        host.createDomain(
            new DomainConfig(DomainKind.PVH, new UUID(1, 2), vcpus, 2048, 32)));
  }

  private FakeDomain(Domain domain) {
    this.domain = domain;
    domain.populate(0, 1024);
    equip(domain, ports);
    domain.vcpus().getFirst().bringUp();
  }

  /** A domain that domain 0 has created. */
  static FakeDomain of(Domain created) {
    created.setMaxPages(2048);
    return new FakeDomain(created);
  }

  /** Domain 0, of 4 MiB, on a host where it can create others. */
  public static FakeDomain initial(Hypervisor host) {
    ControlInterface.install(
        host,
        new DomainMaker() {
          @Override
          public CpuModel cpuModel() {
            return new FakeCpu();
          }

          @Override
          public boolean makes(DomainKind kind) {
            return true;
          }

          @Override
          public void equip(Domain made) {
            if (made.kind() == DomainKind.PV) {
              new FakePv(made, 0);
            } else {
              FakeDomain.equip(made, new ArrayList<>());
            }
          }
        });
    return new FakeDomain(
        host.createInitialDomain(
            new DomainConfig(DomainKind.PVH, new UUID(0, 0), 2, 2048, 32)));
  }

  /** Two leaves of each kind, with every bit set. */
  private static final class FakeCpu implements CpuModel {
    @Override
    public String name() {
      return "fake";
    }

    @Override
    public int[] cpuid(int leaf, int subleaf) {
      return switch (leaf) {
        case 0 -> new int[] {7, 0, 0, 0};
        case 7 -> new int[] {0, -1, -1, -1};
        case 0x8000_0000 -> new int[] {0x8000_0001, 0, 0, 0};
        default -> new int[] {-1, -1, -1, -1};
      };
    }
  }

  /** What device models have driven, of all domains, in order. */
  static final List<String> DRIVEN = new CopyOnWriteArrayList<>();

  private static void equip(Domain domain, List<FakePort> ports) {
    domain.attach(
        new DomainPort() {
          @Override
          public void setPciInterrupt(int device, int pin, boolean asserted) {
            DRIVEN.add("pci " + device + " " + pin + " " + asserted);
          }

          @Override
          public void setIsaInterrupt(int irq, boolean asserted) {
            DRIVEN.add("isa " + irq + " " + asserted);
          }

          @Override
          public void routePciInterrupt(int wire, int irq) {
            DRIVEN.add("route " + wire + " " + irq);
          }

          @Override
          public void interruptMessage(long address, int data) {
            DRIVEN.add("message " + Long.toHexString(address) + " " + data);
          }

          @Override
          public boolean setCallback(long via) {
            return via >>> 56 <= 2;
          }

          @Override
          public long initialiseVcpu(int vcpu, byte[] context) {
            return 0;
          }

          @Override
          public int vcpuContextSize() {
            return 0;
          }

          @Override
          public byte[] hypercallPage() {
            return new byte[] {1, 2, 3};
          }
        },
        DomainListener.NONE);
    for (VirtualCpu v : domain.vcpus()) {
      FakePort port = new FakePort(v.id());
      ports.add(port);
      v.attach(port);
    }
  }

  public Domain domain() {
    return domain;
  }

  public GuestMemory memory() {
    return domain.memory();
  }

  /** What a vCPU is asked by the hypervisor. */
  static final class FakePort implements VcpuPort {
    final FakeVcpu cpu;
    int upcalls;
    int vector;
    volatile Runnable onUpcall = () -> {};

    /** What others do while the vCPU stands in the midst of an instruction. */
    Runnable meanwhile =
        () -> {
          throw new AssertionError("nobody answers");
        };

    FakePort(int id) {
      cpu = new FakeVcpu(id);
    }

    @Override
    public Vcpu cpu() {
      return cpu;
    }

    @Override
    public void upcall() {
      upcalls++;
      onUpcall.run();
    }

    @Override
    public boolean hasWork() {
      return false;
    }

    @Override
    public VmExit run() {
      return VmExit.Halt.INSTANCE;
    }

    @Override
    public void standStill() {
      meanwhile.run();
    }

    @Override
    public void setUpcallVector(int newVector) {
      vector = newVector;
    }

    @Override
    public void start(CpuState state) {
      cpu.setState(state);
    }

    @Override
    public byte[] context() {
      Structure s = new Structure(GuestContext.SIZE);
      GuestContext.writeRegisters(s, cpu.state());
      return s.bytes();
    }

    @Override
    public long setContext(byte[] context) {
      GuestContext.readRegisters(new Structure(context), cpu.state(), true);
      return 0;
    }

    @Override
    public void nmi() {}
  }

  private static final class Registers implements HypercallRegisters {
    final long[] values = new long[16];
    private final boolean wide;

    Registers(boolean wide) {
      this.wide = wide;
    }

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
      return wide;
    }

    @Override
    public int privilegeLevel() {
      return 0;
    }
  }

  /** Makes a hypercall on the first vCPU, as often as it wants to be continued. */
  public long call(int number, long... arguments) {
    return callOn(0, number, arguments);
  }

  public long callOn(int vcpu, int number, long... arguments) {
    return call(vcpu, number, true, arguments);
  }

  /** Makes a hypercall as 32-bit code on the first vCPU. */
  public long call32(int number, long... arguments) {
    return call(0, number, false, arguments);
  }

  private long call(int vcpu, int number, boolean wide, long... arguments) {
    Registers registers = new Registers(wide);
    registers.values[HypercallRegisters.RAX] = number;
    for (int i = 0; i < arguments.length; i++) {
      registers.values[wide ? REGISTERS[i] : REGISTERS_32[i]] = arguments[i];
    }
    VirtualCpu v = domain.vcpus().get(vcpu);
    for (int turn = 0; turn < 1 << 20; turn++) {
      if (domain.host().hypercalls().enter(v, registers)) {
        return registers.values[HypercallRegisters.RAX];
      }
    }
    throw new AssertionError("hypercall " + number + " does not end");
  }

  /** Puts 32-bit words at {@link #ARGUMENTS} and returns the place. */
  public long words(int... words) {
    for (int i = 0; i < words.length; i++) {
      memory().write32(ARGUMENTS + 4L * i, words[i]);
    }
    return ARGUMENTS;
  }

  public int word(int index) {
    return memory().read32(ARGUMENTS + 4L * index);
  }

  // ---- Hypercalls that many tests need ----------------------------------------------------------

  public static final int EVENT_CHANNEL_OP = 32;
  public static final int GRANT_TABLE_OP = 20;
  public static final int MEMORY_OP = 12;

  /** A port that another domain may bind to. */
  public int allocateUnbound(int remote) {
    long result = call(EVENT_CHANNEL_OP, 6, words(Domain.SELF | remote << 16, 0));
    if (result != 0) {
      throw new AssertionError("alloc_unbound: " + result);
    }
    return word(1);
  }

  /** Writes an entry of the grant table, which must have been mapped at 2 MiB. */
  public void grant(int reference, int to, long gfn, boolean readOnly) {
    mapGrantTable();
    long entry = GRANT_TABLE + 8L * reference;
    memory().write32(entry + 4, (int) gfn);
    memory().write32(entry, 1 | (readOnly ? 4 : 0) | to << 16);
  }

  public static final long GRANT_TABLE = 0x1_0000_0000L;
  private boolean grantTableMapped;

  /** Maps the first frame of the grant table at {@link #GRANT_TABLE}. */
  public void mapGrantTable() {
    if (!grantTableMapped) {
      grantTableMapped = true;
      long result =
          call(MEMORY_OP, 7, words(Domain.SELF, 1, 0, 0, (int) (GRANT_TABLE >> 12), 0));
      if (result != 0) {
        throw new AssertionError("add_to_physmap: " + result);
      }
    }
  }
}

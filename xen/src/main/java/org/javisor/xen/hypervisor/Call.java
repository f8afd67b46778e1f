package org.javisor.xen.hypervisor;

/** One hypercall under way: who asks, and its six arguments. Belongs to its vCPU. */
public final class Call {
  /** The call is to be made again, with the arguments as they are now. */
  public static final class Continued extends Exception {
    private static final long serialVersionUID = 1L;
    public static final Continued INSTANCE = new Continued();

    private Continued() {
      super("continued", null, false, false);
    }
  }

  /** The call is not carried out, with the {@link Errno} that says why. */
  public static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    private final long errno;

    public Refused(long errno) {
      super("refused, errno " + errno, null, false, false);
      this.errno = errno;
    }

    long errno() {
      return errno;
    }
  }

  public final VirtualCpu vcpu;
  public final Domain domain;
  long[] arguments = new long[6];

  Call(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.domain = vcpu.domain();
  }

  /** The call of an entry of a multicall. */
  Call(Call outer, long[] arguments) {
    this.vcpu = outer.vcpu;
    this.domain = outer.domain;
    this.arguments = arguments;
  }

  public Hypervisor host() {
    return domain.host();
  }

  public GuestArguments memory() {
    return vcpu.arguments();
  }

  public long argument(int index) {
    return arguments[index];
  }

  /** An argument of type {@code unsigned int}: what is above 32 bits is not looked at. */
  public int int32(int index) {
    return (int) arguments[index];
  }

  /** A structure that an argument points to. */
  public Structure structure(int index, int size) throws GuestArguments.BadPointer {
    return memory().read(arguments[index], size);
  }

  /** Whether a domain number means the caller; {@link Privilege#target} finds others. */
  boolean isSelf(int domid) {
    return domid == Domain.SELF || domid == domain.id();
  }
}

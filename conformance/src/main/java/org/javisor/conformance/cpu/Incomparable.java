package org.javisor.conformance.cpu;

import java.util.Optional;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;

/** What cannot be compared with the host's CPU, and why: rows, and parts of results. */
final class Incomparable {
  private static final int RAX = 1;
  private static final int RCX = 1 << 1;
  private static final int RDX = 1 << 2;
  private static final int RBX = 1 << 3;

  private Incomparable() {}

  /** Why a row is not tried, or empty if it is. */
  static Optional<String> reason(Form form) {
    return Optional.ofNullable(
        switch (form.op()) {
          case SYSCALL, SYSENTER -> "is a system call of the host";
          case VMCALL, VMMCALL -> "is a hypercall of the host, if that is a guest";
          case RDTSC, RDTSCP -> "is switched off by the seccomp that confines the host's helper";
          case INT1 -> "shows a host's hypervisor rather than its CPU";
          case SGDT, SIDT, SLDT, STR, SMSW -> "is emulated by the host's kernel (UMIP)";
          case MONITOR, MWAIT -> "differs with what the host's kernel lets user programs do";
          default -> null;
        });
  }

  /** Registers, as a mask, whose contents are the CPU's own affair. */
  static int registers(Instruction in) {
    return switch (in.form.op()) {
      case CPUID -> RAX | RBX | RCX | RDX;
      case XGETBV -> RAX | RDX;
      case RDRAND, RDSEED, RDPID -> 1 << in.rm;
      default -> 0;
    };
  }
}

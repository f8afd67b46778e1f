package org.javisor.pc.paravirt;

import java.util.List;
import org.javisor.accelerator.HypercallRegisters;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.VcpuControl;

/**
 * The hypercalls with which guests of KVM save themselves work: waking a vCPU that waits for a lock,
 * and one call for interrupts to many (the Linux kernel's documentation, virt/kvm/x86/hypercalls.rst).
 */
public final class KvmHypercalls {
  private static final int KICK_CPU = 5;
  private static final int SEND_IPI = 10;
  private static final int SCHED_YIELD = 11;

  // Delivery modes of an interrupt command (Intel SDM volume 3, 11.6.1).
  private static final int FIXED = 0;
  private static final int NMI = 4;

  /** KVM_ENOSYS. */
  private static final long UNKNOWN = -1000;

  /** KVM_EPERM: hypercalls are the kernel's. */
  private static final long NOT_PERMITTED = -1;

  private final ApicFabric fabric;
  private final List<? extends VcpuControl> vcpus;

  /** Calls concern the vCPUs of one machine, by APIC id. */
  public KvmHypercalls(ApicFabric fabric, List<? extends VcpuControl> vcpus) {
    this.fabric = fabric;
    this.vcpus = vcpus;
  }

  /** Carries out a call by KVM's convention: RAX, RBX, RCX, RDX, RSI; the result goes to RAX. */
  public void call(HypercallRegisters r) {
    r.set(
        HypercallRegisters.RAX,
        r.privilegeLevel() == 0
            ? call(
                r.get(HypercallRegisters.RAX),
                r.get(HypercallRegisters.RBX),
                r.get(HypercallRegisters.RCX),
                r.get(HypercallRegisters.RDX),
                r.get(HypercallRegisters.RSI))
            : NOT_PERMITTED);
  }

  private long call(long number, long a0, long a1, long a2, long a3) {
    if (number == KICK_CPU) {
      if (a1 >= 0 && a1 < vcpus.size()) {
        vcpus.get((int) a1).unhalt();
      }
      return 0;
    }
    if (number == SEND_IPI) {
      return send(a0, a1, a2, (int) a3);
    }
    if (number == SCHED_YIELD) {
      return 0; // The lock's owner runs as soon as a host CPU is free; PAUSE frees this one.
    }
    return UNKNOWN;
  }

  /** Sends to the CPUs of a bitmap of 128 bits, counted from {@code first}. */
  private long send(long low, long high, long first, int command) {
    int mode = command >> 8 & 7;
    int vector = command & 0xff;
    if (mode != FIXED && mode != NMI) {
      return UNKNOWN;
    }
    int sent = 0;
    for (int i = 0; i < 128; i++) {
      long id = first + i;
      boolean chosen = ((i < 64 ? low >>> i : high >>> i - 64) & 1) != 0;
      if (chosen && id >= 0 && id < fabric.count()) {
        sent += fabric.deliver((int) id, false, true, mode, vector, false) ? 1 : 0;
      }
    }
    return sent;
  }
}

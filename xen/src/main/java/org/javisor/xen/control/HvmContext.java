package org.javisor.xen.control;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.xen.hypervisor.ApicState;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.hypervisor.VcpuPort;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * The state of a translated domain's CPUs as toolstacks read and write it (public/hvm/save.h,
 * public/arch-x86/hvm/save.h): records of a type and an instance.
 */
final class HvmContext {
  private static final int END = 0;
  private static final int HEADER = 1;
  private static final int CPU = 2;
  private static final int LAPIC = 5;
  private static final int LAPIC_REGISTERS = 6;
  private static final int MTRR = 14;

  private static final int DESCRIPTOR_SIZE = 8;
  private static final int HEADER_SIZE = 24;
  private static final int CPU_SIZE = 1032;
  private static final int LAPIC_SIZE = 24;
  private static final int MTRR_SIZE = 240;

  private static final int MAGIC = 0x5438_1286;
  private static final int VERSION = 2;
  private static final int FPU_VALID = 1;

  // Offsets in struct hvm_hw_cpu.
  private static final int RAX = 512;
  private static final int R8 = 576;
  private static final int RIP = 640;
  private static final int CR0 = 656;
  private static final int DR0 = 688;
  private static final int SELECTORS = 736;
  private static final int LIMITS = 768;
  private static final int BASES = 808;
  private static final int ATTRIBUTES = 888;
  private static final int MSRS = 920;
  private static final int TSC = 1008;
  private static final int FLAGS = 1024;

  /** The first eight registers as the structure has them, by their encoding. */
  private static final int[] ORDER = {0, 3, 1, 2, 5, 6, 7, 4};

  private HvmContext() {}

  /** All records of a domain, which stands meanwhile. */
  static byte[] save(Domain domain, CpuModel model) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    domain.pause();
    try {
      Structure header = new Structure(HEADER_SIZE);
      header.put32(0, MAGIC);
      header.put32(4, VERSION);
      header.put32(16, model.cpuid(1, 0)[0]);
      header.put32(20, (int) (domain.host().tscHertz() / 1000));
      append(out, HEADER, 0, header);
      for (VirtualCpu vcpu : domain.vcpus()) {
        if (vcpu.isOnline()) {
          append(out, CPU, vcpu.id(), cpu(vcpu.port().cpu().state(), ticks(domain)));
        }
      }
      for (VirtualCpu vcpu : domain.vcpus()) {
        vcpu.port().apic().ifPresent(apic -> append(out, vcpu.id(), apic));
      }
      for (VirtualCpu vcpu : domain.vcpus()) {
        Structure mtrr = new Structure(MTRR_SIZE);
        mtrr.put64(0, vcpu.port().cpu().state().pat);
        append(out, MTRR, vcpu.id(), mtrr);
      }
    } finally {
      domain.unpause();
    }
    append(out, END, 0, new Structure(0));
    return out.toByteArray();
  }

  /** What a time-stamp counter shows that is not ahead of the host's clock. */
  private static long ticks(Domain domain) {
    Hypervisor host = domain.host();
    return (long) ((double) host.clock().nanos() * host.tscHertz() / 1e9);
  }

  private static void append(ByteArrayOutputStream out, int vcpu, ApicState apic) {
    Structure lapic = new Structure(LAPIC_SIZE);
    lapic.put64(0, apic.base());
    lapic.put64(16, apic.deadline());
    append(out, LAPIC, vcpu, lapic);
    append(out, LAPIC_REGISTERS, vcpu, new Structure(apic.registers()));
  }

  private static void append(ByteArrayOutputStream out, int type, int instance, Structure s) {
    Structure descriptor = new Structure(DESCRIPTOR_SIZE);
    descriptor.put16(0, type);
    descriptor.put16(2, instance);
    descriptor.put32(4, s.bytes().length);
    out.writeBytes(descriptor.bytes());
    out.writeBytes(s.bytes());
  }

  /**
   * Puts a domain's CPUs into a state. Those that have a record run from then on; all others wait
   * to be started.
   *
   * @return 0 or an {@link Errno}
   */
  static long load(Domain domain, byte[] saved) {
    Structure s = new Structure(saved);
    domain.pause();
    try {
      domain.vcpus().forEach(VirtualCpu::takeDown);
      boolean known = false;
      for (int at = 0; at + DESCRIPTOR_SIZE <= saved.length;) {
        int type = s.u16(at);
        int instance = s.u16(at + 2);
        long length = s.u32(at + 4);
        int body = at + DESCRIPTOR_SIZE;
        if (length > saved.length - body) {
          return Errno.ENODATA;
        }
        switch (type) {
          case END -> {
            return known ? 0 : Errno.EINVAL;
          }
          case HEADER -> known = length >= 8 && s.i32(body) == MAGIC && s.u32(body + 4) <= VERSION;
          case CPU, LAPIC, LAPIC_REGISTERS, MTRR -> {
            if (!known || instance >= domain.vcpus().size() || length != size(type)) {
              return Errno.EINVAL;
            }
            load(domain.vcpus().get(instance), type, s, body);
          }
          default -> {
            return Errno.EOPNOTSUPP;
          }
        }
        at = body + (int) length;
      }
      return Errno.ENODATA;
    } finally {
      domain.unpause();
    }
  }

  private static int size(int type) {
    return switch (type) {
      case CPU -> CPU_SIZE;
      case LAPIC -> LAPIC_SIZE;
      case LAPIC_REGISTERS -> ApicState.SIZE;
      default -> MTRR_SIZE;
    };
  }

  private static void load(VirtualCpu vcpu, int type, Structure s, int at) {
    VcpuPort port = vcpu.port();
    CpuState state = port.cpu().state();
    switch (type) {
      case CPU -> {
        read(state, s, at);
        if (s.u64(at + TSC) != 0) {
          state.tscOffset = s.u64(at + TSC) - ticks(vcpu.domain());
        }
        port.start(state);
        vcpu.writeTime(state.tscOffset);
        vcpu.bringUp();
      }
      case LAPIC ->
          port.apic().ifPresent(
              apic -> port.setApic(
                  new ApicState(s.u64(at), s.u64(at + 16), apic.registers())));
      case LAPIC_REGISTERS ->
          port.apic().ifPresent(
              apic -> port.setApic(
                  new ApicState(
                      apic.base(),
                      apic.deadline(),
                      Arrays.copyOfRange(s.bytes(), at, at + ApicState.SIZE))));
      default -> {
        // Of what says how memory is cached, only what a guest can read back has an effect here.
        state.pat = s.u64(at);
        port.cpu().setState(state);
      }
    }
  }

  private static Structure cpu(CpuState c, long ticks) {
    Structure s = new Structure(CPU_SIZE);
    System.arraycopy(c.fxsave, 0, s.bytes(), 0, c.fxsave.length);
    for (int i = 0; i < 8; i++) {
      s.put64(RAX + 8 * i, c.gpr[ORDER[i]]);
      s.put64(R8 + 8 * i, c.gpr[8 + i]);
    }
    s.put64(RIP, c.rip);
    s.put64(RIP + 8, c.rflags);
    long[] control = {c.cr0, c.cr2, c.cr3, c.cr4, c.dr[0], c.dr[1], c.dr[2], c.dr[3], c.dr[6],
      c.dr[7]};
    for (int i = 0; i < control.length; i++) {
      s.put64(CR0 + 8 * i, control[i]);
    }
    CpuState.Segment[] segments = segments(c);
    for (int i = 0; i < segments.length; i++) {
      s.put32(SELECTORS + 4 * i, segments[i].selector);
      s.put32(LIMITS + 4 * i, segments[i].limit);
      s.put64(BASES + 8 * i, segments[i].base);
      int a = segments[i].attributes;
      s.put32(ATTRIBUTES + 4 * i, a & 0xff | a >> 4 & 0xf00);
    }
    s.put32(LIMITS + 32, c.idtLimit);
    s.put32(LIMITS + 36, c.gdtLimit);
    s.put64(BASES + 64, c.idtBase);
    s.put64(BASES + 72, c.gdtBase);
    long[] msrs = {c.sysenterCs, c.sysenterEsp, c.sysenterEip, c.kernelGsBase, 0, c.lstar, c.star,
      c.cstar, c.sfmask, c.efer, c.tscAux};
    for (int i = 0; i < msrs.length; i++) {
      s.put64(MSRS + 8 * i, msrs[i]);
    }
    s.put64(TSC, ticks + c.tscOffset);
    s.put32(FLAGS, FPU_VALID);
    return s;
  }

  private static void read(CpuState c, Structure s, int at) {
    if ((s.u32(at + FLAGS) & FPU_VALID) != 0) {
      GuestContext.readFpu(s, at, c);
    }
    for (int i = 0; i < 8; i++) {
      c.gpr[ORDER[i]] = s.u64(at + RAX + 8 * i);
      c.gpr[8 + i] = s.u64(at + R8 + 8 * i);
    }
    c.rip = s.u64(at + RIP);
    c.rflags = s.u64(at + RIP + 8) | 2;
    c.cr0 = s.u64(at + CR0);
    c.cr2 = s.u64(at + CR0 + 8);
    c.cr3 = s.u64(at + CR0 + 16);
    c.cr4 = s.u64(at + CR0 + 24);
    for (int i = 0; i < 4; i++) {
      c.dr[i] = s.u64(at + DR0 + 8 * i);
    }
    c.dr[6] = s.u64(at + DR0 + 32);
    c.dr[7] = s.u64(at + DR0 + 40);
    CpuState.Segment[] segments = segments(c);
    for (int i = 0; i < segments.length; i++) {
      int a = s.i32(at + ATTRIBUTES + 4 * i);
      segments[i].set(
          s.u16(at + SELECTORS + 4 * i),
          s.u64(at + BASES + 8 * i),
          s.i32(at + LIMITS + 4 * i),
          a & 0xff | (a & 0xf00) << 4);
    }
    c.idtLimit = s.u16(at + LIMITS + 32);
    c.gdtLimit = s.u16(at + LIMITS + 36);
    c.idtBase = s.u64(at + BASES + 64);
    c.gdtBase = s.u64(at + BASES + 72);
    c.sysenterCs = s.u64(at + MSRS);
    c.sysenterEsp = s.u64(at + MSRS + 8);
    c.sysenterEip = s.u64(at + MSRS + 16);
    c.kernelGsBase = s.u64(at + MSRS + 24);
    c.lstar = s.u64(at + MSRS + 40);
    c.star = s.u64(at + MSRS + 48);
    c.cstar = s.u64(at + MSRS + 56);
    c.sfmask = s.u64(at + MSRS + 64);
    c.efer = s.u64(at + MSRS + 72);
    c.tscAux = s.u64(at + MSRS + 80);
  }

  /** In the structure's order. */
  private static CpuState.Segment[] segments(CpuState c) {
    return new CpuState.Segment[] {c.cs, c.ds, c.es, c.fs, c.gs, c.ss, c.tr, c.ldtr};
  }
}

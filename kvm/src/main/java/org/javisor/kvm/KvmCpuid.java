package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.CpuModel;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmDevice.CpuidEntry;

/**
 * The CPUID answers of a vCPU: those of the CPU model, less the features that this host's KVM does
 * not give its guests, with the host's frequency.
 *
 * <p>The vendor is the host's: SYSENTER, SYSCALL from 32-bit code and some registers differ between
 * vendors, and the silicon does as its own does. Where it differs from the model's, so do family,
 * model and stepping, since kernels look them up together.
 */
final class KvmCpuid {
  private static final int EAX = 0;
  private static final int EBX = 1;
  private static final int ECX = 2;
  private static final int EDX = 3;

  private static final int HYPERVISOR = 0x4000_0000;
  private static final int EXTENDED = 0x8000_0000;

  // Bits of leaf 1.
  private static final int X2APIC = 1 << 21;
  private static final int TSC_DEADLINE = 1 << 24;
  private static final int OSXSAVE = 1 << 27;
  private static final int HYPERVISOR_PRESENT = 1 << 31;
  private static final int APIC = 1 << 9;
  private static final int HTT = 1 << 28;

  /** Of leaf 0x80000001 ECX: a statement about topology, not a feature. */
  private static final int CMP_LEGACY = 1 << 1;

  /**
   * Of KVM's own features those that work when the kernel has no local APIC: both clocks, no I/O
   * delay, steal time, TLB flush, stable clock. The others end in its local APICs.
   */
  private static final int WITHOUT_KERNEL_APIC = 1 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 24;

  /** No leaf beyond has a meaning that a model could give. */
  private static final int MAX_LEAVES = 0x40;

  private record Key(int leaf, int subleaf) {}

  private final CpuModel model;
  private final Map<Key, CpuidEntry> supported = new HashMap<>();
  private final long tscHertz;
  private final boolean kernelApic;
  private final boolean platformRegisters;

  /**
   * @param kernelApic whether the local APICs are in the kernel
   * @param platformRegisters whether the x2APIC and TSC-deadline registers reach a local APIC: the
   *     platform's, or the kernel's own
   */
  KvmCpuid(
      CpuModel model,
      List<CpuidEntry> supported,
      long tscHertz,
      boolean kernelApic,
      boolean platformRegisters) {
    this.kernelApic = kernelApic;
    this.model = model;
    this.tscHertz = tscHertz;
    this.platformRegisters = platformRegisters;
    for (CpuidEntry entry : supported) {
      this.supported.put(new Key(entry.leaf(), entry.subleaf()), entry);
    }
  }

  /** The table of vCPU {@code id}. */
  List<CpuidEntry> table(int id) {
    List<CpuidEntry> table = new ArrayList<>();
    range(table, 0, id);
    add(table, HYPERVISOR, 0, id);
    add(table, HYPERVISOR + 1, 0, id);
    add(table, HYPERVISOR + 0x10, 0, id);
    range(table, EXTENDED, id);
    return table;
  }

  private void range(List<CpuidEntry> table, int first, int id) {
    int count = Math.clamp((model.cpuid(first, 0)[EAX] & 0xffff_ffffL) - (first & 0xffff_ffffL),
        0, MAX_LEAVES);
    for (int i = 0; i <= count; i++) {
      int leaf = first + i;
      int subleaves = subleaves(leaf);
      for (int sub = 0; sub < subleaves; sub++) {
        add(table, leaf, sub, id);
      }
    }
  }

  /** How many subleaves of a leaf differ from each other. */
  private static int subleaves(int leaf) {
    return switch (leaf) {
      case 7 -> 2;
      case 4, 0xb, 0x1f -> 4;
      case 0xd -> 20;
      default -> 1;
    };
  }

  private void add(List<CpuidEntry> table, int leaf, int subleaf, int id) {
    int[] r = answer(leaf, subleaf, id);
    if ((r[EAX] | r[EBX] | r[ECX] | r[EDX]) != 0 || subleaf == 0) {
      table.add(new CpuidEntry(leaf, subleaf, r[EAX], r[EBX], r[ECX], r[EDX]));
    }
  }

  private CpuidEntry host(int leaf, int subleaf) {
    return supported.getOrDefault(
        new Key(leaf, subleaf), new CpuidEntry(leaf, subleaf, 0, 0, 0, 0));
  }

  private boolean vendorDiffers() {
    int[] mine = model.cpuid(0, 0);
    CpuidEntry host = host(0, 0);
    return mine[EBX] != host.ebx() || mine[ECX] != host.ecx() || mine[EDX] != host.edx();
  }

  private int[] answer(int leaf, int subleaf, int id) {
    int[] r = model.cpuid(leaf, subleaf).clone();
    CpuidEntry host = host(leaf, subleaf);
    switch (leaf) {
      case 0, EXTENDED -> {
        CpuidEntry vendor = host(0, 0);
        r[EBX] = vendor.ebx();
        r[ECX] = vendor.ecx();
        r[EDX] = vendor.edx();
      }
      case 1 -> {
        // KVM offers x2APIC and TSC deadline for its own local APIC; the platform's has them too if
        // its registers can be reached.
        int apic = platformRegisters ? X2APIC | TSC_DEADLINE : 0;
        int possible = host.ecx() & ~(X2APIC | TSC_DEADLINE) | apic;
        r[ECX] &= (possible | HYPERVISOR_PRESENT) & ~OSXSAVE;
        r[EDX] &= host.edx() | HTT | APIC;
        r[EBX] = r[EBX] & 0x00ff_ffff | id << 24;
        if (vendorDiffers()) {
          r[EAX] = host.eax();
        }
      }
      case 7 -> {
        r[EAX] = Math.min(r[EAX], host.eax());
        r[EBX] &= host.ebx();
        r[ECX] &= host.ecx();
        r[EDX] &= host.edx();
      }
      case 0xb, 0x1f -> r[EDX] = id;
      case 0xd -> extendedState(r, host, subleaf);
      case 0x15 -> frequency(r);
      case 0x16 -> r[EAX] = r[EBX] = (int) (tscHertz / 1_000_000);
      case HYPERVISOR + 1 -> r[EAX] &= host.eax() & (kernelApic ? -1 : WITHOUT_KERNEL_APIC);
      case HYPERVISOR + 0x10 -> r[EAX] = (int) (tscHertz / 1000);
      case EXTENDED + 1 -> {
        r[ECX] &= host.ecx() | CMP_LEGACY;
        r[EDX] &= host.edx();
        if (vendorDiffers()) {
          r[EAX] = host.eax();
        }
      }
      case EXTENDED + 7 -> r[EDX] &= host.edx();
      case EXTENDED + 8 -> {
        int physical = Math.min(r[EAX] & 0xff, host.eax() & 0xff);
        r[EAX] = r[EAX] & ~0xff | physical;
        r[EBX] &= host.ebx();
      }
      case EXTENDED + 0x1e -> r[EAX] = id;
      default -> {
        // Names, caches and topology are the model's.
      }
    }
    return r;
  }

  /** XSAVE: components the model and the host have; their layout is the host's. */
  private void extendedState(int[] r, CpuidEntry host, int subleaf) {
    int[] modelComponents = model.cpuid(0xd, 0);
    int components = modelComponents[EAX] & host(0xd, 0).eax();
    if (subleaf == 0) {
      r[EAX] = components;
      r[EDX] &= host.edx();
    } else if (subleaf == 1) {
      r[EAX] &= host.eax();
      r[EBX] = 0;
      r[ECX] &= host.ecx();
      r[EDX] &= host.edx();
    } else if ((components >> subleaf & 1) != 0) {
      r[EAX] = host.eax();
      r[EBX] = host.ebx();
      r[ECX] = host.ecx();
      r[EDX] = host.edx();
    } else {
      r[EAX] = r[EBX] = r[ECX] = r[EDX] = 0;
    }
  }

  /** TSC = crystal in ECX × EBX / EAX; the crystal has to fit in 32 bits. */
  private void frequency(int[] r) {
    int factor = (int) (tscHertz >>> 32) + 1;
    r[EAX] = 1;
    r[EBX] = factor;
    r[ECX] = (int) (tscHertz / factor);
  }

  /** struct kvm_cpuid2. */
  static MemorySegment structure(List<CpuidEntry> table, Arena arena) {
    MemorySegment s =
        arena.allocate(KvmAbi.CPUID_HEADER + (long) table.size() * KvmAbi.CPUID_ENTRY, 8);
    s.set(JAVA_INT, 0, table.size());
    for (int i = 0; i < table.size(); i++) {
      CpuidEntry entry = table.get(i);
      long at = KvmAbi.CPUID_HEADER + (long) i * KvmAbi.CPUID_ENTRY;
      s.set(JAVA_INT, at, entry.leaf());
      s.set(JAVA_INT, at + 4, entry.subleaf());
      s.set(JAVA_INT, at + 8, subleaves(entry.leaf()) > 1 ? KvmAbi.CPUID_SIGNIFICANT_INDEX : 0);
      s.set(JAVA_INT, at + 12, entry.eax());
      s.set(JAVA_INT, at + 16, entry.ebx());
      s.set(JAVA_INT, at + 20, entry.ecx());
      s.set(JAVA_INT, at + 24, entry.edx());
    }
    return s;
  }
}

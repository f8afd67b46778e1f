package org.javisor.xen.control;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.CpuModel;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.CpuidFilter;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.Structure;

/**
 * What a domain's CPUID answers at most, as toolstacks read and write it (public/arch-x86/xen.h,
 * {@code xen_cpuid_leaf_t}): features that a toolstack has taken away are not seen. What is no
 * feature stays the accelerator's affair.
 */
final class CpuPolicy implements CpuModel, CpuidFilter {
  /** Stands for a leaf without subleaves. */
  private static final int NO_SUBLEAF = -1;

  /** Leaves and subleaves that the format has room for. */
  static final int MAX_LEAVES = 256;

  private static final int LAST_BASIC = 0xd;
  private static final int EXTENDED = 0x8000_0000;
  private static final int LAST_EXTENDED = 0x21;

  private static final int EAX = 1;
  private static final int EBX = 2;
  private static final int ECX = 4;
  private static final int EDX = 8;

  /** One leaf: its number, its subleaf, four registers. */
  record Leaf(int leaf, int subleaf, int[] registers) {
    static final int SIZE = 24;

    static Leaf of(Structure s, int at) {
      return new Leaf(
          s.i32(at), s.i32(at + 4),
          new int[] {s.i32(at + 8), s.i32(at + 12), s.i32(at + 16), s.i32(at + 20)});
    }

    void put(Structure s, int at) {
      s.put32(at, leaf);
      s.put32(at + 4, subleaf);
      for (int i = 0; i < 4; i++) {
        s.put32(at + 8 + 4 * i, registers[i]);
      }
    }

    private long key() {
      return (long) leaf << 32 | subleaf & 0xffff_ffffL;
    }
  }

  private final CpuModel base;
  private final Map<Long, int[]> allowed = new HashMap<>();

  /** Takes away from a model what the leaves do not allow. */
  CpuPolicy(CpuModel base, List<Leaf> leaves) {
    this.base = base;
    leaves.forEach(l -> allowed.put(l.key(), l.registers));
  }

  /** What a toolstack gave, in the form of {@code xen_cpuid_leaf_t}. */
  static CpuPolicy read(CpuModel base, Structure all, int count) {
    List<Leaf> leaves = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      leaves.add(Leaf.of(all, Leaf.SIZE * i));
    }
    return new CpuPolicy(base, leaves);
  }

  @Override
  public String name() {
    return base.name();
  }

  @Override
  public int[] cpuid(int leaf, int subleaf) {
    return restrict(leaf, subleaf, base.cpuid(leaf, subleaf));
  }

  @Override
  public int[] restrict(int leaf, int subleaf, int[] registers) {
    int[] r = registers.clone();
    int features = features(leaf, subleaf);
    int[] most = allowed.get((long) leaf << 32 | (leaf == 7 || leaf == 0xd ? subleaf : -1L >>> 32));
    for (int i = 0; i < 4; i++) {
      if (most != null && (features >> i & 1) != 0) {
        r[i] &= most[i];
      }
    }
    return r;
  }

  /** Which registers of a leaf are bits that each stand for a feature. */
  private static int features(int leaf, int subleaf) {
    return switch (leaf) {
      case 1, 0x8000_0001 -> ECX | EDX;
      case 7 -> subleaf == 0 ? EBX | ECX | EDX : EAX;
      case 0xd -> subleaf == 1 ? EAX : 0;
      case 0x8000_0008 -> EBX;
      default -> 0;
    };
  }

  /** All leaves of a model, in their order. */
  static List<Leaf> leaves(CpuModel model) {
    List<Leaf> leaves = new ArrayList<>();
    int basic = Math.min(model.cpuid(0, 0)[0], LAST_BASIC);
    for (int leaf = 0; leaf <= basic; leaf++) {
      switch (leaf) {
        case 4 -> add(leaves, model, leaf, 0, 3);
        case 7 -> add(leaves, model, leaf, 0, Math.min(1, model.cpuid(7, 0)[0]));
        case 0xb -> add(leaves, model, leaf, 0, 1);
        case 0xd -> add(leaves, model, leaf, 0, 2);
        default -> leaves.add(new Leaf(leaf, NO_SUBLEAF, model.cpuid(leaf, 0)));
      }
    }
    int extended = Math.min(model.cpuid(EXTENDED, 0)[0] & 0xffff, LAST_EXTENDED);
    for (int leaf = EXTENDED; leaf <= EXTENDED + extended; leaf++) {
      leaves.add(new Leaf(leaf, NO_SUBLEAF, model.cpuid(leaf, 0)));
    }
    return leaves;
  }

  private static void add(List<Leaf> to, CpuModel model, int leaf, int first, int last) {
    for (int subleaf = first; subleaf <= last; subleaf++) {
      to.add(new Leaf(leaf, subleaf, model.cpuid(leaf, subleaf)));
    }
  }

  /** The words of features in the order of public/arch-x86/cpufeatureset.h. */
  static int[] featureSet(CpuModel model) {
    int[] one = model.cpuid(1, 0);
    int[] extended = model.cpuid(EXTENDED + 1, 0);
    int[] seven = model.cpuid(7, 0);
    int[] sevenOne = seven[0] >= 1 ? model.cpuid(7, 1) : new int[4];
    return new int[] {
      one[3], one[2], extended[3], extended[2], model.cpuid(0xd, 1)[0], seven[1], seven[2],
      model.cpuid(EXTENDED + 7, 0)[3], model.cpuid(EXTENDED + 8, 0)[1], seven[3], sevenOne[0]
    };
  }

  /**
   * Copies leaves to where a toolstack wants them; without a place, says how many there can be.
   *
   * @param count where in the operation the count is
   * @param pointer where in the operation the place is
   * @return 0 or an {@link Errno}
   */
  static long give(Call call, Structure s, int count, int pointer, List<Leaf> leaves)
      throws GuestArguments.BadPointer {
    if (s.u64(pointer) != 0) {
      if (s.u32(count) < leaves.size()) {
        return Errno.ENOBUFS;
      }
      Structure all = new Structure(Leaf.SIZE * leaves.size());
      for (int i = 0; i < leaves.size(); i++) {
        leaves.get(i).put(all, Leaf.SIZE * i);
      }
      call.memory().write(s.u64(pointer), all);
      s.put32(count, leaves.size());
    } else {
      s.put32(count, MAX_LEAVES);
    }
    return 0;
  }
}

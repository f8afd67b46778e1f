package org.javisor.xen.control;

import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.Structure;

/**
 * What XSAVE manages of a vCPU as toolstacks keep it: XCR0, all that it ever was, and an area in the
 * standard format of XSAVE (Intel SDM volume 1, section 13.4).
 */
final class ExtendedState {
  private static final int XSAVE = 1 << 26;
  private static final int X87 = 1;
  private static final int YMM = 1 << 2;

  private static final int AREA = 16;
  private static final int LEGACY = 512;
  private static final int HEADER = 64;

  private ExtendedState() {}

  /** The parts of state that a CPU has, as bits of XCR0; 0 without XSAVE. */
  static long features(CpuModel model) {
    return (model.cpuid(1, 0)[2] & XSAVE) == 0
        ? 0
        : model.cpuid(0xd, 0)[0] & 0xffff_ffffL;
  }

  static int size(CpuModel model) {
    long features = features(model);
    return features == 0
        ? AREA
        : AREA + LEGACY + HEADER + ((features & YMM) == 0 ? 0 : new CpuState().ymmHigh.length);
  }

  static byte[] save(CpuState state, CpuModel model) {
    Structure s = new Structure(size(model));
    s.put64(0, state.xcr0);
    s.put64(8, features(model));
    if (s.bytes().length > AREA) {
      System.arraycopy(state.fxsave, 0, s.bytes(), AREA, LEGACY);
      s.put64(AREA + LEGACY, features(model));
      if (s.bytes().length > AREA + LEGACY + HEADER) {
        System.arraycopy(
            state.ymmHigh, 0, s.bytes(), AREA + LEGACY + HEADER, state.ymmHigh.length);
      }
    }
    return s.bytes();
  }

  /** Puts that into a state; returns whether it is one that this CPU can have. */
  static boolean load(CpuState state, CpuModel model, Structure s) {
    int length = s.bytes().length;
    if (length < AREA) {
      return false;
    }
    long xcr0 = s.u64(0);
    if (length == AREA) {
      return xcr0 == 0 || xcr0 == X87;
    }
    long present = length < AREA + LEGACY + HEADER ? -1 : s.u64(AREA + LEGACY);
    if ((xcr0 & ~features(model)) != 0
        || (xcr0 & X87) == 0
        || (present & ~features(model)) != 0
        || (present & YMM) != 0 && length < size(model)) {
      return false;
    }
    state.xcr0 = xcr0;
    GuestContext.readFpu(s, AREA, state);
    if ((present & YMM) != 0) {
      System.arraycopy(
          s.bytes(), AREA + LEGACY + HEADER, state.ymmHigh, 0, state.ymmHigh.length);
    }
    return true;
  }
}

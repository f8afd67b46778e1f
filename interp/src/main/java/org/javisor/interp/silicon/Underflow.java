package org.javisor.interp.silicon;

import org.javisor.isa.Form;
import org.javisor.memory.RawMemory;

/** Which operations can underflow, and whether a result did. */
final class Underflow {
  private Underflow() {}

  /** Size of the elements of a result that can be tiny, or 0 if the operation cannot underflow. */
  static int elementSize(Form form) {
    String name = form.vex() ? form.mnemonic().substring(1) : form.mnemonic();
    int size = name.endsWith("ps") || name.endsWith("ss") ? 4 : 8;
    for (String operation : new String[] {"add", "sub", "mul", "div", "hadd", "hsub", "dp", "fm",
      "fnm"}) {
      if (name.startsWith(operation)) {
        return size;
      }
    }
    return name.equals("cvtpd2ps") || name.equals("cvtsd2ss") ? 4 : 0;
  }

  static boolean anyDenormal(long address, int bytes, int element) {
    for (int i = 0; i < bytes; i += element) {
      if (element == 4) {
        int value = RawMemory.get32(address + i);
        if ((value & 0x7f80_0000) == 0 && (value & 0x7f_ffff) != 0) {
          return true;
        }
      } else {
        long value = RawMemory.get64(address + i);
        if ((value & 0x7ff0L << 48) == 0 && (value & 0xf_ffff_ffff_ffffL) != 0) {
          return true;
        }
      }
    }
    return false;
  }
}

package org.javisor.xen.domain;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.xen.hypervisor.ApicState;

/**
 * A local APIC's state as a page of registers, 16 bytes apart. A count that its timer was at is not in
 * it: a timer starts anew when the guest sets it.
 */
final class ApicRegisters {
  private static final long BASE_BITS = 0xf_ffff_ffffL & ~0x2ffL;

  private static final int[] LVT_BITS = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

  private final ByteBuffer page;

  private ApicRegisters(byte[] registers) {
    page = ByteBuffer.wrap(registers).order(ByteOrder.LITTLE_ENDIAN);
  }

  private int get(int register) {
    return page.getInt(16 * register);
  }

  private void put(int register, int... values) {
    for (int i = 0; i < values.length; i++) {
      page.putInt(16 * (register + i), values[i]);
    }
  }

  private int[] get(int register, int count) {
    int[] values = new int[count];
    for (int i = 0; i < count; i++) {
      values[i] = get(register + i);
    }
    return values;
  }

  static ApicState save(LocalApic apic) {
    LocalApic.State s = apic.saveState();
    ApicRegisters r = new ApicRegisters(new byte[ApicState.SIZE]);
    r.put(0x02, apic.id());
    r.put(0x08, s.taskPriority());
    r.put(0x0d, s.logicalId(), s.destinationFormat(), s.spurious());
    r.put(0x10, s.isr());
    r.put(0x18, s.tmr());
    r.put(0x20, s.irr());
    r.put(0x28, s.errorStatus());
    r.put(0x30, s.icrLow(), s.icrHigh());
    r.put(0x32, s.lvt());
    r.put(0x38, s.initialCount());
    r.put(0x3e, s.divideRegister());
    return new ApicState(s.base(), s.tscDeadline(), r.page.array());
  }

  /** Bits that a local APIC has not are left out. */
  static void load(LocalApic apic, ApicState saved) {
    ApicRegisters r = new ApicRegisters(saved.registers().clone());
    int[] lvt = r.get(0x32, LVT_BITS.length);
    for (int i = 0; i < lvt.length; i++) {
      lvt[i] &= LVT_BITS[i];
    }
    apic.restoreState(
        new LocalApic.State(
            saved.base() & BASE_BITS,
            r.get(0x08) & 0xff,
            r.get(0x20, 8),
            r.get(0x10, 8),
            r.get(0x18, 8),
            lvt,
            r.get(0x0f) & 0x1ff,
            r.get(0x0d),
            r.get(0x0e),
            r.get(0x30),
            r.get(0x31),
            0,
            r.get(0x28),
            new boolean[2],
            false,
            false,
            r.get(0x38),
            r.get(0x3e) & 0xb,
            Long.MAX_VALUE,
            saved.deadline()));
  }
}

package org.javisor.interp;

import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.memory.RawMemory;

/**
 * String instructions. Each element completes before the next begins, registers included, so that a
 * fault or an interrupt leaves a state from which the instruction goes on. Long runs of MOVS and
 * STOS within a page move in bulk.
 */
final class Strings {
  /** Elements between looks at pending interrupts. */
  private static final int BATCH = 4096;

  private Strings() {}

  static void execute(Cpu c, Instruction in) {
    Form form = in.form;
    Op op = form.op();
    int size =
        switch (op) {
          case OUTS, LODS, SCAS -> in.operandBytes(1);
          default -> in.operandBytes(0);
        };
    boolean repeated = in.rep || in.repne;
    if (op == Op.INS || op == Op.OUTS) {
      c.system.checkPort((int) c.reg(Cpu.RDX) & 0xffff, size);
    }
    if (!repeated) {
      element(c, in, op, size);
      return;
    }
    boolean compares = op == Op.CMPS || op == Op.SCAS;
    int as = in.addressSize;
    for (int done = 0;;) {
      long count = Cpu.zeroExtend(c.reg(Cpu.RCX), as);
      if (count == 0) {
        return;
      }
      if (done >= BATCH && c.vcpu.interrupted()) {
        // RIP stays: the rest is done after the interrupt.
        throw Restart.INSTANCE;
      }
      if (count > 1 && (op == Op.MOVS || op == Op.STOS) && (c.flags() & Cpu.DF) == 0) {
        long bulk = bulk(c, in, op, size, count);
        if (bulk > 0) {
          done += (int) Math.min(bulk, BATCH);
          continue;
        }
      }
      if (count > 1 && op == Op.INS && (c.flags() & Cpu.DF) == 0) {
        long bulk = bulkFromPort(c, size, as, count);
        if (bulk > 0) {
          done += (int) bulk;
          continue;
        }
      }
      element(c, in, op, size);
      c.put(Cpu.RCX << 3, as, count - 1);
      done++;
      if (compares && c.zero() == in.repne) {
        return;
      }
    }
  }

  /** Moves as many elements as lie within one page of source and target; 0 if not possible. */
  private static long bulk(Cpu c, Instruction in, Op op, int size, long count) {
    int as = in.addressSize;
    long di = Cpu.zeroExtend(c.reg(Cpu.RDI), as);
    long target = c.segments.linear(Instruction.ES, di, size, true);
    long bytes = Math.min(count * size, 4096 - (target & 4095));
    long source = 0;
    long si = 0;
    if (op == Op.MOVS) {
      si = Cpu.zeroExtend(c.reg(Cpu.RSI), as);
      source = c.segments.linear(in.segment, si, size, false);
      bytes = Math.min(bytes, 4096 - (source & 4095));
    }
    bytes -= bytes % size;
    if (bytes < 2 * size || as == 2 || !c.is64() && !c.segments.flat(Instruction.ES)) {
      return 0;
    }
    if (op == Op.MOVS && !c.is64() && !c.segments.flat(in.segment)) {
      return 0;
    }
    long from = 0;
    if (op == Op.MOVS) {
      from = c.mmu.hostForBulk(source, false);
      if (from == -1) {
        return 0;
      }
    }
    long to = c.mmu.hostForBulk(target, true);
    if (to == -1) {
      return 0;
    }
    long n = bytes / size;
    if (op == Op.MOVS) {
      if (from < to && to < from + bytes) {
        // Overlapping forwards propagates a pattern; element by element, or byte runs.
        for (long i = 0; i < bytes; i += size) {
          copyElement(from + i, to + i, size);
        }
      } else {
        RawMemory.copy(from, to, bytes);
      }
      c.put(Cpu.RSI << 3, as, si + bytes);
    } else {
      long v = c.reg(Cpu.RAX);
      switch (size) {
        case 1 -> RawMemory.fill(to, bytes, (int) v & 0xff);
        case 2 -> {
          for (long i = 0; i < bytes; i += 2) {
            RawMemory.put16(to + i, (int) v);
          }
        }
        case 4 -> {
          for (long i = 0; i < bytes; i += 4) {
            RawMemory.put32(to + i, (int) v);
          }
        }
        default -> {
          for (long i = 0; i < bytes; i += 8) {
            RawMemory.put64(to + i, v);
          }
        }
      }
    }
    c.put(Cpu.RDI << 3, as, di + bytes);
    c.put(Cpu.RCX << 3, as, count - n);
    return n;
  }

  /** Has a device fill memory with as many elements as lie within a page; 0 if it does not. */
  private static int bulkFromPort(Cpu c, int size, int as, long count) {
    long di = Cpu.zeroExtend(c.reg(Cpu.RDI), as);
    long target = c.segments.linear(Instruction.ES, di, size, true);
    long bytes = Math.min(count * size, 4096 - (target & 4095));
    bytes -= bytes % size;
    if (bytes < 2 * size
        || as == 2 && di + bytes > 0x1_0000
        || !c.is64() && !c.segments.flat(Instruction.ES) && !reaches(c, di + bytes - 1)) {
      return 0;
    }
    long gpa = c.mmu.gpaForBulk(target);
    int port = (int) c.reg(Cpu.RDX) & 0xffff;
    int n = gpa == -1 ? 0 : c.bus.readPort(port, size, (int) bytes / size, gpa);
    if (n > 0) {
      c.debug.portAccessed(port, size);
      c.put(Cpu.RDI << 3, as, di + (long) n * size);
      c.put(Cpu.RCX << 3, as, count - n);
    }
    return n;
  }

  /** Whether ES is a segment that grows up and reaches so far. */
  private static boolean reaches(Cpu c, long offset) {
    boolean down = (c.segments.attributes(Instruction.ES) & 0x1c) == 0x14;
    return !down && offset <= c.segments.limit(Instruction.ES);
  }

  private static void copyElement(long from, long to, int size) {
    switch (size) {
      case 1 -> RawMemory.put8(to, RawMemory.get8(from));
      case 2 -> RawMemory.put16(to, RawMemory.get16(from));
      case 4 -> RawMemory.put32(to, RawMemory.get32(from));
      default -> RawMemory.put64(to, RawMemory.get64(from));
    }
  }

  private static void element(Cpu c, Instruction in, Op op, int size) {
    int as = in.addressSize;
    long step = (c.flags() & Cpu.DF) != 0 ? -size : size;
    long si = Cpu.zeroExtend(c.reg(Cpu.RSI), as);
    long di = Cpu.zeroExtend(c.reg(Cpu.RDI), as);
    switch (op) {
      case MOVS -> {
        long v = c.load(c.segments.linear(in.segment, si, size, false), size);
        c.store(c.segments.linear(Instruction.ES, di, size, true), size, v);
        c.put(Cpu.RSI << 3, as, si + step);
        c.put(Cpu.RDI << 3, as, di + step);
      }
      case CMPS -> {
        long a = c.load(c.segments.linear(in.segment, si, size, false), size);
        long b = c.load(c.segments.linear(Instruction.ES, di, size, false), size);
        c.put(Cpu.RSI << 3, as, si + step);
        c.put(Cpu.RDI << 3, as, di + step);
        c.flagsSub(a, b, Cpu.signExtend(a - b, size), size);
      }
      case SCAS -> {
        long a = c.get(0, size);
        long b = c.load(c.segments.linear(Instruction.ES, di, size, false), size);
        c.put(Cpu.RDI << 3, as, di + step);
        c.flagsSub(a, b, Cpu.signExtend(a - b, size), size);
      }
      case LODS -> {
        long v = c.load(c.segments.linear(in.segment, si, size, false), size);
        c.put(0, size, v);
        c.put(Cpu.RSI << 3, as, si + step);
      }
      case STOS -> {
        c.store(c.segments.linear(Instruction.ES, di, size, true), size, c.reg(Cpu.RAX));
        c.put(Cpu.RDI << 3, as, di + step);
      }
      case INS -> {
        long va = c.segments.linear(Instruction.ES, di, size, true);
        c.probeWrite(va, size);
        c.debug.portAccessed((int) c.reg(Cpu.RDX) & 0xffff, size);
        int v = c.bus.readPort((int) c.reg(Cpu.RDX) & 0xffff, size);
        c.store(va, size, v);
        c.put(Cpu.RDI << 3, as, di + step);
      }
      default -> {
        long v = c.load(c.segments.linear(in.segment, si, size, false), size);
        c.debug.portAccessed((int) c.reg(Cpu.RDX) & 0xffff, size);
        c.bus.writePort((int) c.reg(Cpu.RDX) & 0xffff, size, (int) Cpu.zeroExtend(v, size));
        c.put(Cpu.RSI << 3, as, si + step);
      }
    }
  }
}

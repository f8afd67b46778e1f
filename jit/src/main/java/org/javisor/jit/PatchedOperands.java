package org.javisor.jit;

import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * Where a guest has written constants of its instructions again and again: the displacement or the
 * immediate operand of one instruction, exactly. Code that is translated there once more reads the
 * constant where it stands, and needs not be given up when it changes.
 *
 * <p>A table of bounded size; what is lost of it costs translations.
 */
final class PatchedOperands {
  private static final int ENTRIES = 64;

  /** So many blocks have been given up for one constant before it is read where it stands. */
  private static final int OFTEN = 8;

  private final long[] places = new long[ENTRIES];
  private final byte[] sizes = new byte[ENTRIES];
  private final byte[] counts = new byte[ENTRIES];
  private boolean any;

  private static int entry(long place) {
    return (int) (place * 0x9E37_79B9_7F4A_7C15L >>> 64 - 6);
  }

  private static long place(int frame, int offset) {
    return (long) frame << 12 | offset;
  }

  /** A store has had a block be given up. */
  void written(int frame, int offset, int size) {
    if (size != 4 && size != 8) {
      return;
    }
    long place = place(frame, offset);
    int i = entry(place);
    if (places[i] != place || sizes[i] != size) {
      places[i] = place;
      sizes[i] = (byte) size;
      counts[i] = 0;
    }
    if (counts[i] < OFTEN) {
      counts[i]++;
      any |= counts[i] == OFTEN;
    }
  }

  /** Whether there is any constant to ask for. */
  boolean isEmpty() {
    return !any;
  }

  /** Whether a constant is read where it stands by what is translated from now on. */
  boolean often(int frame, int offset, int size) {
    long place = place(frame, offset);
    int i = entry(place);
    return places[i] == place && sizes[i] == size && counts[i] == OFTEN;
  }

  /** An instruction at an offset of a frame as it is to be translated. */
  KnownInstruction look(KnownInstruction k, int frame, int offset) {
    Instruction in = k.in;
    int immediate = immediateSize(in);
    int at = in.length - immediate;
    boolean ofImmediate = canReadImmediate(in, immediate) && often(frame, offset + at, immediate);
    boolean ofDisplacement = hasDisplacement(in) && often(frame, offset + at - 4, 4);
    return ofImmediate || ofDisplacement
        ? new KnownInstruction(in, ofDisplacement, ofImmediate)
        : k;
  }

  /** Bytes of immediate operands. */
  static int immediateSize(Instruction in) {
    int size = 0;
    for (int i = 0; i < in.form.operandCount(); i++) {
      Operand o = in.form.operand(i);
      if (o.kind() == Operand.Kind.IMMEDIATE || o.kind() == Operand.Kind.IMMEDIATE_SIGNED) {
        size += in.bytes(o.size());
      }
    }
    return size;
  }

  /** Whether a memory operand has a displacement of four bytes. */
  private static boolean hasDisplacement(Instruction in) {
    return in.form.hasModRm()
        && in.addressSize == 8
        && !in.form.vex()
        && (in.mod == 2 || in.mod == 0 && (in.base == Instruction.RIP || in.base < 0));
  }

  /** Whether the translation can take the immediate operand from a register. */
  private static boolean canReadImmediate(Instruction in, int size) {
    if (in.operandSize < 4 || size < 4) {
      return false;
    }
    return in.form.op() == Op.MOV
        ? in.form.operand(0).kind() == Operand.Kind.OPCODE || in.opcode == 0xc7
        : in.opcode == 0x81;
  }
}

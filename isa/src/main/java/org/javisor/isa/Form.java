package org.javisor.isa;

import java.util.List;

/**
 * One row of the instruction table: an encoding, what it is called, what it works on, and what else
 * must be known to decode, execute, translate or test it.
 */
public final class Form {
  /** Opcode maps: one byte, 0F, 0F 38, 0F 3A. */
  public static final int MAP_ONE = 0;

  public static final int MAP_0F = 1;
  public static final int MAP_0F38 = 2;
  public static final int MAP_0F3A = 3;

  /** {@link #prefix}: any prefixes, or exactly the named mandatory one. */
  public static final int ANY_PREFIX = -1;

  /** {@link #prefix}: neither F3 nor F2 ("NFx" in the manuals). */
  public static final int NO_REPEAT = -2;

  public static final int NO_PREFIX = 0;
  public static final int PREFIX_66 = 1;
  public static final int PREFIX_F3 = 2;
  public static final int PREFIX_F2 = 3;

  // Bits of the flags masks, as in RFLAGS.
  public static final int CF = 1;
  public static final int PF = 1 << 2;
  public static final int AF = 1 << 4;
  public static final int ZF = 1 << 6;
  public static final int SF = 1 << 7;
  public static final int TF = 1 << 8;
  public static final int IF = 1 << 9;
  public static final int DF = 1 << 10;
  public static final int OF = 1 << 11;
  public static final int OSZAPC = CF | PF | AF | ZF | SF | OF;

  final Op op;
  final String name;
  final List<Operand> operands;

  /** The same, for whoever decodes or translates much. */
  final Operand[] array;

  final boolean modRm;

  int map;
  int opcode;
  int prefix = ANY_PREFIX;
  int digit = -1;
  int rm = -1;

  /** -1 either, 0 memory only, 1 register only. */
  int registerForm = -1;

  boolean invalidIn64;
  boolean only64;
  boolean vex;

  /** VEX.W: -1 ignored, else the value required. Also REX.W for legacy forms that differ by it. */
  int w = -1;

  /** VEX.L: -1 ignored, else the value required. */
  int l = -1;

  boolean default64;
  boolean lockable;
  boolean privileged;
  boolean protectedOnly;
  boolean aligned;
  boolean mxcsr;
  boolean writesDestination = true;
  boolean readsDestination;
  int flagsRead;
  int flagsWritten;
  int flagsUndefined;
  CpuFeature feature;

  Form(Op op, String name, List<Operand> operands) {
    this.op = op;
    this.name = name;
    this.operands = operands;
    this.array = operands.toArray(Operand[]::new);
    this.modRm = operands.stream().anyMatch(Operand::needsModRm);
  }

  // ---- the table's vocabulary -------------------------------------------------------------

  /** The LOCK prefix is allowed when the destination is memory. */
  Form lock() {
    lockable = true;
    return this;
  }

  /** The operand size is 64 bits by default in 64-bit mode. */
  Form d64() {
    default64 = true;
    return this;
  }

  /** Invalid in 64-bit mode. */
  Form i64() {
    invalidIn64 = true;
    return this;
  }

  /** Valid in 64-bit mode only. */
  Form o64() {
    only64 = true;
    return this;
  }

  /** Needs CPL 0. */
  Form cpl0() {
    privileged = true;
    return this;
  }

  /** Not recognised in real and virtual-8086 mode. */
  Form pm() {
    protectedOnly = true;
    return this;
  }

  Form reads(int flags) {
    flagsRead = flags;
    return this;
  }

  Form writes(int flags) {
    flagsWritten = flags;
    return this;
  }

  Form undefined(int flags) {
    flagsUndefined = flags;
    return this;
  }

  Form needs(CpuFeature needed) {
    feature = needed;
    return this;
  }

  /** The memory operand must be aligned to its size, else #GP(0). */
  Form aligned() {
    aligned = true;
    return this;
  }

  /** Computes as MXCSR says and reports there: may raise #XM. */
  Form mxcsr() {
    mxcsr = true;
    return this;
  }

  /** The first operand is only read. */
  Form readOnly() {
    writesDestination = false;
    readsDestination = true;
    return this;
  }

  /** The first operand is read and written. */
  Form readWrite() {
    readsDestination = true;
    return this;
  }

  // ---- what the rest of the program asks --------------------------------------------------

  public Op op() {
    return op;
  }

  /** The mnemonic in lower case. */
  public String mnemonic() {
    return name;
  }

  public List<Operand> operands() {
    return operands;
  }

  public int operandCount() {
    return array.length;
  }

  public Operand operand(int i) {
    return array[i];
  }

  public int map() {
    return map;
  }

  public int opcode() {
    return opcode;
  }

  public int prefix() {
    return prefix;
  }

  /** The value ModRM.reg must have, or -1. */
  public int digit() {
    return digit;
  }

  /** The value ModRM.rm must have, or -1. */
  public int rm() {
    return rm;
  }

  /** 1 if ModRM must name a register, 0 if memory, -1 if either. */
  public int registerForm() {
    return registerForm;
  }

  public boolean hasModRm() {
    return modRm || digit >= 0 || rm >= 0 || registerForm >= 0;
  }

  public boolean vex() {
    return vex;
  }

  public int w() {
    return w;
  }

  public int l() {
    return l;
  }

  public boolean invalidIn64() {
    return invalidIn64;
  }

  public boolean only64() {
    return only64;
  }

  public boolean default64() {
    return default64;
  }

  public boolean lockable() {
    return lockable;
  }

  public boolean privileged() {
    return privileged;
  }

  public boolean protectedOnly() {
    return protectedOnly;
  }

  public boolean isAligned() {
    return aligned;
  }

  /** Whether MXCSR governs the operation: rounding, denormals, exceptions. */
  public boolean usesMxcsr() {
    return mxcsr;
  }

  public boolean writesDestination() {
    return writesDestination;
  }

  public boolean readsDestination() {
    return readsDestination;
  }

  public int flagsRead() {
    return flagsRead;
  }

  public int flagsWritten() {
    return flagsWritten;
  }

  public int flagsUndefined() {
    return flagsUndefined;
  }

  /** The feature the CPU model must have, or null for the base instruction set. */
  public CpuFeature feature() {
    return feature;
  }

  @Override
  public String toString() {
    return name + " " + operands;
  }
}

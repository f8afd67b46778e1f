package org.javisor.jit;

import java.util.Arrays;
import org.javisor.interp.Core;

/** A translated run of instructions within one page of one address space and privilege. */
final class JitBlock {
  final long rip;

  /** What of the vCPU's mode the code relies on; see {@link JitTranslator#mode}. */
  final int mode;

  final int frame;
  final int offset;

  /** The frame of the last bytes of a block that is one instruction across two pages, or -1. */
  int secondFrame = -1;

  /** The first instruction that finds the guest's vector registers loaded, or more than all. */
  int vectorsFrom = Integer.MAX_VALUE;

  /** Guest bytes and instructions covered. */
  int length;

  int count;

  /** Its code is several turns of the loop that it is. */
  boolean unrolled;

  /** Its only instruction is one that the interpreter executes: of {@link JitTranslator#MODE_APART}. */
  boolean interpreted;

  /** Where the code is, on the host. */
  long entry;

  /** Behind its code, without the exits. */
  long end;

  /** Host offsets of the instructions, and of what comes after the last one. */
  short[] code;

  /** Guest offsets of the instructions. */
  short[] guest;

  /** The instructions, as bits, whose code relies on nothing that the code before it has found out. */
  long independent;

  /** The instructions, as bits, whose stores have been to code: the TLB will not serve them. */
  long storesToCode;

  /** The instructions, as bits, that read constants where they stand. */
  long loose;

  /** Where such constants begin in the frame, and what comes behind them, by turns; or null. */
  short[] looseBytes;

  /** Offset of the exit that an invalid block's entry is made to jump to. */
  int staleExit;

  /** Instructions that the interpreter executes, as they are needed. */
  Core.Slow[] slow;

  /** The same for the x87 registers. */
  int x87From = Integer.MAX_VALUE;

  /** From instructions on, the same with each access looked at by itself; as they are needed. */
  JitBlock[] plain;

  /** What {@link CheckedTranslator} runs for it, or null. */
  CheckedTranslator.Steps steps;

  boolean valid = true;

  /** Its code is no longer in the cache. */
  boolean gone;

  /** Next block that starts in the same chunk of the page. */
  JitBlock nextInChunk;

  JitBlock(long rip, int mode, int frame) {
    this.rip = rip;
    this.mode = mode;
    this.frame = frame;
    this.offset = (int) rip & 4095;
  }

  /** Constants between offsets of the frame are read where they stand. */
  void addLoose(int from, int behind) {
    int n = looseBytes == null ? 0 : looseBytes.length;
    looseBytes = n == 0 ? new short[2] : Arrays.copyOf(looseBytes, n + 2);
    looseBytes[n] = (short) from;
    looseBytes[n + 1] = (short) behind;
  }

  /** Whether a store changes its code, and not only constants that it reads where they stand. */
  boolean isChangedBy(int from, int size) {
    int end = from + size;
    if (from >= offset + length || end <= offset) {
      return false;
    }
    if (looseBytes != null) {
      for (int i = 0; i < looseBytes.length; i += 2) {
        if (from >= looseBytes[i] && end <= looseBytes[i + 1]) {
          return false;
        }
      }
    }
    return true;
  }

  /** The instruction at an address, if its code relies on nothing before it, or -1. */
  int enterable(long at) {
    for (int i = 0; i < count; i++) {
      if (rip + guest[i] == at && (independent >>> i & 1) != 0) {
        return i;
      }
    }
    return -1;
  }

  long ripOf(int instruction) {
    return rip + guest[instruction];
  }

  long codeOf(int instruction) {
    return entry + code[instruction];
  }
}

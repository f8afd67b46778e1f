package org.javisor.interp;

/** A run of up to {@link BlockBuilder#MAX} instructions within one page, ready to run. */
final class Block {
  /** Offset in CS (64-bit mode: linear address) and linear address of the first instruction. */
  final long rip;

  final long linear;

  /** Mode of the CPU that the block is for; see {@link BlockBuilder#mode}. */
  final int mode;

  /** Frame and offset in it of the first byte; the second frame of a straddling instruction or -1. */
  final int frame;

  final int offset;
  int secondFrame = -1;

  int length;
  int count;
  Step first;

  /** The flush epoch at which the mapping of {@link #linear} to {@link #frame} was last seen. */
  long epoch;

  boolean valid = true;

  /** A debugger's breakpoint stands at the first instruction. */
  boolean breakpoint;

  /** Next block that starts in the same chunk of the page. */
  Block nextInChunk;

  Block(long rip, long linear, int mode, int frame) {
    this.rip = rip;
    this.linear = linear;
    this.mode = mode;
    this.frame = frame;
    this.offset = (int) linear & 4095;
  }
}

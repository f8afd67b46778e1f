package org.javisor.interp;

import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/** Makes {@link Block}s: fetches and decodes instructions and chains a step for each. */
final class BlockBuilder {
  /** Instructions in a block at most: bounds the chain's depth and the wait for an interrupt. */
  static final int MAX = 32;

  private static final int WINDOW = 512;

  private final Cpu c;
  private final FrameArena arena;
  private final Decoder decoder;
  private final byte[] bytes = new byte[WINDOW + 16];
  private final Instruction in = new Instruction();

  BlockBuilder(Cpu c, FrameArena arena) {
    this.c = c;
    this.arena = arena;
    this.decoder = new Decoder(CpuModels.features(c.model));
  }

  /**
   * What a block depends on besides the instructions: sizes of code and stack for its steps; and
   * whether it is the user's, since a block that is known is not fetched again.
   */
  static int mode(Cpu c) {
    int code = c.codeSize == 64 ? 2 : c.codeSize == 32 ? 1 : 0;
    int stack = c.stackSize == 8 ? 2 : c.stackSize == 4 ? 1 : 0;
    return code | stack << 2 | (c.cpl == 3 ? 1 << 4 : 0)
        | (c.deprivilegedKernel ? 1 << 5 : 0);
  }

  Decoder decoder() {
    return decoder;
  }

  /**
   * Builds the block at the current RIP.
   *
   * @param linear its linear address
   * @param frame the frame of its first byte
   * @param single only one instruction
   */
  Block build(long linear, int frame, boolean single) {
    Block block = new Block(c.rip, linear, c.mode, frame);
    int offset = block.offset;
    int available = Math.min(4096 - offset, WINDOW);
    RawMemory.copyOut(arena.address(frame) + offset, bytes, 0, available);
    boolean toPageEnd = offset + available == 4096;
    int position = 0;
    int max = single || c.debug.watchesData() ? 1 : MAX;
    long rip = c.rip;
    Step last = null;
    boolean ended = false;
    while (block.count < max && !ended) {
      int length = decoder.decode(bytes, position, available, c.codeSize, in);
      Step step;
      if (length == Decoder.NEED_MORE) {
        if (block.count > 0) {
          break;
        }
        // The only instruction that may leave its page stands alone.
        if (!toPageEnd) {
          throw new AssertionError("window too small");
        }
        long second = linear + available;
        long gpa = c.mmu.fetch(c.is64() ? second : second & 0xffff_ffffL);
        int secondFrame = c.mmu.frame(gpa);
        int more = 16;
        if (secondFrame >= 0) {
          RawMemory.copyOut(arena.address(secondFrame), bytes, available, more);
        } else {
          java.util.Arrays.fill(bytes, available, available + more, (byte) -1);
        }
        length = decoder.decode(bytes, 0, available + more, c.codeSize, in);
        block.secondFrame = secondFrame;
        max = 1;
      }
      if (length <= 0) {
        if (block.count > 0) {
          break;
        }
        step =
            length == Decoder.TOO_LONG
                ? new GenericStep.Fault(GuestFault.GP, 0)
                : new GenericStep.Fault(GuestFault.UD, GuestFault.NO_ERROR_CODE);
        length = 1;
        ended = true;
      } else {
        long nextRip = rip + length;
        if (c.codeSize != 64) {
          nextRip &= c.codeSize == 32 ? 0xffff_ffffL : 0x1_ffff;
        }
        ended = Handlers.endsBlock(in.form);
        step = StepFactory.make(in, rip, nextRip, ended);
      }
      step.rip = rip;
      if (last == null) {
        block.first = step;
      } else {
        last.next = step;
      }
      last = step;
      rip += length;
      if (c.codeSize != 64) {
        rip &= 0xffff_ffffL;
      }
      position += length;
      block.count++;
      if (c.vcpu.stopsAt(linear + position)) {
        break;
      }
    }
    if (!ended) {
      last.next = new GenericStep.FallThrough(rip);
    }
    block.length = position;
    return block;
  }
}

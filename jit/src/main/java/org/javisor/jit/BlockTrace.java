package org.javisor.jit;

import static org.javisor.accelerator.TraceCategory.BLOCK;

import org.javisor.accelerator.Trace;
import org.javisor.interp.Core;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/** Shows the blocks at some addresses: guest code, host code, and how often they were entered. */
final class BlockTrace {
  private static final int LONGEST = 15;

  private final Core core;
  private final Trace trace;
  private final long[] addresses;
  private final Decoder hostDecoder = new Decoder(SiliconUnit.hostFeatures());
  private final Instruction in = new Instruction();

  BlockTrace(Core core) {
    this.core = core;
    trace = core.trace();
    addresses = trace.blocks().stream().mapToLong(a -> a).toArray();
  }

  /** The number of an address that lies in a range, or -1; {@link Layout#HITS} has its counter. */
  int watched(long from, int length) {
    for (int i = 0; i < addresses.length; i++) {
      if (addresses[i] - from >= 0 && addresses[i] - from < length) {
        return i;
      }
    }
    return -1;
  }

  /** Shows a block that has just been translated, if it is one of those. */
  void show(JitBlock b, BlockCompiler compiler) {
    if (watched(b.rip, b.length) < 0) {
      return;
    }
    trace.line(BLOCK, "vcpu %d translated %#x at %#x:", core.id(), b.rip, b.entry);
    for (int i = 0; i < b.count; i++) {
      long rip = b.ripOf(i);
      trace.line(BLOCK, "%x  %s", rip, Disassembler.text(compiler.decode(b, i), rip));
      host(i == 0 ? b.entry : b.codeOf(i), b.codeOf(i + 1));
    }
    host(b.codeOf(b.count), b.end);
  }

  private void host(long from, long to) {
    byte[] code = new byte[LONGEST];
    for (long at = from; at < to;) {
      int available = (int) Math.min(LONGEST, to - at);
      RawMemory.copyOut(at, code, 0, available);
      int length = hostDecoder.decode(code, 0, available, 64, in);
      trace.line(
          BLOCK, "    %x  %s", at, length > 0 ? Disassembler.text(in, at) : "?");
      at += Math.max(length, 1);
    }
  }

  /** Says how often each was entered. */
  void close() {
    for (int i = 0; i < addresses.length; i++) {
      trace.line(
          BLOCK,
          "vcpu %d entered %#x %d times",
          core.id(),
          addresses[i],
          RawMemory.get64(core.block() + Layout.HITS + 8L * i));
    }
  }
}

package org.javisor.jit;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A block has been translated. Off by default: there are tens of thousands in a boot. */
@Name("org.javisor.BlockTranslated")
@Label("Block Translated")
@Category("Javisor")
@Enabled(false)
@StackTrace(false)
final class BlockTranslated extends Event {
  @Label("vCPU") int vcpu;

  @Label("Address") long address;

  @Label("Mode") int mode;

  @Label("Instructions") int instructions;

  @Label("Offset in Code Cache") int offset;

  @Label("Code")
  @DataAmount int bytes;

  static void commit(int vcpu, JitBlock block, int offset, int bytes) {
    BlockTranslated event = new BlockTranslated();
    if (event.isEnabled()) {
      event.vcpu = vcpu;
      event.address = block.rip;
      event.mode = block.mode;
      event.instructions = block.count;
      event.offset = offset;
      event.bytes = bytes;
      event.commit();
    }
  }
}

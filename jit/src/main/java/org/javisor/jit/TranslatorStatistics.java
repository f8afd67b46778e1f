package org.javisor.jit;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/** What the translator of one vCPU has done since it began. */
@Name("org.javisor.TranslatorStatistics")
@Label("Translator Statistics")
@Category("Javisor")
@Period("1 s")
@StackTrace(false)
final class TranslatorStatistics extends Event {
  @Label("vCPU") int vcpu;

  @Label("Blocks Translated") long blocks;

  @Label("Instructions Translated") long instructions;

  @Label("Jumps Linked") long links;

  @Label("Blocks Invalidated") long invalidations;

  @Label("Code Cache Flushes") long flushes;

  @Label("Code")
  @DataAmount long codeBytes;

  @Label("Code of Exits")
  @DataAmount long exitCodeBytes;

  @Label("Exits: TLB Miss") long tlbMisses;

  @Label("Exits: Instruction Interpreted") long interpreted;

  @Label("Exits: Jump not Linked") long unlinkedJumps;

  @Label("Exits: Target not in Jump Cache") long unknownTargets;

  @Label("Exits: Block no longer Valid") long staleBlocks;

  @Label("Exits: Group of Accesses Refused") long groupsRefused;
}

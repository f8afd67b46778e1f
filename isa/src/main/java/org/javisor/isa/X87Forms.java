package org.javisor.isa;

/** The x87 rows of the instruction table: opcodes D8–DF. */
final class X87Forms {
  private X87Forms() {}

  static void define() {}
}

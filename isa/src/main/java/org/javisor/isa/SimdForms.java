package org.javisor.isa;

/** The MMX, SSE and AVX rows of the instruction table. */
final class SimdForms {
  private SimdForms() {}

  static void define() {}
}

/**
 * Test data and test programs of other projects, which lie outside of this repository and are read
 * where they are: {@link org.javisor.conformance.vectors.RomConformance} runs a ROM that tests its
 * CPU, {@link org.javisor.conformance.vectors.XedConformance} compares the decoder with the
 * disassembly that XED's own tests expect, and {@link
 * org.javisor.conformance.vectors.MooConformance} runs single instructions that were recorded on an
 * 80286.
 */
package org.javisor.conformance.vectors;

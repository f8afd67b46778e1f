/**
 * The instruction set: one table, and what is derived from it.
 *
 * <p>{@link org.javisor.isa.InstructionTable} lists every instruction {@link org.javisor.isa.Form}
 * (opcode, operands, flags, privilege, CPUID feature). {@link org.javisor.isa.Decoder} reads bytes
 * into an {@link org.javisor.isa.Instruction} by that table; the disassembler prints one. The
 * interpreter, the translator and the test generators take their knowledge of encodings from here
 * and from nowhere else. This package leans on nothing of Javisor.
 */
package org.javisor.isa;

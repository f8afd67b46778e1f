/**
 * The translator: guest code becomes host code, on x86-64 hosts.
 *
 * <p>{@link org.javisor.jit.JitTranslator} is the other half of a vCPU of {@link
 * org.javisor.interp}: it finds or makes a {@link org.javisor.jit.JitBlock} for where the guest is,
 * enters it, and does what its exits ask for. {@link org.javisor.jit.BlockCompiler} turns
 * instructions into code, {@link org.javisor.jit.Emitter} encodes it, {@link
 * org.javisor.jit.CodeCache} holds it, {@link org.javisor.jit.Layout} says what it finds in the vCPU
 * block and in which host register a guest register lives.
 *
 * <p>x86 on x86: an instruction keeps its opcode, registers are renamed, a memory operand goes
 * through the software TLB. The guest's arithmetic flags are always the host's; so what is emitted
 * around an instruction only uses instructions that leave the flags: MOV, LEA, NOT, JRCXZ and BMI2's.
 * Every instruction boundary has all of the guest's state in registers and block, so that code can be
 * left and entered at each.
 */
package org.javisor.jit;

/**
 * The CPU in software: MMU, software TLB and the reference semantics of every instruction.
 *
 * <p>Data flow: {@link org.javisor.interp.InterpVcpu} runs {@link org.javisor.interp.Block}s, chains
 * of {@link org.javisor.interp.Step}s that {@link org.javisor.interp.BlockBuilder} makes from decoded
 * instructions. Frequent instructions are steps specialised for operand shapes (see {@link
 * org.javisor.interp.Specializer}); all others go through a handler in {@link
 * org.javisor.interp.Handlers}. {@link org.javisor.interp.Cpu} holds the state a step works on and
 * the fast paths to memory; {@link org.javisor.interp.Mmu} walks page tables when those miss; {@link
 * org.javisor.interp.Delivery} delivers exceptions and interrupts and performs far transfers.
 *
 * <p>A guest fault is a {@link org.javisor.interp.GuestFault}, thrown before the instruction has
 * changed anything and caught in the vCPU's loop.
 */
package org.javisor.interp;

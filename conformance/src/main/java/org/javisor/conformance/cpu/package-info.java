/**
 * The CPU against the silicon: the same bytes run on the host's CPU and on an accelerator's, and
 * everything that the manuals define must be the same afterwards.
 *
 * <p>{@link org.javisor.conformance.cpu.CpuCase} is a case and a result: registers, memory, code,
 * exception. {@link org.javisor.conformance.cpu.HostCpu} runs one on the host, in a process of its
 * own; {@link org.javisor.conformance.cpu.SoftwareCpu} on a vCPU of whatever accelerator it is given.
 * {@code CaseGenerator} draws cases from the rows of the instruction table, {@code Comparison} judges
 * them, {@code Differential} does so by the million; {@link
 * org.javisor.conformance.cpu.CpuConformance} is the program around it. What cannot be compared is
 * in {@code Incomparable}, what differs and stays so in {@code KnownDifference}, each with its reason.
 */
package org.javisor.conformance.cpu;

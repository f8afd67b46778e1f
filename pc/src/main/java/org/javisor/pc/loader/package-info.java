/**
 * Kernels: telling what a file is, and putting it into a guest's memory the way its boot protocol
 * asks.
 *
 * <p>{@link org.javisor.pc.loader.KernelImage} reads a file without copying it: bzImage, vmlinux,
 * ELF with a PVH note, multiboot. {@link org.javisor.pc.loader.KernelLoader} places it, with
 * command line and modules, and returns the state in which vCPU 0 starts. {@link
 * org.javisor.pc.loader.KernelInspector} says what a kernel can be a guest of, with its evidence.
 *
 * <p>Files are hostile until checked: whatever is wrong with one ends in a {@link
 * org.javisor.pc.loader.KernelFormatException} of one clear line.
 */
package org.javisor.pc.loader;

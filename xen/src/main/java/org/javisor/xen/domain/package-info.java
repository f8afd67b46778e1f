/**
 * What differs between kinds of domains: how they are built and entered, how their CPUs trap, and
 * how they are told of events.
 *
 * <p>{@link org.javisor.xen.domain.PvhDomain} is a hardware-virtual CPU with nothing of a PC but
 * local APICs; {@link org.javisor.xen.domain.HvmDomain} is a whole PC, and {@link
 * org.javisor.xen.domain.ModelledDomain} one whose devices a program in domain 0 is. All have {@link
 * org.javisor.xen.domain.TranslatedVcpu}s. A PV domain would bring vCPUs of its own, with ring-3
 * kernels and page tables of machine frames, behind the same {@link
 * org.javisor.xen.hypervisor.VcpuPort}.
 *
 * <p>Leans on the hypervisor and on the PC's interrupt controllers, tables and loaders.
 */
package org.javisor.xen.domain;

/**
 * The hypervisor: domains and their vCPUs, memory ownership, hypercalls, event channels, grants,
 * time and scheduling. It knows no device, disk, network or tool.
 *
 * <p>{@link org.javisor.xen.hypervisor.Hypervisor} is the host; a {@link
 * org.javisor.xen.hypervisor.Domain} is a guest, a {@link org.javisor.xen.hypervisor.VirtualCpu} one
 * of its CPUs. A hypercall enters at {@link org.javisor.xen.hypervisor.HypercallTable}, which has one
 * {@link org.javisor.xen.hypervisor.HypercallFamily} a number; a family is one class with one method
 * an operation. What differs between kinds of domains is behind {@link
 * org.javisor.xen.hypervisor.DomainPort} and {@link org.javisor.xen.hypervisor.VcpuPort}.
 *
 * <p>Everything a guest passes is hostile. Arguments are read once, through {@link
 * org.javisor.xen.hypervisor.GuestArguments}, and checked where they are read.
 *
 * <p>Source of numbers and layouts: Xen's public headers, version 4.17 (Debian's libxen-dev).
 */
package org.javisor.xen.hypervisor;

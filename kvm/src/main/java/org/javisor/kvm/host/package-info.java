/**
 * The host's side of {@code /dev/kvm}: system calls through {@code java.lang.foreign}, the numbers
 * of its interface, event file descriptors and a thread that listens to them, and the signal that gets a thread out of the guest.
 *
 * <p>Nothing here knows what a guest is. {@link org.javisor.kvm.host.KvmDevice} opens the device
 * and says in words why it cannot; {@link org.javisor.kvm.host.KvmFd} is one descriptor of it, the
 * system's, a virtual machine's or a vCPU's, and {@link org.javisor.kvm.host.KvmAbi} its numbers and
 * structures.
 */
package org.javisor.kvm.host;

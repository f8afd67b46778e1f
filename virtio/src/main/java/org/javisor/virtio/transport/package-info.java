/**
 * How a driver finds a device and sets it up: {@link org.javisor.virtio.transport.VirtioPci} on the
 * PCI bus (VirtIO 1.2, section 4.1, modern and transitional) and {@link
 * org.javisor.virtio.transport.VirtioMmio} by memory-mapped registers (section 4.2). Both turn
 * registers into calls of {@code DeviceCore} and its interrupts into messages or wires. Leans on
 * {@code virtio.device} and the buses of {@code pc}.
 */
package org.javisor.virtio.transport;

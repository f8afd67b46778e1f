/**
 * VirtIO 1.2: what a guest whose drivers know that they are in a virtual machine has for devices.
 *
 * <p>Three layers, each in packages of their own:
 *
 * <ul>
 *   <li>{@code virtio.queue}: rings of buffers in guest memory;
 *   <li>{@code virtio.device}: what a kind of device is, and {@link
 *       org.javisor.virtio.device.Session}, the time a driver uses it; {@code virtio.transport}: how
 *       the driver finds and sets up a device, on the PCI bus (modern and legacy) or by
 *       memory-mapped registers;
 *   <li>a package for each kind of device: {@code block}, {@code net}, {@code console}, {@code
 *       entropy}, {@code balloon}, {@code fs}.
 * </ul>
 *
 * <p>Threads: a doorbell rings on a vCPU's thread. What takes time is done by the back end's threads;
 * a device sees to it that one thread at a time takes from a queue. Resetting a device waits for
 * those who are just copying, and shuts out those who come later ({@code Session}).
 */
package org.javisor.virtio;

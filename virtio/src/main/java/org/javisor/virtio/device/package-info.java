/**
 * What every kind of VirtIO device has in common: {@link org.javisor.virtio.device.VirtioDevice} is
 * the kind, {@link org.javisor.virtio.device.DeviceCore} the part that its driver sets up, the same
 * for all transports, and {@link org.javisor.virtio.device.Session} the time from there to the next
 * reset. Leans on {@code virtio.queue}.
 */
package org.javisor.virtio.device;

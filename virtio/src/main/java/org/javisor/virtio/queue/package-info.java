/**
 * Split virtqueues (VirtIO 1.2, section 2.7), the device's side.
 *
 * <p>A {@link org.javisor.virtio.queue.Virtqueue} takes {@link org.javisor.virtio.queue.Chain}s of
 * buffers out of the available ring and puts them into the used ring. Everything in the rings is the
 * guest's and may change at any moment: each field is read once, copied and checked, and whatever
 * breaks the rules is a {@link org.javisor.virtio.queue.DriverFault}.
 *
 * <p>Leans on {@code memory} only. Knows neither devices nor transports.
 */
package org.javisor.virtio.queue;

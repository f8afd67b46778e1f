/**
 * The VirtIO block device (VirtIO 1.2, section 5.2) over a {@code BlockDevice} of {@code storage}.
 *
 * <p>{@link org.javisor.virtio.block.VirtioBlock} takes requests out of the queues on the thread that
 * rings, which is a vCPU's, copies what is written, and submits; the back end's threads copy what was
 * read and complete. Each request is an {@code InFlight}, used again and again.
 */
package org.javisor.virtio.block;

/**
 * The VirtIO network card (VirtIO 1.2, section 5.1), plugged into a {@code NetworkPort}.
 *
 * <p>{@link org.javisor.virtio.net.VirtioNet} works off all its queues on the network's thread, in
 * doorbells: a frame goes from guest memory into the host's socket without changing threads, and no
 * queue needs a lock. Large segments and missing checksums pass through as {@code Offload}s.
 */
package org.javisor.virtio.net;

/**
 * The VirtIO console (VirtIO 1.2, section 5.3): terminals and named channels between guest and host,
 * as many ports as one wants. What is at the far end of a port is a {@code CharacterBackend}, as at
 * the end of a serial line.
 */
package org.javisor.virtio.console;

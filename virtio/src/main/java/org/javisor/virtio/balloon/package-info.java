/**
 * The VirtIO memory balloon (VirtIO 1.2, section 5.5): pages that a guest does not need go back to
 * the host, because they were asked for, or because the guest reports them free; and what the guest
 * says of its memory.
 */
package org.javisor.virtio.balloon;

/**
 * Back ends of split drivers that run in this process: a domain's disks, network cards and console.
 *
 * <p>{@link org.javisor.xen.backend.BlockBackend} and {@link
 * org.javisor.xen.backend.NetworkBackend} find their front ends through xenstore, as {@link
 * org.javisor.xen.backend.XenbusBackend} says, and share pages with them by grants. They stand on the
 * same disks and networks as the devices of any other machine. {@link
 * org.javisor.xen.backend.ConsoleBackend} needs no xenstore: its page is there from the start.
 *
 * <p>What a front end writes is hostile. A request is copied out of the ring before it is looked at,
 * every index is checked, and what is in flight for a guest is bounded by the size of its rings.
 */
package org.javisor.xen.backend;

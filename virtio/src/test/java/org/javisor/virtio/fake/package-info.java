/**
 * A guest's driver as tests need one: it finds a device through its transport's registers, sets it up
 * with whatever features a test wants, and drives the queues in guest memory, by the rules or
 * against them.
 */
package org.javisor.virtio.fake;

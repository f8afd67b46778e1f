/**
 * Files of the host, and raw disk images.
 *
 * <p>{@link org.javisor.storage.block.file.HostFile} is an open file with positional reads and
 * writes, sparse where the host can. {@link org.javisor.storage.block.file.LinuxFile} makes system
 * calls, so that errors keep their number (a full disk is told from a broken one), holes can be
 * punched and found, and images are locked on the bytes that QEMU locks. {@link
 * org.javisor.storage.block.file.ChannelFile} does what Java can do on any host.
 *
 * <p>{@link org.javisor.storage.block.file.RawImage} is a disk stored byte for byte.
 */
package org.javisor.storage.block.file;

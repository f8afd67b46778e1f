/**
 * The VirtIO file system device (VirtIO 1.2, section 5.11): a folder of the host that a guest mounts.
 *
 * <p>The driver speaks FUSE; {@link org.javisor.virtio.fs.FuseServer} answers, one request a call,
 * out of the host's files, and {@link org.javisor.virtio.fs.VirtioFs} carries requests between the
 * queues and it, on threads that may block. {@code HostCalls} binds the host's functions.
 *
 * <p>No way leads out of the folder. A guest names files by numbers, each of which stands for an open
 * descriptor (O_PATH) of exactly one file ({@code Nodes}); a name is one component, looked up in one
 * of these without following links; and a link's text goes to the guest, which resolves it in its own
 * tree.
 */
package org.javisor.virtio.fs;

package org.javisor.pc.loader;

/**
 * A file handed to the kernel: Linux takes one, its initramfs; PVH and multiboot take several.
 *
 * @param commandLine the module's own, where the protocol has such; may be empty
 */
public record BootModule(Blob data, String commandLine) {}

/**
 * Making images: the default guest's initramfs and what goes into it.
 *
 * <p>{@link org.javisor.storage.image.DefaultGuest} is the way in: it returns the paths of a kernel
 * and an initramfs, made on first use and kept in the user's cache. {@link
 * org.javisor.storage.image.InitramfsBuilder} packs busybox, an init script and a {@link
 * org.javisor.storage.image.ModuleTree} into a {@link org.javisor.storage.image.CpioWriter}. {@link
 * org.javisor.storage.image.KernelPayload} finds and unpacks the kernel proper inside a bzImage.
 */
package org.javisor.storage.image;

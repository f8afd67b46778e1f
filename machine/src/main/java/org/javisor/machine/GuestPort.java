package org.javisor.machine;

import org.javisor.machine.console.Console;

/**
 * A port of a machine's VirtIO console.
 *
 * @param name what the guest finds under {@code /dev/virtio-ports}; empty for a terminal, which it
 *     finds as {@code /dev/hvc0} and up
 * @param far the far end; its owner closes it
 * @param text the value of the option that names it; paths are absolute
 */
public record GuestPort(String name, Console far, String text) {}

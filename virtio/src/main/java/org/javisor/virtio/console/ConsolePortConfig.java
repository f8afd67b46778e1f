package org.javisor.virtio.console;

import org.javisor.pc.serial.CharacterBackend;

/**
 * A port of the console.
 *
 * @param name what the guest finds under {@code /dev/virtio-ports}; empty for a terminal
 * @param terminal whether the guest makes it a terminal, {@code /dev/hvc0} and up
 * @param backend the far end
 */
public record ConsolePortConfig(String name, boolean terminal, CharacterBackend backend) {}

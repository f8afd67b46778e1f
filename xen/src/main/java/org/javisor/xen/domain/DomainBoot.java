package org.javisor.xen.domain;

import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;

/**
 * What a domain is made of and boots.
 *
 * @param memoryBytes a multiple of 1 MiB
 * @param maxMemoryBytes what it may grow to
 * @param kernel what is entered; empty for an HVM domain that starts its firmware
 * @param unpackedKernel the kernel's ELF file, if it was unpacked before
 * @param firmware a SeaBIOS image, for a domain without a kernel
 * @param devices on the board of an HVM domain
 */
public record DomainBoot(
    UUID uuid,
    int vcpus,
    long memoryBytes,
    long maxMemoryBytes,
    Optional<Path> kernel,
    Optional<Path> unpackedKernel,
    Optional<Path> ramdisk,
    String commandLine,
    Optional<byte[]> firmware,
    EmulatedDevices devices) {}

package org.javisor.xen.domain;

import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;

/**
 * What a domain is made of and boots.
 *
 * @param memoryBytes a multiple of 1 MiB
 * @param maxMemoryBytes what it may grow to
 * @param unpackedKernel the kernel's ELF file, if it was unpacked before
 */
public record DomainBoot(
    UUID uuid,
    int vcpus,
    long memoryBytes,
    long maxMemoryBytes,
    Path kernel,
    Optional<Path> unpackedKernel,
    Optional<Path> ramdisk,
    String commandLine) {}

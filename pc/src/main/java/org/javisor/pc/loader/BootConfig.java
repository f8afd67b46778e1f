package org.javisor.pc.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a kernel is told, and how it is entered.
 *
 * @param e820 the machine's memory map, in ascending order
 * @param rsdp where the ACPI root pointer is, or 0 for none
 * @param freshMemory whether guest memory holds nothing but zeros yet, so that zero pages need not
 *     be written and the host need not back them
 * @param startFlags what a domain is told to be by the PVH protocol (Xen, public/xen.h, SIF_*)
 */
public record BootConfig(
    BootProtocol protocol,
    List<E820Entry> e820,
    long rsdp,
    String commandLine,
    List<BootModule> modules,
    boolean freshMemory,
    int startFlags) {

  public BootConfig {
    e820 = List.copyOf(e820);
    modules = List.copyOf(modules);
    for (int i = 1; i < e820.size(); i++) {
      if (e820.get(i).base() < e820.get(i - 1).end()) {
        throw new IllegalArgumentException("memory map with overlapping or unordered ranges");
      }
    }
    if (commandLine.indexOf('\0') >= 0) {
      throw new IllegalArgumentException("kernel command line with a NUL");
    }
  }

  /** A configuration with fresh memory, no modules, an empty command line, protocol AUTO. */
  public static BootConfig of(List<E820Entry> e820) {
    return new BootConfig(BootProtocol.AUTO, e820, 0, "", List.of(), true, 0);
  }

  public BootConfig withProtocol(BootProtocol chosen) {
    return new BootConfig(chosen, e820, rsdp, commandLine, modules, freshMemory, startFlags);
  }

  public BootConfig withRsdp(long address) {
    return new BootConfig(protocol, e820, address, commandLine, modules, freshMemory, startFlags);
  }

  public BootConfig withCommandLine(String text) {
    return new BootConfig(protocol, e820, rsdp, text, modules, freshMemory, startFlags);
  }

  /** Adds an initramfs, or for multiboot and PVH a module without a command line. */
  public BootConfig withInitrd(Path file) {
    return withModule(Blob.file(file), "");
  }

  public BootConfig withModule(Blob data, String moduleCommandLine) {
    List<BootModule> more = new ArrayList<>(modules);
    more.add(new BootModule(data, moduleCommandLine));
    return new BootConfig(protocol, e820, rsdp, commandLine, more, freshMemory, startFlags);
  }

  /** For a domain that is to know what it is: privileged, the first. */
  public BootConfig withStartFlags(int flags) {
    return new BootConfig(protocol, e820, rsdp, commandLine, modules, freshMemory, flags);
  }

  /** For memory that a guest has run in: everything is written, zeros too. */
  public BootConfig withUsedMemory() {
    return new BootConfig(protocol, e820, rsdp, commandLine, modules, false, startFlags);
  }
}

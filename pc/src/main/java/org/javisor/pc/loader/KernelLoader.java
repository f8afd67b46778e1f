package org.javisor.pc.loader;

import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;

/** Places a kernel into guest memory. */
public final class KernelLoader {
  private KernelLoader() {}

  /**
   * Places the kernel with command line and modules, and makes the state in which vCPU 0 starts.
   * Guest memory must be mapped wherever the memory map has RAM.
   */
  public static LoadedKernel load(KernelImage image, GuestMemory memory, BootConfig config)
      throws KernelFormatException {
    BootProtocol protocol =
        config.protocol() == BootProtocol.AUTO ? image.bestProtocol() : config.protocol();
    GuestPlacement placement = new GuestPlacement(memory, config);
    try {
      placement.biosDataArea();
      return switch (protocol) {
        case LINUX_64 -> new LinuxLoader(image, config, placement).load64();
        case LINUX_64_SELF_UNPACKING, LINUX_32 ->
            new LinuxLoader(image, config, placement).loadSelfUnpacking(protocol);
        case LINUX_REAL_MODE -> new LinuxLoader(image, config, placement).loadRealMode();
        case PVH -> new PvhLoader(image, config, placement).load();
        case MULTIBOOT -> new MultibootLoader(image, config, placement).load();
        case AUTO -> throw new AssertionError("chosen above");
      };
    } catch (GuestMemory.BadAddress e) {
      throw new KernelFormatException(
          Reason.TOO_LITTLE_MEMORY,
          "the memory map promises RAM at %#x, where the machine has none".formatted(e.gpa()),
          e);
    }
  }
}

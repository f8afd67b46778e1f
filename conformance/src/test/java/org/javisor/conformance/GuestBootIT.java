package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.conformance.boot.BootedGuest;
import org.javisor.conformance.boot.DebianBoot;
import org.javisor.machine.MachineConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's own unmodified kernels boot to a shell that can be used, and power off. Any instruction
 * or device that is wrong enough to matter to a kernel breaks this.
 */
class GuestBootIT {
  private static final Progress PROGRESS = Progress.lines(System.out);

  @TempDir Path folder;

  /** On the reference; the others take the accelerator that a person gets. */
  @Test
  @Timeout(600)
  void cloudKernelBootsToShellAndPowersOff() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(DebianBoot.of(files, 1).on("interp", MachineConfig.DEFAULT_CPU_MODEL));
  }

  /** Breaks if a vCPU misses an interrupt, a locked operation is not one, or code is stale. */
  @Test
  @Timeout(600)
  void cloudKernelBootsOnFourVcpus() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(DebianBoot.of(files, 4));
  }

  /** Breaks if real mode, the BIOS calls of the setup code or the guest's own unpacking do. */
  @Test
  @Timeout(600)
  void cloudKernelBootsFromItsRealModeSetup() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(
        DebianBoot.of(files, 1).with(files.kernel(), BootProtocol.LINUX_REAL_MODE));
  }

  @Test
  @Timeout(600)
  void genericKernelBootsToShellAndPowersOff() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(DebianBoot.of(files, 1).with(genericKernel(), BootProtocol.AUTO));
  }

  private Path genericKernel() throws IOException {
    AptFetcher apt = new AptFetcher(DefaultGuest.cacheFolder().resolve("apt"), PROGRESS);
    apt.update(false);
    Path deb = apt.download(apt.findKernel("linux-image-amd64").orElseThrow());
    Path kernel = folder.resolve("vmlinuz");
    PackageArchive.open(deb)
        .visit(
            (entry, contents) -> {
              if (!entry.path().startsWith("boot/vmlinuz-")) {
                return true;
              }
              Files.copy(contents, kernel);
              return false;
            });
    assertTrue(Files.exists(kernel), "a kernel in " + deb);
    return kernel;
  }

  private static void useAndPowerOff(DebianBoot boot) throws Exception {
    try (BootedGuest guest = boot.start()) {
      boot.use(guest, boot.awaitShell(guest));
      assertTrue(boot.powerOff(guest), () -> "no power-off:\n" + guest.tail());
    }
  }
}

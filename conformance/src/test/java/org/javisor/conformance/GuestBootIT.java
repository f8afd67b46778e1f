package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.javisor.machine.MachineOutcome;
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

  @Test
  @Timeout(600)
  void cloudKernelBootsToShellAndPowersOff() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(
        files.kernel(), Optional.of(files.vmlinux()), files.initrd(), BootProtocol.AUTO, 1);
  }

  /** Breaks if a vCPU misses an interrupt, a locked operation is not one, or code is stale. */
  @Test
  @Timeout(600)
  void cloudKernelBootsOnFourVcpus() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(
        files.kernel(), Optional.of(files.vmlinux()), files.initrd(), BootProtocol.AUTO, 4);
  }

  /** Breaks if real mode, the BIOS calls of the setup code or the guest's own unpacking do. */
  @Test
  @Timeout(600)
  void cloudKernelBootsFromItsRealModeSetup() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(
        files.kernel(), Optional.empty(), files.initrd(), BootProtocol.LINUX_REAL_MODE, 1);
  }

  @Test
  @Timeout(600)
  void genericKernelBootsToShellAndPowersOff() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    useAndPowerOff(genericKernel(), Optional.empty(), files.initrd(), BootProtocol.AUTO, 1);
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

  private static void useAndPowerOff(
      Path kernel, Optional<Path> unpacked, Path initrd, BootProtocol protocol, int cpus)
      throws Exception {
    try (BootedGuest guest =
        new BootedGuest(kernel, unpacked, initrd, protocol, cpus, "console=ttyS0")) {
      int at = guest.await("Javisor guest ready: Linux", 0, 300);
      at = guest.await("~ #", at, 60);
      // The answer differs from what is typed, so that the echo does not pass for it.
      guest.type("echo $((6 * 7)) $(uname -m) $(busybox cat /proc/1/comm)");
      at = guest.await("42 x86_64 init", at, 60);
      guest.type("echo cpus=$(nproc)=");
      at = guest.await("cpus=" + cpus + "=", at, 60);
      guest.type("poweroff");
      assertInstanceOf(MachineOutcome.PoweredOff.class, guest.outcome());
    }
  }
}

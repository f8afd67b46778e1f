package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.pc.loader.KernelReport.Ability;
import org.javisor.pc.loader.KernelReport.Verdict;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageExtractor;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Debian's two kernels, which differ in dom0 and whose notes do not say so. Needs apt. */
class KernelInspectorIT {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"linux-image-cloud-amd64,NO,lz4", "linux-image-amd64,YES,xz"})
  void dom0IsToldFromABareKernelAndFromItsPackage(String name, Verdict dom0, String compression)
      throws Exception {
    AptFetcher apt =
        new AptFetcher(DefaultGuest.cacheFolder().resolve("apt"), Progress.lines(System.err));
    apt.update(false);
    AptPackage kernel = apt.findKernel(name).orElse(null);
    Assumptions.assumeTrue(kernel != null, "this host's sources have no " + name);
    Path file = apt.download(kernel);

    PackageExtractor.extract(PackageArchive.open(file), folder, p -> p.startsWith("boot/vmlinuz-"));
    Path bare;
    try (var files = Files.list(folder.resolve("boot"))) {
      bare = files.findFirst().orElseThrow();
    }
    KernelReport report = KernelInspector.inspect(bare);
    assertEquals(dom0, report.answers().get(Ability.XEN_DOM0).verdict(), report.text());
    for (Ability other : Ability.values()) {
      if (other != Ability.XEN_DOM0) {
        assertEquals(Verdict.YES, report.answers().get(other).verdict(), report.text());
      }
    }
    assertEquals("none found", report.facts().get("configuration"));
    assertTrue(report.facts().get("payload").startsWith(compression), report.text());

    KernelReport fromPackage = KernelInspector.inspect(file);
    assertEquals(dom0, fromPackage.answers().get(Ability.XEN_DOM0).verdict(), fromPackage.text());
    String evidence = fromPackage.answers().get(Ability.XEN_DOM0).evidence().toString();
    // The package's own configuration confirms what the image showed.
    assertTrue(evidence.contains("CONFIG_XEN_DOM0=" + (dom0 == Verdict.YES ? "y" : "n")), evidence);
  }
}

package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.junit.jupiter.api.Test;

class AptFetcherTest {
  private static final AptPackage META =
      new AptPackage(
          "busybox-static",
          "1:1.35.0-4+b1",
          "amd64",
          "libc6 (>= 2.3), linux-image-6.1.0-56-cloud-amd64 (= 6.1-2) | other:any, x",
          "");

  @Test
  void fileNamesAreThoseOfApt() {
    assertEquals("busybox-static_1%3a1.35.0-4+b1_amd64.deb", META.fileName());
  }

  @Test
  void dependenciesAreFoundByName() {
    assertEquals(
        Optional.of("linux-image-6.1.0-56-cloud-amd64"),
        META.dependency(Pattern.compile("linux-image-.*")));
    assertEquals(Optional.of("other"), META.dependency(Pattern.compile("oth.*")));
    assertEquals(Optional.empty(), META.dependency(Pattern.compile("none")));
  }

  @Test
  void controlDataIsReadUpToTheFirstEmptyLine() {
    Map<String, String> fields =
        ControlStanza.parse("\nPackage: a\nDepends: b,\n c\nSize: 1\n\nPackage: z\n");
    assertEquals(Map.of("Package", "a", "Depends", "b,", "Size", "1"), fields);
  }

  /** Breaks if a metapackage that is named like a kernel is taken for one. */
  @Test
  void metapackagesLeadToKernels() throws IOException {
    Map<String, String> dependencies =
        Map.of(
            "linux-image-amd64", "linux-image-6.12-amd64 (= 1)",
            "linux-image-6.12-amd64", "linux-image-6.12.9+deb12-amd64 (= 1)",
            "linux-image-6.12.9+deb12-amd64", "kmod, linux-base (>= 4.3)",
            "linux-image-none", "kmod",
            "linux-image-lost", "linux-image-6.13-amd64");
    AptFetcher.Lookup packages =
        name -> Optional.ofNullable(dependencies.get(name))
            .map(depends -> new AptPackage(name, "1", "amd64", depends, ""));
    for (String name : List.of("linux-image-amd64", "linux-image-6.12.9+deb12-amd64")) {
      assertEquals(
          "linux-image-6.12.9+deb12-amd64",
          AptFetcher.findKernel(name, packages).orElseThrow().name());
    }
    assertEquals(Optional.empty(), AptFetcher.findKernel("linux-image-none", packages));
    assertEquals(Optional.empty(), AptFetcher.findKernel("linux-image-lost", packages));
    assertEquals(Optional.empty(), AptFetcher.findKernel("linux-image-6.13", packages));
  }
}

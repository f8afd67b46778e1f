package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.javisor.storage.packages.AptFetcher;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The default guest from the host's apt sources, in an empty cache. Needs apt and the network. */
class DefaultGuestIT {
  @TempDir Path folder;

  private DefaultGuest guest(List<String> messages) {
    return new DefaultGuest(
        folder,
        messages::add,
        Path.of("/boot"),
        Path.of("/lib/modules"),
        AptFetcher.available(),
        AptFetcher.AMD64,
        DefaultGuest.KERNELS,
        Optional::empty);
  }

  @Test
  void isMadeOnceFromTheSourcesOfTheHost() throws Exception {
    List<String> messages = new ArrayList<>();
    DefaultGuest.GuestFiles made = guest(messages).obtain();
    assertTrue(made.source().startsWith("linux-image-"), made.source());
    assertTrue(messages.contains("Fetching package lists"), messages.toString());

    var image = InitramfsBuilderTest.read(Files.readAllBytes(made.initrd()));
    String modules = "lib/modules/" + made.release() + "/";
    String dep = new String(image.get(modules + "modules.dep").contents());
    // Each line of modules.dep names files that are there.
    dep.lines()
        .flatMap(line -> List.of(line.replace(":", "").split(" ")).stream())
        .forEach(path -> assertTrue(image.containsKey(modules + path), path));
    assertTrue(dep.contains("/virtio_net.ko:"), dep);
    assertTrue(dep.contains("/xen-blkfront.ko:"), dep);
    assertTrue(Files.size(made.initrd()) < 12 << 20, "size " + Files.size(made.initrd()));

    messages.clear();
    long start = System.nanoTime();
    assertEquals(made, guest(messages).obtain());
    long milliseconds = (System.nanoTime() - start) / 1_000_000;
    assertTrue(milliseconds < 500, "second time took " + milliseconds + " ms");
    assertEquals(List.of(), messages);
  }
}

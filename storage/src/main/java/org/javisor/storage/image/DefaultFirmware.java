package org.javisor.storage.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;
import org.javisor.storage.packages.Progress;

/**
 * The default firmware: SeaBIOS, where the host has it installed, else from Debian's package, which
 * is fetched once and kept under the user's cache folder.
 */
public final class DefaultFirmware {
  private static final String PACKAGE = "seabios";
  private static final String IMAGE = "bios-256k.bin";
  private static final List<Path> INSTALLED =
      List.of(
          Path.of("/usr/share/seabios", IMAGE),
          Path.of("/usr/share/qemu", IMAGE),
          Path.of("/usr/share/seabios/bios.bin"));

  private final Path cache;
  private final Progress progress;
  private final List<Path> installed;

  public DefaultFirmware(Progress progress) {
    this(DefaultGuest.cacheFolder(), progress, INSTALLED);
  }

  DefaultFirmware(Path cache, Progress progress, List<Path> installed) {
    this.cache = cache;
    this.progress = progress;
    this.installed = List.copyOf(installed);
  }

  /** The image's file, fetched if this is the first time. */
  public Path obtain() throws IOException {
    for (Path file : installed) {
      if (Files.isReadable(file)) {
        return file;
      }
    }
    Path kept = cache.resolve("firmware").resolve(IMAGE);
    return Files.isReadable(kept) ? kept : fetch(kept);
  }

  private Path fetch(Path target) throws IOException {
    AptFetcher apt = new AptFetcher(cache.resolve("apt"), progress);
    boolean updated = apt.update(false);
    Optional<AptPackage> found = apt.find(PACKAGE);
    if (found.isEmpty() && !updated) {
      apt.update(true);
      found = apt.find(PACKAGE);
    }
    AptPackage wanted =
        found.orElseThrow(
            () -> new PackageException(
                Reason.NOT_FOUND,
                "the apt sources offer no package " + PACKAGE
                    + ": add a source, or give a firmware image with --firmware"));
    Path scratch =
        Files.createTempFile(Files.createDirectories(target.getParent()), IMAGE, ".partial");
    try {
      boolean[] seen = new boolean[1];
      PackageArchive.open(apt.download(wanted))
          .visit(
              (entry, contents) -> {
                if (entry.kind() == ArchiveEntry.Kind.FILE
                    && entry.path().endsWith("/" + IMAGE)) {
                  Files.copy(contents, scratch, StandardCopyOption.REPLACE_EXISTING);
                  seen[0] = true;
                }
                return !seen[0];
              });
      if (!seen[0]) {
        throw new PackageException(
            Reason.FAILED,
            "package " + PACKAGE + " " + wanted.version() + " holds no " + IMAGE
                + ": give a firmware image with --firmware");
      }
      // Two first runs fetch the same bytes: whichever comes last changes nothing.
      Files.move(scratch, target, StandardCopyOption.ATOMIC_MOVE);
      return target;
    } finally {
      Files.deleteIfExists(scratch);
    }
  }
}

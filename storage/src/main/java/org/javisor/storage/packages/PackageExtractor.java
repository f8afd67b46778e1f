package org.javisor.storage.packages;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.function.Predicate;

/**
 * Unpacks regular files and folders of a package into a folder.
 *
 * <p>Links and device nodes are left out: the files of a kernel package need none, and without
 * links no entry can be led out of the folder by an earlier one.
 */
public final class PackageExtractor {
  private PackageExtractor() {}

  /** Unpacks what {@code wanted} accepts (by {@link ArchiveEntry#path}). */
  public static void extract(PackageArchive archive, Path folder, Predicate<String> wanted)
      throws IOException {
    archive.visit(
        (entry, contents) -> {
          if (!entry.path().isEmpty() && wanted.test(entry.path())) {
            switch (entry.kind()) {
              case DIRECTORY -> Files.createDirectories(resolve(folder, entry.path()));
              case FILE -> file(folder, entry, contents);
              case SYMBOLIC_LINK, HARD_LINK, SPECIAL -> {}
            }
          }
          return true;
        });
  }

  private static void file(Path folder, ArchiveEntry entry, InputStream contents)
      throws IOException {
    Path target = resolve(folder, entry.path());
    Files.createDirectories(target.getParent());
    long copied = Files.copy(contents, target, StandardCopyOption.REPLACE_EXISTING);
    if (copied != entry.size()) {
      throw new ArchiveFormatException(
          "package ends inside "
              + entry.path()
              + ": "
              + entry.size()
              + " bytes expected, "
              + copied
              + " found");
    }
  }

  private static Path resolve(Path folder, String path) throws IOException {
    Path target = folder.resolve(path).normalize();
    // safePath has refused ".." already; this holds even if a visitor was handed other names.
    if (!target.startsWith(folder.normalize())) {
      throw new ArchiveFormatException("archive entry '" + path + "' would leave " + folder);
    }
    for (Path p = target.getParent(); p != null && !p.equals(folder); p = p.getParent()) {
      if (Files.isSymbolicLink(p)) {
        throw new ArchiveFormatException("archive entry '" + path + "' goes through a link");
      }
    }
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && Files.isSymbolicLink(target)) {
      throw new ArchiveFormatException("archive entry '" + path + "' would overwrite a link");
    }
    return target;
  }
}

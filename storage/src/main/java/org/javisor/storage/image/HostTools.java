package org.javisor.storage.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;
import org.javisor.storage.packages.Progress;

/**
 * Programs of the host that make guests. Those that are not installed are fetched as packages and
 * unpacked in the user's cache folder, where they run without being installed.
 */
final class HostTools {
  private static final List<String> FOLDERS = List.of("usr/bin", "usr/sbin", "bin", "sbin");
  private static final List<String> SYSTEM = List.of("/usr/sbin", "/sbin");
  private static final List<String> LIBRARIES =
      List.of("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu");

  private final Path folder;
  private final AptFetcher apt;
  private final List<Path> fetched = new ArrayList<>();
  private boolean updated;

  HostTools(Path cache, Progress progress) {
    folder = cache.resolve("tools");
    apt = new AptFetcher(cache.resolve("apt"), progress);
  }

  /**
   * The program of that name.
   *
   * @param packages what it and its libraries are in
   */
  Path find(String program, List<String> packages) throws IOException {
    Optional<Path> installed = AptFetcher.onPath(program);
    if (installed.isPresent()) {
      return installed.get();
    }
    for (String place : SYSTEM) {
      Path file = Path.of(place, program);
      if (Files.isExecutable(file)) {
        return file;
      }
    }
    if (!updated) {
      apt.update(false);
      updated = true;
    }
    Path found = null;
    for (String name : packages) {
      Path tree = fetch(name, program);
      for (String place : FOLDERS) {
        Path file = tree.resolve(place).resolve(program);
        found = found == null && Files.isExecutable(file) ? file : found;
      }
    }
    if (found == null) {
      throw missing(program, packages.getFirst());
    }
    return found;
  }

  private static PackageException missing(String program, String name) {
    return new PackageException(
        Reason.NOT_FOUND,
        program + " is not installed and the apt sources do not offer it: install package " + name);
  }

  private Path fetch(String name, String program) throws IOException {
    AptPackage wanted = apt.find(name).orElseThrow(() -> missing(program, name));
    Path tree = folder.resolve(wanted.name() + "_" + wanted.version().replace(':', '%'));
    if (!Files.isDirectory(tree)) {
      Path scratch = Files.createTempDirectory(Files.createDirectories(folder), "partial-");
      PackageArchive.open(apt.download(wanted))
          .visit(
              (entry, contents) -> {
                Path target = scratch.resolve(entry.path()).normalize();
                if (!target.startsWith(scratch) || entry.path().isEmpty()) {
                  return true;
                }
                if (entry.kind() == ArchiveEntry.Kind.FILE) {
                  Files.createDirectories(target.getParent());
                  Files.copy(contents, target, StandardCopyOption.REPLACE_EXISTING);
                  target.toFile().setExecutable(true);
                } else if (entry.kind() == ArchiveEntry.Kind.SYMBOLIC_LINK
                    && !entry.target().contains("/")) {
                  // The other names of a library beside it.
                  Files.createDirectories(target.getParent());
                  Files.createSymbolicLink(target, Path.of(entry.target()));
                }
                return true;
              });
      Files.move(scratch, tree, StandardCopyOption.ATOMIC_MOVE);
    }
    fetched.add(tree);
    return tree;
  }

  /** Lets programs find the libraries that were fetched for them. */
  void addTo(Map<String, String> environment) {
    List<String> paths = new ArrayList<>();
    for (Path tree : fetched) {
      for (String place : LIBRARIES) {
        paths.add(tree.resolve(place).toString());
      }
    }
    if (!paths.isEmpty()) {
      String before = environment.getOrDefault("LD_LIBRARY_PATH", "");
      String all = String.join(":", paths);
      environment.put("LD_LIBRARY_PATH", before.isEmpty() ? all : all + ":" + before);
    }
  }
}

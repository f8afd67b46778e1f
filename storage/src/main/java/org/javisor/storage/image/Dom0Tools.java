package org.javisor.storage.image;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;

/**
 * What makes a Xen domain 0 of the default guest: Debian's own xen-utils with the libraries they
 * need, unmodified, and a script that starts their daemons.
 */
final class Dom0Tools {
  /** The version whose interface to the hypervisor is the one that is served here. */
  static final String UTILS = "xen-utils-4.17";

  /** The tools' scripts want this shell. */
  private static final List<String> ROOTS = List.of(UTILS, "bash");

  /** A package of which one file is needed, and nothing that the others depend on. */
  private static final String UTILITIES = "util-linux";

  private static final String LOCK = "usr/bin/flock";

  /** Of what they depend on; the rest is for systems with an init of their own. */
  private static final Pattern NEEDED =
      Pattern.compile("lib.*|zlib1g|xen-utils-common|xenstore-utils");

  private static final int MOST_PACKAGES = 100;

  /** What no program needs at work. */
  private static final Pattern LEFT_OUT =
      Pattern.compile(
          "(usr/)?(share|include|games)/.*|.*\\.(py|egg-info|a)|.*/(gconv|python|terminfo)/.*|.*/boot/xen-shim"
              + "|.*/(oxenstored|xen-kdd|test-[^/]*|readnotes|xenalyze|pygrub|gdbsx)"
              + "|etc/(default|init\\.d|skel)/.*|etc/bash\\.bashrc|var/.*");

  private static final List<String> RESOURCES =
      List.of("bin/ssh", "etc/inittab", "etc/rc.dom0", "root/demo.cfg");

  private static final Set<String> PROGRAMS = Set.of("bin/ssh", "etc/rc.dom0");

  private static final int MOST_BYTES = 32 << 20;

  private final Map<String, byte[]> files = new LinkedHashMap<>();
  private final Map<String, Integer> permissions = new LinkedHashMap<>();
  private final Map<String, String> links = new LinkedHashMap<>();

  /** The modules that domain 0 wants beside the default guest's. */
  static List<String> modules() {
    return InitramfsBuilder.names("dom0/modules.list");
  }

  /** Everything but the packages that decides what is added. */
  static List<byte[]> recipe() {
    List<byte[]> parts = new ArrayList<>();
    parts.add(("dom0 2 " + ROOTS + NEEDED + LEFT_OUT).getBytes(
        StandardCharsets.US_ASCII));
    parts.add(InitramfsBuilder.resource("dom0/modules.list"));
    for (String name : RESOURCES) {
      parts.add(InitramfsBuilder.resource("dom0/" + name));
    }
    return parts;
  }

  /** All packages that are needed. */
  static List<AptPackage> packages(AptFetcher apt) throws IOException {
    Map<String, AptPackage> found = new LinkedHashMap<>();
    List<String> wanted = new ArrayList<>(ROOTS);
    wanted.add(UTILITIES);
    while (!wanted.isEmpty() && found.size() < MOST_PACKAGES) {
      List<AptPackage> offered = apt.find(wanted);
      offered.forEach(each -> found.put(each.name(), each));
      for (String name : wanted) {
        if (!found.containsKey(name)) {
          throw new PackageException(
              Reason.NOT_FOUND,
              "the apt sources offer no " + name + ": it is part of domain 0's tools; add a source"
                  + " of Debian 12, or give --kernel and --initrd");
        }
      }
      wanted =
          offered.stream()
              .filter(each -> !each.name().equals(UTILITIES))
              .flatMap(each -> each.dependencies(NEEDED).stream())
              .filter(name -> !found.containsKey(name))
              .distinct()
              .toList();
    }
    return List.copyOf(found.values());
  }

  /** Takes what is needed of a package. */
  void take(PackageArchive archive) throws IOException {
    archive.visit(
        (entry, contents) -> {
          boolean wanted =
              archive.name().equals(UTILITIES)
                  ? entry.path().equals(LOCK)
                  : !LEFT_OUT.matcher(entry.path()).matches();
          if (wanted) {
            take(entry, contents);
          }
          return true;
        });
  }

  private void take(ArchiveEntry entry, InputStream contents) throws IOException {
    String path = merged(entry.path());
    switch (entry.kind()) {
      case FILE -> {
        if (entry.size() > MOST_BYTES) {
          throw new ArchiveFormatException(entry.path() + " is too large for an initramfs");
        }
        byte[] bytes = contents.readNBytes((int) entry.size());
        if (bytes.length != entry.size()) {
          throw new ArchiveFormatException("package ends inside " + entry.path());
        }
        files.put(path, bytes);
        permissions.put(path, entry.permissions() & 0777);
      }
      case SYMBOLIC_LINK -> links.put(path, entry.target());
      case HARD_LINK -> {
        byte[] same = files.get(merged(ArchiveEntry.safePath(entry.target())));
        if (same != null) {
          files.put(path, same);
          permissions.put(path, entry.permissions() & 0777);
        }
      }
      case DIRECTORY, SPECIAL -> {}
    }
  }

  /** Where a path is when {@code /usr} and the two folders of programs are one with the root's. */
  static String merged(String path) {
    String inRoot = path.startsWith("usr/") ? path.substring(4) : path;
    return inRoot.startsWith("sbin/") ? "bin/" + inRoot.substring(5) : inRoot;
  }

  /** Puts it all into an image. */
  void addTo(InitramfsBuilder image) {
    image.link("usr/lib", "../lib");
    files.forEach((path, bytes) -> image.file(path, permissions.get(path), bytes));
    links.forEach(
        (path, target) -> {
          if (!files.containsKey(path)) {
            image.link(path, target);
          }
        });
    for (String name : RESOURCES) {
      image.file(name, PROGRAMS.contains(name) ? 0755 : 0644,
          InitramfsBuilder.resource("dom0/" + name));
    }
  }
}

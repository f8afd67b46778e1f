package org.javisor.storage.image;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;
import org.javisor.storage.packages.Progress;

/**
 * What a Xen domain 0 needs for HVM domains: Debian's own QEMU for Xen with the libraries and firmware
 * it needs, unmodified, in a folder that domain 0 is lent. Made on first use and kept under the user's
 * cache folder.
 */
public final class DeviceModelTools {
  private static final String QEMU = "qemu-system-xen";

  /** Of what it depends on; the rest is for systems with an init of their own. */
  private static final Pattern NEEDED =
      Pattern.compile("lib.*|zlib1g|seabios|ipxe-qemu|qemu-system-data");

  /** What is taken; each file's name must be unlike all others, but for the folder here. */
  private static final List<Pattern> TAKEN =
      List.of(
          Pattern.compile("(?:usr/)?(lib)/x86_64-linux-gnu/([^/]+\\.so[^/]*)"),
          Pattern.compile("usr/(libexec)/(xen-qemu-system-i386)"),
          Pattern.compile("usr/share/(seabios)/((?:bios|vgabios)[^/]*\\.bin)"),
          Pattern.compile("usr/share/(qemu)/((?:linuxboot|multiboot|kvmvapic|pvh)[^/]*\\.bin)"),
          Pattern.compile("usr/share/(qemu)/(keymaps/[^/]+)"),
          Pattern.compile("usr/lib/(ipxe)/qemu/(efi-(?:rtl8139|e1000|virtio)\\.rom)"));

  private static final int MOST_PACKAGES = 200;
  private static final int MOST_BYTES = 64 << 20;

  private static final Object MAKING = new Object();

  private DeviceModelTools() {}

  /**
   * Returns the folder, making it if this is the first time.
   *
   * @throws PackageException if there are no packages of which it could be made
   */
  public static Path obtain(Progress progress) throws IOException {
    Path all = DefaultGuest.cacheFolder().resolve("device-models");
    Path folder = all.resolve(recipe());
    if (Files.isDirectory(folder)) {
      return folder;
    }
    Files.createDirectories(all);
    synchronized (MAKING) {
      try (FileChannel channel =
          FileChannel.open(
              all.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
          FileLock _ = channel.lock()) {
        if (!Files.isDirectory(folder)) {
          make(all, folder, progress);
        }
        return folder;
      }
    }
  }

  private static String recipe() {
    CRC32 checksum = new CRC32();
    checksum.update(("1 " + QEMU + NEEDED + TAKEN).getBytes(
        java.nio.charset.StandardCharsets.US_ASCII));
    return Long.toHexString(checksum.getValue());
  }

  private static void make(Path all, Path folder, Progress progress) throws IOException {
    if (!AptFetcher.available()) {
      throw new PackageException(Reason.NO_APT, "this host has no apt: no device model");
    }
    AptFetcher apt =
        new AptFetcher(
            DefaultGuest.cacheFolder().resolve("apt"), AptFetcher.AMD64, progress);
    apt.update(false);
    List<AptPackage> packages = packages(apt);
    Path scratch = Files.createTempDirectory(all, "partial-");
    boolean made = false;
    try {
      for (Path archive : apt.download("the device model", packages)) {
        take(PackageArchive.open(archive), scratch);
      }
      for (Path old : others(all, scratch)) {
        delete(old);
      }
      Files.setPosixFilePermissions(scratch, PosixFilePermissions.fromString("rwxr-xr-x"));
      Files.move(scratch, folder, StandardCopyOption.ATOMIC_MOVE);
      made = true;
    } finally {
      if (!made) {
        delete(scratch);
      }
    }
  }

  /** Folders of other versions, and what was left of attempts. */
  private static List<Path> others(Path all, Path scratch) throws IOException {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> folders = Files.newDirectoryStream(all, Files::isDirectory)) {
      for (Path folder : folders) {
        if (!folder.equals(scratch)) {
          found.add(folder);
        }
      }
    }
    return found;
  }

  private static List<AptPackage> packages(AptFetcher apt) throws IOException {
    Map<String, AptPackage> found = new LinkedHashMap<>();
    List<String> wanted = List.of(QEMU);
    while (!wanted.isEmpty() && found.size() < MOST_PACKAGES) {
      apt.find(wanted).forEach(each -> found.put(each.name(), each));
      if (!found.containsKey(QEMU)) {
        throw new PackageException(
            Reason.NOT_FOUND, "the apt sources offer no " + QEMU + ": no device model");
      }
      wanted =
          found.values().stream()
              .flatMap(each -> each.dependencies(NEEDED).stream())
              .filter(name -> !found.containsKey(name))
              .distinct()
              .toList();
      wanted = apt.find(wanted).stream().map(AptPackage::name).toList();
    }
    return List.copyOf(found.values());
  }

  private static void take(PackageArchive archive, Path folder) throws IOException {
    archive.visit(
        (entry, contents) -> {
          Optional<Path> place = place(entry.path(), folder);
          if (place.isPresent()) {
            take(entry, contents, place.get());
          }
          return true;
        });
  }

  private static Optional<Path> place(String path, Path folder) {
    for (Pattern pattern : TAKEN) {
      var match = pattern.matcher(path);
      if (match.matches()) {
        return Optional.of(folder.resolve(match.group(1)).resolve(match.group(2)));
      }
    }
    return Optional.empty();
  }

  private static void take(ArchiveEntry entry, InputStream contents, Path place)
      throws IOException {
    Files.createDirectories(place.getParent());
    switch (entry.kind()) {
      case FILE -> {
        if (entry.size() > MOST_BYTES) {
          throw new ArchiveFormatException(entry.path() + " is too large for a device model");
        }
        Files.write(place, contents.readNBytes((int) entry.size()));
        boolean program = (entry.permissions() & 0111) != 0;
        Files.setPosixFilePermissions(
            place, PosixFilePermissions.fromString(program ? "rwxr-xr-x" : "rw-r--r--"));
      }
      case SYMBOLIC_LINK -> {
        // Only links to a neighbour, as those of libraries are.
        if (!entry.target().contains("/")) {
          Files.deleteIfExists(place);
          Files.createSymbolicLink(place, Path.of(entry.target()));
        }
      }
      default -> {}
    }
  }

  private static void delete(Path tree) throws IOException {
    List<Path> files;
    try (Stream<Path> walk = Files.walk(tree)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }
}

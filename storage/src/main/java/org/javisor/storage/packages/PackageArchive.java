package org.javisor.storage.packages;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** A distribution package file: a name, a version and a tree of files. */
public sealed interface PackageArchive permits DebPackage, RpmPackage {
  /** The largest single file that is unpacked. */
  long MAX_FILE = 4L << 30;

  /** The most entries that are looked at. */
  int MAX_ENTRIES = 1_000_000;

  /** Is given each entry in the archive's order, with its contents while the call lasts. */
  @FunctionalInterface
  interface Visitor {
    /**
     * Takes one entry.
     *
     * @return whether to go on
     */
    boolean visit(ArchiveEntry entry, InputStream contents) throws IOException;
  }

  /** {@code deb} or {@code rpm}. */
  String format();

  /** The package's name. */
  String name();

  /** The package's version, with the distribution's revision. */
  String version();

  /** The architecture as the package names it. */
  String architecture();

  /** Walks the package's files until they end or the visitor has seen enough. */
  void visit(Visitor visitor) throws IOException;

  /** Whether a file begins as a package of a known format does. */
  static boolean isPackage(byte[] head) {
    return DebPackage.matches(head) || RpmPackage.matches(head);
  }

  /** Opens a package file, told by its contents. */
  static PackageArchive open(Path file) throws IOException {
    byte[] head;
    try (InputStream in = Files.newInputStream(file)) {
      head = in.readNBytes(8);
    }
    if (DebPackage.matches(head)) {
      return DebPackage.open(file);
    }
    if (RpmPackage.matches(head)) {
      return RpmPackage.open(file);
    }
    throw new ArchiveFormatException(
        file
            + " is not a package: a .deb or .rpm file expected, it begins with "
            + Arrays.toString(head));
  }

  /** A buffered stream over a file, which supports mark and reset. */
  static InputStream buffered(Path file) throws IOException {
    return new BufferedInputStream(Files.newInputStream(file), 64 << 10);
  }
}

package org.javisor.storage.packages;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import org.apache.commons.compress.archivers.ar.ArArchiveEntry;
import org.apache.commons.compress.archivers.ar.ArArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;

/**
 * A Debian binary package: an {@code ar} archive of {@code debian-binary}, {@code control.tar} and
 * {@code data.tar}, the latter two compressed. Source: deb(5).
 */
public final class DebPackage implements PackageArchive {
  private static final byte[] MAGIC = "!<arch>\n".getBytes(StandardCharsets.US_ASCII);
  private static final int MAX_CONTROL = 1 << 20;

  private final Path file;
  private final Map<String, String> control;

  private DebPackage(Path file, Map<String, String> control) {
    this.file = file;
    this.control = control;
  }

  static boolean matches(byte[] head) {
    return head.length >= MAGIC.length
        && java.util.Arrays.equals(head, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
  }

  static DebPackage open(Path file) throws IOException {
    String[] text = new String[1];
    member(
        file,
        "control.tar",
        (entry, contents) -> {
          if (!entry.path().equals("control") || entry.kind() != ArchiveEntry.Kind.FILE) {
            return true;
          }
          byte[] bytes = contents.readNBytes(MAX_CONTROL);
          text[0] = new String(bytes, StandardCharsets.UTF_8);
          return false;
        });
    if (text[0] == null) {
      throw new ArchiveFormatException(file + " has no control file: a .deb package expected");
    }
    return new DebPackage(file, ControlStanza.parse(text[0]));
  }

  @Override
  public String format() {
    return "deb";
  }

  @Override
  public String name() {
    return control.getOrDefault("Package", "");
  }

  @Override
  public String version() {
    return control.getOrDefault("Version", "");
  }

  @Override
  public String architecture() {
    return control.getOrDefault("Architecture", "");
  }

  @Override
  public void visit(Visitor visitor) throws IOException {
    member(file, "data.tar", visitor);
  }

  private static void member(Path file, String name, Visitor visitor) throws IOException {
    try (InputStream raw = PackageArchive.buffered(file);
        ArArchiveInputStream ar = new ArArchiveInputStream(raw)) {
      ArArchiveEntry entry;
      int count = 0;
      while ((entry = ar.getNextEntry()) != null) {
        if (++count > 100) {
          throw new ArchiveFormatException(file + " has more than 100 members: a .deb has 3");
        }
        if (entry.getName().startsWith(name)) {
          // Not closed: closing a decoder would close the archive, which this method owns.
          tar(Compression.openDetected(new BufferedInputStream(ar, 64 << 10)), visitor);
          return;
        }
      }
    } catch (IllegalArgumentException e) {
      // commons-compress reports some malformed headers unchecked.
      throw new ArchiveFormatException(file + " is malformed: " + e.getMessage(), e);
    }
    throw new ArchiveFormatException(file + " has no " + name + ": a .deb package expected");
  }

  private static void tar(InputStream in, Visitor visitor) throws IOException {
    TarArchiveInputStream tar = new TarArchiveInputStream(in, "UTF-8");
    TarArchiveEntry entry;
    int count = 0;
    while ((entry = tar.getNextEntry()) != null) {
      if (++count > MAX_ENTRIES) {
        throw new ArchiveFormatException("package with more than " + MAX_ENTRIES + " files");
      }
      if (entry.getSize() < 0 || entry.getSize() > MAX_FILE) {
        throw new ArchiveFormatException("package with a file of " + entry.getSize() + " bytes");
      }
      ArchiveEntry.Kind kind =
          entry.isSymbolicLink()
              ? ArchiveEntry.Kind.SYMBOLIC_LINK
              : entry.isLink()
                  ? ArchiveEntry.Kind.HARD_LINK
                  : entry.isDirectory()
                      ? ArchiveEntry.Kind.DIRECTORY
                      : entry.isFile()
                          && !entry.isCharacterDevice()
                          && !entry.isBlockDevice()
                          && !entry.isFIFO()
                              ? ArchiveEntry.Kind.FILE
                              : ArchiveEntry.Kind.SPECIAL;
      ArchiveEntry made =
          new ArchiveEntry(
              ArchiveEntry.safePath(entry.getName()),
              kind,
              entry.getMode() & 07777,
              kind == ArchiveEntry.Kind.FILE ? entry.getSize() : 0,
              entry.getLinkName() == null ? "" : entry.getLinkName());
      if (!visitor.visit(made, tar)) {
        return;
      }
    }
  }
}

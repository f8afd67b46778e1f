package org.javisor.storage.packages;

import java.util.ArrayList;
import java.util.List;

/**
 * One file of an archive.
 *
 * @param path relative, with {@code /} between names, never leaving the tree: see {@link #safePath}
 * @param kind what the entry makes
 * @param permissions the low 12 bits of its mode
 * @param size bytes of contents, 0 for all but regular files
 * @param target what a link points to, else empty
 */
public record ArchiveEntry(String path, Kind kind, int permissions, long size, String target) {
  /** What an entry makes in a file system. */
  public enum Kind {
    FILE,
    DIRECTORY,
    SYMBOLIC_LINK,
    HARD_LINK,
    /** Device nodes, FIFOs and sockets: never unpacked. */
    SPECIAL
  }

  private static final int MAX_PATH = 4096;

  /** The last name of the path. */
  public String fileName() {
    return path.substring(path.lastIndexOf('/') + 1);
  }

  /**
   * Normalises the name an archive gives: leading {@code ./} and {@code /} go away, as tar and dpkg
   * do; a name that climbs out of the tree is refused.
   *
   * @return the relative path, empty for the root of the tree
   */
  public static String safePath(String name) throws ArchiveFormatException {
    if (name.length() > MAX_PATH) {
      throw new ArchiveFormatException("archive entry with a name of " + name.length() + " bytes");
    }
    if (name.indexOf('\0') >= 0) {
      throw new ArchiveFormatException("archive entry with a NUL in its name");
    }
    List<String> parts = new ArrayList<>();
    for (String part : name.split("/", -1)) {
      switch (part) {
        case "", "." -> {}
        case ".." ->
            throw new ArchiveFormatException(
                "archive entry '" + name + "' would leave the folder it is unpacked into");
        default -> parts.add(part);
      }
    }
    return String.join("/", parts);
  }
}

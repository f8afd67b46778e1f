package org.javisor.storage.packages;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.javisor.storage.packages.ArchiveEntry.Kind;

/**
 * Reads cpio archives in the SVR4 "newc" format, with or without checksum. Source: Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 */
public final class CpioReader {
  private static final String TRAILER = "TRAILER!!!";
  private static final int MAX_NAME = 4096;
  private static final int S_IFMT = 0170000;

  private CpioReader() {}

  /** Walks the archive until its trailer, its end, or the visitor has seen enough. */
  public static void read(InputStream in, PackageArchive.Visitor visitor) throws IOException {
    byte[] header = new byte[110];
    for (int count = 0;; count++) {
      if (count > PackageArchive.MAX_ENTRIES) {
        throw new ArchiveFormatException(
            "cpio archive with more than " + PackageArchive.MAX_ENTRIES + " files");
      }
      int got = in.readNBytes(header, 0, header.length);
      if (got == 0 && count > 0) {
        return; // Without a trailer, as the kernel accepts too.
      }
      if (got < header.length) {
        throw new EOFException("cpio archive ends inside a header");
      }
      String magic = new String(header, 0, 6, StandardCharsets.US_ASCII);
      if (!magic.equals("070701") && !magic.equals("070702")) {
        throw new ArchiveFormatException(
            "cpio entry begins with '" + printable(magic) + "': 070701 or 070702 expected");
      }
      int mode = (int) field(header, 1);
      long size = field(header, 6);
      int nameSize = (int) Math.min(field(header, 11), Integer.MAX_VALUE);
      if (nameSize < 1 || nameSize > MAX_NAME) {
        throw new ArchiveFormatException("cpio entry with a name of " + nameSize + " bytes");
      }
      byte[] name = in.readNBytes(nameSize);
      if (name.length < nameSize) {
        throw new EOFException("cpio archive ends inside a name");
      }
      in.skipNBytes(-(110 + nameSize) & 3);
      String path = new String(name, 0, nameSize - 1, StandardCharsets.UTF_8);
      if (path.equals(TRAILER)) {
        return;
      }
      Kind kind =
          switch (mode & S_IFMT) {
            case 0100000 -> Kind.FILE;
            case 0040000 -> Kind.DIRECTORY;
            case 0120000 -> Kind.SYMBOLIC_LINK;
            default -> Kind.SPECIAL;
          };
      Bounded contents = new Bounded(in, size);
      String target = "";
      if (kind == Kind.SYMBOLIC_LINK) {
        if (size > MAX_NAME) {
          throw new ArchiveFormatException("cpio link with a target of " + size + " bytes");
        }
        target = new String(contents.readNBytes((int) size), StandardCharsets.UTF_8);
      }
      ArchiveEntry entry =
          new ArchiveEntry(
              ArchiveEntry.safePath(path),
              kind,
              mode & 07777,
              kind == Kind.FILE ? size : 0,
              target);
      if (!visitor.visit(entry, contents)) {
        return;
      }
      contents.drain();
      in.skipNBytes(-size & 3);
    }
  }

  private static String printable(String text) {
    return text.replaceAll("[^ -~]", "?");
  }

  private static long field(byte[] header, int index) throws ArchiveFormatException {
    String text = new String(header, 6 + index * 8, 8, StandardCharsets.US_ASCII);
    try {
      return Long.parseLong(text, 16) & 0xffffffffL;
    } catch (NumberFormatException e) {
      throw new ArchiveFormatException(
          "cpio header field '" + printable(text) + "': 8 hexadecimal digits expected", e);
    }
  }

  /** One entry's contents; ends where they do, and complains if the archive ends first. */
  private static final class Bounded extends InputStream {
    private final InputStream in;
    private long left;

    Bounded(InputStream in, long size) {
      this.in = in;
      this.left = size;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
      if (left == 0) {
        return length == 0 ? 0 : -1;
      }
      int count = in.read(target, offset, (int) Math.min(length, left));
      if (count < 0) {
        throw new EOFException("cpio archive ends inside a file");
      }
      left -= count;
      return count;
    }

    void drain() throws IOException {
      try {
        in.skipNBytes(left);
      } catch (EOFException e) {
        throw new EOFException("cpio archive ends inside a file");
      }
      left = 0;
    }
  }
}

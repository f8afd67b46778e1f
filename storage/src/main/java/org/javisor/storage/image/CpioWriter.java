package org.javisor.storage.image;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/**
 * Writes a cpio archive in the SVR4 "newc" format, which Linux unpacks as its initramfs. Everything
 * belongs to root and carries no time, so the same input gives the same bytes. Source: Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 */
public final class CpioWriter implements AutoCloseable {
  private static final int S_IFDIR = 0040000;
  private static final int S_IFCHR = 0020000;
  private static final int S_IFREG = 0100000;
  private static final int S_IFLNK = 0120000;

  private final OutputStream out;
  private final Set<String> names = new HashSet<>();
  private int inode = 1;
  private long written;

  public CpioWriter(OutputStream out) {
    this.out = out;
  }

  /** Adds a folder, and those above it, unless they are there. */
  public void directory(String path) throws IOException {
    if (names.contains(path)) {
      return;
    }
    parents(path);
    entry(path, S_IFDIR | 0755, 0, 0, new byte[0]);
  }

  public void file(String path, int permissions, byte[] contents) throws IOException {
    parents(path);
    entry(path, S_IFREG | permissions, 0, 0, contents);
  }

  public void symbolicLink(String path, String target) throws IOException {
    parents(path);
    entry(path, S_IFLNK | 0777, 0, 0, target.getBytes(StandardCharsets.UTF_8));
  }

  public void characterDevice(String path, int permissions, int major, int minor)
      throws IOException {
    parents(path);
    entry(path, S_IFCHR | permissions, major, minor, new byte[0]);
  }

  private void parents(String path) throws IOException {
    int slash = path.lastIndexOf('/');
    if (slash > 0) {
      directory(path.substring(0, slash));
    }
  }

  private void entry(String path, int mode, int major, int minor, byte[] contents)
      throws IOException {
    if (path.isEmpty() || path.startsWith("/") || !names.add(path)) {
      throw new IllegalArgumentException("cpio entry '" + path + "': a new relative path expected");
    }
    int links = (mode & 0170000) == S_IFDIR ? 2 : 1;
    put(inode++, mode, links, major, minor, path, contents);
  }

  private void put(
      int number, int mode, int links, int major, int minor, String path, byte[] contents)
      throws IOException {
    byte[] name = path.getBytes(StandardCharsets.UTF_8);
    int[] fields = {
      number, mode, 0, 0, links, 0, contents.length, 0, 0, major, minor, name.length + 1, 0
    };
    StringBuilder header = new StringBuilder("070701");
    for (int field : fields) {
      header.append(String.format(Locale.ROOT, "%08X", field));
    }
    bytes(header.toString().getBytes(StandardCharsets.US_ASCII));
    bytes(name);
    bytes(new byte[1]);
    pad(4);
    bytes(contents);
    pad(4);
  }

  private void bytes(byte[] data) throws IOException {
    out.write(data);
    written += data.length;
  }

  private void pad(int alignment) throws IOException {
    bytes(new byte[(int) (-written & (alignment - 1))]);
  }

  /** Writes the trailer and closes the stream. */
  @Override
  public void close() throws IOException {
    put(0, 0, 1, 0, 0, "TRAILER!!!", new byte[0]);
    pad(512);
    out.close();
  }
}

package org.javisor.storage.packages;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * An RPM package: a lead, a signature header, a header, and a compressed cpio archive. Source: RPM
 * 4 package format, sections "Lead", "Header structure" and "Payload". Signatures are not checked:
 * the file is the user's own.
 */
public final class RpmPackage implements PackageArchive {
  private static final int LEAD = 96;
  private static final int MAX_HEADER = 64 << 20;
  private static final int HEADER_MAGIC = 0x8eade801;

  private static final int TAG_NAME = 1000;
  private static final int TAG_VERSION = 1001;
  private static final int TAG_RELEASE = 1002;
  private static final int TAG_ARCHITECTURE = 1022;
  private static final int TYPE_STRING = 6;

  private final Path file;
  private final Map<Integer, String> tags;

  private RpmPackage(Path file, Map<Integer, String> tags) {
    this.file = file;
    this.tags = tags;
  }

  static boolean matches(byte[] head) {
    return head.length >= 4
        && head[0] == (byte) 0xed
        && head[1] == (byte) 0xab
        && head[2] == (byte) 0xee
        && head[3] == (byte) 0xdb;
  }

  static RpmPackage open(Path file) throws IOException {
    try (DataInputStream in = new DataInputStream(PackageArchive.buffered(file))) {
      return new RpmPackage(file, headers(in));
    }
  }

  /** Reads up to the payload and returns the main header's strings. */
  private static Map<Integer, String> headers(DataInputStream in) throws IOException {
    try {
      in.skipNBytes(LEAD);
      int signature = header(in, null);
      in.skipNBytes(-signature & 7); // The signature is padded to 8 bytes, the header is not.
      Map<Integer, String> strings = new HashMap<>();
      header(in, strings);
      return strings;
    } catch (EOFException e) {
      throw new ArchiveFormatException("RPM package ends inside its headers", e);
    }
  }

  private static int header(DataInputStream in, Map<Integer, String> strings) throws IOException {
    if (in.readInt() != HEADER_MAGIC) {
      throw new ArchiveFormatException("RPM package without a header where one is expected");
    }
    in.readInt();
    int count = in.readInt();
    int size = in.readInt();
    if (count < 0 || count > MAX_HEADER / 16 || size < 0 || size > MAX_HEADER) {
      throw new ArchiveFormatException(
          "RPM header of " + count + " tags and " + size + " bytes: too large");
    }
    byte[] index = in.readNBytes(count * 16);
    byte[] store = in.readNBytes(size);
    if (index.length < count * 16 || store.length < size) {
      throw new EOFException();
    }
    if (strings != null) {
      ByteBuffer entries = ByteBuffer.wrap(index);
      for (int i = 0; i < count; i++) {
        int tag = entries.getInt(i * 16);
        int offset = entries.getInt(i * 16 + 8);
        if (entries.getInt(i * 16 + 4) == TYPE_STRING && offset >= 0 && offset < size) {
          int end = offset;
          while (end < size && store[end] != 0) {
            end++;
          }
          strings.putIfAbsent(tag, new String(store, offset, end - offset, StandardCharsets.UTF_8));
        }
      }
    }
    return 16 + index.length + size;
  }

  @Override
  public String format() {
    return "rpm";
  }

  @Override
  public String name() {
    return tags.getOrDefault(TAG_NAME, "");
  }

  @Override
  public String version() {
    String release = tags.getOrDefault(TAG_RELEASE, "");
    return tags.getOrDefault(TAG_VERSION, "") + (release.isEmpty() ? "" : "-" + release);
  }

  @Override
  public String architecture() {
    return tags.getOrDefault(TAG_ARCHITECTURE, "");
  }

  @Override
  public void visit(Visitor visitor) throws IOException {
    try (DataInputStream in = new DataInputStream(PackageArchive.buffered(file))) {
      headers(in);
      InputStream payload = Compression.openDetected(new BufferedInputStream(in, 64 << 10));
      CpioReader.read(payload, visitor);
    }
  }
}

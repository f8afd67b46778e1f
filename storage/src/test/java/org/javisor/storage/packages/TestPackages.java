package org.javisor.storage.packages;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.ar.ArArchiveEntry;
import org.apache.commons.compress.archivers.ar.ArArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

/** Builds small packages. A file whose contents begin with {@code ->} is a link to the rest. */
public final class TestPackages {
  private TestPackages() {}

  public static byte[] deb(String control, Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ArArchiveOutputStream ar = new ArArchiveOutputStream(out)) {
      member(ar, "debian-binary", "2.0\n".getBytes(StandardCharsets.US_ASCII));
      member(
          ar,
          "control.tar.xz",
          xz(tar(Map.of("./control", control.getBytes(StandardCharsets.UTF_8)))));
      member(ar, "data.tar.xz", xz(tar(files)));
    }
    return out.toByteArray();
  }

  private static void member(ArArchiveOutputStream ar, String name, byte[] contents)
      throws IOException {
    ar.putArchiveEntry(new ArArchiveEntry(name, contents.length));
    ar.write(contents);
    ar.closeArchiveEntry();
  }

  static byte[] xz(byte[] data) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (XZOutputStream xz = new XZOutputStream(out, new LZMA2Options(0))) {
      xz.write(data);
    }
    return out.toByteArray();
  }

  private static byte[] tar(Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(out)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        String text = new String(file.getValue(), StandardCharsets.ISO_8859_1);
        TarArchiveEntry entry;
        if (text.startsWith("->")) {
          entry = new TarArchiveEntry(file.getKey(), TarConstants.LF_SYMLINK, true);
          entry.setLinkName(text.substring(2));
        } else {
          entry = new TarArchiveEntry(file.getKey(), true);
          entry.setSize(file.getValue().length);
        }
        tar.putArchiveEntry(entry);
        if (!text.startsWith("->")) {
          tar.write(file.getValue());
        }
        tar.closeArchiveEntry();
      }
    }
    return out.toByteArray();
  }

  /** An RPM with name, version, release and a gzip-compressed cpio archive. */
  static byte[] rpm(byte[] cpio) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteBuffer lead = ByteBuffer.allocate(96).putInt(0, 0xedabeedb);
    out.writeBytes(lead.array());
    byte[] signature = header(Map.of(1000, "odd"));
    out.writeBytes(signature);
    out.writeBytes(new byte[-signature.length & 7]);
    out.writeBytes(header(Map.of(1000, "kernel-core", 1001, "6.9.1", 1002, "200", 1022, "x86_64")));
    try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(cpio);
    }
    return out.toByteArray();
  }

  private static byte[] header(Map<Integer, String> strings) {
    ByteArrayOutputStream store = new ByteArrayOutputStream();
    ByteBuffer index = ByteBuffer.allocate(16 * strings.size());
    strings.forEach(
        (tag, value) -> {
          index.putInt(tag).putInt(6).putInt(store.size()).putInt(1);
          store.writeBytes((value + "\0").getBytes(StandardCharsets.UTF_8));
        });
    ByteBuffer out = ByteBuffer.allocate(16 + index.capacity() + store.size());
    out.putInt(0x8eade801).putInt(0).putInt(strings.size()).putInt(store.size());
    out.put(index.array()).put(store.toByteArray());
    return out.array();
  }
}

package org.javisor.bench;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.javisor.cli.ExitCode;
import org.javisor.storage.image.CpioWriter;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.javisor.storage.packages.CpioReader;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZ;
import org.tukaani.xz.XZOutputStream;

/**
 * The benchmark's guest: the default guest's kernel and busybox, and an initramfs of the compiled
 * programs. The same busybox, and the same text to unpack, serve the rows on the host.
 *
 * @param guest the default guest, whose kernel is booted
 * @param initrd the initramfs
 * @param busybox on the host
 * @param work the folder of the rows' files on the host
 */
record BenchImage(GuestFiles guest, Path initrd, Path busybox, Path work) {
  private static final String BUSYBOX = "bin/busybox";
  private static final String TEXT = "text.xz";

  /**
   * Makes the image.
   *
   * @param folder where everything is put that is made
   */
  static BenchImage make(GuestFiles guest, GuestPrograms programs, Path folder)
      throws BenchException, IOException, InterruptedException {
    Path work = Files.createDirectories(folder.resolve("work"));
    Path busybox = folder.resolve("busybox");
    extractBusybox(guest.initrd(), busybox);
    busybox.toFile().setExecutable(true);

    Path text = folder.resolve("text");
    GuestPrograms.run(
        List.of(programs.rows().toString(), "text", text.toString()),
        "a writable " + folder + " expected");
    byte[] packed = xz(Files.readAllBytes(text));
    Files.delete(text);
    Files.write(work.resolve(TEXT), packed);

    Path initrd = folder.resolve("initrd.img");
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(initrd), 1 << 16);
        CpioWriter cpio = new CpioWriter(out)) {
      cpio.directory("proc");
      cpio.directory("dev");
      cpio.directory("tmp");
      cpio.characterDevice("dev/console", 0600, 5, 1);
      cpio.file("init", 0755, Files.readAllBytes(programs.rows()));
      cpio.file(BUSYBOX, 0755, Files.readAllBytes(busybox));
      cpio.symbolicLink("bin/sh", "busybox");
      cpio.file("work/" + TEXT, 0644, packed);
    }
    return new BenchImage(guest, initrd, busybox, work);
  }

  private static void extractBusybox(Path initrd, Path target)
      throws BenchException, IOException {
    boolean[] found = new boolean[1];
    try (InputStream in = new BufferedInputStream(Files.newInputStream(initrd), 1 << 16)) {
      CpioReader.read(
          in,
          (entry, contents) -> {
            if (!entry.path().equals(BUSYBOX)) {
              return true;
            }
            Files.write(target, contents.readNBytes((int) entry.size()));
            found[0] = true;
            return false;
          });
    }
    if (!found[0]) {
      throw new BenchException(
          ExitCode.NO_GUEST,
          initrd + " holds no " + BUSYBOX
              + ": the default guest's initramfs expected; remove it and"
              + " run javisor run once");
    }
  }

  /** Packs as xz -6 does, which busybox unpacks; with the checksum that it knows. */
  private static byte[] xz(byte[] text) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (XZOutputStream out = new XZOutputStream(packed, new LZMA2Options(6), XZ.CHECK_CRC32)) {
      out.write(text);
    }
    return packed.toByteArray();
  }
}

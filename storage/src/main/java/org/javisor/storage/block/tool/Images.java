package org.javisor.storage.block.tool;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.file.RawImage;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Creator;
import org.javisor.storage.block.qcow2.Qcow2Image;
import org.javisor.storage.block.qcow2.Qcow2Options;

/** Opens and makes images. */
public final class Images {
  /** Images below each other; more is a mistake, and each costs memory. */
  private static final int MAX_CHAIN = 64;

  private static final int SECTOR = 512;

  /** What comes before a colon, if no slash does, is a protocol. */
  private static final Pattern PROTOCOL = Pattern.compile("[A-Za-z0-9+.-]{2,}:.*");

  private Images() {}

  /**
   * Opens an image and all its backing files, which are only read.
   *
   * @param format {@code null} to guess by the first bytes
   * @param access {@link Access#READ}, {@link Access#PEEK} or {@link Access#WRITE}
   */
  public static DiskImage open(Path path, ImageFormat format, Access access)
      throws BlockException {
    return open(path, format, access, new ArrayList<>());
  }

  private static DiskImage open(
      Path path, ImageFormat format, Access access, List<Object> above) throws BlockException {
    if (above.size() >= MAX_CHAIN) {
      throw new BlockException(
          Reason.NOT_SUPPORTED,
          path + " is the backing file below " + MAX_CHAIN + " others: commit some of them");
    }
    HostFile file = HostFile.open(path, access);
    boolean opened = false;
    try {
      Object identity = file.identity();
      if (above.contains(identity)) {
        throw new BlockException(
            Reason.DAMAGED, path + " is its own backing file, in a loop of " + above.size());
      }
      above.add(identity);
      ImageFormat found = format == null ? ImageFormat.detect(file) : format;
      boolean readOnly = access != Access.WRITE;
      DiskImage image =
          switch (found) {
            case RAW -> new RawImage(file, readOnly, format == null);
            case QCOW2 -> openQcow2(file, readOnly, access, above);
          };
      opened = true;
      return image;
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  private static DiskImage openQcow2(
      HostFile file, boolean readOnly, Access access, List<Object> above) throws BlockException {
    Header header = Header.read(file);
    DiskImage backing = null;
    if (header.backingFile() != null) {
      ImageFormat format =
          header.backingFormat() == null ? null : backingFormat(file.path(), header);
      Path path = resolve(file.path(), header.backingFile());
      Access below = access == Access.PEEK ? Access.PEEK : Access.READ;
      try {
        backing = open(path, format, below, above);
      } catch (BlockException e) {
        throw new BlockException(
            e.reason(), "the backing file of " + file.path() + ": " + e.getMessage(), e);
      }
    }
    return Qcow2Image.open(file, backing, readOnly);
  }

  static ImageFormat backingFormat(Path image, Header header) throws BlockException {
    return switch (header.backingFormat()) {
      case "raw", "file", "host_device" -> ImageFormat.RAW;
      case "qcow2" -> ImageFormat.QCOW2;
      default ->
          throw new BlockException(
              Reason.NOT_SUPPORTED,
              image + " has a backing file of the format '" + printable(header.backingFormat())
                  + "': raw and qcow2 are supported");
    };
  }

  /** A name from a file, for a person's terminal. */
  static String printable(String text) {
    return text.replaceAll("\\p{Cntrl}", "?");
  }

  /** The path that a backing file's name means: relative to the folder of the image. */
  public static Path resolve(Path image, String name) throws BlockException {
    String plain = name.startsWith("file:") ? name.substring("file:".length()) : name;
    if (plain.indexOf('\0') >= 0 || PROTOCOL.matcher(plain).matches()
        && plain.indexOf(':') < (plain.indexOf('/') < 0 ? plain.length() : plain.indexOf('/'))) {
      throw new BlockException(
          Reason.NOT_SUPPORTED,
          image + " has the backing file '" + printable(name)
              + "': only files of this host are supported");
    }
    return image.resolveSibling(plain);
  }

  /**
   * Opens a throw-away overlay: what is written goes to a file without a name, which the host
   * removes when the overlay is closed or we die.
   *
   * @param base closed with the overlay
   * @param folder where there is room for what will be written
   */
  public static Qcow2Image openTemporaryOverlay(DiskImage base, Path folder)
      throws BlockException {
    boolean opened = false;
    try {
      Path path = Files.createTempFile(folder, "javisor-overlay-", ".qcow2");
      HostFile file;
      try {
        file = HostFile.open(path, Access.WRITE);
      } finally {
        Files.deleteIfExists(path);
      }
      file.setVolatile(true);
      long size = roundUp(base.sizeBytes());
      Qcow2Creator.create(file, size, Qcow2Options.DEFAULT);
      Qcow2Image overlay = Qcow2Image.open(file, base, false);
      opened = true;
      return overlay;
    } catch (BlockException e) {
      throw e;
    } catch (IOException e) {
      throw new BlockException(
          Reason.UNREADABLE, "no temporary overlay can be made in " + folder + ": " + e, e);
    } finally {
      if (!opened) {
        base.close();
      }
    }
  }

  /**
   * A new image that is being filled. It is made durable when it is closed, and not before: what is
   * half filled is of no use to anybody.
   */
  public static final class NewImage implements AutoCloseable {
    private final HostFile file;
    private final DiskImage image;

    private NewImage(HostFile file, DiskImage image) {
      this.file = file;
      this.image = image;
    }

    public DiskImage image() {
      return image;
    }

    @Override
    public void close() throws BlockException {
      file.setVolatile(false);
      image.close();
    }
  }

  /**
   * Makes or replaces an image of zeros, to be filled.
   *
   * @param options for {@link ImageFormat#QCOW2}
   */
  public static NewImage createToFill(
      Path path, ImageFormat format, long size, Qcow2Options options) throws BlockException {
    if (format == ImageFormat.QCOW2) {
      Qcow2Creator.check(roundUp(size), options);
    }
    HostFile file = HostFile.open(path, Access.CREATE);
    DiskImage image = null;
    try {
      file.setVolatile(true);
      if (format == ImageFormat.RAW) {
        file.setSize(0);
        file.setSize(roundUp(size));
        image = new RawImage(file, false, false);
      } else {
        Qcow2Creator.create(file, roundUp(size), options);
        image = Qcow2Image.open(file, null, false);
      }
      return new NewImage(file, image);
    } finally {
      if (image == null) {
        file.close();
      }
    }
  }

  static long roundUp(long size) {
    return size + SECTOR - 1 & -SECTOR;
  }

  /** Makes or replaces a raw image of zeros. Its size is rounded up to a sector. */
  public static void createRaw(Path path, long size) throws BlockException {
    try (HostFile file = HostFile.open(path, Access.CREATE)) {
      file.setSize(0);
      file.setSize(roundUp(size));
      file.sync();
    }
  }

  /** Makes or replaces a qcow2 image. Its size is rounded up to a sector. */
  public static void createQcow2(Path path, long size, Qcow2Options options)
      throws BlockException {
    // Before there is a file: a mistake leaves nothing behind.
    Qcow2Creator.check(roundUp(size), options);
    try (HostFile file = HostFile.open(path, Access.CREATE)) {
      Qcow2Creator.create(file, roundUp(size), options);
    }
  }
}

package org.javisor.machine;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import org.javisor.network.option.OptionParts;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.OnDiskError;
import org.javisor.storage.block.tool.ImageFormat;

/**
 * A disk of a machine: the value of {@code --disk}.
 *
 * @param image the file of the host it is in
 * @param format empty to guess by the first bytes
 * @param iface what the guest finds it on
 * @param readOnly whether the guest may only read; the image is then not opened for writing
 * @param snapshot what the guest writes is thrown away at the end, and the image only read
 * @param serial what the guest reads as the disk's serial number, ASCII, at most {@value
 *     #MAX_SERIAL} characters
 * @param queues request queues of a VirtIO disk; 0 for one a vCPU
 * @param onError what becomes of requests that the host cannot serve
 */
public record DiskConfig(
    Path image,
    Optional<ImageFormat> format,
    Interface iface,
    boolean readOnly,
    boolean snapshot,
    Optional<String> serial,
    int queues,
    OnDiskError onError) {

  /** What a disk is attached to. */
  public enum Interface {
    /** A VirtIO block device on the PCI bus. */
    VIRTIO,
    /** A disk on the ATA controller of the board. */
    IDE,
    /** A disc in a CD-ROM drive on the ATA controller of the board. */
    CDROM;

    /** The name as users write it. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Characters of the longest serial number: VirtIO 1.2, section 5.2.6.1. */
  public static final int MAX_SERIAL = 20;

  public static final int MAX_QUEUES = 64;

  /** The option's syntax in one line, for help and messages. */
  public static final String SYNTAX =
      "FILE[,if=virtio|ide|cdrom][,format=raw|qcow2][,ro][,snapshot][,serial=TEXT][,queues=N]";

  public DiskConfig {
    Objects.requireNonNull(image, "image");
    Objects.requireNonNull(format, "format");
    Objects.requireNonNull(iface, "iface");
    Objects.requireNonNull(serial, "serial");
    Objects.requireNonNull(onError, "onError");
    if (serial.isPresent() && !isSerial(serial.get())) {
      throw new IllegalArgumentException(
          "serial '" + serial.get() + "': 1 to " + MAX_SERIAL + " printable ASCII characters");
    }
    if (queues < 0 || queues > MAX_QUEUES) {
      throw new IllegalArgumentException(queues + " queues: 1 to " + MAX_QUEUES + " expected");
    }
  }

  /** A VirtIO disk that the guest may write. */
  public static DiskConfig of(Path image) {
    return new DiskConfig(
        image, Optional.empty(), Interface.VIRTIO, false, false, Optional.empty(), 0,
        OnDiskError.REPORT);
  }

  /** The same image, attached to something else. */
  public DiskConfig on(Interface other) {
    return new DiskConfig(
        image, format, other, readOnly, snapshot, serial, queues, onError);
  }

  /** The same disk with another answer to errors of the host. */
  public DiskConfig withOnError(OnDiskError policy) {
    return new DiskConfig(image, format, iface, readOnly, snapshot, serial, queues, policy);
  }

  /**
   * Reads the option's value, as {@link #SYNTAX} has it. A comma in the file's name is written
   * twice.
   *
   * @throws MachineException with {@link MachineException.Reason#BAD_OPTION}
   */
  public static DiskConfig parse(String text) throws MachineException {
    List<String> parts = OptionParts.split(text);
    Path image;
    try {
      image = Path.of(parts.removeFirst());
    } catch (InvalidPathException e) {
      throw bad(text, "it names no file");
    }
    if (image.toString().isEmpty()) {
      throw bad(text, "it names no file");
    }
    Optional<ImageFormat> format = Optional.empty();
    Interface iface = Interface.VIRTIO;
    boolean readOnly = false;
    boolean snapshot = false;
    Optional<String> serial = Optional.empty();
    int queues = 0;
    for (String part : parts) {
      int equals = part.indexOf('=');
      String value = part.substring(equals + 1);
      switch (equals < 0 ? part : part.substring(0, equals + 1)) {
        case "ro" -> readOnly = true;
        case "snapshot" -> snapshot = true;
        case "if=" -> iface = iface(text, value);
        case "format=" -> format = Optional.of(format(text, value));
        case "serial=" -> {
          if (!isSerial(value)) {
            throw bad(
                text,
                "'" + value + "' is no serial number: 1 to " + MAX_SERIAL
                    + " printable ASCII characters");
          }
          serial = Optional.of(value);
        }
        case "queues=" -> queues = queues(text, value);
        default -> throw bad(text, "'" + part + "' is not known");
      }
    }
    return new DiskConfig(
        image, format, iface, readOnly, snapshot, serial, queues, OnDiskError.REPORT);
  }

  private static Interface iface(String text, String value) throws MachineException {
    for (Interface each : Interface.values()) {
      if (each.label().equals(value)) {
        return each;
      }
    }
    throw bad(text, "'" + value + "' is nothing a disk can be on");
  }

  private static ImageFormat format(String text, String value) throws MachineException {
    try {
      return ImageFormat.parse(value);
    } catch (BlockException e) {
      throw bad(text, "'" + value + "' is no format of images");
    }
  }

  private static int queues(String text, String value) throws MachineException {
    try {
      int queues = Integer.parseInt(value);
      if (queues >= 1 && queues <= MAX_QUEUES) {
        return queues;
      }
    } catch (NumberFormatException e) {
      // Said below, with what is out of range.
    }
    throw bad(text, "'" + value + "' queues cannot be: 1 to " + MAX_QUEUES);
  }

  private static boolean isSerial(String text) {
    return !text.isEmpty()
        && text.length() <= MAX_SERIAL
        && text.chars().allMatch(c -> c > ' ' && c < 0x7f);
  }

  private static MachineException bad(String text, String what) {
    return OptionText.bad("--disk", text, what, SYNTAX);
  }
}

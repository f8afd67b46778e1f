package org.javisor.storage.block.tool;

import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Header;
import org.javisor.storage.block.qcow2.Qcow2Reports;
import org.javisor.storage.block.qcow2.Snapshot;

/** Describes an image, in the words and with the names of {@code qemu-img info}. */
public final class ImageInfo {
  private static final DateTimeFormatter DATE =
      DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT);

  private final Path path;
  private final ImageFormat format;
  private final long virtualSize;
  private final long actualSize;
  private final Header header;
  private final List<Snapshot> snapshots;

  private ImageInfo(
      Path path,
      ImageFormat format,
      long virtualSize,
      long actualSize,
      Header header,
      List<Snapshot> snapshots) {
    this.path = path;
    this.format = format;
    this.virtualSize = virtualSize;
    this.actualSize = actualSize;
    this.header = header;
    this.snapshots = snapshots;
  }

  /**
   * Looks at an image, not at its backing files.
   *
   * @param format {@code null} to guess
   * @param access {@link Access#READ}, or {@link Access#PEEK} for an image that is being written
   */
  public static ImageInfo of(Path path, ImageFormat format, Access access)
      throws BlockException {
    try (HostFile file = HostFile.open(path, access)) {
      ImageFormat found = format == null ? ImageFormat.detect(file) : format;
      if (found == ImageFormat.RAW) {
        long size = Images.roundUp(file.size());
        return new ImageInfo(path, found, size, file.allocatedBytes(), null, List.of());
      }
      Header header = Header.read(file);
      List<Snapshot> snapshots = Qcow2Reports.snapshots(file, header);
      return new ImageInfo(
          path, found, header.size(), file.allocatedBytes(), header, snapshots);
    }
  }

  public ImageFormat format() {
    return format;
  }

  /** What the disk holds, in bytes. */
  public long virtualSize() {
    return virtualSize;
  }

  /** Where the backing file is, or {@code null} if there is none. */
  public Path backingPath() throws BlockException {
    return header == null || header.backingFile() == null
        ? null
        : Images.resolve(path, header.backingFile());
  }

  /** The format of the backing file, or {@code null} if the image does not say. */
  public ImageFormat backingFormat() throws BlockException {
    return header == null || header.backingFormat() == null
        ? null
        : Images.backingFormat(path, header);
  }

  /** For programs: names and values as {@code qemu-img info --output=json} has them. */
  public Map<String, Object> structure() throws BlockException {
    Map<String, Object> info = new LinkedHashMap<>();
    if (!snapshots.isEmpty()) {
      info.put("snapshots", snapshots.stream().map(ImageInfo::structure).toList());
    }
    info.put("virtual-size", virtualSize);
    info.put("filename", path.toString());
    if (header != null) {
      info.put("cluster-size", header.clusterSize());
    }
    info.put("format", format.label());
    info.put("actual-size", actualSize);
    if (header != null) {
      info.put("format-specific", Map.of("type", "qcow2", "data", details()));
      if (header.backingFile() != null) {
        info.put("full-backing-filename", fullBackingName());
        info.put("backing-filename", header.backingFile());
        if (header.backingFormat() != null) {
          info.put("backing-filename-format", header.backingFormat());
        }
      }
      info.put("dirty-flag", header.isDirty());
    }
    return info;
  }

  private Map<String, Object> details() {
    Map<String, Object> data = new LinkedHashMap<>();
    data.put("compat", header.version() == 2 ? "0.10" : "1.1");
    data.put("compression-type", Qcow2Reports.compressionType(header));
    if (header.version() >= 3) {
      data.put("lazy-refcounts", header.hasLazyRefcounts());
    }
    data.put("refcount-bits", header.refcountBits());
    if (header.version() >= 3) {
      data.put("corrupt", header.isCorrupt());
      data.put("extended-l2", false);
    }
    return data;
  }

  private static Map<String, Object> structure(Snapshot snapshot) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("id", snapshot.id());
    map.put("name", snapshot.name());
    map.put("vm-state-size", snapshot.vmStateBytes());
    map.put("date-sec", snapshot.seconds());
    map.put("date-nsec", snapshot.nanos());
    map.put("vm-clock-sec", snapshot.vmClockNanos() / 1_000_000_000L);
    map.put("vm-clock-nsec", snapshot.vmClockNanos() % 1_000_000_000L);
    return map;
  }

  private String fullBackingName() {
    try {
      return Images.resolve(path, header.backingFile()).toString();
    } catch (BlockException e) {
      return header.backingFile();
    }
  }

  /** For people. */
  public String text() {
    List<String> lines = new ArrayList<>();
    lines.add("image: " + path);
    lines.add("file format: " + format.label());
    lines.add("virtual size: " + size(virtualSize) + " (" + virtualSize + " bytes)");
    lines.add("disk size: " + size(actualSize));
    if (header != null) {
      lines.add("cluster_size: " + header.clusterSize());
      if (header.backingFile() != null) {
        String name = Images.printable(header.backingFile());
        String full = Images.printable(fullBackingName());
        lines.add(
            "backing file: " + name
                + (full.equals(name) ? "" : " (actual path: " + full + ")"));
        if (header.backingFormat() != null) {
          lines.add("backing file format: " + Images.printable(header.backingFormat()));
        }
      }
      if (!snapshots.isEmpty()) {
        lines.add("Snapshot list:");
        lines.add(row("ID", "TAG", "VM SIZE", "DATE", "VM CLOCK"));
        snapshots.forEach(snapshot -> lines.add(row(snapshot)));
      }
      lines.add("Format specific information:");
      details().forEach((name, value) -> lines.add("    " + name.replace('-', ' ') + ": " + value));
      if (header.isDirty()) {
        lines.add("    dirty: true");
      }
    }
    return String.join("\n", lines) + "\n";
  }

  private static String row(Snapshot snapshot) {
    long millis = snapshot.vmClockNanos() / 1_000_000;
    String clock =
        String.format(
            Locale.ROOT,
            "%02d:%02d:%02d.%03d",
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1000 % 60,
            millis % 1000);
    String date =
        DATE.format(Instant.ofEpochSecond(snapshot.seconds()).atZone(ZoneId.systemDefault()));
    return row(
        Images.printable(snapshot.id()),
        Images.printable(snapshot.name()),
        size(snapshot.vmStateBytes()),
        date,
        clock);
  }

  private static String row(String id, String tag, String size, String date, String clock) {
    return String.format(Locale.ROOT, "%-10s%-17s%8s%20s%14s", id, tag, size, date, clock);
  }

  /** A size as people read it: three digits, and a unit of 1024. */
  public static String size(long bytes) {
    String[] units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    double value = bytes;
    while (value >= 1000 && unit < units.length - 1) {
      value /= 1024;
      unit++;
    }
    String number = String.format(Locale.ROOT, "%.3g", value);
    if (number.contains(".") && !number.contains("e")) {
      number = number.replaceAll("\\.?0+$", "");
    }
    return (bytes == 0 ? "0" : number) + " " + units[unit];
  }
}

package org.javisor.xen.toolstack;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A disk in the grammar of xl-disk-configuration(5): {@code target, format, vdev, access} by
 * position, or as {@code key=value}; {@code target=} takes all the rest of the line.
 *
 * @param target the image
 * @param format raw or qcow2
 * @param vdev as the guest names it, for example xvda
 * @param discard whether the guest may give sectors back
 */
public record DiskSpec(
    Optional<Path> target,
    String format,
    String vdev,
    boolean readOnly,
    boolean cdrom,
    boolean discard) {
  private static final Pattern PREFIX = Pattern.compile("(phy|file|raw|qcow2):(.*)");
  private static final Pattern XVD = Pattern.compile("xvd([a-z]{1,2})([0-9]{0,2})");
  private static final Pattern OTHER = Pattern.compile("(hd|sd)([a-z])([0-9]{0,2})");
  private static final Pattern NUMBERED = Pattern.compile("d([0-9]+)(?:p([0-9]+))?");

  private static final List<String> FORMATS = List.of("raw", "qcow2");

  /** A disk that cannot be understood. */
  static final class BadDisk extends Exception {
    private static final long serialVersionUID = 1L;

    BadDisk(String message) {
      super(message);
    }
  }

  static DiskSpec parse(String text) throws BadDisk {
    String rest = text.strip();
    String target = null;
    String format = "raw";
    String vdev = null;
    boolean readOnly = false;
    boolean cdrom = false;
    boolean discard = true;
    // Old prefixes name the format, or say nothing we need.
    Matcher prefix = PREFIX.matcher(rest);
    boolean formatKnown = prefix.matches();
    if (formatKnown) {
      format = prefix.group(1).equals("qcow2") ? "qcow2" : "raw";
      rest = prefix.group(2);
    }
    int position = 0;
    while (!rest.isEmpty()) {
      if (rest.startsWith("target=")) {
        target = rest.substring("target=".length());
        break;
      }
      int comma = rest.indexOf(',');
      String part = (comma < 0 ? rest : rest.substring(0, comma)).strip();
      rest = comma < 0 ? "" : rest.substring(comma + 1).strip();
      int equals = part.indexOf('=');
      String key = equals < 0 ? part : part.substring(0, equals);
      String value = equals < 0 ? "" : part.substring(equals + 1);
      switch (key.toLowerCase(Locale.ROOT)) {
        case "format" -> format = value;
        case "vdev" -> vdev = value;
        case "access" -> readOnly = readOnly(value);
        case "devtype" -> cdrom = value.equals("cdrom");
        case "cdrom" -> cdrom = true;
        case "discard" -> discard = true;
        case "no-discard" -> discard = false;
        case "backendtype", "script", "direct-io-safe", "backend", "specification" -> {
          // Back ends are of this process; how they open a file is their affair.
        }
        default -> {
          if (equals >= 0) {
            throw new BadDisk("'" + key + "' is no parameter of a disk");
          }
          if (position == 1 && formatKnown && !part.isEmpty() && !FORMATS.contains(part)) {
            position++; // Behind a prefix there need not be a field for the format.
          }
          switch (position++) {
            case 0 -> target = part.isEmpty() ? null : part;
            case 1 -> format = part.isEmpty() ? format : part;
            case 2 -> {
              boolean suffixed = part.endsWith(":cdrom");
              cdrom |= suffixed;
              vdev = suffixed ? part.substring(0, part.length() - 6) : part;
            }
            case 3 -> readOnly = readOnly(part);
            default -> throw new BadDisk("'" + part + "' was not expected");
          }
        }
      }
    }
    if (vdev == null || vdev.isEmpty()) {
      throw new BadDisk("no vdev: xvda, for example, expected");
    }
    number(vdev);
    if (!FORMATS.contains(format)) {
      throw new BadDisk("format '" + format + "': raw or qcow2 expected");
    }
    if (target == null && !cdrom) {
      throw new BadDisk("no target: an image file expected");
    }
    return new DiskSpec(
        Optional.ofNullable(target).map(Path::of), format, vdev, readOnly || cdrom, cdrom, discard);
  }

  private static boolean readOnly(String access) throws BadDisk {
    return switch (access) {
      case "r", "ro" -> true;
      case "w", "rw" -> false;
      default -> throw new BadDisk("access '" + access + "': r, ro, w or rw expected");
    };
  }

  /** The device's number in xenstore (Xen docs/man/xen-vbd-interface.7). */
  public int number() {
    try {
      return number(vdev);
    } catch (BadDisk e) {
      throw new AssertionError("checked when it was parsed", e);
    }
  }

  private static int number(String vdev) throws BadDisk {
    Matcher m = XVD.matcher(vdev);
    if (m.matches()) {
      return extended(letters(m.group(1)), partition(m.group(2)), vdev);
    }
    m = NUMBERED.matcher(vdev);
    if (m.matches() && m.group(1).length() < 7) {
      return extended(Integer.parseInt(m.group(1)), partition(m.group(2)), vdev);
    }
    m = OTHER.matcher(vdev);
    if (m.matches()) {
      int disk = m.group(2).charAt(0) - 'a';
      int partition = partition(m.group(3));
      if (m.group(1).equals("sd") && disk < 16 && partition < 16) {
        return 8 << 8 | disk << 4 | partition;
      }
      if (m.group(1).equals("hd") && disk < 4 && partition < 64) {
        return (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition;
      }
    }
    throw new BadDisk("vdev '" + vdev + "': xvda to xvdzz, sda to sdp or hda to hdd expected");
  }

  private static int letters(String text) {
    int n = 0;
    for (char c : text.toCharArray()) {
      n = n * 26 + c - 'a' + 1;
    }
    return n - 1;
  }

  private static int partition(String digits) {
    return digits == null || digits.isEmpty() ? 0 : Integer.parseInt(digits);
  }

  private static int extended(int disk, int partition, String vdev) throws BadDisk {
    if (disk < 16 && partition < 16) {
      return 202 << 8 | disk << 4 | partition;
    }
    if (disk < 1 << 20 && partition < 256) {
      return 1 << 28 | disk << 8 | partition;
    }
    throw new BadDisk("vdev '" + vdev + "' has no number");
  }

  /** The place on an HVM domain's ATA controller, or -1 if the disk is not emulated. */
  int idePlace() {
    Matcher xvd = XVD.matcher(vdev);
    if (xvd.matches() && xvd.group(2).isEmpty() && xvd.group(1).length() == 1) {
      return xvd.group(1).charAt(0) < 'e' ? xvd.group(1).charAt(0) - 'a' : -1;
    }
    return vdev.matches("hd[a-d]") ? vdev.charAt(2) - 'a' : -1;
  }

  /** The same with a target that is relative to a folder. */
  DiskSpec relativeTo(Path base) {
    return new DiskSpec(target.map(base::resolve), format, vdev, readOnly, cdrom, discard);
  }
}

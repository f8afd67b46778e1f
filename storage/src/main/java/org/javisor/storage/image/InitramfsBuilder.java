package org.javisor.storage.image;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.storage.packages.ArchiveFormatException;

/**
 * Packs the default guest's initramfs: busybox under all its names, an init script, the kernel's
 * modules.
 *
 * <p>The archive is not compressed: the guest then only copies, where unpacking gzip or lz4 would
 * run on a CPU in software at a cost of several instructions a byte.
 */
public final class InitramfsBuilder {
  /** Changes when the way of packing does; what is packed is told by its own digest. */
  static final int RECIPE = 1;

  private static final List<String> RESOURCES =
      List.of(
          "init",
          "etc/inittab",
          "etc/fstab",
          "etc/profile",
          "etc/udhcpc.script",
          "etc/passwd",
          "etc/group",
          "etc/hosts");

  private static final List<String> FOLDERS =
      List.of("bin", "dev", "etc", "lib", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var");

  private static final byte[] FIRST_APPLETS = {0, '[', 0, '[', '[', 0};

  private final byte[] busybox;
  private String release = "";
  private ModuleTree modules = new ModuleTree();
  private byte[] builtin = new byte[0];
  private final Map<String, Extra> extras = new TreeMap<>();

  /** A file of the caller's own, or a link if it points somewhere. */
  private record Extra(int permissions, byte[] contents, String target) {}

  /**
   * Begins an image.
   *
   * @param busybox a statically linked busybox
   */
  public InitramfsBuilder(byte[] busybox) {
    this.busybox = busybox.clone();
  }

  /**
   * Adds modules.
   *
   * @param release the kernel's release, as {@code uname -r} prints it
   * @param tree what to put in, closed under dependencies
   * @param builtin the contents of the kernel's {@code modules.builtin}
   */
  public InitramfsBuilder modules(String release, ModuleTree tree, byte[] builtin) {
    this.release = release;
    this.modules = tree;
    this.builtin = builtin.clone();
    return this;
  }

  /** Adds a file of the caller's own. */
  public InitramfsBuilder file(String path, byte[] contents) {
    return file(path, 0644, contents);
  }

  /** Adds a file of the caller's own; it stands for one of the image's of that name. */
  public InitramfsBuilder file(String path, int permissions, byte[] contents) {
    extras.put(path, new Extra(permissions, contents.clone(), ""));
    return this;
  }

  /** Adds a symbolic link in the same way. */
  public InitramfsBuilder link(String path, String target) {
    extras.put(path, new Extra(0777, new byte[0], target));
    return this;
  }

  /** The modules that the default guest wants, from the list packed with this class. */
  public static List<String> defaultModules() {
    return names("modules.list");
  }

  /** The names that a resource lists, one a line. */
  static List<String> names(String resource) {
    return new String(resource(resource), StandardCharsets.UTF_8)
        .lines()
        .map(String::strip)
        .filter(l -> !l.isEmpty() && !l.startsWith("#"))
        .toList();
  }

  /** Everything but the packages that decides what an image holds. */
  static List<byte[]> recipe() {
    List<byte[]> parts = new ArrayList<>();
    parts.add(("recipe " + RECIPE).getBytes(StandardCharsets.US_ASCII));
    parts.add(resource("modules.list"));
    for (String name : RESOURCES) {
      parts.add(resource("guest/" + name));
    }
    return parts;
  }

  static byte[] resource(String name) {
    try (InputStream in = InitramfsBuilder.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("resource " + name + " is missing from this build");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new IllegalStateException("resource " + name + " cannot be read", e);
    }
  }

  /** Writes the image. */
  public void write(Path file) throws IOException {
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 16)) {
      write(out);
    }
  }

  /** Writes the image and closes the stream. */
  public void write(OutputStream out) throws IOException {
    try (CpioWriter cpio = new CpioWriter(out)) {
      for (String folder : FOLDERS) {
        cpio.directory(folder);
      }
      // The kernel opens /dev/console for the first process before anything is mounted.
      cpio.characterDevice("dev/console", 0600, 5, 1);
      cpio.characterDevice("dev/null", 0666, 1, 3);
      cpio.symbolicLink("sbin", "bin");
      cpio.symbolicLink("usr/bin", "../bin");
      cpio.symbolicLink("usr/sbin", "../bin");
      cpio.file("bin/busybox", 0755, busybox);
      for (String applet : applets(busybox)) {
        if (!extras.containsKey("bin/" + applet)) {
          cpio.symbolicLink("bin/" + applet, "busybox");
        }
      }
      for (String name : RESOURCES) {
        if (extras.containsKey(name)) {
          continue;
        }
        boolean program = name.equals("init") || name.endsWith(".script");
        cpio.file(name, program ? 0755 : 0644, resource("guest/" + name));
      }
      if (!release.isEmpty()) {
        String folder = "lib/modules/" + release;
        cpio.file(folder + "/modules.dep", 0644, text(modules.modulesDep()));
        cpio.file(folder + "/modules.alias", 0644, text(modules.modulesAlias()));
        cpio.file(folder + "/modules.symbols", 0644, new byte[0]);
        cpio.file(folder + "/modules.builtin", 0644, builtin);
        for (ModuleTree.Module module : modules.modules()) {
          cpio.file(folder + "/" + module.path(), 0644, module.contents());
        }
      }
      for (Map.Entry<String, Extra> each : extras.entrySet()) {
        Extra extra = each.getValue();
        if (extra.target.isEmpty()) {
          cpio.file(each.getKey(), extra.permissions, extra.contents);
        } else {
          cpio.symbolicLink(each.getKey(), extra.target);
        }
      }
    }
  }

  private static byte[] text(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /**
   * The names busybox answers to, from the sorted, NUL-separated table in its read-only data: the
   * host may be unable to run it.
   */
  static List<String> applets(byte[] busybox) throws ArchiveFormatException {
    int start = -1;
    for (int i = 0; i + FIRST_APPLETS.length <= busybox.length && start < 0; i++) {
      if (busybox[i] == 0
          && Arrays.equals(
              busybox, i, i + FIRST_APPLETS.length, FIRST_APPLETS, 0, FIRST_APPLETS.length)) {
        start = i + 1;
      }
    }
    List<String> names = new ArrayList<>();
    String last = "";
    for (int at = start; start >= 0 && at < busybox.length && names.size() < 1000;) {
      int end = at;
      while (end < busybox.length && busybox[end] != 0 && end - at < 40) {
        end++;
      }
      String name = new String(busybox, at, end - at, StandardCharsets.ISO_8859_1);
      if (name.compareTo(last) <= 0 || !name.matches("[a-z0-9_.\\[-]+")) {
        break;
      }
      if (!name.equals("busybox")) {
        names.add(name);
      }
      last = name;
      at = end + 1;
    }
    for (String needed : List.of("sh", "init", "mount", "modprobe", "cttyhack", "poweroff")) {
      if (!names.contains(needed)) {
        throw new ArchiveFormatException(
            "this busybox has no applet '" + needed + "': the one of busybox-static expected");
      }
    }
    return names;
  }
}

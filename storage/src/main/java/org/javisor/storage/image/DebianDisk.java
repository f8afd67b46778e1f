package org.javisor.storage.image;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.javisor.accelerator.time.Entropy;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.ImageConverter;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.Images;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;
import org.javisor.storage.packages.Progress;

/**
 * A disk with Debian on it that a BIOS boots: made of packages of the host's sources, without root
 * and without loop devices.
 *
 * <p>mmdebstrap installs the packages into a tree, in whatever way the host allows it (as root, in a
 * user namespace, or pretending). While it has the tree, a hook of ours finishes it and has mke2fs
 * put it into a file system inside of the disk, so that all files have the owners they shall have.
 * The boot loader's sectors are written from here, and the disk is copied into its final format.
 */
public final class DebianDisk {
  /** The smallest disk the packages fit on, with room to work. */
  public static final long MIN_SIZE = 1L << 30;

  public static final long DEFAULT_SIZE = 4L << 30;

  private static final String RESOURCES = "debian/";

  /** Kernels to try, the first that the sources offer. */
  private static final List<String> KERNELS = DefaultGuest.KERNELS;

  /** What a system needs that boots, has a network, and is to be lived in. */
  private static final List<String> PACKAGES =
      List.of(
          "systemd-sysv",
          "systemd-resolved",
          "udev",
          "dbus",
          "initramfs-tools",
          "lz4",
          "e2fsprogs",
          "kmod",
          "iproute2",
          "iputils-ping",
          "netbase",
          "procps",
          "less",
          "ca-certificates",
          "grub-pc-bin",
          "grub2-common");

  private static final Pattern PACKAGE_NAME = Pattern.compile("[a-z0-9][a-z0-9+.-]+(=[^\\s,]+)?");
  private static final Pattern HOST_NAME =
      Pattern.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?");

  /**
   * What to make.
   *
   * @param output the image, made or replaced
   * @param size of the disk in bytes
   * @param packages more packages than the usual ones
   * @param userData what cloud-init is to do at the first start
   * @param rootPassword empty for none: the console lets root in without
   */
  public record Recipe(
      Path output,
      ImageFormat format,
      long size,
      List<String> packages,
      Optional<Path> userData,
      Optional<String> rootPassword,
      String hostName) {
    public Recipe {
      packages = List.copyOf(packages);
      for (String name : packages) {
        if (!isPackageName(name)) {
          throw new IllegalArgumentException("'" + name + "' is no name of a package");
        }
      }
      if (!isHostName(hostName)) {
        throw new IllegalArgumentException("'" + hostName + "' is no name of a host");
      }
      if (size < MIN_SIZE) {
        throw new IllegalArgumentException(size + " bytes: 1 GiB or more expected");
      }
    }
  }

  private final Path cache;
  private final Progress progress;
  private final Entropy entropy;

  public DebianDisk(Progress progress) {
    this(DefaultGuest.cacheFolder(), progress, Entropy.host());
  }

  DebianDisk(Path cache, Progress progress, Entropy entropy) {
    this.cache = cache;
    this.progress = progress;
    this.entropy = entropy;
  }

  /** Whether a text can be the name of a package. */
  public static boolean isPackageName(String text) {
    return PACKAGE_NAME.matcher(text).matches();
  }

  /** Whether a text can be the name of a host, without a domain. */
  public static boolean isHostName(String text) {
    return HOST_NAME.matcher(text).matches();
  }

  /** Makes the disk. Takes minutes, most of them for installing packages. */
  public void build(Recipe recipe) throws IOException {
    if (!AptFetcher.available()) {
      throw new PackageException(
          Reason.NO_APT, "this host has no apt: apt-get and apt-cache expected in PATH");
    }
    HostTools tools = new HostTools(cache, progress);
    Path mmdebstrap = tools.find("mmdebstrap", List.of("mmdebstrap"));
    Path mke2fs =
        tools.find("mke2fs", List.of("e2fsprogs", "libext2fs2", "libcom-err2", "libss2"));
    Path work = Files.createTempDirectory("javisor-debian-");
    try {
      build(recipe, tools, mmdebstrap, mke2fs, work);
    } finally {
      delete(work);
    }
  }

  private void build(Recipe recipe, HostTools tools, Path mmdebstrap, Path mke2fs, Path work)
      throws IOException {
    long offset = (long) BootSector.FIRST_PARTITION * BootSector.SECTOR;
    String uuid = uuid();
    Path disk = work.resolve("disk");
    Images.createRaw(disk, recipe.size());
    Files.createDirectory(work.resolve("out"));
    Files.writeString(
        work.resolve("settings"),
        "DISK_OFFSET=%d\nFS_KIB=%d\nUUID=%s\nMKE2FS=%s\n"
            .formatted(offset, (recipe.size() - offset) >> 10, uuid, quoted(mke2fs.toString())));
    Files.write(work.resolve("hook.sh"), resource("hook.sh"));
    if (recipe.rootPassword().isPresent()) {
      Files.writeString(work.resolve("password"), "root:" + recipe.rootPassword().get() + "\n");
    }
    early(work.resolve("early"));
    late(work.resolve("late"), recipe, uuid);
    letTheTreesOwnerIn(work);

    install(recipe, tools, mmdebstrap, work);
    bootable(disk, work.resolve("out"), recipe.size());
    progress.message("Writing " + recipe.output());
    try (DiskImage source = Images.open(disk, ImageFormat.RAW, Access.READ);
        Images.NewImage target =
            Images.createToFill(
                recipe.output(), recipe.format(), recipe.size(), Qcow2Options.DEFAULT)) {
      long total = source.sizeBytes();
      new ImageConverter(
          source, target.image(), done -> progress.advance("Writing the image", done, total))
          .convert();
    }
  }

  /**
   * In a user namespace the tree's owner is another user than this one; it must reach our files.
   * Root needs no such help.
   */
  private static void letTheTreesOwnerIn(Path work) throws IOException {
    if ("root".equals(System.getProperty("user.name"))) {
      return;
    }
    for (String open : List.of("", "out")) {
      Files.setPosixFilePermissions(
          work.resolve(open),
          PosixFilePermissions.fromString(open.isEmpty() ? "rwx--x--x" : "rwxrwxrwx"));
    }
    Files.setPosixFilePermissions(
        work.resolve("disk"), PosixFilePermissions.fromString("rw-rw-rw-"));
  }

  // ---- What the tree gets besides packages ------------------------------------------------

  private static void early(Path tree) throws IOException {
    put(
        tree,
        "etc/initramfs-tools/conf.d/javisor",
        "# Only the drivers of the disks a guest may have; hooks/javisor lists them.\n"
            + "MODULES=list\nCOMPRESS=lz4\n");
    Path hook = put(tree, "etc/initramfs-tools/hooks/javisor", text("initramfs-hook.sh"));
    hook.toFile().setExecutable(true, false);
  }

  private void late(Path tree, Recipe recipe, String uuid) throws IOException {
    String name = recipe.hostName();
    put(tree, "etc/hostname", name + "\n");
    put(
        tree,
        "etc/hosts",
        "127.0.0.1\tlocalhost\n127.0.1.1\t" + name + "\n::1\tlocalhost ip6-localhost\n");
    put(tree, "etc/fstab", "UUID=" + uuid + " / ext4 errors=remount-ro 0 1\n");
    put(tree, "etc/systemd/network/80-dhcp.network", text("dhcp.network"));
    put(
        tree,
        "etc/default/grub.d/javisor.cfg",
        "GRUB_TIMEOUT_STYLE=hidden\nGRUB_TIMEOUT=1\n"
            + "GRUB_CMDLINE_LINUX_DEFAULT=\"\"\n"
            + "GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200\"\n");
    put(tree, "boot/grub/grub.cfg", text("grub.cfg").replace("@UUID@", uuid));
    if (recipe.userData().isPresent()) {
      byte[] id = new byte[8];
      entropy.nextBytes(id);
      String seed = "var/lib/cloud/seed/nocloud/";
      put(tree, seed + "user-data", Files.readString(recipe.userData().get()));
      put(
          tree,
          seed + "meta-data",
          "instance-id: i-" + HexFormat.of().formatHex(id) + "\nlocal-hostname: " + name + "\n");
      // Without this it looks for the data of a dozen clouds first.
      put(
          tree,
          "etc/cloud/cloud.cfg.d/99-javisor.cfg",
          "datasource_list: [ NoCloud, None ]\n");
    }
  }

  private static Path put(Path tree, String name, String content) throws IOException {
    Path file = tree.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.writeString(file, content);
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream in = DebianDisk.class.getResourceAsStream(RESOURCES + name)) {
      if (in == null) {
        throw new AssertionError("resource " + name + " is missing");
      }
      return in.readAllBytes();
    }
  }

  private static String text(String name) throws IOException {
    return new String(resource(name), StandardCharsets.UTF_8);
  }

  /** A random UUID (RFC 4122, 4.4). */
  private String uuid() {
    byte[] b = new byte[16];
    entropy.nextBytes(b);
    b[6] = (byte) (b[6] & 0x0f | 0x40);
    b[8] = (byte) (b[8] & 0x3f | 0x80);
    String hex = HexFormat.of().formatHex(b);
    return String.join(
        "-",
        hex.substring(0, 8),
        hex.substring(8, 12),
        hex.substring(12, 16),
        hex.substring(16, 20),
        hex.substring(20));
  }

  // ---- Installing -------------------------------------------------------------------------

  private void install(Recipe recipe, HostTools tools, Path mmdebstrap, Path work)
      throws IOException {
    List<String> packages = new ArrayList<>(PACKAGES);
    packages.add(kernel());
    if (recipe.userData().isPresent()) {
      packages.add("cloud-init");
    }
    packages.addAll(recipe.packages());
    String hook = "sh " + quoted(work.resolve("hook.sh").toString());
    List<String> command =
        new ArrayList<>(
            List.of(
                mmdebstrap.toString(),
                "--architectures=amd64",
                "--variant=minbase",
                "--format=null",
                "--include=" + String.join(",", packages),
                "--essential-hook=" + hook + " prepare \"$1\"",
                "--customize-hook=" + hook + " finish \"$1\""));
    for (String option : aptOptions()) {
      command.add("--aptopt=" + option);
    }
    command.add(suite());
    command.add("/dev/null");
    for (Path source : sources()) {
      command.add(source.toString());
    }

    progress.message(
        "Installing " + (packages.size() - recipe.packages().size()) + " packages and what they"
            + " need" + (recipe.packages().isEmpty() ? "" : ", and " + recipe.packages()));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LC_ALL", "C.UTF-8");
    tools.addTo(builder.environment());
    builder.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      throw new PackageException(
          Reason.FAILED, mmdebstrap + " cannot be run: " + e.getMessage(), e);
    }
    Thread end = new Thread(process::destroy);
    Runtime.getRuntime().addShutdownHook(end);
    try {
      List<String> complaints = follow(process);
      int status = process.waitFor();
      if (status != 0) {
        throw new PackageException(
            Reason.FAILED,
            "mmdebstrap could not make the system ("
                + (complaints.isEmpty() ? "it ended with " + status : complaints.getFirst())
                + ")");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PackageException(Reason.FAILED, "the installation was interrupted", e);
    } finally {
      process.destroy();
      Runtime.getRuntime().removeShutdownHook(end);
    }
  }

  /** Shows what the program does as it goes on; returns what it complains of. */
  private List<String> follow(Process process) throws IOException {
    List<String> complaints = new ArrayList<>();
    try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
      String line;
      while ((line = reader.readLine()) != null) {
        if (line.startsWith("E: ")) {
          complaints.add(line.substring(3));
        } else if (line.startsWith("I: ") && line.endsWith("...")) {
          String step = line.substring(3, line.length() - 3);
          progress.message(step.substring(0, 1).toUpperCase(java.util.Locale.ROOT)
              + step.substring(1));
        }
      }
    }
    return complaints;
  }

  private String kernel() throws IOException {
    AptFetcher apt = new AptFetcher(cache.resolve("apt"), progress);
    apt.update(false);
    for (String name : KERNELS) {
      if (apt.find(name).isPresent()) {
        return name;
      }
    }
    throw new PackageException(
        Reason.NOT_FOUND,
        "the apt sources offer no kernel: one of " + String.join(", ", KERNELS) + " expected");
  }

  /** The host's own release: its package sources are what there is to install from. */
  private static String suite() throws IOException {
    Properties release = new Properties();
    try (InputStream in = Files.newInputStream(Path.of("/etc/os-release"))) {
      release.load(in);
    }
    String name = release.getProperty("VERSION_CODENAME", "").replace("\"", "");
    if (name.isEmpty()) {
      throw new PackageException(
          Reason.FAILED, "/etc/os-release names no VERSION_CODENAME: a release of Debian expected");
    }
    return name;
  }

  private static List<Path> sources() throws IOException {
    List<Path> found = new ArrayList<>();
    Path single = Path.of("/etc/apt/sources.list");
    if (Files.isReadable(single)
        && Files.readAllLines(single).stream().anyMatch(l -> l.startsWith("deb"))) {
      found.add(single);
    }
    Path folder = Path.of("/etc/apt/sources.list.d");
    if (Files.isDirectory(folder)) {
      try (Stream<Path> files = Files.list(folder)) {
        files
            .filter(f -> f.toString().endsWith(".list") || f.toString().endsWith(".sources"))
            .filter(Files::isReadable)
            .sorted()
            .forEach(found::add);
      }
    }
    if (found.isEmpty()) {
      throw new PackageException(
          Reason.NOT_FOUND, "/etc/apt names no package sources: sources.list expected");
    }
    return found;
  }

  /** How this host reaches its sources: proxies, and what it does not want checked. */
  private static List<String> aptOptions() throws IOException {
    Process process =
        new ProcessBuilder("apt-config", "dump", "--format=%f \"%v\";%n", "Acquire")
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
      Pattern wanted =
          Pattern
              .compile("Acquire::(https?|Check-Date|Check-Valid-Until|Retries)\\b.* \"[^\"]+\";");
      return reader.lines().filter(l -> wanted.matcher(l).matches()).collect(Collectors.toList());
    } finally {
      process.destroy();
    }
  }

  // ---- The boot loader --------------------------------------------------------------------

  private void bootable(Path disk, Path images, long size) throws IOException {
    byte[] signature = new byte[4];
    entropy.nextBytes(signature);
    byte[] sectors =
        BootSector.with(
            Files.readAllBytes(images.resolve("boot.img")),
            Files.readAllBytes(images.resolve("core.img")),
            size / BootSector.SECTOR,
            MemorySegment.ofArray(signature)
                .get(java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED, 0));
    try (FileChannel channel = FileChannel.open(disk, StandardOpenOption.WRITE)) {
      channel.write(java.nio.ByteBuffer.wrap(sectors), 0);
    }
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }

  private static void delete(Path tree) throws IOException {
    List<Path> files;
    try (Stream<Path> walk = Files.walk(tree)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }
}

package org.javisor.storage.image;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.AptFetcher.AptPackage;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.PackageArchive;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.PackageException.Reason;
import org.javisor.storage.packages.Progress;

/**
 * The default guest: Debian's own unmodified cloud kernel, and an initramfs of busybox-static and
 * that kernel's modules.
 *
 * <p>Made on first use and kept under the user's cache folder; a second call reads one small file.
 * Without apt, or when apt has nothing to offer, a readable {@code /boot/vmlinuz-*} of the host
 * serves, and the progress says so.
 *
 * <p>Parallel first runs, of one process or several, wait for each other at a lock. A finished
 * guest is a folder that appears by one rename, so that no run ever sees half of one.
 */
public final class DefaultGuest {
  /** What to try, the first that the host's sources offer: Debian's names, then Ubuntu's. */
  static final List<String> KERNELS =
      List.of(
          "linux-image-cloud-amd64",
          "linux-image-amd64",
          "linux-image-virtual",
          "linux-image-generic");

  private static final String DOM0_KERNEL = "linux-image-amd64";

  private static final Pattern MODULE_PACKAGE = Pattern.compile("linux-modules-\\d.*");

  private static final String CURRENT = "current";
  private static final String SUFFIX = ".properties";

  /** Serialises threads; the file lock below serialises processes only. */
  private static final Object MAKING = new Object();

  private final Path cache;
  private final Progress progress;
  private final Path boot;
  private final Path hostModules;
  private final boolean useApt;
  private final String architecture;
  private final List<String> kernels;
  private final Path current;
  private final Supplier<Optional<Path>> hostBusybox;
  private final boolean dom0;

  /**
   * The files of a guest.
   *
   * @param kernel the bzImage
   * @param vmlinux the same kernel unpacked, so that no start has to
   * @param initrd the initramfs
   * @param release as {@code uname -r} prints it
   * @param source where it came from, for people
   */
  public record GuestFiles(Path kernel, Path vmlinux, Path initrd, String release, String source) {}

  public DefaultGuest(Progress progress) {
    this(
        cacheFolder(),
        progress,
        Path.of("/boot"),
        Path.of("/lib/modules"),
        AptFetcher.available(),
        AptFetcher.AMD64,
        KERNELS,
        () -> AptFetcher.onPath("busybox"));
  }

  /**
   * The same userland on another kernel of the apt sources.
   *
   * @param kernelPackage the kernel's package or its metapackage, as {@code linux-image-amd64}
   */
  public static DefaultGuest withKernel(String kernelPackage, Progress progress) {
    return withKernel(kernelPackage, AptFetcher.AMD64, progress);
  }

  /**
   * The same of another architecture: {@code i386} for 32-bit kernels, as {@code
   * linux-image-686-pae}.
   */
  public static DefaultGuest withKernel(
      String kernelPackage, String architecture, Progress progress) {
    // The host's own kernel is no stand-in for one that was asked for by name.
    return new DefaultGuest(
        cacheFolder(),
        progress,
        Path.of("/nonexistent"),
        Path.of("/nonexistent"),
        AptFetcher.available(),
        architecture,
        List.of(kernelPackage),
        Optional::empty);
  }

  /**
   * A Xen domain 0: the generic kernel, which alone can be one, and Debian's xen-utils beside what
   * the default guest has.
   */
  public static DefaultGuest dom0(Progress progress) {
    return new DefaultGuest(
        cacheFolder(),
        progress,
        Path.of("/nonexistent"),
        Path.of("/nonexistent"),
        AptFetcher.available(),
        AptFetcher.AMD64,
        List.of(DOM0_KERNEL),
        Optional::empty,
        true);
  }

  DefaultGuest(
      Path cache,
      Progress progress,
      Path boot,
      Path hostModules,
      boolean useApt,
      String architecture,
      List<String> kernels,
      Supplier<Optional<Path>> hostBusybox) {
    this(
        cache, progress, boot, hostModules, useApt, architecture, kernels, hostBusybox, false);
  }

  private DefaultGuest(
      Path cache,
      Progress progress,
      Path boot,
      Path hostModules,
      boolean useApt,
      String architecture,
      List<String> kernels,
      Supplier<Optional<Path>> hostBusybox,
      boolean dom0) {
    this.dom0 = dom0;
    this.cache = cache;
    this.progress = progress;
    this.boot = boot;
    this.hostModules = hostModules;
    this.useApt = useApt;
    this.architecture = architecture;
    this.kernels = kernels;
    this.current =
        cache.resolve(
            kernels.equals(KERNELS)
                ? CURRENT + SUFFIX
                : CURRENT + "-" + (dom0 ? "dom0-" : "") + safe(kernels.getFirst()) + SUFFIX);
    this.hostBusybox = hostBusybox;
  }

  /** {@code $XDG_CACHE_HOME/javisor}, or {@code ~/.cache/javisor}: XDG Base Directory, 0.8. */
  public static Path cacheFolder() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg != null && Path.of(xdg).isAbsolute()
            ? Path.of(xdg)
            : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("javisor");
  }

  /** Returns the guest, making it if this is the first time. */
  public GuestFiles obtain() throws IOException {
    Optional<GuestFiles> made = current();
    if (made.isPresent()) {
      return made.get();
    }
    return locked(false);
  }

  /** Makes the guest anew from what the package sources offer now. */
  public GuestFiles refresh() throws IOException {
    return locked(true);
  }

  private GuestFiles locked(boolean refresh) throws IOException {
    try {
      Files.createDirectories(cache);
    } catch (IOException e) {
      throw new PackageException(
          Reason.FAILED,
          "the cache folder "
              + cache
              + " cannot be made ("
              + e.getClass().getSimpleName()
              + "): a writable folder expected; set XDG_CACHE_HOME to one",
          e);
    }
    synchronized (MAKING) {
      try (FileChannel channel =
          FileChannel.open(
              cache.resolve("guest.lock"),
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE);
          FileLock _ = lock(channel)) {
        Optional<GuestFiles> made = refresh ? Optional.empty() : current();
        return made.isPresent() ? made.get() : make(refresh);
      }
    }
  }

  private FileLock lock(FileChannel channel) throws IOException {
    FileLock lock = channel.tryLock();
    if (lock == null) {
      progress.message("Waiting for another run that makes the default guest");
      lock = channel.lock();
    }
    return lock;
  }

  /** The guest that was made earlier, if it is whole and made the way this version makes it. */
  public Optional<GuestFiles> current() {
    Properties properties = load(current);
    if (!recipe().equals(properties.getProperty("recipe"))) {
      return Optional.empty();
    }
    String folderName = properties.getProperty("folder", "");
    if (folderName.isEmpty() || folderName.startsWith(".") || folderName.contains("/")) {
      return Optional.empty();
    }
    Path folder = cache.resolve("guests").resolve(folderName);
    GuestFiles guest = in(folder, properties);
    for (Path file : List.of(guest.kernel(), guest.vmlinux(), guest.initrd())) {
      try {
        String size = properties.getProperty("size." + file.getFileName());
        if (size == null || Files.size(file) != Long.parseLong(size)) {
          return Optional.empty();
        }
      } catch (IOException | NumberFormatException e) {
        return Optional.empty();
      }
    }
    return Optional.of(guest);
  }

  /** Reads what describes a guest; what cannot be read describes none. */
  private static Properties load(Path file) {
    Properties properties = new Properties();
    try (InputStream in = Files.newInputStream(file)) {
      properties.load(in);
    } catch (IOException | IllegalArgumentException e) {
      properties.clear();
    }
    return properties;
  }

  private static GuestFiles in(Path folder, Properties properties) {
    return new GuestFiles(
        folder.resolve("vmlinuz"),
        folder.resolve("vmlinux"),
        folder.resolve("initrd.img"),
        properties.getProperty("release", ""),
        properties.getProperty("source", ""));
  }

  /** Tells recipes apart. A checksum, not a digest: loading the digests takes 20 ms of a start. */
  private String recipe() {
    CRC32 checksum = new CRC32();
    List<byte[]> all = new ArrayList<>(InitramfsBuilder.recipe());
    if (dom0) {
      all.addAll(Dom0Tools.recipe());
    }
    for (byte[] part : all) {
      checksum.update(part);
      checksum.update(0);
    }
    return Long.toHexString(checksum.getValue());
  }

  private GuestFiles make(boolean refresh) throws IOException {
    PackageException aptFailure;
    try {
      return fromApt(refresh);
    } catch (PackageException e) {
      aptFailure = e;
    }
    try {
      return fromHost(aptFailure);
    } catch (PackageException e) {
      e.addSuppressed(aptFailure);
      // What the user can mend is apt; that the host's own kernel cannot serve is the lesser news.
      throw new PackageException(
          aptFailure.reason(),
          kernels.equals(KERNELS)
              ? aptFailure.getMessage() + "; also, " + e.getMessage()
              : aptFailure.getMessage(),
          e);
    }
  }

  // ---- From packages

  private GuestFiles fromApt(boolean refresh) throws IOException {
    if (!useApt) {
      throw new PackageException(
          Reason.NO_APT,
          "this host has no apt: apt-get expected in PATH, or give --kernel and --initrd");
    }
    String folder = architecture.equals(AptFetcher.AMD64) ? "apt" : "apt-" + architecture;
    AptFetcher apt = new AptFetcher(cache.resolve(folder), architecture, progress);
    boolean updated = apt.update(refresh);
    try {
      return fromApt(apt);
    } catch (PackageException e) {
      if (updated) {
        throw e;
      }
      // The lists were up to a day old; sources or packages have changed since.
      apt.update(true);
      return fromApt(apt);
    }
  }

  private GuestFiles fromApt(AptFetcher apt) throws IOException {
    Optional<AptPackage> kernel = Optional.empty();
    for (String name : kernels) {
      kernel = apt.findKernel(name);
      if (kernel.isPresent()) {
        break;
      }
    }
    if (kernel.isEmpty()) {
      throw new PackageException(
          Reason.NOT_FOUND,
          "the apt sources offer no kernel: one of "
              + String.join(", ", kernels)
              + " expected; add a source or give --kernel and --initrd");
    }
    AptPackage busybox =
        apt.find("busybox-static")
            .orElseThrow(
                () -> new PackageException(
                    Reason.NOT_FOUND,
                    "the apt sources offer no busybox-static: it is the default guest's"
                        + " userland; add a source or give --kernel and --initrd"));
    List<AptPackage> tools = dom0 ? Dom0Tools.packages(apt) : List.of();
    String folder =
        safe(
            kernel.get().name() + "_" + kernel.get().version() + "_" + busybox.version()
                + (dom0 ? "_" + tools.getFirst().version() : ""));
    List<Path> archives = new ArrayList<>();
    archives.add(apt.download(kernel.get()));
    Optional<String> modules = kernel.get().dependency(MODULE_PACKAGE);
    if (modules.isPresent()) {
      Optional<AptPackage> found = apt.find(modules.get());
      if (found.isPresent()) {
        archives.add(apt.download(found.get()));
      }
    }
    archives.add(apt.download(busybox));
    progress.message("Unpacking " + kernel.get().name());
    Path scratch = scratch();
    try {
      Parts parts = new Parts(scratch);
      for (Path archive : archives) {
        parts.take(PackageArchive.open(archive));
      }
      for (Path tool : apt.download("Xen's tools", tools)) {
        parts.tools.take(PackageArchive.open(tool));
      }
      String source = kernel.get().name() + " " + kernel.get().version();
      return finish(folder, source, parts);
    } finally {
      delete(scratch);
    }
  }

  /** What a guest is made of. */
  private static final class Parts {
    private static final Pattern KERNEL = Pattern.compile("boot/vmlinuz-(.+)");
    private static final Pattern MODULES = Pattern.compile("(?:usr/)?lib/modules/([^/]+)/(.+)");
    private static final int MAX_PART = 256 << 20;

    private byte[] kernel;
    private String release = "";
    private byte[] busybox;
    private byte[] builtin = new byte[0];
    private final ModuleTree modules = new ModuleTree();
    private final Dom0Tools tools = new Dom0Tools();
    private final Path scratch;
    private int count;

    /** Keeps modules in a folder: all of a kernel's together would fill the heap. */
    Parts(Path scratch) {
      this.scratch = scratch;
    }

    void take(PackageArchive archive) throws IOException {
      archive.visit(
          (entry, contents) -> {
            if (entry.kind() != ArchiveEntry.Kind.FILE || entry.size() > MAX_PART) {
              return true;
            }
            var kernelMatch = KERNEL.matcher(entry.path());
            var moduleMatch = MODULES.matcher(entry.path());
            if (kernelMatch.matches()) {
              kernel = whole(entry, contents);
              release = kernelMatch.group(1);
            } else if (entry.path().equals("bin/busybox")
                || entry.path().equals("usr/bin/busybox")) {
              busybox = whole(entry, contents);
            } else if (moduleMatch.matches()) {
              String path = moduleMatch.group(2);
              if (path.equals("modules.builtin")) {
                builtin = whole(entry, contents);
              } else if (ModuleTree.isModule(path)) {
                byte[] module = whole(entry, contents);
                Path file = Files.write(scratch.resolve(count++ + ".ko"), module);
                modules.add(path, module, () -> Files.readAllBytes(file));
              }
            }
            return true;
          });
    }

    private static byte[] whole(ArchiveEntry entry, InputStream contents) throws IOException {
      byte[] bytes = contents.readNBytes((int) entry.size());
      if (bytes.length != entry.size()) {
        throw new ArchiveFormatException("package ends inside " + entry.path());
      }
      return bytes;
    }
  }

  // ---- From the host

  private GuestFiles fromHost(PackageException why) throws IOException {
    Path kernel;
    try (Stream<Path> files = Files.isDirectory(boot) ? Files.list(boot) : Stream.empty()) {
      kernel =
          files
              .filter(f -> f.getFileName().toString().startsWith("vmlinuz-"))
              .filter(Files::isReadable)
              .max(Comparator.comparing(DefaultGuest::modified))
              .orElseThrow(
                  () -> new PackageException(
                      Reason.NO_GUEST, "no readable kernel is at " + boot + "/vmlinuz-*"));
    }
    Path busybox = staticBusybox();
    progress.message(why.getMessage());
    progress.message("Using this host's kernel " + kernel + " and " + busybox);
    Parts parts = new Parts(cache);
    parts.kernel = Files.readAllBytes(kernel);
    parts.release = kernel.getFileName().toString().substring("vmlinuz-".length());
    parts.busybox = Files.readAllBytes(busybox);
    Path tree = hostModules.resolve(parts.release);
    if (Files.isDirectory(tree)) {
      try (Stream<Path> files = Files.walk(tree)) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          String path = tree.relativize(file).toString();
          if (path.equals("modules.builtin")) {
            parts.builtin = Files.readAllBytes(file);
          } else if (ModuleTree.isModule(path)) {
            parts.modules.add(path, Files.readAllBytes(file), () -> Files.readAllBytes(file));
          }
        }
      }
    }
    String folder = "host-" + parts.release + "-" + Long.toHexString(modified(kernel));
    return finish(safe(folder), kernel.toString(), parts);
  }

  private static String safe(String name) {
    return name.replaceAll("[^A-Za-z0-9._+~-]", "-");
  }

  private static long modified(Path file) {
    try {
      return Files.getLastModifiedTime(file).toMillis();
    } catch (IOException e) {
      return 0;
    }
  }

  private Path staticBusybox() throws IOException {
    Optional<Path> found = hostBusybox.get();
    if (found.isEmpty()) {
      throw new PackageException(Reason.NO_GUEST, "no busybox is in PATH");
    }
    byte[] bytes = Files.readAllBytes(found.get());
    ElfFile elf = ElfFile.parse(MemorySegment.ofArray(bytes));
    if (!elf.is64()
        || elf.machine() != ElfFile.EM_X86_64
        || elf.segments().stream().anyMatch(s -> s.type() == ElfFile.PT_INTERP)) {
      throw new PackageException(Reason.NO_GUEST, found.get() + " is not a static x86-64 program");
    }
    return found.get();
  }

  // ---- Making the folder

  private GuestFiles finish(String name, String source, Parts parts) throws IOException {
    if (parts.kernel == null || parts.busybox == null) {
      throw new PackageException(
          Reason.FAILED,
          source
              + " holds no "
              + (parts.kernel == null ? "boot/vmlinuz-*" : "busybox")
              + ": Debian's packages expected");
    }
    String folderName = name + "_" + recipe();
    Path guests = Files.createDirectories(cache.resolve("guests"));
    Path folder = guests.resolve(folderName);
    Properties properties = new Properties();
    properties.setProperty("recipe", recipe());
    properties.setProperty("folder", folderName);
    properties.setProperty("release", parts.release);
    properties.setProperty("source", source);

    Path scratch = scratch();
    try {
      GuestFiles made = in(scratch, properties);
      Files.write(made.kernel(), parts.kernel);
      progress.message("Unpacking the kernel");
      unpack(made.kernel(), made.vmlinux());
      progress.message("Packing the initramfs");
      List<String> wanted = new ArrayList<>(InitramfsBuilder.defaultModules());
      if (dom0) {
        wanted.addAll(Dom0Tools.modules());
      }
      InitramfsBuilder image =
          new InitramfsBuilder(parts.busybox)
              .modules(parts.release, parts.modules.closure(wanted), parts.builtin);
      if (dom0) {
        parts.tools.addTo(image);
      }
      image.write(made.initrd());
      for (Path file : List.of(made.kernel(), made.vmlinux(), made.initrd())) {
        properties.setProperty("size." + file.getFileName(), Long.toString(Files.size(file)));
      }
      publish(scratch, folder);
    } finally {
      delete(scratch);
    }
    writeCurrent(properties);
    removeOthers(guests);
    return in(folder, properties);
  }

  private Path scratch() throws IOException {
    return Files.createTempDirectory(Files.createDirectories(cache.resolve("guests")), "partial-");
  }

  private void publish(Path scratch, Path folder) throws IOException {
    try {
      Files.move(scratch, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileAlreadyExistsException | java.nio.file.DirectoryNotEmptyException e) {
      replace(scratch, folder);
    } catch (java.nio.file.FileSystemException e) {
      if (!Files.isDirectory(folder)) {
        throw e;
      }
      replace(scratch, folder);
    }
  }

  /** A folder of that name was made before and found wanting; whoever has it open keeps it. */
  private static void replace(Path scratch, Path folder) throws IOException {
    Path old = folder.resolveSibling("old-" + System.nanoTime());
    Files.move(folder, old, StandardCopyOption.ATOMIC_MOVE);
    Files.move(scratch, folder, StandardCopyOption.ATOMIC_MOVE);
    delete(old);
  }

  private void writeCurrent(Properties properties) throws IOException {
    Path scratch = Files.createTempFile(cache, "current-", ".partial");
    try (OutputStream out = Files.newOutputStream(scratch)) {
      properties.store(out, "The default guest; made again when this file is removed");
    }
    Files.move(
        scratch, current, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Keeps the cache from growing with every kernel update. What is not old may be about to be
   * opened by another run.
   */
  private void removeOthers(Path guests) throws IOException {
    Set<String> keep = new HashSet<>();
    List<Path> others = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(cache, CURRENT + "*" + SUFFIX)) {
      for (Path file : files) {
        keep.add(load(file).getProperty("folder", ""));
      }
    }
    long old = System.currentTimeMillis() - Duration.ofHours(1).toMillis();
    try (DirectoryStream<Path> folders = Files.newDirectoryStream(guests)) {
      for (Path folder : folders) {
        if (!keep.contains(folder.getFileName().toString()) && modified(folder) < old) {
          others.add(folder);
        }
      }
    }
    for (Path other : others) {
      delete(other);
    }
  }

  private static void delete(Path tree) throws IOException {
    if (!Files.exists(tree)) {
      return;
    }
    List<Path> files;
    try (Stream<Path> walk = Files.walk(tree)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }

  /** Unpacks a bzImage's payload into a file. */
  private static void unpack(Path kernel, Path vmlinux) throws IOException {
    try (Arena arena = Arena.ofConfined();
        FileChannel in = FileChannel.open(kernel, StandardOpenOption.READ);
        FileChannel out =
            FileChannel.open(
                vmlinux,
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
      MemorySegment image = in.map(FileChannel.MapMode.READ_ONLY, 0, in.size(), arena);
      KernelPayload payload = KernelPayload.find(image);
      MemorySegment target =
          out.map(FileChannel.MapMode.READ_WRITE, 0, payload.unpackedSize(), arena);
      payload.unpack(image, target);
    }
  }
}

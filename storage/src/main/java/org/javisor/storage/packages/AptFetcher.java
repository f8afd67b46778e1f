package org.javisor.storage.packages;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.javisor.accelerator.time.Clock;
import org.javisor.storage.packages.PackageException.Reason;

/**
 * Fetches Debian packages with the host's apt, without root and without touching the host's state.
 *
 * <p>The host's sources, keyrings, preferences and proxies apply (its {@code /etc/apt}); lists,
 * caches and downloads live in a folder of the user's own, and the dpkg status is an empty file, so
 * it works where {@code apt-get update} never ran. apt verifies the lists' signatures and each
 * package's digest. Options: apt.conf(5), apt-get(8).
 */
public final class AptFetcher {
  private static final Duration LISTS_FRESH = Duration.ofDays(1);
  private static final Pattern KERNEL = Pattern.compile("linux-image-.*");
  private static final Pattern KERNEL_RELEASE =
      Pattern.compile("linux-image-(unsigned-)?\\d+\\..*");
  private static final Pattern STATUS = Pattern.compile("dlstatus:\\d+:([0-9.]+):.*");

  /** apt's own hooks would act on the host (clean its cache, tell its desktop): none run here. */
  private static final String CONFIGURATION =
      """
      #clear APT::Update::Pre-Invoke;
      #clear APT::Update::Post-Invoke;
      #clear APT::Update::Post-Invoke-Success;
      """;

  /** Debian's name for x86-64. */
  public static final String AMD64 = "amd64";

  private final Path folder;
  private final String architecture;
  private final Progress progress;

  /**
   * Makes a fetcher of x86-64 packages.
   *
   * @param folder where lists and downloads are kept; made when missing
   */
  public AptFetcher(Path folder, Progress progress) {
    this(folder, AMD64, progress);
  }

  /**
   * Makes a fetcher.
   *
   * @param folder where lists and downloads of this architecture are kept; made when missing
   * @param architecture as Debian names it, {@code amd64} or {@code i386}: whatever the host is, apt
   *     is told that it were this
   */
  public AptFetcher(Path folder, String architecture, Progress progress) {
    this.folder = folder.toAbsolutePath();
    this.architecture = architecture;
    this.progress = progress;
  }

  /**
   * A package that the host's sources offer.
   *
   * @param sha256 the digest from the signed lists
   */
  public record AptPackage(
      String name, String version, String architecture, String depends, String sha256) {
    /** The name apt gives the file. */
    public String fileName() {
      return name + "_" + version.replace(":", "%3a") + "_" + architecture + ".deb";
    }

    /** The first package of the dependencies whose name matches. */
    public Optional<String> dependency(Pattern wanted) {
      return dependencies(wanted).stream().findFirst();
    }

    /** All packages of the dependencies whose names match. */
    public List<String> dependencies(Pattern wanted) {
      return Stream.of(depends.split("[,|]"))
          .map(d -> d.strip().split("[ (:]", 2)[0])
          .filter(d -> wanted.matcher(d).matches())
          .toList();
    }
  }

  /** Whether this host has apt. */
  public static boolean available() {
    return onPath("apt-get").isPresent() && onPath("apt-cache").isPresent();
  }

  /** The program of that name in PATH. */
  public static Optional<Path> onPath(String program) {
    String path = System.getenv("PATH");
    return Stream.of((path == null ? "" : path).split(":"))
        .filter(p -> !p.isEmpty())
        .map(p -> Path.of(p, program))
        .filter(Files::isExecutable)
        .findFirst();
  }

  /**
   * Brings the package lists up to date.
   *
   * @param force even if they are younger than a day
   * @return whether lists were fetched
   */
  public boolean update(boolean force) throws IOException {
    requireApt();
    Path stamp = folder.resolve("lists-complete");
    if (!force && fresh(stamp)) {
      return false;
    }
    progress.message("Fetching package lists");
    Result result = run("Fetching package lists", folder, "apt-get", "update");
    Optional<String> failure = result.complaint();
    boolean complete = result.status == 0 && failure.isEmpty();
    if (complete) {
      Files.writeString(stamp, "");
      Files.setLastModifiedTime(stamp, FileTime.from(now()));
    } else if (!hasLists()) {
      throw new PackageException(
          Reason.NO_NETWORK,
          "no package lists could be fetched ("
              + failure.orElse("apt-get update ended with " + result.status)
              + "): a reachable apt source expected; connect to the network or give --kernel and"
              + " --initrd");
    } else {
      // One broken source among several, or lists from an earlier day, still serve.
      progress.message("Some package lists could not be fetched: " + failure.orElse("unknown"));
    }
    return true;
  }

  private static Instant now() {
    return Instant.EPOCH.plusNanos(Clock.host().wallNanos());
  }

  private static boolean fresh(Path stamp) {
    try {
      Instant made = Files.getLastModifiedTime(stamp).toInstant();
      Instant now = now();
      return made.isAfter(now.minus(LISTS_FRESH)) && !made.isAfter(now.plusSeconds(60));
    } catch (IOException e) {
      return false;
    }
  }

  private boolean hasLists() throws IOException {
    Path lists = folder.resolve("state/lists");
    if (!Files.isDirectory(lists)) {
      return false;
    }
    try (Stream<Path> files = Files.list(lists)) {
      return files.anyMatch(f -> f.getFileName().toString().contains("_Packages"));
    }
  }

  /** Looks a package up; empty when the sources do not offer it. */
  public Optional<AptPackage> find(String name) throws IOException {
    return find(List.of(name)).stream().findFirst();
  }

  /** Looks packages up, all at once; those that the sources do not offer are not in the answer. */
  public List<AptPackage> find(List<String> names) throws IOException {
    requireApt();
    List<String> arguments = new ArrayList<>(List.of("show", "--no-all-versions"));
    arguments.addAll(names);
    Result result =
        run("Reading package lists", folder, "apt-cache", arguments.toArray(String[]::new));
    List<AptPackage> found = new ArrayList<>();
    for (String stanza : result.output.split("\n\n+")) {
      Map<String, String> fields = ControlStanza.parse(stanza);
      if (fields.containsKey("Package") && fields.containsKey("Version")) {
        found.add(
            new AptPackage(
                fields.get("Package"),
                fields.get("Version"),
                fields.getOrDefault("Architecture", ""),
                fields.getOrDefault("Depends", ""),
                fields.getOrDefault("SHA256", "")));
      }
    }
    return found;
  }

  /**
   * Looks up the kernel behind a metapackage: {@code linux-image-cloud-amd64} depends on {@code
   * linux-image-6.1.0-NN-cloud-amd64}, and {@code linux-image-6.12-amd64}, which is named like a
   * kernel, on {@code linux-image-6.12.NN+deb12-amd64}. What depends on no kernel is one.
   */
  public Optional<AptPackage> findKernel(String name) throws IOException {
    return findKernel(name, this::find);
  }

  static Optional<AptPackage> findKernel(String name, Lookup packages) throws IOException {
    String wanted = name;
    for (int depth = 0; depth < 4; depth++) {
      Optional<AptPackage> found = packages.find(wanted);
      Optional<String> next = found.flatMap(p -> p.dependency(KERNEL));
      if (next.isEmpty()) {
        return found.filter(p -> KERNEL_RELEASE.matcher(p.name()).matches());
      }
      wanted = next.get();
    }
    return Optional.empty();
  }

  /** Finds a package by its name. */
  interface Lookup {
    Optional<AptPackage> find(String name) throws IOException;
  }

  /** Downloads a package, unless it is there already with the digest the lists give. */
  public Path download(AptPackage wanted) throws IOException {
    return download(wanted.name() + " " + wanted.version(), List.of(wanted)).getFirst();
  }

  /**
   * Downloads packages, all at once.
   *
   * @param what they are, for people
   * @return the files, in the packages' order
   */
  public List<Path> download(String what, List<AptPackage> wanted) throws IOException {
    requireApt();
    Path archives = Files.createDirectories(folder.resolve("packages"));
    List<String> missing = new ArrayList<>();
    for (AptPackage each : wanted) {
      Path target = archives.resolve(each.fileName());
      if (!Files.isRegularFile(target)
          || each.sha256().isEmpty()
          || !sha256(target).equalsIgnoreCase(each.sha256())) {
        missing.add(each.name() + "=" + each.version());
      }
    }
    if (!missing.isEmpty()) {
      fetch(what, missing, archives);
    }
    return wanted.stream().map(each -> archives.resolve(each.fileName())).toList();
  }

  private void fetch(String what, List<String> missing, Path archives) throws IOException {
    progress.message("Downloading " + what);
    Path scratch = Files.createTempDirectory(archives, "partial-");
    try {
      List<String> arguments = new ArrayList<>(List.of("download"));
      arguments.addAll(missing);
      Result result =
          run("Downloading " + what, scratch, "apt-get", arguments.toArray(String[]::new));
      List<Path> made;
      try (Stream<Path> files = Files.list(scratch)) {
        made = files.filter(f -> f.toString().endsWith(".deb")).toList();
      }
      if (result.status != 0 || made.size() != missing.size()) {
        throw new PackageException(
            Reason.NO_NETWORK,
            what
                + " could not be downloaded ("
                + result.complaint().orElse("apt-get download ended with " + result.status)
                + "): a reachable apt source expected; connect to the network or give --kernel and"
                + " --initrd");
      }
      for (Path file : made) {
        Files.move(
            file, archives.resolve(file.getFileName()), StandardCopyOption.ATOMIC_MOVE,
            StandardCopyOption.REPLACE_EXISTING);
      }
    } finally {
      deleteFlat(scratch);
    }
  }

  private static void deleteFlat(Path directory) throws IOException {
    List<Path> left;
    try (Stream<Path> files = Files.list(directory)) {
      left = files.toList();
    }
    for (Path file : left) {
      Files.deleteIfExists(file);
    }
    Files.deleteIfExists(directory);
  }

  private static String sha256(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] buffer = new byte[64 << 10];
      int count;
      while ((count = in.read(buffer)) > 0) {
        digest.update(buffer, 0, count);
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e); // Every Java has it.
    }
  }

  private static void requireApt() throws PackageException {
    if (!available()) {
      throw new PackageException(
          Reason.NO_APT,
          "this host has no apt: apt-get and apt-cache expected in PATH; give --kernel and"
              + " --initrd");
    }
  }

  private record Result(int status, String output, List<String> complaints) {
    /** apt's first complaint about a failure; notices and advice are none. */
    Optional<String> complaint() {
      return complaints.stream()
          .filter(
              l -> l.startsWith("E: ")
                  || l.startsWith("W: Failed to fetch")
                  || l.startsWith("W: GPG error")
                  || l.startsWith("Err:"))
          .map(l -> l.replaceFirst("^[EW]: ", ""))
          .findFirst();
    }
  }

  private Result run(String step, Path directory, String program, String... arguments)
      throws IOException {
    Path state =
        Files.createDirectories(folder.resolve("state/lists/partial")).getParent().getParent();
    Path cache =
        Files.createDirectories(folder.resolve("cache/archives/partial")).getParent().getParent();
    Path status = folder.resolve("state/status");
    if (!Files.exists(status)) {
      Files.write(status, new byte[0]);
    }
    Path configuration = folder.resolve("apt.conf");
    if (!Files.exists(configuration) || !Files.readString(configuration).equals(CONFIGURATION)) {
      Files.writeString(configuration, CONFIGURATION);
    }
    List<String> command = new ArrayList<>(List.of(program, "-c", configuration.toString()));
    for (String option : List.of(
        "Dir::State=" + state,
        "Dir::State::lists=" + state.resolve("lists"),
        "Dir::State::status=" + status,
        "Dir::Cache=" + cache,
        "Dir::Log=" + folder,
        "APT::Sandbox::User=root", // Without effect for other users: the folder may be private.
        "APT::Architecture=" + architecture,
        "APT::Architectures=" + architecture,
        "APT::Status-Fd=1",
        "Acquire::Languages=none",
        "Acquire::Retries=2",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        "Acquire::IndexTargets::deb::CNF::DefaultEnabled=false")) {
      command.add("-o");
      command.add(option);
    }
    if (program.equals("apt-get")) {
      command.add("-q=2");
    }
    command.addAll(List.of(arguments));

    ProcessBuilder builder = new ProcessBuilder(command).directory(directory.toFile());
    builder.environment().put("LC_ALL", "C.UTF-8");
    builder.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      throw new PackageException(Reason.FAILED, program + " cannot be run: " + e.getMessage(), e);
    }
    List<String> complaints = new ArrayList<>();
    Thread errors =
        Thread.ofVirtual()
            .start(
                () -> {
                  try (BufferedReader reader = process.errorReader(StandardCharsets.UTF_8)) {
                    String line;
                    while ((line = reader.readLine()) != null) {
                      if (complaints.size() < 1000) {
                        complaints.add(line);
                      }
                    }
                  } catch (IOException e) {
                    // The process ended: what it said so far stands.
                  }
                });
    StringBuilder output = new StringBuilder();
    try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
      String line;
      while ((line = reader.readLine()) != null) {
        Matcher matcher = STATUS.matcher(line);
        if (matcher.matches()) {
          progress.advance(step, (long) (Double.parseDouble(matcher.group(1)) * 100), 10_000);
        } else if (output.length() < 1 << 20) {
          output.append(line).append('\n');
        }
      }
      int result = process.waitFor();
      errors.join();
      return new Result(result, output.toString(), complaints);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PackageException(Reason.FAILED, step + " was interrupted", e);
    } finally {
      process.destroy();
    }
  }
}

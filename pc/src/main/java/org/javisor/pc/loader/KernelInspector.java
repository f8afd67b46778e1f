package org.javisor.pc.loader;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.pc.loader.KernelReport.Ability;
import org.javisor.pc.loader.KernelReport.Answer;
import org.javisor.pc.loader.KernelReport.Verdict;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.image.KernelPayload;
import org.javisor.storage.image.ModuleTree;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.Compression;
import org.javisor.storage.packages.PackageArchive;

/**
 * Says what a kernel file or package is and what it can be, with the evidence for each answer.
 *
 * <p>Evidence, the strongest first: what the image holds (ELF notes, the names in its symbol table,
 * texts), the configuration inside it, the configuration beside it or in its package, the modules
 * in its package. What is in the image decides: a configuration may be another kernel's.
 */
public final class KernelInspector {
  private static final Pattern KERNEL_FILE =
      Pattern.compile("(?:.*/)?(?:vmlinu[xz]|bzImage|kernel)(-[^/]*)?");
  private static final Pattern CONFIG_FILE =
      Pattern.compile("(?:boot/config-[^/]+|(?:usr/)?lib/modules/[^/]+/config)");
  private static final int MAX_KERNEL = 512 << 20;

  /**
   * Functions that Linux compiles only with CONFIG_XEN_DOM0: drivers/xen/pcpu.c,
   * arch/x86/xen/vga.c, arch/x86/xen/enlighten_pv.c, drivers/xen/acpi.c, arch/x86/pci/xen.c,
   * drivers/xen/pci.c.
   */
  private static final List<String> DOM0_SYMBOLS =
      List.of(
          "xen_pcpu_init",
          "xen_init_vga",
          "xen_boot_params_init_edd",
          "xen_acpi_notify_hypervisor_sleep",
          "xen_acpi_notify_hypervisor_state",
          "pci_xen_initial_domain",
          "xen_register_device_domain_owner",
          "xen_dom0_set_legacy_features");

  /** Texts of the same code, for an image without a symbol table. */
  private static final List<String> DOM0_TEXTS =
      List.of("Failed to register pcpu subsys", "xen-pcpu", "xen: registering gsi %u triggering");

  private static final int DOM0_FEATURE_BIT = 11;

  private final Map<String, String> facts = new LinkedHashMap<>();
  private final List<KernelConfig> configs = new ArrayList<>();
  private final Set<String> modules = new TreeSet<>();
  private boolean modulesKnown;

  private KernelInspector() {}

  /** Inspects a vmlinuz, a vmlinux, a {@code .deb} or an {@code .rpm}, told by its contents. */
  public static KernelReport inspect(Path path) throws KernelFormatException {
    byte[] head;
    try (InputStream in = Files.newInputStream(path)) {
      head = in.readNBytes(8);
    } catch (NoSuchFileException e) {
      throw new KernelFormatException(
          Reason.UNREADABLE, path + " does not exist: give the path of a file", e);
    } catch (IOException e) {
      throw new KernelFormatException(
          Reason.UNREADABLE, path + " cannot be read: a readable, regular file expected", e);
    }
    KernelInspector inspector = new KernelInspector();
    return PackageArchive.isPackage(head)
        ? inspector.inspectPackage(path)
        : inspector.inspectKernel(path, path.toString(), "");
  }

  // ---- Packages

  private KernelReport inspectPackage(Path path) throws KernelFormatException {
    Path kernel = null;
    try {
      PackageArchive archive = PackageArchive.open(path);
      facts.put("package", archive.name());
      facts.put("package version", archive.version());
      facts.put("package architecture", archive.architecture());
      kernel = Files.createTempFile("javisor-inspect-", ".kernel");
      String inside = unpackKernel(archive, kernel);
      if (inside.isEmpty()) {
        return withoutKernel(path, archive);
      }
      facts.put("kernel in the package", inside);
      if (modulesKnown) {
        facts.put("modules in the package", Integer.toString(modules.size()));
      }
      return inspectKernel(kernel, path.toString(), archive.format() + " package with a ");
    } catch (KernelFormatException e) {
      // The temporary file's name would tell the user nothing.
      throw new KernelFormatException(
          e.reason(),
          kernel == null
              ? e.getMessage()
              : e.getMessage().replace(kernel.toString(), path + " (its kernel)"),
          e);
    } catch (IOException e) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          path + " cannot be unpacked (" + e.getMessage() + "): a whole .deb or .rpm expected",
          e);
    } catch (RuntimeException e) {
      // Decoders of other projects report damage in many ways.
      throw new KernelFormatException(
          Reason.DAMAGED, path + " cannot be unpacked: a whole .deb or .rpm expected", e);
    } finally {
      if (kernel != null) {
        try {
          Files.deleteIfExists(kernel);
        } catch (IOException e) {
          kernel.toFile().deleteOnExit();
        }
      }
    }
  }

  /** Copies the package's largest kernel into a file, and takes its configuration and modules. */
  private String unpackKernel(PackageArchive archive, Path target) throws IOException {
    String[] found = {""};
    long[] largest = {0};
    archive.visit(
        (entry, contents) -> {
          if (entry.kind() != ArchiveEntry.Kind.FILE) {
            return true;
          }
          String path = entry.path();
          if (path.contains("lib/modules/") && ModuleTree.isModule(path)) {
            modulesKnown = true;
            modules.add(ModuleTree.moduleName(entry.fileName()));
          } else if (CONFIG_FILE.matcher(path).matches()) {
            addConfig(
                path + " in the package",
                new String(contents.readNBytes(KernelConfig.MAX_SIZE), StandardCharsets.UTF_8));
          } else if (KERNEL_FILE.matcher(path).matches()
              && entry.size() > Math.max(largest[0], 64 << 10)
              && entry.size() <= MAX_KERNEL) {
            found[0] = path;
            largest[0] = entry.size();
            Files.copy(contents, target, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
          }
          return true;
        });
    return found[0];
  }

  private KernelReport withoutKernel(Path path, PackageArchive archive) {
    Map<Ability, Answer> answers = new EnumMap<>(Ability.class);
    List<String> why =
        List.of("the package holds no kernel image; a metapackage depends on the one that does");
    for (Ability ability : Ability.values()) {
      answers.put(ability, new Answer(Verdict.UNKNOWN, why));
    }
    return new KernelReport(
        path.toString(), archive.format() + " package without a kernel", facts, Map.of(), answers);
  }

  private void addConfig(String source, String text) {
    KernelConfig config = KernelConfig.parse(source, text);
    if (config.plausible()) {
      configs.add(config);
    }
  }

  // ---- Kernels

  private KernelReport inspectKernel(Path path, String shown, String prefix)
      throws KernelFormatException {
    try (KernelImage image = KernelImage.read(path)) {
      Optional<ElfFile> elf = image.elf();
      MemorySegment data = elf.map(ElfFile::data).orElse(image.file());
      String banner = banner(data);
      boolean linux = !banner.isEmpty() || image.payload().isPresent();
      String release = describe(image, elf, banner);

      KernelConfig.inImage(data).ifPresent(configs::addFirst);
      if (prefix.isEmpty()) {
        configBeside(path, release);
      }
      Optional<Kallsyms> symbols = linux ? Kallsyms.find(data) : Optional.empty();
      facts.put(
          "symbol table",
          symbols.map(s -> s.names().size() + " names").orElse("none found in the image"));
      facts.put("configuration", configs.isEmpty() ? "none found" : configs.getFirst().source());

      XenNotes notes = elf.isPresent() ? XenNotes.read(elf.get(), image.notes(elf.get())) : null;
      Map<Ability, Answer> answers = new EnumMap<>(Ability.class);
      answers.put(Ability.VIRTIO_GUEST, virtio(linux, symbols));
      answers.put(Ability.XEN_PV_GUEST, pv(notes));
      answers.put(Ability.XEN_PVH_GUEST, pvh(notes));
      answers.put(Ability.XEN_HVM_PV_DRIVERS_GUEST, hvm(linux, symbols));
      answers.put(Ability.XEN_DOM0, dom0(linux, symbols, notes, data));
      return new KernelReport(
          shown,
          prefix + kind(image, linux),
          facts,
          notes == null ? Map.of() : notes.values(),
          answers);
    }
  }

  private static String kind(KernelImage image, boolean linux) {
    return switch (image.format()) {
      case BZIMAGE -> linux ? "Linux bzImage" : "kernel for the Linux boot protocol";
      case ELF ->
          linux
              ? "Linux vmlinux (ELF)"
              : image.multiboot().isPresent() ? "multiboot ELF kernel" : "ELF kernel";
      case MULTIBOOT_FLAT -> "multiboot kernel with its own load addresses";
    };
  }

  private static String banner(MemorySegment data) {
    String best = "";
    long at = -1;
    while ((at = ImageSearch.find(data, "Linux version ", at + 1)) >= 0) {
      String text = ImageSearch.textAt(data, at, 512);
      // Linux init/version.c; "%s" is the format of another message. The build's number comes with
      // the last link only, so an earlier copy of the text may lack it.
      if (text.length() > best.length() && Character.isDigit(text.charAt(14))) {
        best = text;
      }
    }
    return best;
  }

  /** Fills the facts and returns the kernel's release. */
  private String describe(KernelImage image, Optional<ElfFile> elf, String banner)
      throws KernelFormatException {
    String version = banner;
    if (version.isEmpty() && image.setup().isPresent()) {
      version = image.setup().get().kernelVersion();
    }
    if (!version.isEmpty()) {
      facts.put("version", version);
    }
    String release = version.replaceFirst("^Linux version ", "").split(" ", 2)[0];
    if (image.wrapping() != Compression.NONE) {
      facts.put("file compression", image.wrapping().label());
    }
    if (image.setup().isPresent()) {
      SetupHeader setup = image.setup().get();
      facts.put("boot protocol", setup.versionText());
      facts.put("xloadflags", xloadflags(setup));
      facts.put("relocatable", setup.relocatable() ? "yes" : "no");
      if (setup.initSize() != 0) {
        facts.put(
            "runs at",
            "%#x, needs %d KiB from there"
                .formatted(setup.preferredAddress(), setup.initSize() >> 10));
      }
      Optional<KernelPayload> payload = image.payload();
      if (payload.isPresent()) {
        facts.put(
            "payload",
            "%s, %d KiB, unpacks to %d KiB"
                .formatted(
                    payload.get().compression() == Compression.NONE
                        ? "not compressed"
                        : payload.get().compression().label(),
                    payload.get().length() >> 10,
                    payload.get().unpackedSize() >> 10));
      }
    }
    if (elf.isPresent()) {
      facts.put("code", elf.get().is64() ? "64-bit" : "32-bit");
      facts.put("ELF entry", "%#x".formatted(elf.get().entry()));
    } else if (image.setup().isPresent()) {
      facts.put("code", image.setup().get().entersIn64Bit() ? "64-bit" : "32-bit or unknown");
    }
    if (image.multiboot().isPresent()) {
      facts.put("multiboot", "1, flags %#x".formatted(image.multiboot().get().flags()));
    }
    try {
      facts.put("Javisor boots it by", image.bestProtocol().description());
    } catch (KernelFormatException e) {
      facts.put("Javisor boots it by", "nothing: " + e.getMessage());
    }
    return release;
  }

  private static String xloadflags(SetupHeader setup) {
    String[] names = {
      "64-bit entry",
      "loads above 4 GiB",
      "EFI 32-bit handover",
      "EFI 64-bit handover",
      "EFI kexec",
      "5-level paging",
      "5-level paging on"
    };
    List<String> set = new ArrayList<>();
    for (int bit = 0; bit < names.length; bit++) {
      if ((setup.xloadflags() & 1 << bit) != 0) {
        set.add(names[bit]);
      }
    }
    return "%#x%s"
        .formatted(setup.xloadflags(), set.isEmpty() ? "" : " (" + String.join(", ", set) + ")");
  }

  private void configBeside(Path path, String release) {
    Path folder = path.toAbsolutePath().getParent();
    String name = path.getFileName().toString();
    Set<String> candidates = new TreeSet<>();
    Matcher matcher = Pattern.compile("(?:vmlinu[xz]|bzImage)-(.+)").matcher(name);
    if (matcher.matches()) {
      candidates.add("config-" + matcher.group(1));
    }
    if (!release.isEmpty() && release.matches("[A-Za-z0-9._+~-]+")) {
      candidates.add("config-" + release);
    }
    for (String candidate : candidates) {
      Path file = folder.resolve(candidate);
      try (InputStream in = Files.newInputStream(file)) {
        addConfig(
            file + " beside it",
            new String(in.readNBytes(KernelConfig.MAX_SIZE), StandardCharsets.UTF_8));
        return;
      } catch (IOException e) {
        // None there, or not for us: the image has to tell.
      }
    }
  }

  // ---- Answers

  private static Answer answer(Verdict verdict, List<String> evidence) {
    return new Answer(verdict, evidence);
  }

  private static Answer notLinux() {
    return answer(
        Verdict.UNKNOWN, List.of("it is not recognised as Linux, and no common mark tells"));
  }

  /** What a configuration says of options, each with its value. */
  private static String told(KernelConfig config, String... options) {
    List<String> told = new ArrayList<>();
    for (String option : options) {
      told.add("CONFIG_" + option + "=" + config.value(option));
    }
    return config.source() + " has " + String.join(", ", told);
  }

  private Answer virtio(boolean linux, Optional<Kallsyms> symbols) {
    if (!linux) {
      return notLinux();
    }
    List<String> evidence = new ArrayList<>();
    Verdict verdict = Verdict.UNKNOWN;
    if (symbols.isPresent()) {
      Kallsyms names = symbols.get();
      if (names.contains("virtio_dev_probe")
          || names.contains("register_virtio_driver")
          || names.contains("__register_virtio_driver")) {
        verdict = Verdict.YES;
        evidence.add("the VirtIO bus is built in (virtio_dev_probe)");
        for (String driver : List.of(
            "virtio_pci_probe",
            "virtio_mmio_probe",
            "virtblk_probe",
            "virtnet_probe",
            "virtscsi_probe")) {
          if (names.contains(driver)) {
            evidence.add("built in: " + driver);
          }
        }
      } else if (names.contains("virtio_require_restricted_mem_acc")
          || names.contains("virtio_check_mem_acc_cb")) {
        verdict = Verdict.YES;
        evidence.add(
            "virtio_check_mem_acc_cb is built in, which CONFIG_VIRTIO selects, and only a VirtIO"
                + " transport selects that; the drivers themselves are modules");
      } else if (names.contains("blk_mq_virtio_map_queues")) {
        verdict = Verdict.YES;
        evidence.add(
            "blk_mq_virtio_map_queues is built in, which needs CONFIG_VIRTIO; the drivers"
                + " themselves are modules");
      } else if (names.contains("load_module")
          || names.contains("init_module")
          || names.contains("__x64_sys_init_module")) {
        evidence.add("no VirtIO code is built in; it loads modules, which the image does not show");
      } else {
        verdict = Verdict.NO;
        evidence.add("no VirtIO code is built in, and it loads no modules");
      }
    }
    if (modulesKnown) {
      List<String> found =
          List.of("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_scsi").stream()
              .filter(modules::contains)
              .toList();
      if (!found.isEmpty()) {
        verdict = Verdict.YES;
        evidence.add("modules in the package: " + String.join(", ", found));
      } else if (verdict == Verdict.UNKNOWN) {
        verdict = Verdict.NO;
        evidence.add("no VirtIO module is in the package");
      }
    }
    for (KernelConfig config : configs) {
      evidence.add(told(config, "VIRTIO_PCI", "VIRTIO_MMIO", "VIRTIO_BLK", "VIRTIO_NET"));
      if (verdict == Verdict.UNKNOWN) {
        boolean transport = config.on("VIRTIO_PCI") || config.on("VIRTIO_MMIO");
        verdict = transport ? Verdict.YES : Verdict.NO;
      }
    }
    if (evidence.isEmpty()) {
      evidence.add("no symbol table and no configuration: nothing tells");
    }
    return answer(verdict, evidence);
  }

  private Answer pv(XenNotes notes) {
    List<String> evidence = new ArrayList<>();
    Verdict verdict;
    if (notes == null) {
      verdict = Verdict.UNKNOWN;
      evidence.add("no ELF file could be had from the image, so its notes are not known");
    } else if (notes.values().isEmpty()) {
      verdict = Verdict.NO;
      evidence.add("it has neither ELF notes of Xen nor a __xen_guest section");
    } else if (notes.legacy() && notes.value(XenNotes.XEN_VERSION).startsWith("xen-3")) {
      verdict = Verdict.YES;
      evidence.add("its __xen_guest section says XEN_VER=" + notes.value(XenNotes.XEN_VERSION));
    } else if (notes.has(XenNotes.ENTRY) && notes.value(XenNotes.XEN_VERSION).startsWith("xen-3")) {
      verdict = Verdict.YES;
      evidence.add(
          "its ELF notes give a PV entry, ENTRY "
              + notes.value(XenNotes.ENTRY)
              + ", and XEN_VERSION "
              + notes.value(XenNotes.XEN_VERSION));
    } else {
      verdict = Verdict.NO;
      evidence.add("its notes for Xen give no PV entry (ENTRY with XEN_VERSION xen-3.0)");
    }
    configs.forEach(c -> evidence.add(told(c, "XEN", "XEN_PV")));
    if (verdict == Verdict.UNKNOWN && !configs.isEmpty()) {
      KernelConfig config = configs.getFirst();
      verdict = config.on("XEN_PV") ? Verdict.YES : Verdict.NO;
    }
    return answer(verdict, evidence);
  }

  private Answer pvh(XenNotes notes) {
    List<String> evidence = new ArrayList<>();
    Verdict verdict;
    if (notes == null) {
      verdict = Verdict.UNKNOWN;
      evidence.add("no ELF file could be had from the image, so its notes are not known");
    } else if (notes.has(XenNotes.PHYS32_ENTRY) && !notes.legacy()) {
      verdict = Verdict.YES;
      evidence.add(
          "its ELF notes give a PVH entry, PHYS32_ENTRY " + notes.value(XenNotes.PHYS32_ENTRY));
    } else {
      verdict = Verdict.NO;
      evidence.add("it has no PHYS32_ENTRY note");
    }
    configs.forEach(c -> evidence.add(told(c, "PVH", "XEN_PVH")));
    if (verdict == Verdict.UNKNOWN && !configs.isEmpty()) {
      KernelConfig config = configs.getFirst();
      verdict = config.on("PVH") || config.on("XEN_PVH") ? Verdict.YES : Verdict.NO;
    }
    return answer(verdict, evidence);
  }

  private Answer hvm(boolean linux, Optional<Kallsyms> symbols) {
    if (!linux) {
      return notLinux();
    }
    List<String> evidence = new ArrayList<>();
    Verdict verdict = Verdict.UNKNOWN;
    if (symbols.isPresent()) {
      Kallsyms names = symbols.get();
      if (names.contains("xen_hvm_guest_init") || names.contains("xen_hvm_init_shared_info")) {
        verdict = Verdict.YES;
        evidence.add("support for Xen HVM guests is built in (xen_hvm_guest_init)");
        evidence.add(frontEnd("disk", names.contains("blkfront_probe")));
        evidence.add(frontEnd("network", names.contains("netfront_probe")));
      } else {
        verdict = Verdict.NO;
        evidence.add("xen_hvm_guest_init is not among the names in its symbol table");
      }
    }
    if (modulesKnown) {
      List<String> found =
          List.of("xen_blkfront", "xen_netfront").stream().filter(modules::contains).toList();
      if (!found.isEmpty()) {
        evidence.add("modules in the package: " + String.join(", ", found));
      }
    }
    for (KernelConfig config : configs) {
      evidence.add(told(config, "XEN_PVHVM", "XEN_BLKDEV_FRONTEND", "XEN_NETDEV_FRONTEND"));
      if (verdict == Verdict.UNKNOWN) {
        boolean on =
            config.on("XEN_PVHVM")
                && (config.on("XEN_BLKDEV_FRONTEND") || config.on("XEN_NETDEV_FRONTEND"));
        verdict = on ? Verdict.YES : Verdict.NO;
      }
    }
    if (evidence.isEmpty()) {
      evidence.add("no symbol table and no configuration: nothing tells");
    }
    return answer(verdict, evidence);
  }

  private static String frontEnd(String what, boolean builtIn) {
    return "the "
        + what
        + " front end is "
        + (builtIn ? "built in" : "not built in: a module, if any");
  }

  private Answer dom0(
      boolean linux, Optional<Kallsyms> symbols, XenNotes notes, MemorySegment data) {
    List<String> evidence = new ArrayList<>();
    Verdict verdict = Verdict.UNKNOWN;
    if (symbols.isPresent()) {
      List<String> found = DOM0_SYMBOLS.stream().filter(symbols.get()::contains).toList();
      if (!found.isEmpty()) {
        verdict = Verdict.YES;
        evidence.add(
            "its symbol table has code that only CONFIG_XEN_DOM0 builds: "
                + String.join(", ", found));
      } else {
        verdict = Verdict.NO;
        evidence.add(
            "its symbol table has none of the code that CONFIG_XEN_DOM0 builds ("
                + String.join(", ", DOM0_SYMBOLS)
                + ")");
      }
    } else if (linux) {
      List<String> found = DOM0_TEXTS.stream().filter(t -> ImageSearch.contains(data, t)).toList();
      if (!found.isEmpty()) {
        verdict = Verdict.YES;
        evidence.add(
            "it has texts of code that only CONFIG_XEN_DOM0 builds: '"
                + String.join("', '", found)
                + "'");
      }
    }
    if (notes != null && notes.values().isEmpty() && verdict == Verdict.UNKNOWN) {
      verdict = Verdict.NO;
      evidence.add("it has no notes for Xen, which would refuse it as dom0");
    }
    for (KernelConfig config : configs) {
      evidence.add(told(config, "XEN_DOM0"));
      if (verdict == Verdict.UNKNOWN) {
        verdict = config.on("XEN_DOM0") ? Verdict.YES : Verdict.NO;
      }
    }
    if (notes != null && notes.has(XenNotes.SUPPORTED_FEATURES)) {
      evidence.add(featureBit(notes.value(XenNotes.SUPPORTED_FEATURES)));
    }
    if (evidence.isEmpty()) {
      evidence.add("no symbol table and no configuration: nothing tells");
    }
    return answer(verdict, evidence);
  }

  private static String featureBit(String value) {
    boolean set;
    try {
      set = (Long.decode(value) >> DOM0_FEATURE_BIT & 1) != 0;
    } catch (NumberFormatException e) {
      set = false;
    }
    return "note SUPPORTED_FEATURES "
        + value
        + (set ? " has" : " lacks")
        + " the dom0 bit; that alone proves nothing: Linux sets it whether or not it was built"
        + " with CONFIG_XEN_DOM0";
  }
}

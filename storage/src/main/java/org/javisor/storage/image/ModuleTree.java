package org.javisor.storage.image;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.Compression;

/**
 * The modules of one kernel, with what depmod(8) would find out about them: a kernel package does
 * not ship {@code modules.dep}, since it is made at installation.
 *
 * <p>Dependencies and aliases are what the kernel's build wrote into each module's {@code .modinfo}
 * section ({@code depends=}, {@code alias=}, {@code softdep=}).
 */
public final class ModuleTree {
  private static final long MAX_MODULE = 64L << 20;

  /**
   * One module.
   *
   * @param name as the kernel knows it, with {@code _} for {@code -}
   * @param path below {@code lib/modules/<release>}, without a compression's suffix
   * @param source where its ELF file comes from
   */
  public record Module(
      String name,
      String path,
      Source source,
      List<String> depends,
      List<String> preDepends,
      List<String> aliases) {
    /** The ELF file, unpacked. */
    public byte[] contents() throws IOException {
      return unpack(path, source.read());
    }
  }

  /** Where a module's file is read again: a kernel's modules together are too large to hold. */
  @FunctionalInterface
  public interface Source {
    /** Returns the file as it was given, packed or not. */
    byte[] read() throws IOException;
  }

  private final Map<String, Module> modules = new TreeMap<>();

  /** The kernel's name for a module's file. */
  public static String moduleName(String fileName) {
    int dot = fileName.indexOf(".ko");
    return (dot < 0 ? fileName : fileName.substring(0, dot)).replace('-', '_');
  }

  /** Whether a file is a module, packed or not. */
  public static boolean isModule(String path) {
    return path.endsWith(".ko")
        || path.endsWith(".ko.xz")
        || path.endsWith(".ko.gz")
        || path.endsWith(".ko.zst");
  }

  /** Takes a module in and holds it. */
  public void add(String path, byte[] file) throws IOException {
    add(path, file, () -> file);
  }

  /** Takes a module in, to read its file again when it is asked for. */
  public void add(String path, byte[] file, Source source) throws IOException {
    byte[] contents = unpack(path, file);
    ElfFile elf = ElfFile.parse(MemorySegment.ofArray(contents));
    Optional<ElfFile.Section> section = elf.section(".modinfo");
    if (section.isEmpty()) {
      throw new ArchiveFormatException(path + " is no kernel module: it has no .modinfo section");
    }
    String info =
        new String(
            elf.contents(section.get()).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    List<String> depends = new ArrayList<>();
    List<String> preDepends = new ArrayList<>();
    List<String> aliases = new ArrayList<>();
    for (String field : info.split("\0")) {
      int equals = field.indexOf('=');
      if (equals < 0) {
        continue;
      }
      String value = field.substring(equals + 1);
      switch (field.substring(0, equals)) {
        case "depends" ->
            Arrays.stream(value.split(","))
                .filter(d -> !d.isEmpty())
                .map(ModuleTree::moduleName)
                .forEach(depends::add);
        case "softdep" -> preDepends.addAll(pre(value));
        case "alias" -> aliases.add(value);
        default -> {}
      }
    }
    String plain = path.replaceFirst("\\.ko\\.(xz|gz|zst)$", ".ko");
    String name = moduleName(plain.substring(plain.lastIndexOf('/') + 1));
    modules.put(
        name,
        new Module(
            name,
            plain,
            source,
            List.copyOf(depends),
            List.copyOf(preDepends),
            List.copyOf(aliases)));
  }

  /** The modules a softdep names after {@code pre:}. */
  private static List<String> pre(String value) {
    List<String> names = new ArrayList<>();
    boolean pre = false;
    for (String word : value.strip().split("\\s+")) {
      if (word.endsWith(":")) {
        pre = word.equals("pre:");
      } else if (pre) {
        names.add(moduleName(word));
      }
    }
    return names;
  }

  private static byte[] unpack(String path, byte[] file) throws IOException {
    byte[] head = Arrays.copyOf(file, Compression.HEAD);
    Compression compression = Compression.detect(head);
    if (compression == Compression.NONE) {
      return file;
    }
    try (InputStream in = compression.open(new ByteArrayInputStream(file))) {
      byte[] contents = in.readNBytes((int) MAX_MODULE + 1);
      if (contents.length > MAX_MODULE) {
        throw new ArchiveFormatException(path + " unpacks to more than " + MAX_MODULE + " bytes");
      }
      return contents;
    }
  }

  public Collection<Module> modules() {
    return modules.values();
  }

  public Optional<Module> module(String name) {
    return Optional.ofNullable(modules.get(moduleName(name)));
  }

  /** The modules that answer to an alias without wildcards, as {@code crc32c} does. */
  private List<String> named(String alias) {
    return modules.values().stream()
        .filter(m -> m.aliases().contains(alias))
        .map(Module::name)
        .toList();
  }

  /**
   * A tree of only these modules and what they need. Names that are not there are skipped: what one
   * kernel has as a module, another has built in or not at all.
   */
  public ModuleTree closure(Collection<String> wanted) {
    ModuleTree result = new ModuleTree();
    List<String> open = wanted.stream().map(ModuleTree::moduleName).collect(Collectors.toList());
    while (!open.isEmpty()) {
      Module module = modules.get(open.removeLast());
      if (module != null && result.modules.putIfAbsent(module.name(), module) == null) {
        open.addAll(module.depends());
        for (String name : module.preDepends()) {
          open.add(name);
          open.addAll(named(name));
        }
      }
    }
    return result;
  }

  /** All modules that must be loaded before this one, each before those it needs itself. */
  public List<Module> dependencies(Module module) {
    Set<Module> finished = new LinkedHashSet<>();
    // Depth first, finished modules reversed: that puts each module before its dependencies.
    finish(module, finished, new LinkedHashSet<>());
    List<Module> order = new ArrayList<>(finished);
    order.removeLast();
    return order.reversed();
  }

  private void finish(Module module, Set<Module> finished, Set<Module> entered) {
    if (!entered.add(module)) {
      return; // Seen already; a cycle, which depmod would refuse, ends here too.
    }
    for (String name : module.depends()) {
      Module dependency = modules.get(name);
      if (dependency != null) {
        finish(dependency, finished, entered);
      }
    }
    finished.add(module);
  }

  /** The text of {@code modules.dep}. */
  public String modulesDep() {
    StringBuilder text = new StringBuilder();
    for (Module module : modules.values()) {
      text.append(module.path()).append(':');
      for (Module dependency : dependencies(module)) {
        text.append(' ').append(dependency.path());
      }
      text.append('\n');
    }
    return text.toString();
  }

  /** The text of {@code modules.alias}. */
  public String modulesAlias() {
    StringBuilder text = new StringBuilder("# Aliases extracted from modules themselves.\n");
    Map<String, Set<String>> seen = new LinkedHashMap<>();
    for (Module module : modules.values()) {
      for (String alias : module.aliases()) {
        if (alias.chars().noneMatch(Character::isWhitespace)
            && seen.computeIfAbsent(alias, a -> new LinkedHashSet<>()).add(module.name())) {
          text.append("alias ").append(alias).append(' ').append(module.name()).append('\n');
        }
      }
    }
    return text.toString();
  }
}

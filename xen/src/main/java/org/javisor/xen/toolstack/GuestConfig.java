package org.javisor.xen.toolstack;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.UUID;
import java.util.function.Consumer;
import org.javisor.xen.hypervisor.DomainConfig;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.toolstack.ConfigValue.Number;
import org.javisor.xen.toolstack.ConfigValue.Sequence;
import org.javisor.xen.toolstack.ConfigValue.Text;

/**
 * A guest as xl.cfg(5) describes it.
 *
 * @param memoryMib what it starts with
 * @param maxMemoryMib what it may grow to
 * @param vcpus that it starts with
 * @param maxVcpus that it may have
 * @param commandLine of its kernel, {@code root=} included
 */
public record GuestConfig(
    String name,
    DomainKind kind,
    Optional<UUID> uuid,
    long memoryMib,
    long maxMemoryMib,
    int vcpus,
    int maxVcpus,
    Optional<Path> kernel,
    Optional<Path> ramdisk,
    String commandLine,
    List<DiskSpec> disks,
    List<VifSpec> vifs,
    Action onPoweroff,
    Action onReboot,
    Action onCrash,
    Optional<String> cpus,
    Optional<String> cpusSoft,
    OptionalInt weight,
    OptionalInt cap,
    Hvm hvm,
    Source source) {

  /**
   * What it was read from.
   *
   * @param file its name, for messages
   * @param base what relative paths in it are relative to
   */
  public record Source(String file, String text, Path base) {}

  /**
   * What is an HVM domain's alone.
   *
   * @param platformDevice whether its PV drivers are to be used ({@code xen_platform_pci})
   * @param serial whether its first serial line is a console
   * @param discFirst whether firmware tries a disc before disks ({@code boot})
   * @param firmware an image instead of the default one
   */
  public record Hvm(
      boolean platformDevice, boolean serial, boolean discFirst, Optional<Path> firmware) {}

  /** What is done with a domain that has stopped. */
  public enum Action {
    DESTROY,
    RESTART,
    RENAME_RESTART,
    PRESERVE,
    COREDUMP_DESTROY,
    COREDUMP_RESTART,
    SOFT_RESET;

    boolean restarts() {
      return this == RESTART || this == RENAME_RESTART || this == COREDUMP_RESTART;
    }

    private String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static Action parse(String text) {
      for (Action action : values()) {
        if (action.label().equals(text)) {
          return action;
        }
      }
      return null;
    }
  }

  /** Keys of xl that have no meaning here, or none yet, and do no harm. */
  private static final Set<String> IGNORED =
      Set.of(
          "vfb", "on_watchdog", "localtime", "nomigrate", "seclabel", "device_model_version",
          // Of an HVM domain: what its board has anyway, or a screen, which there is none of.
          "acpi", "apic", "pae", "nx", "hpet", "hap", "viridian", "usb", "usbdevice", "vnc",
          "vnclisten", "vncconsole", "sdl", "vga", "stdvga", "videoram", "nographic",
          "gfx_passthru",
          "shadow_memory", "timer_mode");

  /**
   * Reads a configuration.
   *
   * @param file its name, for messages
   * @param base what relative paths in it are relative to
   * @param warnings is told of keys that are not known, one line each
   */
  public static GuestConfig parse(
      String file, String text, Path base, Consumer<String> warnings) throws ConfigException {
    Source source = new Source(file, text, base);
    return new Reader(source, ConfigParser.parse(file, text), warnings).read();
  }

  private static final class Reader {
    private final String file;
    private final Map<String, ConfigValue> values;
    private final Map<String, Integer> lines = new HashMap<>();
    private final Path base;
    private final Source source;
    private final Consumer<String> warnings;

    Reader(Source source, Map<String, ConfigValue> values, Consumer<String> warnings) {
      this.source = source;
      file = source.file;
      base = source.base;
      this.values = values;
      this.warnings = warnings;
      values.forEach((key, value) -> lines.put(key, value.line()));
    }

    GuestConfig read() throws ConfigException {
      String name = text("name").orElseThrow(() -> missing("name", "the domain's name"));
      if (!name.matches("[A-Za-z0-9_.:+-]{1,80}") || name.matches("[0-9]+")) {
        throw error("name", "letters, digits and _.:+- expected, and not digits alone");
      }
      DomainKind kind = kind();
      long memory = number("memory", 1, 1 << 20).orElse(32L);
      long maximum = number("maxmem", memory, 1 << 20).orElse(memory);
      long vcpus = number("vcpus", 1, DomainConfig.MAX_VCPUS).orElse(1L);
      long maxVcpus = maxVcpus(kind, vcpus);
      Optional<Path> kernel = text("kernel").map(base::resolve);
      if (kind == DomainKind.HVM) {
        // What stands in for the firmware that would begin: an ELF file with a PVH entry.
        Optional<Path> instead = text("firmware_override").map(base::resolve);
        kernel = instead.isPresent() ? instead : kernel;
      }
      if (kernel.isEmpty() && kind != DomainKind.HVM) {
        throw missing("kernel", "the path of a kernel");
      }
      GuestConfig config =
          new GuestConfig(
              name,
              kind,
              uuid(),
              memory,
              maximum,
              (int) vcpus,
              (int) maxVcpus,
              kernel,
              text("ramdisk").map(base::resolve),
              commandLine(),
              disks(),
              vifs(),
              action("on_poweroff", Action.DESTROY),
              action("on_reboot", Action.RESTART),
              action("on_crash", Action.DESTROY),
              cpuSet("cpus"),
              cpuSet("cpus_soft"),
              optional(number("cpu_weight", 1, 65535)),
              optional(number("cap", 0, 6400)),
              hvm(kernel.isEmpty()),
              source);
      for (Map.Entry<String, ConfigValue> left : values.entrySet()) {
        String key = left.getKey();
        if (!IGNORED.contains(key)) {
          warnings.accept(
              file + ":" + left.getValue().line() + ": " + key
                  + ": this key is not known, and has no effect");
        }
      }
      return config;
    }

    private long maxVcpus(DomainKind kind, long vcpus) throws ConfigException {
      long most = number("maxvcpus", vcpus, DomainConfig.MAX_VCPUS).orElse(vcpus);
      if (kind == DomainKind.HVM && most > vcpus) {
        warnings.accept(
            file + ":" + line("maxvcpus") + ": maxvcpus: the board of an HVM domain has all its"
                + " vCPUs from the start: those of vcpus");
        return vcpus;
      }
      return most;
    }

    private DomainKind kind() throws ConfigException {
      Optional<String> type = text("type");
      Optional<String> builder = text("builder");
      if (type.isEmpty() && builder.isPresent()) {
        type = Optional.of(builder.get().equals("hvm") ? "hvm" : "pv");
      }
      String asked = type.orElse("pv");
      return switch (asked) {
        case "pvh" -> DomainKind.PVH;
        case "hvm" -> DomainKind.HVM;
        case "pv" -> DomainKind.PV;
        default -> throw error("type", "pv, pvh or hvm expected, found '" + asked + "'");
      };
    }

    /** HVM keys; other kinds of domains have no such things, and the keys no effect. */
    private Hvm hvm(boolean firmware) throws ConfigException {
      boolean platform = number("xen_platform_pci", 0, 1).orElse(1L) == 1;
      List<String> lines =
          values.get("serial") instanceof Text ? List.of(text("serial").get()) : texts("serial");
      for (String line : lines) {
        if (!line.equals("pty") && !line.equals("none")) {
          throw error("serial", "pty or none expected, found '" + line + "'");
        }
      }
      // Who boots through firmware without PV drivers, or before there are any, has no other.
      boolean serial = lines.isEmpty() ? firmware || !platform : lines.getFirst().equals("pty");
      String boot = text("boot").orElse("cd");
      if (!boot.matches("[acdn]{1,4}")) {
        throw error("boot", "letters c for a disk and d for a disc expected, found '" + boot + "'");
      }
      String bios = text("bios").orElse("seabios");
      if (!bios.equals("seabios")) {
        throw error("bios", "seabios expected, found '" + bios + "'");
      }
      Optional<Path> override = text("bios_path_override").map(base::resolve);
      int disk = boot.indexOf('c');
      int disc = boot.indexOf('d');
      return new Hvm(platform, serial, disc >= 0 && (disk < 0 || disc < disk), override);
    }

    private String commandLine() throws ConfigException {
      Optional<String> whole = text("cmdline");
      Optional<String> root = text("root");
      Optional<String> extra = text("extra");
      if (whole.isPresent()) {
        if (root.isPresent() || extra.isPresent()) {
          warnings.accept(file + ": cmdline: it is given, so root and extra have no effect");
        }
        return whole.get();
      }
      return (root.map(r -> "root=" + r + " ").orElse("") + extra.orElse("")).strip();
    }

    private Optional<UUID> uuid() throws ConfigException {
      Optional<String> text = text("uuid");
      try {
        return text.map(UUID::fromString);
      } catch (IllegalArgumentException e) {
        throw error("uuid", "32 hexadecimal digits in five groups expected");
      }
    }

    private List<DiskSpec> disks() throws ConfigException {
      int line = line("disk");
      try {
        List<DiskSpec> disks = new ArrayList<>();
        for (String text : texts("disk")) {
          disks.add(DiskSpec.parse(text).relativeTo(base));
        }
        return disks;
      } catch (DiskSpec.BadDisk e) {
        throw new ConfigException(file + ":" + line + ": disk: " + e.getMessage());
      }
    }

    private List<VifSpec> vifs() throws ConfigException {
      int line = line("vif");
      List<VifSpec> vifs = new ArrayList<>();
      try {
        for (String text : texts("vif")) {
          VifSpec vif = VifSpec.parse(text);
          if (vif.model().isPresent() && !vif.model().get().equals("e1000")) {
            warnings.accept(
                file + ":" + line + ": vif: model=" + vif.model().get()
                    + ": the only emulated card is e1000");
          }
          vifs.add(vif);
        }
      } catch (VifSpec.BadVif e) {
        throw new ConfigException(file + ":" + line + ": vif: " + e.getMessage());
      }
      return vifs;
    }

    private Action action(String key, Action otherwise) throws ConfigException {
      Optional<String> text = text(key);
      if (text.isEmpty()) {
        return otherwise;
      }
      Action action = Action.parse(text.get());
      if (action == null) {
        throw error(
            key, "destroy, restart, rename-restart, preserve or coredump-destroy expected");
      }
      return action;
    }

    /** A set of CPUs: a string, a list of numbers, or one number. */
    private Optional<String> cpuSet(String key) throws ConfigException {
      ConfigValue value = values.remove(key);
      String set =
          switch (value) {
            case null -> null;
            case Text(String text, int line) -> text;
            case Number(long number, int line) -> Long.toString(number);
            case Sequence(var parts, int line) -> {
              List<String> all = new ArrayList<>();
              for (ConfigValue part : parts) {
                all.add(
                    switch (part) {
                      case Number(long n, int l) -> Long.toString(n);
                      case Text(String s, int l) -> s;
                      case Sequence s -> "";
                    });
              }
              yield String.join(",", all);
            }
          };
      if (set != null) {
        try {
          CpuSet.parse(set, 64);
        } catch (IllegalArgumentException e) {
          throw new ConfigException(
              file + ":" + value.line() + ": " + key + ": " + e.getMessage());
        }
      }
      return Optional.ofNullable(set);
    }

    // ---- Values by type -------------------------------------------------------------------

    private Optional<String> text(String key) throws ConfigException {
      ConfigValue value = values.get(key);
      if (value == null) {
        return Optional.empty();
      }
      if (value instanceof Text(String text, int line)) {
        values.remove(key);
        return Optional.of(text);
      }
      throw error(key, "a quoted string expected");
    }

    private List<String> texts(String key) throws ConfigException {
      ConfigValue value = values.get(key);
      List<String> all = new ArrayList<>();
      if (value instanceof Sequence(var parts, int line)) {
        for (ConfigValue part : parts) {
          if (!(part instanceof Text(String text, int l))) {
            throw error(key, "a list of quoted strings expected");
          }
          all.add(text);
        }
      } else if (value != null) {
        throw error(key, "a list in brackets expected");
      }
      values.remove(key);
      return all;
    }

    private Optional<Long> number(String key, long least, long most) throws ConfigException {
      ConfigValue value = values.get(key);
      long number;
      switch (value) {
        case null -> {
          return Optional.empty();
        }
        case Number(long n, int line) -> number = n;
        case Text(String text, int line) when text.matches("[0-9]{1,9}") ->
            number = Long.parseLong(text);
        default -> throw error(key, "a number expected");
      }
      if (number < least || number > most) {
        throw error(key, least + " to " + most + " expected, found " + number);
      }
      values.remove(key);
      return Optional.of(number);
    }

    private static OptionalInt optional(Optional<Long> number) {
      return number.isPresent() ? OptionalInt.of(number.get().intValue()) : OptionalInt.empty();
    }

    private int line(String key) {
      return lines.getOrDefault(key, 1);
    }

    private ConfigException error(String key, String what) {
      return new ConfigException(file + ":" + line(key) + ": " + key + ": " + what);
    }

    private ConfigException missing(String key, String what) {
      return new ConfigException(file + ": " + key + ": missing, " + what + " expected");
    }
  }
}

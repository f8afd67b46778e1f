package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.NetConfig;
import org.javisor.machine.ShareConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.block.OnDiskError;
import org.javisor.storage.image.DefaultFirmware;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.PackageException;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.TypeConversionException;

/** {@code javisor run}: one virtual machine of the KVM kind, in this process. */
final class RunVerb extends Verb {
  /** The default guest's kernel, for a machine whose disk is not to be booted. */
  private static final String DEFAULT_KERNEL = "default";

  /** What {@code --firmware} means without a value. */
  private static final String SEABIOS = "seabios";

  private final OptionSpec kernel =
      option("--kernel", "FILE", Path.class,
          "bzImage, ELF with a PVH note, or multiboot ELF; 'default' is the kernel of the default guest.")
          .build();
  private final OptionSpec initrd =
      option("--initrd", "FILE", Path.class, "The initramfs.").build();
  private final OptionSpec firmware =
      option(
          "--firmware",
          "FILE",
          Path.class,
          "Start a firmware image instead of a kernel, as a PC does; without FILE, SeaBIOS. Implied"
              + " by --disk and --cdrom without --kernel and --initrd.")
          .arity("0..1")
          .fallbackValue(SEABIOS)
          .build();
  private final OptionSpec append =
      option("--append", "TEXT", String.class,
          "The kernel's command line. Default: ${DEFAULT-VALUE}")
          .defaultValue("console=ttyS0")
          .build();
  private final OptionSpec protocol =
      option(
          "--boot-protocol",
          "NAME",
          BootProtocol.class,
          "How the kernel is entered: "
              + labels(BootProtocol.values(), BootProtocol::label)
              + ". Default: the best the image offers.")
          .converters(RunVerb::bootProtocol)
          .defaultValue(BootProtocol.AUTO.label())
          .build();
  private final OptionSpec memory =
      option("--memory", "SIZE", MemorySize.class, "RAM, as 512M or 2G. Default: ${DEFAULT-VALUE}")
          .converters(new MemorySize.Converter())
          .defaultValue("512M")
          .build();
  private final OptionSpec cpus =
      option(
          "--cpus",
          "N",
          Integer.class,
          "Virtual CPUs. Default: as many as the host has, at most 2; here "
              + MachineConfig.defaultCpus(MachineConfig.AUTO))
          .build();
  private final OptionSpec cpuModel =
      option(
          "--cpu",
          "MODEL",
          String.class,
          "What the CPU offers: "
              + String.join(", ", MachineConfig.cpuModels())
              + ". Default: ${DEFAULT-VALUE}")
          .defaultValue(MachineConfig.DEFAULT_CPU_MODEL)
          .build();
  private final OptionSpec accelerator =
      option(
          "--accel",
          "NAME",
          String.class,
          "Who executes the guest: interp, jit, kvm, or auto for the best here; check for jit with"
              + " each block compared with interp. Default: ${DEFAULT-VALUE}")
          .defaultValue(MachineConfig.AUTO)
          .build();
  private final OptionSpec disk =
      option("--disk", DiskConfig.SYNTAX, String[].class,
          "A disk: an image, raw or qcow2. May be given again.")
          .build();
  private final OptionSpec cdrom =
      option("--cdrom", "FILE", Path[].class,
          "A disc in a CD-ROM drive, as --disk FILE,if=cdrom. May be given again.")
          .build();
  private final OptionSpec net =
      option("--net", "NETWORK", String[].class,
          "A network card and what it is plugged into: " + NetConfig.SYNTAX
              + ". May be given again.")
          .build();
  private final OptionSpec share =
      option("--share", ShareConfig.SYNTAX, String[].class,
          "A folder the guest mounts with: mount -t virtiofs TAG /mnt. May be given again.")
          .build();
  private final OptionSpec onDiskError =
      option("--on-disk-error", "WHAT", String.class,
          "When the host fails at a disk: report tells the guest, stop holds the machine until there"
              + " is room. Default: ${DEFAULT-VALUE}")
          .defaultValue("report")
          .build();
  private final OptionSpec debugConsole =
      option(
          "--debug-console",
          "WHERE",
          ConsoleTarget.class,
          "Where output to the debug ports 0xE9 and 0x402 goes: file:PATH or socket:PATH.")
          .converters(new ConsoleTarget.Converter())
          .build();
  private final OptionSpec debugExit =
      option(
          "--debug-exit-port",
          "PORT",
          Integer.class,
          "For test kernels: writing V to this port, as 0xf4, ends the program with code 2V+1.")
          .converters(RunVerb::port)
          .build();
  private final OptionSpec gdb =
      option(
          "--gdb",
          "ADDRESS",
          TcpAddress.class,
          "Start stopped and wait for gdb, as at tcp:127.0.0.1:1234.")
          .converters(new TcpAddress.Converter())
          .build();
  private final OptionSpec trace =
      option(
          "--trace",
          "WHAT",
          String[].class,
          "Trace to standard error: " + TraceSelection.syntax()
              + ". The last shows what the translator makes of the block at an address.")
          .splitRegex(",")
          .build();

  private final ControlOptions control = new ControlOptions();

  RunVerb() {
    super("run", "Boot a kernel; without --kernel, Debian's own to a shell.");
    options(
        kernel, initrd, firmware, append, protocol, memory, cpus, cpuModel, accelerator, disk,
        cdrom, net,
        share, onDiskError, control.console, control.virtioConsole,
        debugConsole, debugExit, control.noReboot, gdb, trace, control.name, control.detach,
        control.detached, control.startPaused);
  }

  @Override
  public Integer call() throws Exception {
    Messages messages = messages();
    MachineConfig config = config(messages);
    if (debugConsole.getValue() instanceof ConsoleTarget.Stdio) {
      throw new UserError(
          ExitCode.USAGE,
          "--debug-console stdio: the terminal is the serial console's; file:PATH or socket:PATH"
              + " expected");
    }
    MachineRunner runner =
        new MachineRunner(messages, control, control.console.getValue(), debugConsole.getValue(),
            texts(control.virtioConsole), false);
    if (control.detaches()) {
      return new DetachedStart(control, messages).start(spec());
    }
    return runner.run(config, machine -> machine.start(control.paused()), !isSet(control.noReboot));
  }

  private MachineConfig config(Messages messages) throws UserError, MachineException {
    Integer given = cpus.getValue();
    int count = given == null ? MachineConfig.defaultCpus(accelerator.getValue()) : given;
    if (count < 1 || count > MachineConfig.MAX_CPUS) {
      throw new UserError(
          ExitCode.USAGE, "--cpus " + count + ": 1 to " + MachineConfig.MAX_CPUS + " expected");
    }
    Optional<Path> rom = firmware(messages);
    Path image = kernel.getValue();
    Path ramDisk = initrd.getValue();
    Optional<Path> unpacked = Optional.empty();
    if (ramDisk != null) {
      readable("--initrd", ramDisk);
    }
    if (rom.isPresent()) {
      // Whatever the firmware finds to boot.
    } else if (image == null || image.toString().equals(DEFAULT_KERNEL)) {
      DefaultGuest.GuestFiles files = defaultGuest(messages);
      image = files.kernel();
      unpacked = Optional.of(files.vmlinux());
      if (ramDisk == null) {
        ramDisk = files.initrd();
      }
    } else {
      readable("--kernel", image);
    }
    List<DiskConfig> disks = disks();
    List<NetConfig> nets = nets();
    List<ShareConfig> shares = shares();
    return new MachineConfig(
        Optional.ofNullable(image),
        rom,
        unpacked,
        Optional.ofNullable(ramDisk),
        protocol.getValue(),
        append.getValue(),
        memory.<MemorySize>getValue().bytes(),
        count,
        model(),
        accelerator.getValue(),
        traced(),
        Optional.ofNullable(gdb.<TcpAddress>getValue()).map(TcpAddress::socketAddress),
        debugExit.getValue() == null
            ? OptionalInt.empty()
            : OptionalInt.of(debugExit.<Integer>getValue()),
        disks,
        nets,
        shares);
  }

  private List<DiskConfig> disks() throws UserError, MachineException {
    String policy = onDiskError.getValue();
    OnDiskError onError =
        switch (policy) {
          case "stop" -> OnDiskError.STOP;
          case "report" -> OnDiskError.REPORT;
          default ->
              throw new UserError(
                  ExitCode.USAGE, "--on-disk-error " + policy + ": stop or report expected");
        };
    List<DiskConfig> disks = new ArrayList<>();
    for (String text : texts(disk)) {
      disks.add(DiskConfig.parse(text).withOnError(onError));
    }
    Path[] discs = cdrom.getValue();
    for (Path disc : discs == null ? new Path[0] : discs) {
      disks.add(DiskConfig.of(disc).on(DiskConfig.Interface.CDROM).withOnError(onError));
    }
    return disks;
  }

  private List<NetConfig> nets() throws MachineException {
    List<NetConfig> nets = new ArrayList<>();
    Entropy entropy = Entropy.host();
    if (texts(net).isEmpty()) {
      return List.of(NetConfig.byDefault().withMac(entropy));
    }
    for (String text : texts(net)) {
      NetConfig.parse(text).map(card -> card.withMac(entropy)).ifPresent(nets::add);
    }
    return nets;
  }

  private List<ShareConfig> shares() throws UserError, MachineException {
    List<ShareConfig> shares = new ArrayList<>();
    for (String text : texts(share)) {
      shares.add(ShareConfig.parse(text));
    }
    return shares;
  }

  private static List<String> texts(OptionSpec option) {
    String[] texts = option.getValue();
    return texts == null ? List.of() : List.of(texts);
  }

  /** The firmware image to start, if a machine with firmware was asked for. */
  private Optional<Path> firmware(Messages messages) throws UserError {
    Path file = firmware.getValue();
    if (file == null) {
      boolean fromDisk = disk.getValue() != null || cdrom.getValue() != null;
      if (!fromDisk || kernel.getValue() != null || initrd.getValue() != null) {
        return Optional.empty();
      }
      file = Path.of(SEABIOS);
    }
    for (OptionSpec other : List.of(kernel, initrd, append)) {
      if (spec().commandLine().getParseResult().hasMatchedOption(other)) {
        throw new UserError(
            ExitCode.USAGE,
            other.longestName()
                + " with --firmware, or a disk without --kernel: firmware boots what"
                + " is on the disk; leave one of them out");
      }
    }
    if (!file.toString().equals(SEABIOS) || Files.exists(file)) {
      readable("--firmware", file);
      return Optional.of(file);
    }
    try {
      return Optional.of(new DefaultFirmware(messages::message).obtain());
    } catch (PackageException e) {
      throw new UserError(ExitCode.NO_GUEST, e.getMessage(), e);
    } catch (IOException e) {
      throw new UserError(
          ExitCode.FILE,
          "the firmware cannot be kept in " + DefaultGuest.cacheFolder() + ": " + e.getMessage(),
          e);
    }
  }

  private String model() throws UserError {
    String name = cpuModel.getValue();
    if (!MachineConfig.cpuModels().contains(name)) {
      throw new UserError(
          ExitCode.USAGE,
          "--cpu " + name + " is no CPU model: " + String.join(", ", MachineConfig.cpuModels())
              + " expected");
    }
    return name;
  }

  private static Integer port(String text) {
    try {
      int port = Integer.decode(text);
      if (port > 0 && port < 0xfffd) {
        return port;
      }
    } catch (NumberFormatException e) {
      // Said below, with what is out of range.
    }
    throw new TypeConversionException("'" + text + "' is no port: 1 to 0xfffc expected, as 0xf4");
  }

  private static DefaultGuest.GuestFiles defaultGuest(Messages messages) throws UserError {
    try {
      return new DefaultGuest(messages::message).obtain();
    } catch (PackageException e) {
      throw new UserError(ExitCode.NO_GUEST, e.getMessage(), e);
    } catch (IOException e) {
      throw new UserError(
          ExitCode.FILE, "the default guest cannot be kept in " + DefaultGuest.cacheFolder() + ": "
              + e.getMessage(),
          e);
    }
  }

  private TraceSelection traced() throws UserError {
    try {
      return TraceSelection.parse(texts(trace));
    } catch (IllegalArgumentException e) {
      throw new UserError(ExitCode.USAGE, "--trace " + e.getMessage());
    }
  }

  private static BootProtocol bootProtocol(String text) {
    for (BootProtocol protocol : BootProtocol.values()) {
      if (protocol.label().equals(text)) {
        return protocol;
      }
    }
    throw new TypeConversionException(
        "'" + text + "' is no boot protocol: "
            + labels(BootProtocol.values(), BootProtocol::label) + " expected");
  }

  private static <T> String labels(T[] values, Function<T, String> label) {
    return Arrays.stream(values).map(label).collect(Collectors.joining(", "));
  }

  /** Says what is wrong with a file before anything has been started for it. */
  static void readable(String option, Path file) throws UserError {
    String problem =
        !Files.exists(file)
            ? "does not exist"
            : Files.isDirectory(file)
                ? "is a folder"
                : !Files.isReadable(file) ? "may not be read by this user" : null;
    if (problem != null) {
      throw new UserError(
          ExitCode.FILE, option + " " + file + " " + problem + ": a readable file expected");
    }
  }
}

package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.Dom0Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.NetConfig;
import org.javisor.machine.ShareConfig;
import org.javisor.machine.TerminalLink;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.TerminalConsole;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DeviceModelTools;
import org.javisor.storage.packages.PackageException;
import org.javisor.xen.hypervisor.ShutdownReason;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor xen}: the hypervisor, and a domain 0 that it starts at once. */
final class XenVerb extends Verb {
  /** Below this Debian's domain 0 runs out of memory before it has created a domain. */
  private static final long WORKING_MEMORY = 256L << 20;

  private static final String PVH = "pvh";

  /** By this domain 0 finds the files of the default guest, for a first domain. */
  private static final String GUEST_TAG = "guest";
  private static final String DEVICE_MODEL_TAG = "device-model";

  private final OptionSpec dom0 =
      option("--dom0", "KIND", String.class, "What domain 0 is: pvh. Default: ${DEFAULT-VALUE}")
          .defaultValue(PVH)
          .build();
  private final OptionSpec memory =
      option(
          "--dom0-memory", "SIZE", MemorySize.class,
          "Memory of domain 0, as 512M or 2G. Default: ${DEFAULT-VALUE}")
          .converters(new MemorySize.Converter())
          .defaultValue("512M")
          .build();
  private final OptionSpec vcpus =
      option("--dom0-vcpus", "N", Integer.class, "Virtual CPUs of domain 0. Default: 1").build();
  private final OptionSpec hostMemory =
      option(
          "--host-memory", "SIZE", MemorySize.class,
          "Memory of all domains together; it is taken when it is used. Default: ${DEFAULT-VALUE}")
          .converters(new MemorySize.Converter())
          .defaultValue("4G")
          .build();
  private final OptionSpec pcpus =
      option(
          "--pcpus", "N", Integer.class, "Physical CPUs: threads that run domains. Default: here "
              + physicalCpus())
          .build();
  private final OptionSpec kernel =
      option(
          "--kernel", "FILE", Path.class,
          "Domain 0's kernel. Default: Debian's linux-image-amd64.")
          .build();
  private final OptionSpec initrd =
      option(
          "--initrd", "FILE", Path.class,
          "Its initramfs. Default, without --kernel: one with Debian's xen-utils.")
          .build();
  private final OptionSpec append =
      option("--append", "TEXT", String.class, "Its command line. Default: ${DEFAULT-VALUE}")
          .defaultValue("console=hvc0 quiet")
          .build();
  private final OptionSpec disk =
      option(
          "--disk", DiskConfig.SYNTAX, String[].class,
          "A disk of domain 0: an image, raw or qcow2. May be given again.")
          .build();
  private final OptionSpec net =
      option(
          "--net", "NETWORK", String[].class,
          "A network card of domain 0: " + NetConfig.SYNTAX + ". May be given again.")
          .build();
  private final OptionSpec accelerator =
      option("--accel", "NAME", String.class, "Who executes domains: auto, jit or interp.")
          .defaultValue(MachineConfig.AUTO)
          .build();

  XenVerb() {
    super("xen", "Start the hypervisor and domain 0, which has this terminal; Ctrl-A x leaves.");
    options(
        dom0, memory, vcpus, hostMemory, pcpus, kernel, initrd, append, disk, net, accelerator);
  }

  private static int physicalCpus() {
    return Math.min(64, Runtime.getRuntime().availableProcessors());
  }

  @Override
  public Integer call() throws UserError, MachineException, IOException, InterruptedException {
    String kind = dom0.getValue();
    if (!kind.equals(PVH)) {
      throw new UserError(ExitCode.USAGE, "--dom0 " + kind + ": pvh expected");
    }
    Messages messages = messages();
    Dom0Machine.Config config = config(messages);
    AtomicReference<Dom0Machine> running = new AtomicReference<>();
    boolean again = true;
    ShutdownReason reason = ShutdownReason.POWEROFF;
    String report = "";
    try (Console console = TerminalConsole.open(() -> leave(running.get()))) {
      TerminalLink terminal = new TerminalLink(console);
      while (again) {
        try (Dom0Machine machine =
            Dom0Machine.start(
                config,
                terminal::show,
                messages,
                (domain, bug) -> bug.printStackTrace(spec().commandLine().getErr()))) {
          running.set(machine);
          terminal.connect(machine);
          reason = machine.await();
          again = reason == ShutdownReason.REBOOT;
          report = machine.report();
        }
      }
    }
    if (reason == ShutdownReason.CRASH) {
      messages.error(ExitCode.GUEST_CRASHED, "domain 0 crashed: " + report.strip());
    }
    return (reason == ShutdownReason.CRASH ? ExitCode.GUEST_CRASHED : ExitCode.OK).code();
  }

  /** Ctrl-A x: the host's plug is pulled. */
  private static void leave(Dom0Machine machine) {
    if (machine == null) {
      System.exit(ExitCode.OK.code());
    }
    machine.leave();
  }

  private Dom0Machine.Config config(Messages messages) throws UserError, MachineException {
    long bytes = memory.<MemorySize>getValue().bytes();
    long all = hostMemory.<MemorySize>getValue().bytes();
    int count = number("--dom0-vcpus", vcpus, 1, MachineConfig.MAX_CPUS);
    int physical = number("--pcpus", pcpus, physicalCpus(), 64);
    if (bytes >= all) {
      throw new UserError(
          ExitCode.MEMORY,
          "--dom0-memory %d MiB is all of --host-memory %d MiB: less expected, the rest is for"
              .formatted(bytes >> 20, all >> 20)
              + " domains");
    }
    if (bytes < WORKING_MEMORY) {
      messages.message(
          "%d MiB are too little for domain 0's work: from %d MiB on it can create domains"
              .formatted(bytes >> 20, WORKING_MEMORY >> 20));
    }
    Path image = kernel.getValue();
    Path ramDisk = initrd.getValue();
    Optional<Path> unpacked = Optional.empty();
    List<ShareConfig> shares = new ArrayList<>();
    if (ramDisk != null) {
      RunVerb.readable("--initrd", ramDisk);
    }
    if (image == null) {
      DefaultGuest.GuestFiles files = obtain(DefaultGuest.dom0(messages::message));
      shares.add(new ShareConfig(obtain(new DefaultGuest(messages::message)).kernel().getParent(),
          GUEST_TAG, false));
      deviceModel(messages)
          .ifPresent(folder -> shares.add(new ShareConfig(folder, DEVICE_MODEL_TAG, false)));
      image = files.kernel();
      unpacked = Optional.of(files.vmlinux());
      ramDisk = ramDisk == null ? files.initrd() : ramDisk;
    } else {
      RunVerb.readable("--kernel", image);
    }
    MachineConfig machine =
        new MachineConfig(
            Optional.of(image),
            Optional.empty(),
            unpacked,
            Optional.ofNullable(ramDisk),
            BootProtocol.PVH,
            append.getValue(),
            bytes,
            count,
            MachineConfig.DEFAULT_CPU_MODEL,
            accelerator.getValue(),
            TraceSelection.NONE,
            Optional.empty(),
            OptionalInt.empty(),
            disks(),
            nets(),
            shares);
    return new Dom0Machine.Config(machine, all, physical);
  }

  private static int number(String name, OptionSpec option, int otherwise, int most)
      throws UserError {
    Integer given = option.getValue();
    int number = given == null ? otherwise : given;
    if (number < 1 || number > most) {
      throw new UserError(ExitCode.USAGE, name + " " + number + ": 1 to " + most + " expected");
    }
    return number;
  }

  private List<DiskConfig> disks() throws MachineException {
    List<DiskConfig> disks = new ArrayList<>();
    for (String text : texts(disk)) {
      disks.add(DiskConfig.parse(text));
    }
    return disks;
  }

  private List<NetConfig> nets() throws MachineException {
    Entropy entropy = Entropy.host();
    List<NetConfig> nets = new ArrayList<>();
    if (texts(net).isEmpty()) {
      nets.add(NetConfig.byDefault().withMac(entropy));
    }
    for (String text : texts(net)) {
      NetConfig.parse(text).map(card -> card.withMac(entropy)).ifPresent(nets::add);
    }
    return nets;
  }

  private static List<String> texts(OptionSpec option) {
    String[] texts = option.getValue();
    return texts == null ? List.of() : List.of(texts);
  }

  /** What HVM domains need; without it there are all others. */
  private static Optional<Path> deviceModel(Messages messages) {
    try {
      return Optional.of(DeviceModelTools.obtain(messages::message));
    } catch (IOException e) {
      messages.message("HVM domains cannot be created in domain 0: " + e.getMessage());
      return Optional.empty();
    }
  }

  private static DefaultGuest.GuestFiles obtain(DefaultGuest guest) throws UserError {
    try {
      return guest.obtain();
    } catch (PackageException e) {
      throw new UserError(ExitCode.NO_GUEST, e.getMessage(), e);
    } catch (IOException e) {
      throw new UserError(
          ExitCode.FILE,
          "domain 0 cannot be kept in " + DefaultGuest.cacheFolder() + ": " + e.getMessage(),
          e);
    }
  }
}

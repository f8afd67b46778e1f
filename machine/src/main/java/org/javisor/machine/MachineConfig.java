package org.javisor.machine;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedSet;
import java.util.TreeSet;
import org.javisor.accelerator.TraceSelection;
import org.javisor.interp.CpuModels;
import org.javisor.pc.loader.BootProtocol;

/**
 * What a machine is made of. It says everything there is to say before a machine starts, apart from
 * the far end of its serial line.
 *
 * @param kernel the file to boot: bzImage, ELF with a PVH note, or multiboot
 * @param firmware the image in the ROM that starts the machine; either it or a kernel is given
 * @param unpackedKernel the same kernel's unpacked payload, if someone kept it: saves unpacking
 * @param initrd the initramfs, or the first module of a multiboot kernel
 * @param protocol how the kernel is entered
 * @param commandLine the kernel's command line, complete: nothing is added to it
 * @param memory bytes of RAM, a multiple of 4096
 * @param cpus how many virtual CPUs
 * @param cpuModel one of {@link #cpuModels}
 * @param accelerator a name {@code --accel} takes: {@code auto} or an accelerator's own
 * @param trace what to trace
 * @param debugExitPort the port whose writer ends the machine with an exit code, for test kernels
 * @param gdb where to wait for a debugger; the machine then starts stopped
 */
public record MachineConfig(
    Optional<Path> kernel,
    Optional<Path> firmware,
    Optional<Path> unpackedKernel,
    Optional<Path> initrd,
    BootProtocol protocol,
    String commandLine,
    long memory,
    int cpus,
    String cpuModel,
    String accelerator,
    TraceSelection trace,
    Optional<InetSocketAddress> gdb,
    OptionalInt debugExitPort,
    List<DiskConfig> disks,
    List<NetConfig> nets,
    List<ShareConfig> shares) {

  /** The accelerator name that leaves the choice to the machine. */
  public static final String AUTO = "auto";

  /** The CPU model of a machine whose owner asks for none. */
  public static final String DEFAULT_CPU_MODEL = "x86-64-v2";

  /** Below this no kernel that is of use starts. */
  public static final long MIN_MEMORY = 1L << 20;

  public static final long MAX_MEMORY = 512L << 30;

  public static final int MAX_CPUS = 64;

  public MachineConfig {
    if (kernel.isPresent() == firmware.isPresent()) {
      throw new IllegalArgumentException("either a kernel or firmware expected");
    }
    Objects.requireNonNull(protocol, "protocol");
    Objects.requireNonNull(commandLine, "commandLine");
    Objects.requireNonNull(cpuModel, "cpuModel");
    Objects.requireNonNull(accelerator, "accelerator");
    if (memory < MIN_MEMORY || memory > MAX_MEMORY || (memory & 4095) != 0) {
      throw new IllegalArgumentException(
          "memory of " + memory + " bytes: whole pages, 1M to 512G expected");
    }
    if (cpus < 1 || cpus > MAX_CPUS) {
      throw new IllegalArgumentException(cpus + " CPUs: 1 to " + MAX_CPUS + " expected");
    }
    disks = List.copyOf(disks);
    nets = List.copyOf(nets);
    shares = List.copyOf(shares);
  }

  /**
   * The virtual CPUs of a machine whose owner asks for none: two where the host has two, so that a
   * guest's kernel can do one thing while a program does another, and no more, since each that waits
   * for another takes time from it.
   */
  public static int defaultCpus(String accelerator) {
    return accelerator.equals(AcceleratorChoice.CHECK)
        ? 1
        : Math.min(2, Runtime.getRuntime().availableProcessors());
  }

  /** The CPU models there are, by name. */
  public static SortedSet<String> cpuModels() {
    return new TreeSet<>(CpuModels.names());
  }

  /** The same machine on another accelerator. */
  public MachineConfig withAccelerator(String name) {
    return new MachineConfig(
        kernel, firmware, unpackedKernel, initrd, protocol, commandLine, memory, cpus, cpuModel,
        name, trace, gdb, debugExitPort, disks, nets, shares);
  }

  /** The same machine with other firmware in its ROM. */
  public MachineConfig withFirmware(Path image) {
    return new MachineConfig(
        Optional.empty(), Optional.of(image), unpackedKernel, initrd, protocol, commandLine,
        memory, cpus, cpuModel, accelerator, trace, gdb, debugExitPort, disks, nets, shares);
  }

  /** The same machine with these devices. */
  public MachineConfig withDevices(
      List<DiskConfig> newDisks, List<NetConfig> newNets, List<ShareConfig> newShares) {
    return new MachineConfig(
        kernel, firmware, unpackedKernel, initrd, protocol, commandLine, memory, cpus, cpuModel,
        accelerator, trace, gdb, debugExitPort, newDisks, newNets, newShares);
  }
}

package org.javisor.machine;

import java.net.InetSocketAddress;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.state.StateReader;
import org.javisor.machine.control.RuntimeFolder;
import org.javisor.pc.loader.BootProtocol;

/**
 * What a saved machine was made of, so that the same one can be made again. Paths are absolute.
 *
 * @param clock what the machine's clock showed, in nanoseconds
 * @param tscHertz of the guest's time-stamp counter, which a restored guest must find again
 * @param debugExitPort 0 for none
 */
record SavedConfig(
    String name,
    long clock,
    long tscHertz,
    Optional<String> kernel,
    Optional<String> firmware,
    Optional<String> unpackedKernel,
    Optional<String> initrd,
    BootProtocol protocol,
    String commandLine,
    long memory,
    int cpus,
    String cpuModel,
    String accelerator,
    int debugExitPort,
    SavedDevices devices) {
  static final StateFormat<SavedConfig> FORMAT =
      StateFormat.of("machine", 1, SavedConfig.class);

  /** The section's name. */
  static final String SECTION = "machine";

  SavedConfig {
    if (!RuntimeFolder.isName(name)) {
      throw new IllegalArgumentException("'" + name + "' is no name of a machine");
    }
    if (clock < 0) {
      throw new IllegalArgumentException("the clock is " + clock + ": 0 or more expected");
    }
    if (!MachineConfig.cpuModels().contains(cpuModel)) {
      throw new IllegalArgumentException(
          "there is no CPU model '" + cpuModel + "': " + MachineConfig.cpuModels());
    }
    if (debugExitPort < 0 || debugExitPort > 0xfffc) {
      throw new IllegalArgumentException("there is no port " + debugExitPort);
    }
  }

  static SavedConfig of(
      String name, MachineConfig config, List<MachineDevices.Added> added,
      List<GuestPort> ports, String accelerator, long clock, long tscHertz) {
    return new SavedConfig(
        name,
        clock,
        tscHertz,
        config.kernel().map(SavedConfig::absolute),
        config.firmware().map(SavedConfig::absolute),
        config.unpackedKernel().map(SavedConfig::absolute),
        config.initrd().map(SavedConfig::absolute),
        config.protocol(),
        config.commandLine(),
        config.memory(),
        config.cpus(),
        config.cpuModel(),
        accelerator,
        config.debugExitPort().orElse(0),
        SavedDevices.of(config, added, ports));
  }

  private static String absolute(Path path) {
    return path.toAbsolutePath().toString();
  }

  /** Takes the section. */
  static SavedConfig take(StateReader reader) throws StateException {
    return reader.take(SECTION, FORMAT);
  }

  /**
   * The configuration for the restored machine.
   *
   * @throws StateException if there can be no such machine
   */
  MachineConfig config(
      Optional<String> otherAccelerator, TraceSelection trace,
      Optional<InetSocketAddress> gdb) throws StateException {
    try {
      return devices.addTo(new MachineConfig(
          kernel.map(Path::of),
          firmware.map(Path::of),
          unpackedKernel.map(Path::of),
          initrd.map(Path::of),
          protocol,
          commandLine,
          memory,
          cpus,
          cpuModel,
          otherAccelerator.orElse(accelerator),
          trace,
          gdb,
          debugExitPort == 0 ? OptionalInt.empty() : OptionalInt.of(debugExitPort),
          List.of(),
          List.of(),
          List.of()));
    } catch (InvalidPathException e) {
      throw new StateException("it names a file that cannot be: " + e.getMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new StateException(e.getMessage(), e);
    }
  }
}

package org.javisor.machine;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateReader;
import org.javisor.accelerator.state.file.SaveFile;
import org.javisor.machine.MachineException.Reason;
import org.javisor.memory.FrameArena;

/** A saved machine in a file, to be restored once. */
public final class SavedMachine implements AutoCloseable {
  private final SaveFile file;
  private final SavedConfig saved;

  private SavedMachine(SaveFile file, SavedConfig saved) {
    this.file = file;
    this.saved = saved;
  }

  /**
   * Opens a file and checks it, but for the contents of the memory.
   *
   * @throws MachineException if it cannot be read, or is no machine that this program can restore
   */
  public static SavedMachine open(Path path) throws MachineException {
    SaveFile file = null;
    try {
      file = SaveFile.open(path);
      SavedConfig saved = SavedConfig.take(file.state());
      SavedMachine machine = new SavedMachine(file, saved);
      file = null;
      return machine;
    } catch (StateException e) {
      throw invalid(path, e);
    } catch (NoSuchFileException e) {
      throw new MachineException(Reason.UNREADABLE_FILE, path + " does not exist", e);
    } catch (IOException e) {
      throw new MachineException(
          Reason.UNREADABLE_FILE, path + " cannot be read: " + e.getMessage(), e);
    } finally {
      if (file != null) {
        file.close();
      }
    }
  }

  /** What is said of a file that cannot be restored. */
  public static MachineException invalid(Path path, StateException e) {
    return new MachineException(
        Reason.NOT_RESTORABLE, path + " cannot be restored: " + e.getMessage(), e);
  }

  /** The name of the machine when it was saved. */
  public String name() {
    return saved.name();
  }

  /** What the machine was made of, with these choices of whoever restores it. */
  public MachineConfig config(
      Optional<String> accelerator, TraceSelection trace, Optional<InetSocketAddress> gdb)
      throws StateException {
    return saved.config(accelerator, trace, gdb);
  }

  /** The ports of its VirtIO console, as the option that names them had them. */
  public List<String> ports() {
    return saved.devices().ports();
  }

  List<MachineDevices.Added> added() throws StateException {
    return saved.devices().addedDisks();
  }

  long clock() {
    return saved.clock();
  }

  /** The guest measured its time-stamp counter once, and keeps to that. */
  void requireTsc(String accelerator, long hertz) throws StateException {
    if (hertz != saved.tscHertz()) {
      throw new StateException(
          "its time-stamp counter runs at %d kHz, and at %d kHz with %s: take --accel %s".formatted(
              saved.tscHertz() / 1000, hertz / 1000, accelerator, saved.accelerator()));
    }
  }

  /** Controllers in the kernel have a state of their own, which others cannot take over. */
  void requireChips(AcceleratorChoice choice) throws StateException {
    boolean inKernel = AcceleratorChoice.chipsInKernel(saved.accelerator());
    if (inKernel != choice.chipsInKernel()) {
      throw new StateException(
          "its interrupt controllers were %s the host's kernel: take --accel %s".formatted(
              inKernel ? "in" : "not in",
              inKernel || !choice.accelerator().name().equals("kvm")
                  ? saved.accelerator()
                  : "kvm,irqchip=user"));
    }
  }

  StateReader state() {
    return file.state();
  }

  void loadMemory(FrameArena memory) throws IOException, StateException {
    file.load(memory);
  }

  /** Puts what the guest wrote into disks that were just opened. */
  void loadDisks(List<SnapshotOverlay> disks) throws IOException, StateException {
    List<Integer> numbers = disks.stream().map(SnapshotOverlay::number).toList();
    if (!file.disks().equals(numbers)) {
      throw new StateException(
          "it has the contents of disks " + file.disks() + ", the machine wants those of "
              + numbers);
    }
    for (SnapshotOverlay disk : disks) {
      file.load(disk);
    }
  }

  @Override
  public void close() {
    file.close();
  }
}

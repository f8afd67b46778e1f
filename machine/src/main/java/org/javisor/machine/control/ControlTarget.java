package org.javisor.machine.control;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/** A machine as the control socket sees it. Called from any thread. */
public interface ControlTarget {
  /** What a machine is doing, by QMP's name: {@code RunState} of QEMU's reference. */
  enum RunState {
    /** It is being made, and may still be refused. */
    PRELAUNCH("prelaunch"),
    RUNNING("running"),
    PAUSED("paused"),
    SHUTDOWN("shutdown");

    private final String label;

    RunState(String label) {
      this.label = label;
    }

    public String label() {
      return label;
    }
  }

  /**
   * A machine in one line.
   *
   * @param kind {@code vm}, or what a Xen domain is: {@code pv}, {@code pvh}, {@code hvm}
   * @param memory in bytes
   * @param cpuNanos CPU time used so far by everything done for it
   * @param uptimeNanos for how long it has run, pauses not counted
   * @param instructions executed by the guest, or -1 where nobody counts
   * @param deviceAccesses of the guest to ports and memory of devices, those that /dev/kvm serves
   *     itself not counted
   */
  record Info(
      String name,
      String kind,
      RunState state,
      int vcpus,
      long memory,
      long cpuNanos,
      long uptimeNanos,
      long pid,
      String accelerator,
      long instructions,
      long deviceAccesses) {}

  /**
   * A virtual CPU.
   *
   * @param thread the host's number of its thread, where the host tells
   */
  record Cpu(int index, OptionalInt thread) {}

  /**
   * A disk, for query-block.
   *
   * @param size of the disk in bytes
   */
  record Disk(
      String device, String file, String format, boolean readOnly, long size) {}

  /** The far end of the console for someone who is attached to it. */
  interface ConsoleLink extends AutoCloseable {
    /**
     * Gives input to the guest as fast as it takes it.
     *
     * @return false if the machine has ended
     */
    boolean feed(byte[] source, int offset, int length) throws InterruptedException;

    @Override
    void close();
  }

  /** Where output of the console goes; called on a thread of its own, and may block. */
  interface ConsoleOutput {
    void write(ByteBuffer batch) throws java.io.IOException;
  }

  /** Whoever wants to know what happens; does not block. */
  interface Listener {
    void happened(ControlEvent event);
  }

  void addListener(Listener listener);

  void removeListener(Listener listener);

  Info info();

  List<Cpu> cpus();

  List<Disk> disks();

  /** Returns when it stands. */
  void pause() throws ControlException;

  void resume() throws ControlException;

  /** Presses the power button. */
  void powerButton() throws ControlException;

  void reset() throws ControlException;

  /** Ends the machine at once. */
  void quit();

  /**
   * A machine was written to a file.
   *
   * @param size of the file in bytes
   * @param after what is done to the machine when whoever asked has been answered
   */
  record Saved(long size, Runnable after) {}

  /**
   * Writes the machine to a file.
   *
   * @param running whether it goes on afterwards; else it ends
   */
  Saved save(Path file, boolean running) throws ControlException;

  /** Attaches to the first serial line, beside whoever is there. */
  ConsoleLink console(ConsoleOutput output) throws ControlException;

  /**
   * Adds a device.
   *
   * @param arguments of device_add, {@code driver} and {@code id} among them
   */
  void addDevice(String driver, String id, Map<String, Object> arguments) throws ControlException;

  /** Asks the guest to give a device back; an event tells when it has. */
  void removeDevice(String id) throws ControlException;
}

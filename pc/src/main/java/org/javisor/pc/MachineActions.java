package org.javisor.pc;

/**
 * What the guest can make the machine do. Called on vCPU threads with a device locked:
 * implementations flag it and kick the vCPUs, and return at once.
 */
public interface MachineActions {
  /** The guest entered ACPI state S5. */
  void powerOff();

  /** The guest reset the machine, through whichever of the PC's many ways. */
  void reset();

  /** The guest wrote the debug-exit port: end the program with this code. */
  default void debugExit(int code) {
    powerOff();
  }
}

package org.javisor.machine;

import java.nio.file.Path;

/** How a machine ended. */
public sealed interface MachineOutcome {
  /** The guest powered off. */
  record PoweredOff() implements MachineOutcome {}

  /** The guest reset the machine. Whether it starts again is its owner's decision. */
  record Reset() implements MachineOutcome {}

  /**
   * The guest broke its machine: a triple fault, or what no machine can go on after.
   *
   * @param report registers, the last code bytes and the page walk, in several lines for a person
   */
  record Crashed(String report) implements MachineOutcome {}

  /** The guest wrote the debug-exit port: the program is to end with this code. */
  record DebugExit(int code) implements MachineOutcome {}

  /** The machine was saved, to be restored from this file. */
  record Saved(Path file) implements MachineOutcome {}

  /** The person at the console, the debugger or a signal asked for the end. */
  record UserQuit() implements MachineOutcome {}
}

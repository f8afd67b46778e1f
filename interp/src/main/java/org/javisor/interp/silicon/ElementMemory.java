package org.javisor.interp.silicon;

/**
 * The guest's memory, element by element, as masked moves and gathers access it. Addresses are
 * offsets in the instruction's segment, already wrapped to the address size; a method that meets a
 * fault throws the caller's own exception.
 */
public interface ElementMemory {
  /** Loads 1, 4 or 8 bytes, zero extended. */
  long load(long offset, int bytes);

  /** Raises the fault that a store would, and stores nothing. */
  void checkStore(long offset, int bytes);

  /** Stores 1, 4 or 8 bytes. */
  void store(long offset, int bytes, long value);
}

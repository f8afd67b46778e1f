package org.javisor.xen.domain;

import org.javisor.accelerator.state.StateWriter;
import org.javisor.memory.FrameArena;

/** A domain that has suspended itself, and whose back ends are gone: what is to be kept of it. */
public interface Savable {
  /** How many pages {@link #save} fills at most. */
  int pages();

  /**
   * Copies the domain's pages, and adds a section for everything else.
   *
   * @param pages zeroed memory for them; in which order, is said in a section
   */
  void save(StateWriter writer, FrameArena pages);
}

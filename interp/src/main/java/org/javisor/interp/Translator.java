package org.javisor.interp;

/**
 * Executes a vCPU's instructions in a faster way than the interpreter does, and leaves to it what it
 * does not do itself: the vCPU's loop, events between instructions, exceptions, and every instruction
 * that it hands to {@link Core#execute}.
 *
 * <p>All calls come on the vCPU's thread.
 */
public interface Translator extends AutoCloseable {
  /** Makes the translator of one vCPU. */
  @FunctionalInterface
  interface Factory {
    Translator create(Core core);
  }

  /**
   * Executes from the current instruction on, which {@link Core#translatable} says can be: at least
   * one instruction, until {@link Core#interrupted} or until the next one cannot be translated.
   * Faults of the guest are thrown by what it calls of {@link Core}.
   */
  void run();

  /** Bytes of a frame that holds code have changed or are about to. */
  void invalidate(int frame, int offset, int length);

  /** Which chunks of 64 bytes of a frame hold translated bytes, as bits. */
  long covered(int frame);

  /**
   * Whether bytes are in blocks, but only as a constant of an instruction that is read where it stands
   * whenever the instruction is executed: they may change without {@link #invalidate}.
   */
  boolean readsInPlace(int frame, int offset, int length);

  /** Mappings of linear addresses may have changed, in all address spaces. */
  void flush();

  /**
   * Another address space is in use, except for global mappings.
   *
   * @param pcid its process-context identifier
   * @param keep its mappings are those it had when it was last left; otherwise they may be any
   */
  void switchAddressSpace(int pcid, boolean keep);

  /** The mapping of one page may have changed. */
  void flushPage(long va);

  /** Forgets everything. */
  void forget();

  @Override
  void close();
}

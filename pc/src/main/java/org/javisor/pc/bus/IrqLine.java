package org.javisor.pc.bus;

/**
 * A wire from a device to an interrupt controller, as the device sees it: asserted or not, whatever
 * the polarity on a real board. May be driven from any thread; the device calls it under its own
 * lock so that changes arrive in order.
 */
@FunctionalInterface
public interface IrqLine {
  /** A wire that ends nowhere. */
  IrqLine NONE = asserted -> {};

  void set(boolean asserted);

  /** A rising edge for an edge-triggered input; the line stays asserted afterwards. */
  default void edge() {
    set(false);
    set(true);
  }
}

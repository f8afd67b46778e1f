/**
 * How the guest reaches devices and devices reach interrupt controllers.
 *
 * <p>{@link org.javisor.pc.bus.Bus} takes every port and memory-mapped access of the guest to the
 * device that claimed the range; a device sees offsets only. {@link org.javisor.pc.bus.IrqLine} is
 * the wire the other way. Leans on the accelerator's GuestBus and nothing else.
 */
package org.javisor.pc.bus;

/**
 * Interrupt controllers: local APICs and the fabric between them, the IOAPIC, the 8259 pair and the
 * board's wiring.
 *
 * <p>Locks are taken in one order: device, shared line, 8259 pair, IOAPIC, local APIC. A local APIC
 * calls nothing outside with its lock held: an end of interrupt goes up to the IOAPIC, and an
 * acknowledge cycle to the 8259 pair, with no lock at all. Leans on {@code bus} and {@code time}.
 */
package org.javisor.pc.interrupt;

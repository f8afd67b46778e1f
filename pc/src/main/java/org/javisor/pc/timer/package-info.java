/**
 * The PC's clocks: 8254 interval timer, HPET, real-time clock with its CMOS memory. Counters are
 * computed from the machine's clock when they are read; timers run only for interrupts that the
 * guest has enabled. Leans on {@code bus} and {@code time}.
 */
package org.javisor.pc.timer;

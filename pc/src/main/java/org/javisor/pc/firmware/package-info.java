/**
 * Firmware: what it is told about the machine it runs on (the fw_cfg device), and the few BIOS
 * interrupts a kernel started directly still calls. Leans on {@code bus} and guest memory.
 */
package org.javisor.pc.firmware;

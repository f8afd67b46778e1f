/**
 * Character devices: the 16550A serial ports and the debug ports, and the interface to whatever
 * stands at the other end of the line. Leans on {@code bus} and {@code time}.
 */
package org.javisor.pc.serial;

/**
 * What a PC still has because it had it in 1984: the keyboard controller, the system control ports;
 * and the ports of test kernels. Leans on {@code bus} and {@code timer}.
 */
package org.javisor.pc.legacy;

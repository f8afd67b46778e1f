/**
 * What firmware is told about the machine it runs on: the fw_cfg device. Leans on {@code bus} and
 * guest memory.
 */
package org.javisor.pc.firmware;

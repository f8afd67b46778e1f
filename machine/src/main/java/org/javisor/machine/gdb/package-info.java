/**
 * A debugger's end of a machine: GDB's remote serial protocol over TCP.
 *
 * <p>{@link org.javisor.machine.gdb.GdbServer} waits for a debugger, one at a time. Framing is in
 * {@code GdbConnection}, commands in {@code GdbSession}, the order and names of registers in {@code
 * GdbRegisters}. What the protocol needs of a machine is {@link org.javisor.machine.gdb.GdbTarget}:
 * to the debugger a machine is one process and each vCPU a thread of it, numbered from 1.
 *
 * <p>The protocol is described in the GDB manual, appendix "GDB Remote Serial Protocol".
 */
package org.javisor.machine.gdb;

/**
 * The far end of a machine's serial line: a terminal, a file, a socket.
 *
 * <p>A {@link org.javisor.machine.console.Console} takes bytes from the guest on vCPU threads, so it
 * only ever queues them; a thread of its own moves them on. Input goes the other way through a
 * {@link org.javisor.machine.console.ConsolePort}, which takes as much as the guest has room for.
 * {@link org.javisor.machine.console.TerminalConsole} adds what a person at a terminal needs: raw
 * mode that is always undone, and the escapes that begin with Ctrl-A.
 */
package org.javisor.machine.console;

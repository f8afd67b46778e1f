/**
 * The control socket of a machine: QMP, the protocol of QEMU's monitor, on a UNIX socket of the
 * user's runtime folder. There is no daemon: whoever wants to talk to a machine connects to its
 * process.
 *
 * <p>{@link org.javisor.machine.control.RuntimeFolder} gives names to machines, {@link
 * org.javisor.machine.control.QmpServer} answers for one, and {@link
 * org.javisor.machine.control.ControlClient} asks. What can be done to a machine is {@link
 * org.javisor.machine.control.ControlTarget}; this package knows no more of it.
 *
 * <p>Commands and events are those of QEMU's QMP reference where it has them; ours begin with {@code
 * x-javisor-}.
 */
package org.javisor.machine.control;

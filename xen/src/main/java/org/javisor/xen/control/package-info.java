/**
 * What the toolstack of a privileged domain asks of the hypervisor: the state of the host, and to make,
 * watch and end domains; and what device models ask, which answer for domains' devices. {@link org.javisor.xen.control.ControlInterface} adds these calls to a host
 * that has a domain 0; the mechanisms behind them are the hypervisor's.
 *
 * <p>Leans on the hypervisor alone.
 */
package org.javisor.xen.control;

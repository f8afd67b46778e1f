/**
 * The tools: guest configurations in xl's syntax, the process that hosts domains, and the verbs of
 * {@code xl}.
 *
 * <p>{@link org.javisor.xen.toolstack.ConfigParser} and {@link
 * org.javisor.xen.toolstack.GuestConfig} read a configuration. {@link
 * org.javisor.xen.toolstack.XenHost} is the host: the hypervisor, xenstore, the back ends, and a
 * {@link org.javisor.xen.toolstack.GuestDomain} for each domain. It listens on a UNIX socket ({@link
 * org.javisor.xen.toolstack.XenServer}), where {@link org.javisor.xen.toolstack.XenClient} sends it
 * command lines that {@link org.javisor.xen.toolstack.XlCommands} carries out.
 *
 * <p>Leans on everything else in this module.
 */
package org.javisor.xen.toolstack;

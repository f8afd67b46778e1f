/**
 * Who runs where, and for how long: Xen's credit2 on a fixed set of physical-CPU threads.
 *
 * <p>{@link org.javisor.xen.hypervisor.scheduler.Credit2} decides and knows neither threads nor a
 * clock: whoever asks says what time it is. {@link
 * org.javisor.xen.hypervisor.scheduler.Scheduler} has the threads that carry its decisions out.
 * What is scheduled is a {@link org.javisor.xen.hypervisor.scheduler.Guest}, seen from here as
 * something that can be run and asked to return.
 */
package org.javisor.xen.hypervisor.scheduler;

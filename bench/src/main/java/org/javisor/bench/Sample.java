package org.javisor.bench;

/**
 * One execution of a row.
 *
 * @param checksum of its result, in hexadecimal
 * @param cpuNanos CPU time of the subject's whole process; on the host, of the row's processes
 * @param wallNanos time that passed on the host
 * @param insideNanos time that passed by the clock of the row itself, in the guest
 */
record Sample(String checksum, long cpuNanos, long wallNanos, long insideNanos) {}

package org.javisor.bench;

/**
 * One execution of a row in a virtual machine.
 *
 * @param checksum of its result
 * @param operations done
 * @param wallNanos time that passed on the host
 * @param cpuNanos CPU time of all processes of the machine
 * @param exits of the guest to its machine: hypercalls, and accesses to emulated devices; -1 where
 *     nobody counts
 */
record KindSample(
    String checksum, long operations, long wallNanos, long cpuNanos, long exits) {
  double perSecond() {
    return operations * 1e9 / wallNanos;
  }

  double cpuMicros() {
    return cpuNanos / 1e3 / operations;
  }

  double exitsEach() {
    return exits < 0 ? Double.NaN : (double) exits / operations;
  }
}

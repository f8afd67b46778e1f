package org.javisor.bench;

/**
 * One execution of a row in a virtual machine.
 *
 * @param checksum of its result
 * @param operations done
 * @param wallNanos time that passed on the host
 * @param cpuNanos CPU time of all processes of the machine
 * @param exits of the guest to its machine
 */
record KindSample(
    String checksum, long operations, long wallNanos, long cpuNanos, Exits exits) {
  double perSecond() {
    return operations * 1e9 / wallNanos;
  }

  double cpuMicros() {
    return cpuNanos / 1e3 / operations;
  }

  double exitsEach() {
    return exits.all() / operations;
  }

  double driverExitsEach() {
    return exits.ofDrivers() / operations;
  }
}

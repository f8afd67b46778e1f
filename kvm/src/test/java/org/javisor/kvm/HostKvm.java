package org.javisor.kvm;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.javisor.kvm.host.KvmUnavailable;
import org.junit.jupiter.api.Assumptions;

/**
 * The host's KVM for tests: skips what the host does not offer, and says what that is. Found out by
 * the self-tests, never by a name.
 */
final class HostKvm {
  private static KvmAccelerator accelerator;
  private static final Map<String, Optional<KvmSelfTest.Failure>> TESTED = new HashMap<>();

  private HostKvm() {}

  static synchronized KvmAccelerator accelerator() {
    if (accelerator == null) {
      try {
        accelerator = KvmAccelerator.open();
      } catch (KvmUnavailable e) {
        Assumptions.abort("no KVM here: " + e.getMessage() + "; " + e.advice());
      }
    }
    return accelerator;
  }

  /** Skips the test on a host whose guests cannot do what a self-test does. */
  static synchronized void needs(String selfTest) {
    Optional<KvmSelfTest.Failure> failure =
        TESTED.computeIfAbsent(selfTest, name -> KvmSelfTest.run(accelerator(), name));
    Assumptions.assumeTrue(
        failure.isEmpty(), () -> "this host's KVM fails the self-test " + failure.get());
  }
}

package org.javisor.conformance.tool;

import java.util.Optional;
import org.javisor.accelerator.Accelerator;
import org.javisor.interp.InterpAccelerator;
import org.javisor.jit.JitAccelerator;
import org.javisor.kvm.KvmAccelerator;
import org.javisor.kvm.host.KvmUnavailable;

/** The accelerators that can be put to the test; a new one gets its line here. */
public final class Accelerators {
  private Accelerators() {}

  /** The accelerator of a name that {@code --accel} takes. */
  public static Accelerator of(String name) throws UsageException {
    return switch (name) {
      case "interp" -> new InterpAccelerator();
      case "jit" -> {
        requireTranslator(name);
        yield new JitAccelerator();
      }
      case "check" -> {
        requireTranslator(name);
        yield JitAccelerator.checked(System.err::println);
      }
      case "kvm" -> kvm();
      default ->
          throw new UsageException("--accel " + name + ": interp, jit, check or kvm expected");
    };
  }

  private static void requireTranslator(String name) throws UsageException {
    Optional<String> reason = JitAccelerator.unavailable();
    if (reason.isPresent()) {
      throw new UsageException("--accel " + name + ": " + reason.get());
    }
  }

  private static Accelerator kvm() throws UsageException {
    try {
      return KvmAccelerator.open();
    } catch (KvmUnavailable e) {
      throw new UsageException("--accel kvm: " + e.getMessage());
    }
  }
}

package org.javisor.machine;

import java.util.Optional;
import org.javisor.accelerator.Accelerator;
import org.javisor.interp.InterpAccelerator;
import org.javisor.jit.JitAccelerator;
import org.javisor.kvm.KvmAccelerator;
import org.javisor.kvm.KvmProbe;
import org.javisor.kvm.host.KvmUnavailable;
import org.javisor.machine.MachineException.Reason;
import org.javisor.storage.image.DefaultGuest;

/**
 * Who executes a machine: what was asked for, or the best that really works on this host.
 *
 * @param why why this one; with {@code auto} also why no better one
 * @param announcement a line for the person who started the machine, if there is news in it
 */
record AcceleratorChoice(Accelerator accelerator, String why, Optional<String> announcement) {
  private static final String INTERP = "interp";
  private static final String JIT = "jit";
  private static final String KVM = "kvm";

  /**
   * Chooses by a name that {@code --accel} takes.
   *
   * @throws MachineException if there is no such accelerator, or this host has not got it
   */
  static AcceleratorChoice of(String name) throws MachineException {
    return switch (name) {
      case MachineConfig.AUTO -> automatic(KvmProbe.remembered(DefaultGuest.cacheFolder()));
      case INTERP -> new AcceleratorChoice(new InterpAccelerator(), "asked for", Optional.empty());
      case JIT -> jit();
      case KVM -> kvm();
      default ->
          throw new MachineException(
              Reason.HOST_REFUSED,
              "accelerator " + name + " is not known: auto, interp, jit or kvm expected");
    };
  }

  /**
   * Chooses for a Xen host, whose guests' hypercalls are ours to answer.
   *
   * @throws MachineException if there is no such accelerator, or it cannot do that
   */
  static AcceleratorChoice forXen(String name) throws MachineException {
    return switch (name) {
      case MachineConfig.AUTO -> inSoftware("/dev/kvm keeps hypercalls to itself");
      case KVM ->
          throw new MachineException(
              Reason.HOST_REFUSED,
              "--accel kvm: /dev/kvm keeps hypercalls to itself; take --accel auto, jit or interp");
      default -> of(name);
    };
  }

  /** The best accelerator, given what is known of KVM. */
  static AcceleratorChoice automatic(KvmProbe.Result kvm) {
    if (kvm.usable()) {
      try {
        return announced(KvmAccelerator.open(), "/dev/kvm passes the self-test");
      } catch (KvmUnavailable e) {
        return inSoftware(e.getMessage());
      }
    }
    return inSoftware(kvm.reason());
  }

  /** The translator where this host has what it needs, else the interpreter. */
  private static AcceleratorChoice inSoftware(String whyNotKvm) {
    Optional<String> reason = JitAccelerator.unavailable();
    return reason.isEmpty()
        ? announced(new JitAccelerator(), whyNotKvm)
        : announced(new InterpAccelerator(), whyNotKvm + "; " + reason.get());
  }

  private static AcceleratorChoice announced(Accelerator accelerator, String why) {
    return new AcceleratorChoice(
        accelerator, why, Optional.of("accelerator " + accelerator.name() + ": " + why));
  }

  private static AcceleratorChoice jit() throws MachineException {
    Optional<String> reason = JitAccelerator.unavailable();
    if (reason.isPresent()) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--accel jit: " + reason.get() + "; take --accel auto, or interp");
    }
    return new AcceleratorChoice(new JitAccelerator(), "asked for", Optional.empty());
  }

  /** Who asks for KVM gets it if it opens; that its guests may fail is said. */
  private static AcceleratorChoice kvm() throws MachineException {
    try {
      KvmAccelerator accelerator = KvmAccelerator.open();
      KvmProbe.Result probe = KvmProbe.remembered(DefaultGuest.cacheFolder());
      return new AcceleratorChoice(
          accelerator,
          "asked for",
          probe.usable()
              ? Optional.empty()
              : Optional.of("accelerator kvm, as asked for, although " + probe.reason()));
    } catch (KvmUnavailable e) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--accel kvm: " + e.getMessage() + "; " + e.advice() + ", or take --accel auto",
          e);
    }
  }
}

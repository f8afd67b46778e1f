package org.javisor.machine;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.interp.InterpAccelerator;
import org.javisor.jit.JitAccelerator;
import org.javisor.kvm.IrqChip;
import org.javisor.kvm.KvmAccelerator;
import org.javisor.kvm.KvmProbe;
import org.javisor.kvm.host.KvmDevice;
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
  private static final String KERNEL_CHIPS = KVM + ",irqchip=kernel";
  private static final String USER_CHIPS = KVM + ",irqchip=user";
  static final String CHECK = "check";

  /**
   * Chooses by a name that {@code --accel} takes.
   *
   * @param cpus how many vCPUs the machine has
   * @param report gets what an accelerator has to say at the machine's end
   *
   * @throws MachineException if there is no such accelerator, or this host has not got it
   */
  static AcceleratorChoice of(String name, int cpus, Consumer<String> report)
      throws MachineException {
    return switch (name) {
      case MachineConfig.AUTO -> automatic(KvmProbe.remembered(DefaultGuest.cacheFolder()));
      case INTERP -> new AcceleratorChoice(new InterpAccelerator(), "asked for", Optional.empty());
      case JIT -> jit();
      case CHECK -> check(cpus, report);
      case KVM -> kvm(KvmDevice.PATH, Optional.empty());
      case KERNEL_CHIPS -> kvm(KvmDevice.PATH, Optional.of(IrqChip.KERNEL));
      case USER_CHIPS -> kvm(KvmDevice.PATH, Optional.of(IrqChip.USER));
      default ->
          throw new MachineException(
              Reason.HOST_REFUSED,
              "accelerator " + name + " is not known: auto, interp, jit, check or kvm expected,"
                  + " or " + KERNEL_CHIPS + " or " + USER_CHIPS);
    };
  }

  /** The name that asks for the same again: with who has the interrupt controllers, if that differs. */
  String fullName() {
    return !accelerator.name().equals(KVM)
        ? accelerator.name()
        : chipsInKernel() ? KERNEL_CHIPS : USER_CHIPS;
  }

  /** Whether the host's kernel has the interrupt controllers of a machine that this executes. */
  boolean chipsInKernel() {
    return accelerator instanceof KvmAccelerator kvm && kvm.irqChip() == IrqChip.KERNEL;
  }

  /** Whether a machine of this full name has its interrupt controllers in the host's kernel. */
  static boolean chipsInKernel(String fullName) {
    return fullName.equals(KERNEL_CHIPS);
  }

  /**
   * Refuses to show translated code where none is.
   *
   * @throws MachineException if the accelerator translates nothing
   */
  void requireForTracedBlocks() throws MachineException {
    if (!accelerator.name().equals(JIT) && !accelerator.name().equals(CHECK)) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--trace block=ADDRESS shows translated code, and accelerator " + accelerator.name()
              + " makes none; give --accel jit");
    }
  }

  /**
   * Chooses for a Xen host, whose guests' hypercalls are ours to answer.
   *
   * @throws MachineException if there is no such accelerator, or it cannot do that
   */
  static AcceleratorChoice forXen(String name) throws MachineException {
    return switch (name) {
      case MachineConfig.AUTO -> inSoftware("/dev/kvm keeps hypercalls to itself");
      case KVM, KERNEL_CHIPS, USER_CHIPS ->
          throw new MachineException(
              Reason.HOST_REFUSED,
              "--accel kvm: /dev/kvm keeps hypercalls to itself; take --accel auto, jit or interp");
      case CHECK ->
          throw new MachineException(
              Reason.HOST_REFUSED,
              "--accel check: a Xen host has more than one vCPU; take --accel jit or interp");
      default -> of(name, 1, line -> {});
    };
  }

  /** The best accelerator, given what is known of KVM. */
  static AcceleratorChoice automatic(KvmProbe.Result kvm) {
    if (kvm.usable()) {
      try {
        return announced(
            KvmAccelerator.open().with(kvm.irqChip()),
            "/dev/kvm passes the self-test; " + chips(kvm));
      } catch (KvmUnavailable e) {
        return inSoftware(e.getMessage());
      }
    }
    return inSoftware(kvm.reason());
  }

  /** Where the interrupt controllers of a machine are. */
  static String chips(KvmProbe.Result kvm) {
    return kvm.irqChip() == IrqChip.KERNEL
        ? "interrupt controllers in the kernel"
        : "interrupt controllers in this process, since " + kvm.whyNotKernel();
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
    requireTranslator(JIT);
    return new AcceleratorChoice(new JitAccelerator(), "asked for", Optional.empty());
  }

  private static AcceleratorChoice check(int cpus, Consumer<String> report)
      throws MachineException {
    requireTranslator(CHECK);
    if (cpus != 1) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--accel check compares one vCPU and not " + cpus + "; give --cpus 1");
    }
    return new AcceleratorChoice(
        JitAccelerator.checked(report), "asked for", Optional.empty());
  }

  private static void requireTranslator(String name) throws MachineException {
    Optional<String> reason = JitAccelerator.unavailable();
    if (reason.isPresent()) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--accel " + name + ": " + reason.get() + "; take --accel auto, or interp");
    }
  }

  /**
   * Who asks for KVM gets it if it opens; that its guests may fail is said.
   *
   * @param asked who is to have the interrupt controllers; empty for the kernel if its own work
   */
  static AcceleratorChoice kvm(Path device, Optional<IrqChip> asked) throws MachineException {
    try {
      KvmAccelerator accelerator = KvmAccelerator.open(device);
      KvmProbe.Result probe = KvmProbe.remembered(DefaultGuest.cacheFolder());
      List<String> doubts = new ArrayList<>();
      if (!probe.usable()) {
        doubts.add(probe.reason());
      }
      if (probe.irqChip() == IrqChip.USER && !asked.equals(Optional.of(IrqChip.USER))) {
        doubts.add(probe.whyNotKernel());
      }
      return new AcceleratorChoice(
          accelerator.with(asked.orElse(probe.irqChip())),
          "asked for",
          doubts.isEmpty()
              ? Optional.empty()
              : Optional.of(
                  "accelerator kvm, as asked for, although " + String.join(", and ", doubts)));
    } catch (KvmUnavailable e) {
      throw new MachineException(
          Reason.HOST_REFUSED,
          "--accel kvm: " + e.getMessage() + "; " + e.advice() + ", or take --accel auto",
          e);
    }
  }
}

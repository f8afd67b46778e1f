package org.javisor.jit;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.InterpAccelerator;
import org.javisor.interp.Translator;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.HostMemory;

/** Translates guest code to code of the host's, an x86-64 CPU with BMI2. */
public final class JitAccelerator implements Accelerator {
  private static final long AT_HWCAP2 = 26;
  private static final long HWCAP2_FSGSBASE = 1 << 1;

  private final InterpAccelerator machine;

  public JitAccelerator() {
    this("jit", JitTranslator::new);
  }

  private JitAccelerator(String name, Translator.Factory translators) {
    machine = new InterpAccelerator(name, translators);
  }

  /**
   * Translates, and compares each block with what the interpreter makes of it: for machines of one
   * vCPU. A difference is a bug of ours, an {@link AssertionError} on the vCPU's thread.
   *
   * @param report gets a line at the end that says how much was compared
   */
  public static JitAccelerator checked(Consumer<String> report) {
    return new JitAccelerator("check", core -> new CheckedTranslator(core, report));
  }

  /** Why this host cannot translate, or empty if it can. */
  public static Optional<String> unavailable() {
    Optional<String> reason = SiliconUnit.unavailable();
    if (reason.isPresent()) {
      return reason;
    }
    if (!HostMemory.hasMemfd()) {
      return Optional.of("the host has no memfd_create");
    }
    if (!SiliconUnit.hostFeatures().contains(CpuFeature.BMI2)) {
      return Optional.of("the host's CPU has no BMI2");
    }
    if (!SiliconUnit.hostFeatures().contains(CpuFeature.FSGSBASE)) {
      return Optional.of("the host's CPU has no FSGSBASE");
    }
    if (!kernelAllowsGsBase()) {
      return Optional.of("the host's kernel keeps WRGSBASE to itself, as before Linux 5.9");
    }
    return Optional.empty();
  }

  /** Bit 1 of AT_HWCAP2 in the auxiliary vector (Linux, arch/x86: HWCAP2_FSGSBASE). */
  private static boolean kernelAllowsGsBase() {
    try {
      LongBuffer vector =
          ByteBuffer.wrap(Files.readAllBytes(Path.of("/proc/self/auxv")))
              .order(ByteOrder.nativeOrder())
              .asLongBuffer();
      while (vector.remaining() >= 2) {
        long type = vector.get();
        long value = vector.get();
        if (type == AT_HWCAP2) {
          return (value & HWCAP2_FSGSBASE) != 0;
        }
      }
    } catch (IOException e) {
      return false;
    }
    return false;
  }

  @Override
  public String name() {
    return machine.name();
  }

  @Override
  public Vm createVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    return machine.createVm(memory, bus, model, clock, trace);
  }
}

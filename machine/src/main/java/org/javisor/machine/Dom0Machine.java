package org.javisor.machine;

import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.MachineException.Reason;
import org.javisor.memory.HostMemory;
import org.javisor.pc.PcPlatform;
import org.javisor.xen.control.ControlInterface;
import org.javisor.xen.control.DomainMaker;
import org.javisor.xen.domain.BuildException;
import org.javisor.xen.domain.Dom0Domain;
import org.javisor.xen.domain.DomainBoot;
import org.javisor.xen.domain.EmulatedDevices;
import org.javisor.xen.domain.Machinery;
import org.javisor.xen.domain.ModelledDomain;
import org.javisor.xen.domain.PvDomain;
import org.javisor.xen.domain.PvhDomain;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * One host of the Xen kind with a domain 0: the hypervisor, and the privileged domain that it starts
 * at once, which has the host's terminal, disks and network cards and administers all other domains.
 * It ends with domain 0.
 */
public final class Dom0Machine implements AutoCloseable {
  /**
   * What a host and its domain 0 are made of.
   *
   * @param dom0 its kernel, memory, vCPUs, disks and cards; also the accelerator of all domains
   * @param hostMemory bytes for all domains together
   * @param pcpus physical CPUs: threads that run vCPUs
   */
  public record Config(MachineConfig dom0, long hostMemory, int pcpus) {}

  private final Hypervisor hypervisor;
  private final MachineDevices devices;
  private final CompletableFuture<ShutdownReason> ended = new CompletableFuture<>();
  private Domain domain;

  private Dom0Machine(Hypervisor hypervisor, MachineDevices devices) {
    this.hypervisor = hypervisor;
    this.devices = devices;
  }

  /**
   * Starts a host and its domain 0.
   *
   * @param output takes what is shown on the host's terminal; called on vCPU threads
   * @param bugs is told of errors of ours
   * @throws MachineException if it cannot be; nothing is left running then
   */
  public static Dom0Machine start(
      Config config, Consumer<byte[]> output, MachineListener listener,
      BiConsumer<Domain, Throwable> bugs)
      throws MachineException {
    MachineConfig dom0 = config.dom0();
    Accelerator accelerator = AcceleratorChoice.forXen(dom0.accelerator()).accelerator();
    MachineDevices devices = MachineDevices.open(dom0, Clock.host(), listener);
    Dom0Machine machine = null;
    boolean started = false;
    try {
      Machinery machinery =
          XenMachinery.start(
              accelerator, dom0.cpuModel(), config.hostMemory(),
              config.pcpus(), bugs);
      machine = new Dom0Machine(machinery.hypervisor(), devices);
      machine.build(machinery, dom0, output);
      started = true;
      return machine;
    } catch (HostMemory.HostMemoryException e) {
      throw XenMachinery.tooLittle(config.hostMemory(), "--host-memory", e);
    } finally {
      if (!started) {
        if (machine != null) {
          machine.close();
        } else {
          devices.close();
        }
      }
    }
  }

  private void build(Machinery machinery, MachineConfig dom0, Consumer<byte[]> output)
      throws MachineException {
    ControlInterface.install(hypervisor, new Maker(machinery));
    hypervisor.prepareForPv();
    hypervisor.terminal().show(output);
    DomainBoot boot =
        new DomainBoot(
            new UUID(0, 0),
            dom0.cpus(),
            dom0.memory(),
            dom0.memory(),
            dom0.kernel(),
            dom0.unpackedKernel(),
            dom0.initrd(),
            dom0.commandLine(),
            Optional.empty(),
            EmulatedDevices.NONE);
    try {
      domain =
          Dom0Domain.build(
              machinery, boot, this::attachDevices, (d, reason) -> ended.complete(reason));
    } catch (BuildException e) {
      throw new MachineException(
          switch (e.reason()) {
            case UNREADABLE_FILE -> Reason.UNREADABLE_FILE;
            case NOT_A_KERNEL -> Reason.NOT_A_KERNEL;
            case TOO_LITTLE_MEMORY -> Reason.TOO_LITTLE_MEMORY;
          },
          e.getMessage(),
          e);
    } catch (TooManyDevices e) {
      throw e.reason;
    }
    domain.unpause();
  }

  /** Carries an exception out of the board's making. */
  private static final class TooManyDevices extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final transient MachineException reason;

    TooManyDevices(MachineException reason) {
      super(reason);
      this.reason = reason;
    }
  }

  private void attachDevices(PcPlatform pc) {
    try {
      devices.attach(
          pc,
          hypervisor.domain(Hypervisor.INITIAL_DOMAIN).orElseThrow().memory(),
          Trace.NONE,
          List.of());
    } catch (MachineException e) {
      throw new TooManyDevices(e);
    }
  }

  /** Equips the domains that domain 0 creates. */
  private record Maker(Machinery machinery) implements DomainMaker {
    @Override
    public CpuModel cpuModel() {
      return machinery.cpuModels().apply(1);
    }

    @Override
    public boolean makes(DomainKind kind) {
      return true;
    }

    @Override
    public void equip(Domain made) {
      switch (made.kind()) {
        case PV -> PvDomain.equip(machinery, made);
        case PVH -> PvhDomain.equip(machinery, made);
        case HVM -> ModelledDomain.equip(machinery, made);
      }
    }
  }

  public Hypervisor hypervisor() {
    return hypervisor;
  }

  /** Types at the host's terminal; returns how many bytes there was room for. */
  public int type(byte[] bytes) {
    return hypervisor.terminal().type(bytes);
  }

  /** Ends the wait for domain 0 as if it had powered off. */
  public void leave() {
    ended.complete(ShutdownReason.POWEROFF);
  }

  /** Waits until domain 0 has shut down; says why. */
  public ShutdownReason await() throws InterruptedException {
    try {
      return ended.get();
    } catch (ExecutionException e) {
      throw new AssertionError("only ever completed with a reason", e);
    }
  }

  /** What led to domain 0's crash. */
  public String report() {
    return domain.report();
  }

  @Override
  public void close() {
    hypervisor.close();
    devices.close();
  }
}

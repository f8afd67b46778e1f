package org.javisor.kvm;

import java.nio.file.Path;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.time.Clock;
import org.javisor.kvm.host.Errno;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmDevice;
import org.javisor.kvm.host.KvmException;
import org.javisor.kvm.host.KvmFd;
import org.javisor.kvm.host.KvmUnavailable;
import org.javisor.memory.GuestMemory;

/**
 * Guests on the host's own CPU. Time is the host's: a machine whose {@link Clock} is another one's
 * has a time-stamp counter and a kvm-clock that do not follow it.
 */
public final class KvmAccelerator implements Accelerator {
  private final Path path;
  private final long tscHertz;
  private final IrqChip irqChip;

  private KvmAccelerator(Path path, long tscHertz, IrqChip irqChip) {
    this.path = path;
    this.tscHertz = tscHertz;
    this.irqChip = irqChip;
  }

  /**
   * Looks whether there is a KVM to be had. That it opens does not prove that it runs guests; {@link
   * KvmProbe} does.
   *
   * @throws KvmUnavailable if not, with the reason and what to do about it
   */
  public static KvmAccelerator open() throws KvmUnavailable {
    return open(KvmDevice.PATH);
  }

  /** Looks at a device elsewhere. */
  public static KvmAccelerator open(Path path) throws KvmUnavailable {
    try (KvmDevice device = KvmDevice.open(path);
        KvmFd vm = device.createVm();
        KvmFd vcpu = new KvmFd(vm.must("KVM_CREATE_VCPU", KvmAbi.CREATE_VCPU, 0))) {
      int khz = vcpu.must("KVM_GET_TSC_KHZ", KvmAbi.GET_TSC_KHZ, 0);
      return new KvmAccelerator(path, khz * 1000L, IrqChip.USER);
    } catch (KvmException e) {
      throw new KvmUnavailable(
          KvmUnavailable.Reason.BROKEN,
          e.getMessage(),
          e.errno() == Errno.EBUSY
              ? "end the other hypervisor that holds the CPU's virtualisation"
              : "see the kernel's log (dmesg)");
    }
  }

  /** The same, whose machines have their interrupt controllers there. */
  public KvmAccelerator with(IrqChip chip) {
    return new KvmAccelerator(path, tscHertz, chip);
  }

  /** What the device says about an extension: 0 for no. */
  int extension(int capability) {
    try (KvmDevice device = KvmDevice.open(path)) {
      return device.extension(capability);
    } catch (KvmUnavailable e) {
      return 0;
    }
  }

  /** Who has the interrupt controllers of its machines. */
  public IrqChip irqChip() {
    return irqChip;
  }

  @Override
  public String name() {
    return "kvm";
  }

  @Override
  public long tscHertz() {
    return tscHertz;
  }

  @Override
  public KvmVm createVm(
      GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    try (KvmDevice device = KvmDevice.open(path)) {
      return new KvmVm(device, memory, bus, model, clock, trace, irqChip, tscHertz);
    } catch (KvmUnavailable e) {
      throw new KvmException("was there, and is no more: " + e.getMessage());
    }
  }
}

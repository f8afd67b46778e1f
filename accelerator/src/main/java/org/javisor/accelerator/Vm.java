package org.javisor.accelerator;

import java.util.Map;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.memory.GuestMemory;

/**
 * One virtual machine: a guest-physical address space and the vCPUs that share it.
 *
 * <p>It is paused with the machine's clock: what an accelerator shows of the time by itself stands
 * too, from {@link #pause} to {@link #resume}. vCPUs stand meanwhile.
 */
public interface Vm extends AutoCloseable, Pausable {
  GuestMemory memory();

  /**
   * Creates a vCPU in its reset state (Intel SDM volume 3, table 10-1).
   *
   * @param id the vCPU's number, from 0, and its initial APIC id
   */
  Vcpu createVcpu(int id, VcpuPlatform platform);

  /**
   * Adds what the accelerator has of the machine besides vCPUs and memory, by name, in the order of
   * restoring; it is restored before the vCPUs.
   */
  default void addParts(Map<String, Snapshottable<?>> parts) {}

  @Override
  void close();
}

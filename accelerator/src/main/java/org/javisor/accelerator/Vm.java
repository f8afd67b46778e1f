package org.javisor.accelerator;

import org.javisor.memory.GuestMemory;

/** One virtual machine: a guest-physical address space and the vCPUs that share it. */
public interface Vm extends AutoCloseable {
  GuestMemory memory();

  /**
   * Creates a vCPU in its reset state (Intel SDM volume 3, table 10-1).
   *
   * @param id the vCPU's number, from 0, and its initial APIC id
   */
  Vcpu createVcpu(int id, VcpuPlatform platform);

  @Override
  void close();
}

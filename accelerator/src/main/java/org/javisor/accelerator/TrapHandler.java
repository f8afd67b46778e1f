package org.javisor.accelerator;

/**
 * Stands in for ring 0 where the guest's kernel has no privilege: what an ordinary CPU delivers
 * through descriptor tables or enters by SYSCALL comes here. Called on the vCPU's thread; none of it
 * blocks.
 */
public interface TrapHandler {
  /** No error code belongs to the exception. */
  int NO_ERROR_CODE = -1;

  /**
   * An exception, an INT instruction, or an NMI (vector 2).
   *
   * @param errorCode as the CPU would push it, or {@link #NO_ERROR_CODE}
   * @param software whether it is an INT instruction; RIP is then behind it
   * @return false if the guest cannot go on: the machine shuts down as after a triple fault
   */
  boolean exception(TrapRegisters registers, int vector, int errorCode, boolean software);

  /** {@link VcpuPlatform#hasInterrupt} was true, and the vCPU is between two instructions. */
  void interrupt(TrapRegisters registers);

  /**
   * SYSCALL.
   *
   * @return whether it is complete. If not, the instruction is executed again after whatever waits
   *     for the vCPU has been served
   */
  boolean systemCall(TrapRegisters registers);

  /** SYSENTER; RIP is the instruction's own. */
  void systemEnter(TrapRegisters registers);
}

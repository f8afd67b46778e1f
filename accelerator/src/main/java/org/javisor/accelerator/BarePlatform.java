package org.javisor.accelerator;

/** Nothing around a vCPU: no interrupt controller and no registers of a platform. */
public interface BarePlatform extends VcpuPlatform {
  @Override
  default boolean hasInterrupt() {
    return false;
  }

  @Override
  default int acknowledgeInterrupt() {
    return -1;
  }

  @Override
  default int taskPriority() {
    return 0;
  }

  @Override
  default void setTaskPriority(int value) {}

  @Override
  default long apicBase() {
    return 0;
  }

  @Override
  default long readMsr(int msr) throws UnknownMsr {
    throw UnknownMsr.INSTANCE;
  }

  @Override
  default void writeMsr(int msr, long value) throws UnknownMsr {
    throw UnknownMsr.INSTANCE;
  }
}

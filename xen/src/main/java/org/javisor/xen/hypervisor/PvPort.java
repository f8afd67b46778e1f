package org.javisor.xen.hypervisor;

/** What hypercalls of PV guests ask of a vCPU besides; on its own thread, but for the flushes. */
public interface PvPort extends VcpuPort {
  /**
   * Says where an exception leads.
   *
   * @param flags bits 0–1 the privilege that INT needs, bit 2 events are masked
   */
  void setTrap(int vector, int flags, int cs, long address);

  void clearTraps();

  /** Where the kernel's stack begins when its programs are interrupted. */
  void setKernelStack(long sp);

  /** Returns whether there is such a callback (public/callback.h). */
  boolean setCallback(int type, boolean maskEvents, long address);

  /** Where such a callback leads; 0 for nowhere. */
  long callback(int type);

  boolean callbackMasksEvents(int type);

  void setTaskSwitched(boolean on);

  /** {@code set_segment_base}; returns 0 or an {@link Errno}. */
  long setSegmentBase(int which, long base);

  boolean setDebugRegister(int number, long value);

  long debugRegister(int number);

  /** Other pages are mapped as its descriptor table. */
  void gdtChanged();

  /** The same for the local one: where the guest has it, and how many descriptors it has. */
  void setLdt(long linear, int entries);

  /** The frame of the kernel's top page table. */
  long kernelTop();

  /** Has the kernel use other page tables; 0 or an {@link Errno}. */
  long setKernelTop(long frame);

  /** The same for its programs. */
  long setUserTop(long frame);

  void flush();

  void flushPage(long linear);

  /** Has another vCPU forget its translations, and returns when it will not use them any more. */
  void flushFromOutside();
}

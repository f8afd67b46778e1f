package org.javisor.interp;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/** A virtual machine of the interpreter. */
final class InterpVm implements Vm {
  private final GuestMemory memory;
  private final GuestBus bus;
  private final CpuModel model;
  private final Clock clock;
  private final Trace trace;
  private final List<InterpVcpu> vcpus = new CopyOnWriteArrayList<>();
  private final FrameArena.CodeWriteListener listener = this::codeWritten;

  InterpVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    this.memory = memory;
    this.bus = bus;
    this.model = model;
    this.clock = clock;
    this.trace = trace;
    memory.arena().addCodeWriteListener(listener);
  }

  @Override
  public GuestMemory memory() {
    return memory;
  }

  GuestBus bus() {
    return bus;
  }

  CpuModel model() {
    return model;
  }

  Clock clock() {
    return clock;
  }

  Trace trace() {
    return trace;
  }

  @Override
  public Vcpu createVcpu(int id, VcpuPlatform platform) {
    InterpVcpu vcpu = new InterpVcpu(this, id, platform);
    vcpus.add(vcpu);
    return vcpu;
  }

  boolean singleVcpu() {
    return vcpus.size() == 1;
  }

  /** A frame gets its first translated block on some vCPU. */
  void frameHoldsCode(int frame) {
    if ((memory.arena().flags(frame) & FrameArena.CODE) == 0) {
      memory.arena().setFlags(frame, FrameArena.CODE);
      for (InterpVcpu v : vcpus) {
        v.protectFrame(frame);
      }
    }
  }

  /** A guest store is about to change a CODE frame. */
  void codeWrittenByCpu(Cpu c, int frame, int offset, int length) {
    for (InterpVcpu v : vcpus) {
      if (v != c.vcpu) {
        v.codeWritten(frame, offset, length);
      }
    }
    c.vcpu.codeWrittenBySelf(frame, offset, length);
  }

  private void codeWritten(int frame, int offset, int length) {
    for (InterpVcpu v : vcpus) {
      v.codeWritten(frame, offset, length);
    }
  }

  @Override
  public void close() {
    memory.arena().removeCodeWriteListener(listener);
  }
}

package org.javisor.interp;

import java.lang.invoke.VarHandle;
import java.util.Arrays;
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
import org.javisor.memory.RawMemory;

/** A virtual machine of the interpreter. */
final class InterpVm implements Vm {
  private final GuestMemory memory;
  private final GuestBus bus;
  private final CpuModel model;
  private final Clock clock;
  private final Trace trace;
  private final List<InterpVcpu> vcpus = new CopyOnWriteArrayList<>();
  private final CodeHolders holders;
  private final CodeCoverage coverage;
  private final Exclusion exclusion = new Exclusion();
  private final FrameArena.CodeWriteListener listener = this::codeWritten;

  /**
   * Guest-physical addresses lead elsewhere now, and translations end in machine frames. The vCPU
   * that made it so drops its own before its next access, the others before their next block; whoever
   * gives a frame to somebody else first waits until every vCPU has been out of {@link Vcpu#run}.
   */
  private final GuestMemory.MapListener mapListener =
      new GuestMemory.MapListener() {
        @Override
        public void mapChanged(long gpa, long size) {
          vcpus.forEach(InterpVcpu::mapChanged);
        }

        /** That there is nothing, no vCPU remembers. */
        @Override
        public void mapAdded(long gpa, long size) {}

        /** See {@link InterpVcpu#run}. */
        @Override
        public void mapRemovedLater(long gpa, long size) {}
      };

  /** Makes what executes most of a vCPU's code, or null. */
  private final Translator.Factory translators;

  InterpVm(
      GuestMemory memory,
      GuestBus bus,
      CpuModel model,
      Clock clock,
      Trace trace,
      Translator.Factory translators) {
    this.translators = translators;
    this.memory = memory;
    this.bus = bus;
    this.model = model;
    this.clock = clock;
    this.trace = trace;
    holders = new CodeHolders(memory.arena());
    coverage = new CodeCoverage(memory.arena().frames());
    memory.arena().addCodeWriteListener(listener);
    memory.addMapListener(mapListener);
  }

  @Override
  public GuestMemory memory() {
    return memory;
  }

  Translator.Factory translators() {
    return translators;
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
    exclusion.add(vcpu);
    return vcpu;
  }

  boolean singleVcpu() {
    return vcpus.size() == 1;
  }

  Exclusion exclusion() {
    return exclusion;
  }

  /**
   * A frame gets its first block on a vCPU, which decodes it after this. Another vCPU may be in the
   * middle of a store that found the frame writable; so when every other one has come to the end of
   * its block, what was decoded is compared with what is there.
   */
  void frameHoldsCode(InterpVcpu vcpu, int frame) {
    FrameArena arena = memory.arena();
    if (!holders.add(frame, vcpu.id())) {
      return;
    }
    VarHandle.fullFence();
    for (InterpVcpu v : vcpus) {
      v.protectFrame(frame);
    }
    if (!singleVcpu()) {
      byte[] decoded = new byte[FrameArena.FRAME_SIZE];
      RawMemory.copyOut(arena.address(frame), decoded, 0, decoded.length);
      exclusion.whenOthersWereBetweenBlocks(vcpu, () -> compare(frame, decoded));
    }
  }

  CodeCoverage coverage() {
    return coverage;
  }

  /** A vCPU has no blocks of a frame any more. */
  void frameHoldsNoCode(InterpVcpu vcpu, int frame) {
    holders.remove(frame, vcpu.id());
  }

  private void compare(int frame, byte[] decoded) {
    byte[] now = new byte[FrameArena.FRAME_SIZE];
    RawMemory.copyOut(memory.arena().address(frame), now, 0, now.length);
    int from = Arrays.mismatch(decoded, now);
    if (from >= 0) {
      codeWritten(frame, from, FrameArena.FRAME_SIZE - from);
    }
  }

  /** A guest's store has changed a CODE frame; the vCPU that made it knows. */
  void codeWrittenByCpu(InterpVcpu by, int frame, int offset, int length) {
    if (singleVcpu()) {
      return;
    }
    for (InterpVcpu v : vcpus) {
      if (v != by) {
        v.codeWritten(frame, offset, length);
      }
    }
  }

  private void codeWritten(int frame, int offset, int length) {
    for (InterpVcpu v : vcpus) {
      v.codeWritten(frame, offset, length);
    }
  }

  @Override
  public void close() {
    memory.removeMapListener(mapListener);
    memory.arena().removeCodeWriteListener(listener);
    vcpus.forEach(InterpVcpu::close);
  }
}

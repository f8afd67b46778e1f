package org.javisor.conformance.block;

import java.util.Arrays;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/** A machine of one vCPU that runs {@link BlockCase}s; what it knows of one case it keeps for the next. */
final class BlockMachine implements AutoCloseable {
  private static final int PAGE = 4096;

  /** What a case came to. */
  record Outcome(CpuState state, byte[] memory, String end) {}

  private final GuestMemory memory;
  private final Vm vm;
  private final Vcpu vcpu;
  private final byte[] now = new byte[World.MEMORY];
  private boolean interrupt;

  /** Counts cases, so that another thread sees whether one goes on for ever. */
  volatile long turn;

  private volatile boolean hung;

  BlockMachine(Accelerator accelerator, CpuModel model) {
    memory = new GuestMemory(new FrameArena(1 << 20));
    memory.mapRam(0, World.MEMORY);
    vm = accelerator.createVm(memory, new EmptyBus() {}, model, Clock.host(), Trace.NONE);
    vcpu =
        vm.createVcpu(
            0,
            new BarePlatform() {
              @Override
              public boolean hasInterrupt() {
                return interrupt;
              }

              @Override
              public int acknowledgeInterrupt() {
                interrupt = false;
                return 0x40;
              }
            });
  }

  /** Ends the case under way, from another thread, if it is still the one that was seen. */
  void giveUp(long seen) {
    if (turn == seen) {
      hung = true;
      vcpu.kick();
    }
  }

  Outcome run(BlockCase c) {
    memory.read(0, now, 0, now.length);
    for (int at = 0; at < now.length; at += PAGE) {
      if (Arrays.mismatch(now, at, at + PAGE, c.memory, at, at + PAGE) >= 0) {
        memory.write(at, c.memory, at, PAGE);
      }
    }
    interrupt = c.interrupt;
    vcpu.setState(c.state);
    hung = false;
    turn++;
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked && !hung);
    turn++;
    byte[] after = new byte[World.MEMORY];
    memory.read(0, after, 0, after.length);
    return new Outcome(vcpu.state(), after, exit.getClass().getSimpleName());
  }

  @Override
  public void close() {
    vm.close();
  }
}

package org.javisor.conformance.block;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
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
import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.isa.Undefined;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/** A machine of one vCPU that runs {@link BlockCase}s; what it knows of one case it keeps for the next. */
final class BlockMachine implements AutoCloseable {
  private static final int PAGE = 4096;

  /** Instructions of a case that are looked at one by one. */
  private static final int MOST_STEPS = 1 << 20;

  /** What a case came to. */
  record Outcome(CpuState state, byte[] memory, String end) {}

  private final GuestMemory memory;
  private final Vm vm;
  private final Vcpu vcpu;
  private final byte[] now = new byte[World.MEMORY];
  private final byte[] fetched = new byte[15];
  private boolean interrupt;

  /** Counts cases, so that another thread sees whether one goes on for ever. */
  private final AtomicLong turn = new AtomicLong();

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

  long turn() {
    return turn.get();
  }

  /** Ends the case under way, from another thread, if it is still the one that was seen. */
  void giveUp(long seen) {
    if (turn.get() == seen) {
      hung = true;
      vcpu.kick();
    }
  }

  private void begin(BlockCase c) {
    memory.read(0, now, 0, now.length);
    for (int at = 0; at < now.length; at += PAGE) {
      if (Arrays.mismatch(now, at, at + PAGE, c.memory, at, at + PAGE) >= 0) {
        memory.write(at, c.memory, at, PAGE);
      }
    }
    interrupt = c.interrupt;
    vcpu.setState(c.state);
    hung = false;
    turn.incrementAndGet();
  }

  /**
   * Whether a case shows what its instructions leave undefined: results, or flags that it reads or
   * ends with.
   * Jumps into the middle of instructions, and code that is written, execute what nobody chose.
   */
  boolean showsUndefined(BlockCase c, Decoder decoder) {
    begin(c);
    turn.incrementAndGet(); // It has its own bound, and not the time, which is short of a busy machine.
    vcpu.setSingleStep(true);
    try {
      Instruction in = new Instruction();
      int undefined = 0;
      VmExit exit = VmExit.Debug.INSTANCE;
      for (int n = 0; exit instanceof VmExit.Debug && n < MOST_STEPS; n++) {
        CpuState before = vcpu.state();
        if (World.handles(before)) {
          break; // the frame has the flags
        }
        boolean known = decode(before.rip, decoder, in);
        if (known
            && ((in.form.flagsRead() & undefined) != 0
                || Undefined.result(in, before.gpr[1]))) {
          return true;
        }
        do {
          exit = vcpu.run();
        } while (exit instanceof VmExit.Kicked);
        if (known && !World.handles(vcpu.state())) {
          undefined = Undefined.flagsAfter(undefined, in, before.gpr[1]);
        }
      }
      return undefined != 0;
    } finally {
      vcpu.setSingleStep(false);
    }
  }

  private boolean decode(long rip, Decoder decoder, Instruction in) {
    int length = 0;
    for (; length < fetched.length; length++) {
      long gpa = vcpu.translate(rip + length);
      if (gpa < 0 || gpa >= World.MEMORY) {
        break;
      }
      fetched[length] = (byte) memory.read8(gpa);
    }
    return decoder.decode(fetched, 0, length, 64, in) > 0;
  }

  Outcome run(BlockCase c) {
    begin(c);
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked && !hung);
    turn.incrementAndGet();
    byte[] after = new byte[World.MEMORY];
    memory.read(0, after, 0, after.length);
    return new Outcome(vcpu.state(), after, exit.getClass().getSimpleName());
  }

  @Override
  public void close() {
    vm.close();
  }
}

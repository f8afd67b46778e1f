package org.javisor.pc.legacy;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.timer.SpeakerTimer;

/**
 * The single-port odds and ends of the PC's board: system control ports A (0x92) and B (0x61), the
 * reset control register (0xcf9), the diagnostic port (0x80).
 */
public final class SystemPorts implements Snapshottable<SystemPorts.State> {
  private final SpeakerTimer timer;
  private final Runnable reset;
  private volatile int speaker;
  private volatile int resetControl;
  private volatile int controlA = 2;
  private volatile int diagnostic;

  public SystemPorts(SpeakerTimer timer, Runnable reset) {
    this.timer = timer;
    this.reset = reset;
  }

  public void reset() {
    speaker = 0;
    resetControl = 0;
    controlA = 2;
    diagnostic = 0;
    timer.setGate2(false);
  }

  /** Port 0x61: gate of PIT counter 2, speaker, refresh toggle, output of counter 2. */
  public ByteDevice controlB() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return speaker | (timer.refreshToggle() ? 0x10 : 0) | (timer.output2() ? 0x20 : 0);
      }

      @Override
      public void write(int offset, int value) {
        speaker = value & 3;
        timer.setGate2((value & 1) != 0);
      }
    };
  }

  /**
   * Port 0x92: bit 0 resets, bit 1 is the A20 gate. Address line 20 is never held low here; the bit
   * only reads as written.
   */
  public ByteDevice controlA() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return controlA;
      }

      @Override
      public void write(int offset, int value) {
        boolean rising = (value & 1) != 0 && (controlA & 1) == 0;
        controlA = value & 3;
        if (rising) {
          reset.run();
        }
      }
    };
  }

  /** Port 0xcf9: a rising bit 2 resets, bit 1 says how hard. */
  public ByteDevice resetControl() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return resetControl;
      }

      @Override
      public void write(int offset, int value) {
        boolean rising = (value & 4) != 0 && (resetControl & 4) == 0;
        resetControl = value & 0xa;
        if (rising) {
          reset.run();
        }
      }
    };
  }

  /** Port 0x80: progress codes of firmware; kernels write it to pass a microsecond. */
  public ByteDevice diagnostic() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return diagnostic;
      }

      @Override
      public void write(int offset, int value) {
        diagnostic = value;
      }
    };
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("system-ports", 1, State.class);

  /** The saved state; the gate of counter 2 is in the PIT's. */
  public record State(int speaker, int resetControl, int controlA, int diagnostic) {
    public State {
      StateCheck.bits("port 0x61", speaker, 3);
      StateCheck.bits("port 0xcf9", resetControl, 0xa);
      StateCheck.bits("port 0x92", controlA, 3);
      StateCheck.bits("port 0x80", diagnostic, 0xff);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(speaker, resetControl, controlA, diagnostic & 0xff);
  }

  @Override
  public void restoreState(State state) {
    speaker = state.speaker;
    resetControl = state.resetControl;
    controlA = state.controlA;
    diagnostic = state.diagnostic;
  }

  /** The last progress code, for a person who looks why firmware hangs. */
  public int lastDiagnostic() {
    return diagnostic;
  }
}

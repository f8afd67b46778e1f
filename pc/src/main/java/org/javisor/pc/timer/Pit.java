package org.javisor.pc.timer;

import java.util.List;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.Ticks;

/**
 * The 8254 interval timer: three 16-bit counters at 1.193182 MHz, all six modes, binary and BCD
 * (Intel 8254 data sheet), and the gate and output of counter 2 as port 0x61 sees them.
 *
 * <p>Counters are not counted: what a counter holds follows from the clock and the moment it was
 * loaded. Only counter 0 needs a timer, for the rising edges of its output.
 */
public final class Pit implements ByteDevice, SpeakerTimer, Snapshottable<Pit.State> {
  public static final long HERTZ = 1_193_182;

  /** A periodic counter 0 does not interrupt more often than this, whatever its count. */
  private static final long MIN_PERIOD_NANOS = 20_000;

  private final DeviceTimers timers;
  private final DeviceTimers.Alarm alarm;
  private final IrqLine irq0;
  private final Counter[] counters = {new Counter(), new Counter(), new Counter()};

  /** When counter 0's output rises next, or {@link Long#MAX_VALUE}. */
  private long nextEdge = Long.MAX_VALUE;

  private boolean line;

  public Pit(DeviceTimers timers, IrqLine irq0) {
    this.timers = timers;
    this.irq0 = irq0;
    alarm = timers.create(this::edgeDue);
    reset();
  }

  public synchronized void reset() {
    for (Counter counter : counters) {
      counter.reset();
    }
    counters[0].gate = true;
    counters[1].gate = true;
    nextEdge = Long.MAX_VALUE;
    alarm.cancel();
    drive(false);
  }

  private void drive(boolean level) {
    line = level;
    irq0.set(level);
  }

  @Override
  public synchronized int read(int offset) {
    return offset == 3 ? 0xff : counters[offset].read(timers.clock().nanos());
  }

  @Override
  public synchronized void write(int offset, int value) {
    long now = timers.clock().nanos();
    if (offset < 3) {
      if (counters[offset].write(value, now) && offset == 0) {
        counter0Changed(now);
      }
      return;
    }
    int select = value >> 6;
    if (select == 3) {
      readBack(value, now);
    } else if ((value & 0x30) == 0) {
      counters[select].latchCount(now);
    } else {
      counters[select].control(value & 0x3f);
      if (select == 0) {
        counter0Changed(now);
      }
    }
  }

  private void readBack(int value, long now) {
    for (int i = 0; i < 3; i++) {
      if ((value & 2 << i) != 0) {
        if ((value & 0x20) == 0) {
          counters[i].latchCount(now);
        }
        if ((value & 0x10) == 0) {
          counters[i].latchStatus(now);
        }
      }
    }
  }

  @Override
  public synchronized void setGate2(boolean level) {
    counters[2].setGate(level, timers.clock().nanos());
  }

  @Override
  public synchronized boolean output2() {
    return counters[2].output(timers.clock().nanos());
  }

  @Override
  public boolean refreshToggle() {
    // Software only waits for it to change: about every 15 microseconds, as with count 18.
    return (timers.clock().nanos() / 15_085 & 1) != 0;
  }

  private void counter0Changed(long now) {
    drive(counters[0].output(now));
    schedule(now, now);
  }

  private void schedule(long now, long notBefore) {
    nextEdge = counters[0].nextRise(now);
    if (nextEdge == Long.MAX_VALUE) {
      alarm.cancel();
    } else {
      nextEdge = Math.max(nextEdge, notBefore);
      alarm.set(nextEdge);
    }
  }

  private synchronized void edgeDue() {
    long now = timers.clock().nanos();
    if (now < nextEdge) {
      return;
    }
    irq0.edge();
    line = true;
    schedule(now, now + MIN_PERIOD_NANOS);
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("pit", 1, State.class);

  /**
   * The saved state.
   *
   * @param nextEdge when counter 0's output rises next, or {@link Long#MAX_VALUE}
   * @param line the level of the interrupt line
   */
  public record State(List<CounterState> counters, long nextEdge, boolean line) {
    public State {
      StateCheck.length("counters", counters.size(), 3);
    }
  }

  /**
   * A counter's.
   *
   * @param count 0 while none was written
   * @param start when counting began
   * @param stoppedAt ticks counted when the gate stopped it, or -1
   * @param latched the latched count, or -1
   * @param latchedStatus the latched status, or -1
   */
  public record CounterState(
      int mode, int access, boolean bcd, boolean gate, int count, long start, long stoppedAt,
      boolean triggered, boolean writeHigh, int writeLow, boolean readHigh, int latched,
      boolean latchedHigh, int latchedStatus) {
    public CounterState {
      StateCheck.range("a counter's mode", mode, 0, 5);
      StateCheck.range("a counter's access mode", access, 0, 3);
      StateCheck.range("a count", count, 0, 0x10000);
      StateCheck.range("a counter's ticks", stoppedAt, -1, Long.MAX_VALUE);
      StateCheck.range("a count's low byte", writeLow, 0, 0xff);
      StateCheck.range("a latched count", latched, -1, 0xffff);
      StateCheck.range("a latched status", latchedStatus, -1, 0xff);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(
        List.of(counters[0].save(), counters[1].save(), counters[2].save()), nextEdge, line);
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    long now = timers.clock().nanos();
    for (int i = 0; i < 3; i++) {
      CounterState counter = state.counters.get(i);
      if (counter.start < 0 || counter.start > now) {
        throw new StateException("counter " + i + " began to count in the future");
      }
      counters[i].restore(counter);
    }
    nextEdge = state.nextEdge;
    if (nextEdge == Long.MAX_VALUE) {
      alarm.cancel();
    } else {
      alarm.set(nextEdge);
    }
    drive(state.line);
  }

  /** One counter. */
  private static final class Counter {
    private int mode;
    private int access;
    private boolean bcd;
    private boolean gate;

    /** The count register as loaded, 1 to 65536; 0 while no count was written since control. */
    private int count;

    /** When counting from {@link #count} began. */
    private long start;

    /** With the gate low in a mode where it stops counting: ticks counted so far. */
    private long stoppedAt = -1;

    /** In modes 1 and 5: the gate has triggered. */
    private boolean triggered;

    private boolean writeHigh;
    private int writeLow;
    private boolean readHigh;
    private int latched = -1;
    private boolean latchedHigh;
    private int latchedStatus = -1;

    void reset() {
      control(0x30);
      gate = false;
    }

    CounterState save() {
      return new CounterState(
          mode, access, bcd, gate, count, start, stoppedAt, triggered, writeHigh, writeLow,
          readHigh, latched, latchedHigh, latchedStatus);
    }

    void restore(CounterState s) {
      mode = s.mode;
      access = s.access;
      bcd = s.bcd;
      gate = s.gate;
      count = s.count;
      start = s.start;
      stoppedAt = s.stoppedAt;
      triggered = s.triggered;
      writeHigh = s.writeHigh;
      writeLow = s.writeLow;
      readHigh = s.readHigh;
      latched = s.latched;
      latchedHigh = s.latchedHigh;
      latchedStatus = s.latchedStatus;
    }

    void control(int value) {
      access = value >> 4 & 3;
      mode = value >> 1 & 7;
      if (mode > 5) {
        mode -= 4; // Bit 2 is not decoded for modes 2 and 3.
      }
      bcd = (value & 1) != 0;
      count = 0;
      triggered = false;
      stoppedAt = -1;
      writeHigh = false;
      readHigh = false;
      latched = -1;
      latchedHigh = false;
      latchedStatus = -1;
    }

    private boolean gateStops() {
      return mode == 0 || mode == 2 || mode == 3 || mode == 4;
    }

    /** Ticks counted since loading; -1 while nothing counts. */
    private long elapsed(long now) {
      if (count == 0 || (mode == 1 || mode == 5) && !triggered) {
        return -1;
      }
      return stoppedAt >= 0 ? stoppedAt : Ticks.fromNanos(now - start, HERTZ);
    }

    boolean output(long now) {
      long ticks = elapsed(now);
      if (ticks < 0) {
        return mode != 0;
      }
      return switch (mode) {
        case 0, 1 -> ticks >= count;
        case 2 -> stoppedAt >= 0 || ticks % count != count - 1 || count == 1;
        case 3 -> stoppedAt >= 0 || ticks % count < (count + 1) / 2;
        default -> ticks != count;
      };
    }

    /** The next moment at which the output rises. */
    long nextRise(long now) {
      long ticks = elapsed(now);
      if (ticks < 0 || stoppedAt >= 0) {
        return Long.MAX_VALUE;
      }
      long at =
          switch (mode) {
            case 0, 1 -> ticks < count ? count : -1;
            case 2, 3 -> (ticks / count + 1) * count;
            default -> ticks <= count ? count + 1 : -1;
          };
      return at < 0 ? Long.MAX_VALUE : start + Ticks.toNanos(at, HERTZ);
    }

    private int current(long now) {
      long ticks = elapsed(now);
      if (ticks < 0) {
        return encode(count);
      }
      return encode(
          switch (mode) {
            case 2 -> count - (int) (ticks % count);
            case 3 -> {
              // Counts down by two, once for each half of the period.
              int half = (int) (ticks % count);
              int high = (count + 1) / 2;
              int left = half < high ? count - 2 * half : count - 2 * (half - high);
              yield left & ~1;
            }
            default -> {
              long modulus = bcd ? 10_000 : 0x10000;
              yield (int) Math.floorMod(count - ticks, modulus);
            }
          });
    }

    private int encode(int value) {
      if (!bcd) {
        return value & 0xffff;
      }
      int v = value % 10_000;
      return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
    }

    private int decode(int raw) {
      if (!bcd) {
        return raw == 0 ? 0x10000 : raw;
      }
      int v = (raw >> 12) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15);
      return v == 0 ? 10_000 : v;
    }

    void latchCount(long now) {
      if (latched < 0) {
        latched = current(now);
        latchedHigh = access == 2;
      }
    }

    void latchStatus(long now) {
      if (latchedStatus < 0) {
        latchedStatus =
            (output(now) ? 0x80 : 0) | (count == 0 ? 0x40 : 0) | access << 4 | mode << 1
                | (bcd ? 1 : 0);
      }
    }

    int read(long now) {
      if (latchedStatus >= 0) {
        int value = latchedStatus;
        latchedStatus = -1;
        return value;
      }
      if (latched >= 0) {
        int value = latchedHigh ? latched >> 8 : latched & 0xff;
        if (access == 3 && !latchedHigh) {
          latchedHigh = true;
        } else {
          latched = -1;
        }
        return value;
      }
      int value = current(now);
      boolean high = access == 2 || access == 3 && readHigh;
      if (access == 3) {
        readHigh = !readHigh;
      }
      return high ? value >> 8 : value & 0xff;
    }

    /** Returns whether the write changed what the counter does. */
    boolean write(int value, long now) {
      if (access == 3 && !writeHigh) {
        writeLow = value;
        writeHigh = true;
        if (mode == 0) {
          count = 0; // The first byte stops the count and sets the output low.
          return true;
        }
        return false;
      }
      int raw = access == 3 ? value << 8 | writeLow : access == 2 ? value << 8 : value;
      writeHigh = false;
      // Strictly, modes 2 and 3 finish the running period first, modes 1 and 5 wait for the gate.
      // Kernels write a new count only to start anew.
      count = decode(raw);
      if (mode != 1 && mode != 5) {
        start = now;
        stoppedAt = !gate && gateStops() ? 0 : -1;
      }
      return true;
    }

    void setGate(boolean level, long now) {
      if (gate == level) {
        return;
      }
      if (!level) {
        if (gateStops()) {
          stoppedAt = Math.max(elapsed(now), 0);
        }
      } else if (mode == 0 || mode == 4) {
        // Goes on where it stopped.
        start = now - Ticks.toNanos(Math.max(stoppedAt, 0), HERTZ);
        stoppedAt = -1;
      } else {
        // Modes 1, 2, 3 and 5 reload on the rising edge.
        triggered = true;
        start = now;
        stoppedAt = -1;
      }
      gate = level;
    }
  }
}

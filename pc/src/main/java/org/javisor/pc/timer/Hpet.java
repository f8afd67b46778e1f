package org.javisor.pc.timer;

import java.util.Arrays;
import java.util.List;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.time.DeviceTimers;

/**
 * The high-precision event timer: a 64-bit counter at 100 MHz and three comparators, the first
 * periodic (IA-PC HPET specification 1.0a). Interrupts go to IOAPIC inputs 16 to 23, or, with
 * legacy replacement, in place of the 8254 and the RTC; none go over the bus as messages.
 */
public final class Hpet implements MmioDevice, Snapshottable<Hpet.State> {
  public static final long BASE = 0xfed00000L;
  public static final int SIZE = 0x400;

  /** The low half of the capabilities: revision 1, three timers, 64 bits, legacy replacement. */
  public static final int EVENT_TIMER_BLOCK = 0x8086a201;

  private static final int TICK_NANOS = 10;
  private static final long PERIOD_FEMTOS = TICK_NANOS * 1_000_000L;
  private static final int TIMERS = 3;

  /** A periodic comparator does not interrupt more often than this. */
  private static final long MIN_PERIOD_NANOS = 20_000;

  private static final long ENABLE = 1;
  private static final long LEGACY = 2;

  private static final int LEVEL = 1 << 1;
  private static final int INTERRUPT = 1 << 2;
  private static final int PERIODIC = 1 << 3;
  private static final int PERIODIC_CAPABLE = 1 << 4;
  private static final int SIZE_64 = 1 << 5;
  private static final int SET_VALUE = 1 << 6;
  private static final int FORCE_32 = 1 << 8;
  private static final int ROUTE = 0x1f << 9;
  private static final long ROUTES = 0x00ff_0000L << 32;

  private final DeviceTimers timers;
  private final LegacyLines legacy;
  private final IrqLine[] gsi;
  private final Comparator[] comparators = new Comparator[TIMERS];
  private long configuration;
  private long status;

  /** The counter while halted. */
  private long halted;

  /** While running: the clock when the counter was zero. */
  private long origin;

  /** The outputs for legacy replacement. */
  public interface LegacyLines {
    /** Legacy replacement went on or off: the 8254 and the RTC lose or regain their lines. */
    void replace(boolean on);

    /** In place of the 8254's line. */
    IrqLine timer();

    /** In place of the RTC's. */
    IrqLine clock();
  }

  /**
   * @param gsi lines of interrupts 16 to 23
   */
  public Hpet(DeviceTimers timers, LegacyLines legacy, IrqLine[] gsi) {
    this.timers = timers;
    this.legacy = legacy;
    this.gsi = gsi.clone();
    for (int i = 0; i < TIMERS; i++) {
      comparators[i] = new Comparator(i);
    }
  }

  public synchronized void reset() {
    configuration = 0;
    status = 0;
    halted = 0;
    for (Comparator comparator : comparators) {
      comparator.reset();
    }
    legacy.replace(false);
  }

  private boolean running() {
    return (configuration & ENABLE) != 0;
  }

  private long counter() {
    return running() ? (timers.clock().nanos() - origin) / TICK_NANOS : halted;
  }

  @Override
  public synchronized long read(long offset, int size) {
    long register = register((int) offset & ~7);
    return register >>> 8 * ((int) offset & 7);
  }

  private long register(int offset) {
    if (offset >= 0x100) {
      int index = (offset - 0x100) / 0x20;
      if (index >= TIMERS) {
        return 0;
      }
      return switch (offset & 0x18) {
        case 0x00 -> comparators[index].configuration();
        case 0x08 -> comparators[index].value();
        default -> 0;
      };
    }
    return switch (offset) {
      case 0x00 -> PERIOD_FEMTOS << 32 | EVENT_TIMER_BLOCK & 0xffff_ffffL;
      case 0x10 -> configuration;
      case 0x20 -> status;
      case 0xf0 -> counter();
      default -> 0;
    };
  }

  /** Takes aligned writes of 32 and 64 bits, as the specification asks of software. */
  @Override
  public synchronized void write(long offset, int size, long value) {
    if (size < 4 || (offset & size - 1) != 0) {
      return;
    }
    int at = (int) offset & ~7;
    int shift = 8 * ((int) offset & 7);
    long mask = size == 8 ? -1L : 0xffff_ffffL << shift;
    long placed = value << shift;
    if (at >= 0x100) {
      int index = (at - 0x100) / 0x20;
      if (index < TIMERS) {
        switch (at & 0x18) {
          case 0x00 -> comparators[index].configure(mask, placed);
          case 0x08 -> comparators[index].setValue(mask, placed);
          default -> {}
        }
      }
      return;
    }
    switch (at) {
      case 0x10 -> configure(configuration & ~mask | placed & mask);
      case 0x20 -> {
        for (int i = 0; i < TIMERS; i++) {
          if ((placed & mask & 1L << i) != 0) {
            status &= ~(1L << i);
            comparators[i].drive();
          }
        }
      }
      case 0xf0 -> {
        if (!running()) {
          halted = halted & ~mask | placed & mask;
        }
      }
      default -> {}
    }
  }

  private void configure(long value) {
    long changed = configuration ^ value;
    long before = counter();
    for (Comparator comparator : comparators) {
      if ((changed & LEGACY) != 0) {
        comparator.release();
      }
    }
    configuration = value & (ENABLE | LEGACY);
    if ((changed & ENABLE) != 0) {
      if (running()) {
        origin = timers.clock().nanos() - halted * TICK_NANOS;
      } else {
        halted = before;
      }
    }
    if ((changed & LEGACY) != 0) {
      legacy.replace((configuration & LEGACY) != 0);
    }
    for (Comparator comparator : comparators) {
      comparator.drive();
      comparator.schedule();
    }
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("hpet", 1, State.class);

  /**
   * The saved state.
   *
   * @param halted the counter while halted
   * @param origin while running: when the counter was zero
   */
  public record State(
      long configuration, long status, long halted, long origin,
      List<ComparatorState> comparators) {
    public State {
      StateCheck.bits("the configuration", configuration, ENABLE | LEGACY);
      StateCheck.bits("the status", status, 7);
      StateCheck.length("comparators", comparators.size(), TIMERS);
    }
  }

  /**
   * A comparator's.
   *
   * @param due when it matches next, or {@link Long#MAX_VALUE}
   * @param line the level of its interrupt line
   */
  public record ComparatorState(
      int config, long compare, long period, boolean setValue, long due, boolean line) {
    public ComparatorState {
      StateCheck.bits("a configuration", config, LEVEL | INTERRUPT | FORCE_32 | ROUTE | PERIODIC);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(
        configuration, status, halted, origin,
        Arrays.stream(comparators).map(Comparator::save).toList());
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    if (state.origin > timers.clock().nanos()) {
      throw new StateException("the counter was zero in the future");
    }
    configuration = state.configuration;
    status = state.status;
    halted = state.halted;
    origin = state.origin;
    legacy.replace((configuration & LEGACY) != 0);
    for (int i = 0; i < TIMERS; i++) {
      comparators[i].restore(state.comparators.get(i));
    }
  }

  /** One timer of the block. */
  private final class Comparator {
    private final int index;
    private final DeviceTimers.Alarm alarm;
    private int config;
    private long compare = -1;
    private long period;
    private boolean setValue;
    private boolean driven;

    /** When it matches next on the machine's clock, or {@link Long#MAX_VALUE}. */
    private long due = Long.MAX_VALUE;

    Comparator(int index) {
      this.index = index;
      alarm = timers.create(this::fired);
    }

    void reset() {
      release();
      config = 0;
      compare = -1;
      period = 0;
      setValue = false;
      due = Long.MAX_VALUE;
      alarm.cancel();
    }

    private boolean periodic() {
      return (config & PERIODIC) != 0;
    }

    private boolean narrow() {
      return (config & FORCE_32) != 0;
    }

    long configuration() {
      return ROUTES | config | SIZE_64 | (index == 0 ? PERIODIC_CAPABLE : 0);
    }

    void configure(long mask, long value) {
      int keep = LEVEL | INTERRUPT | FORCE_32 | ROUTE | (index == 0 ? PERIODIC : 0);
      int next = (int) (config & ~mask | value & mask) & keep;
      if (next != config) {
        release();
        config = next;
      }
      if ((mask & value & SET_VALUE) != 0 && periodic()) {
        setValue = true;
      }
      if (narrow()) {
        compare &= 0xffff_ffffL;
        period &= 0xffff_ffffL;
      }
      drive();
      schedule();
    }

    long value() {
      catchUp();
      return compare;
    }

    void setValue(long mask, long value) {
      if (periodic() && !setValue) {
        period = merge(period, mask, value);
      } else {
        compare = merge(compare, mask, value);
        if (periodic()) {
          // Software sets the accumulator, then writes the same register again for the period; but
          // what it wrote is the period also if it writes once only.
          period = merge(period, mask, value);
        }
        setValue = false;
      }
      schedule();
    }

    private long merge(long old, long mask, long value) {
      long merged = old & ~mask | value & mask;
      return narrow() ? merged & 0xffff_ffffL : merged;
    }

    /** In periodic mode the comparator runs ahead of the counter by itself. */
    private void catchUp() {
      if (periodic() && period != 0 && running()) {
        long late = distance(compare, counter());
        if (late >= 0) {
          compare += (late / period + 1) * period;
          if (narrow()) {
            compare &= 0xffff_ffffL;
          }
        }
      }
    }

    /** How far the counter is past a value, as a signed number. */
    private long distance(long value, long counter) {
      return narrow() ? (int) (counter - value) : counter - value;
    }

    void schedule() {
      due = Long.MAX_VALUE;
      if (running() && (config & INTERRUPT) != 0) {
        long now = timers.clock().nanos();
        long ticks = -distance(compare, counter());
        if (ticks <= 0 && periodic() && period != 0) {
          catchUp();
          ticks = -distance(compare, counter());
        } else if (ticks <= 0) {
          // Missed: it matches when the counter comes around.
          ticks = narrow() ? ticks + (1L << 32) : Long.MAX_VALUE;
        }
        if (ticks < Long.MAX_VALUE / TICK_NANOS - (now - origin) / TICK_NANOS - 1) {
          // Relative to the counter's origin: the match is at a whole tick.
          due = origin + ((now - origin) / TICK_NANOS + ticks) * TICK_NANOS;
        }
      }
      if (due == Long.MAX_VALUE) {
        alarm.cancel();
      } else {
        alarm.set(due);
      }
    }

    private void fired() {
      synchronized (Hpet.this) {
        long now = timers.clock().nanos();
        if (now < due) {
          return;
        }
        if ((config & LEVEL) != 0 && !replacing()) {
          status |= 1L << index;
          drive();
        } else {
          line().edge();
          driven = true;
        }
        schedule();
        if (periodic() && due < now + MIN_PERIOD_NANOS) {
          due = now + MIN_PERIOD_NANOS;
          alarm.set(due);
        }
      }
    }

    private boolean replacing() {
      return (configuration & LEGACY) != 0 && index < 2;
    }

    private IrqLine line() {
      if (replacing()) {
        return index == 0 ? legacy.timer() : legacy.clock();
      }
      int route = (config & ROUTE) >> 9;
      return route >= 16 && route < 24 ? gsi[index * 8 + route - 16] : IrqLine.NONE;
    }

    void drive() {
      if ((config & LEVEL) != 0 && !replacing()) {
        boolean pending = (status & 1L << index) != 0;
        driven = pending && (config & INTERRUPT) != 0 && running();
        line().set(driven);
      }
    }

    void release() {
      driven = false;
      line().set(false);
    }

    ComparatorState save() {
      return new ComparatorState(config, compare, period, setValue, due, driven);
    }

    void restore(ComparatorState s) {
      config = s.config;
      compare = s.compare;
      period = s.period;
      setValue = s.setValue;
      due = s.due;
      driven = s.line;
      line().set(driven);
      if (due == Long.MAX_VALUE) {
        alarm.cancel();
      } else {
        alarm.set(due);
      }
    }
  }
}

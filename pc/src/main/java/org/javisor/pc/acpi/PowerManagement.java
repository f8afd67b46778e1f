package org.javisor.pc.acpi;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.Ticks;

/**
 * ACPI's fixed hardware: PM1 event and control registers and the power-management timer (ACPI
 * specification 6.5, section 4.8). The layout within the block is that of the 82371AB (PIIX4).
 *
 * <p>There is no legacy mode to leave: SCI_EN always reads as one.
 */
public final class PowerManagement
    implements
      PortDevice,
      Snapshottable<PowerManagement.State> {
  public static final int SIZE = 64;
  public static final int EVENT = 0;
  public static final int CONTROL = 4;
  public static final int TIMER = 8;
  public static final long TIMER_HERTZ = 3_579_545;

  /** The sleep type of soft-off, as in the PIIX4; the DSDT's \_S5 says the same. */
  public static final int SLEEP_TYPE_S5 = 0;

  private static final int TIMER_STATUS = 1;
  private static final int GLOBAL_STATUS = 1 << 5;
  private static final int POWER_BUTTON = 1 << 8;
  private static final int SLEEP_BUTTON = 1 << 9;
  private static final int RTC_STATUS = 1 << 10;
  private static final int WAKE_STATUS = 1 << 15;
  private static final int STATUS_BITS =
      TIMER_STATUS | 1 << 4 | GLOBAL_STATUS | POWER_BUTTON | SLEEP_BUTTON | RTC_STATUS
          | WAKE_STATUS;
  private static final int ENABLE_BITS =
      TIMER_STATUS | GLOBAL_STATUS | POWER_BUTTON | SLEEP_BUTTON | RTC_STATUS;

  private static final int SCI_ENABLE = 1;
  private static final int SLEEP_ENABLE = 1 << 13;
  private static final int CONTROL_BITS = 2 | 7 << 10;

  private final DeviceTimers timers;
  private final DeviceTimers.Alarm alarm;
  private final IrqLine sci;
  private final Runnable powerOff;
  private final int timerBits;

  private int status;
  private int enable;
  private int control;

  /** How often the timer's highest bit had changed when that was last looked at. */
  private long seenOverflows;

  /**
   * @param timerBits 24 or 32, as the FADT says
   */
  public PowerManagement(DeviceTimers timers, IrqLine sci, int timerBits, Runnable powerOff) {
    this.timers = timers;
    this.sci = sci;
    this.timerBits = timerBits;
    this.powerOff = powerOff;
    alarm = timers.create(this::alarmDue);
  }

  public synchronized void reset() {
    status = 0;
    enable = 0;
    control = 0;
    update();
  }

  /** Someone pressed the power button: the guest shuts down if it listens. */
  public synchronized void pressPowerButton() {
    status |= POWER_BUTTON;
    update();
  }

  public synchronized void pressSleepButton() {
    status |= SLEEP_BUTTON;
    update();
  }

  private long ticks() {
    return Ticks.fromNanos(timers.clock().nanos(), TIMER_HERTZ);
  }

  private void update() {
    long overflows = ticks() >>> timerBits - 1;
    if (overflows != seenOverflows) {
      seenOverflows = overflows;
      status |= TIMER_STATUS;
    }
    sci.set((status & enable & ENABLE_BITS) != 0);
    if ((enable & TIMER_STATUS) != 0 && (status & TIMER_STATUS) == 0) {
      alarm.set(Ticks.toNanos(overflows + 1 << timerBits - 1, TIMER_HERTZ));
    } else {
      alarm.cancel();
    }
  }

  private synchronized void alarmDue() {
    update();
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("pm", 1, State.class);

  /**
   * The saved state.
   *
   * @param seenOverflows how often the timer's highest bit had changed when last looked at
   */
  public record State(int status, int enable, int control, long seenOverflows) {
    public State {
      StateCheck.bits("the status", status, STATUS_BITS);
      StateCheck.bits("the enable register", enable, ENABLE_BITS);
      StateCheck.bits("the control register", control, CONTROL_BITS);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(status, enable, control, seenOverflows);
  }

  @Override
  public synchronized void restoreState(State state) {
    status = state.status;
    enable = state.enable;
    control = state.control;
    seenOverflows = state.seenOverflows;
    update();
  }

  // ---- Registers --------------------------------------------------------------------------

  /** Registers are read as one row of bytes, so that every size and alignment works. */
  @Override
  public synchronized int read(int offset, int size) {
    int value = 0;
    long timer = offset + size > TIMER && offset < TIMER + 4 ? ticks() : 0;
    if (offset < 2) {
      update();
    }
    for (int i = 0; i < size; i++) {
      value |= readByte(offset + i, timer) << 8 * i;
    }
    return value;
  }

  private int readByte(int offset, long timer) {
    int shift = 8 * (offset & 1);
    return switch (offset) {
      case 0, 1 -> status >> shift & 0xff;
      case 2, 3 -> enable >> shift & 0xff;
      case 4, 5 -> (control | SCI_ENABLE) >> shift & 0xff;
      case 8, 9, 10, 11 -> {
        long shown = timerBits == 32 ? timer : timer & 0xffffff;
        yield (int) (shown >> 8 * (offset - TIMER)) & 0xff;
      }
      default -> 0;
    };
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    for (int i = 0; i < size; i++) {
      writeByte(offset + i, value >>> 8 * i & 0xff);
    }
    update();
  }

  private void writeByte(int offset, int value) {
    int shift = 8 * (offset & 1);
    int keep = ~(0xff << shift);
    int shifted = value << shift;
    switch (offset) {
      case 0, 1 -> status &= ~(shifted & STATUS_BITS);
      case 2, 3 -> enable = (enable & keep | shifted) & ENABLE_BITS;
      case 4, 5 -> {
        control = (control & keep | shifted) & CONTROL_BITS;
        if ((shifted & SLEEP_ENABLE) != 0 && control >> 10 == SLEEP_TYPE_S5) {
          powerOff.run();
        }
      }
      default -> {}
    }
  }
}

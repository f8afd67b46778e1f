package org.javisor.pc.timer;

import java.time.LocalDateTime;
import java.time.ZoneOffset;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.Ticks;

/**
 * The MC146818 real-time clock with 128 bytes of battery-backed memory, behind the index and data
 * ports 0x70 and 0x71 (Motorola MC146818A data sheet).
 *
 * <p>The time is the machine's wall clock plus a difference that the guest makes by setting it. The
 * flags of register C follow from the clock when it is read; a timer runs only while an interrupt
 * is enabled.
 */
public final class Rtc implements ByteDevice, Snapshottable<Rtc.State> {
  private static final long SECOND = 1_000_000_000L;

  /** UIP is set this long before an update, so that software has time to read (data sheet). */
  private static final long UPDATE_NOTICE = 244_000;

  private static final int SECONDS = 0;
  private static final int ALARM_SECONDS = 1;
  private static final int MINUTES = 2;
  private static final int ALARM_MINUTES = 3;
  private static final int HOURS = 4;
  private static final int ALARM_HOURS = 5;
  private static final int DAY_OF_WEEK = 6;
  private static final int DAY = 7;
  private static final int MONTH = 8;
  private static final int YEAR = 9;
  private static final int REG_A = 10;
  private static final int REG_B = 11;
  private static final int REG_C = 12;
  private static final int REG_D = 13;

  /** The century byte, where the FADT says it is. */
  public static final int CENTURY = 0x32;

  private static final int A_UIP = 0x80;
  private static final int B_SET = 0x80;
  private static final int B_BINARY = 0x04;
  private static final int B_24_HOURS = 0x02;
  private static final int INTERRUPT = 0x80;
  private static final int PERIODIC = 0x40;
  private static final int ALARM = 0x20;
  private static final int UPDATE = 0x10;

  private final DeviceTimers timers;
  private final DeviceTimers.Alarm alarm;
  private final IrqLine irq8;
  private final byte[] ram = new byte[128];
  private int index;

  /** Guest time less wall-clock time, in nanoseconds. */
  private long difference;

  /** With {@code SET}: the guest time at which the clock was stopped. */
  private long stopped;

  /** Guest time up to which updates and alarms have been looked at, in seconds. */
  private long seenSecond;

  /** Clock nanoseconds at which the divider chain was last started: the phase of periodic ticks. */
  private long periodicStart;

  private long seenPeriods;

  public Rtc(DeviceTimers timers, IrqLine irq8) {
    this.timers = timers;
    this.irq8 = irq8;
    alarm = timers.create(this::alarmDue);
    ram[REG_A] = 0x26; // 32.768 kHz divider, 1024 Hz
    ram[REG_B] = B_24_HOURS;
    ram[REG_D] = (byte) 0x80; // battery good
    seenSecond = Math.floorDiv(guestNanos(), SECOND);
  }

  /** The machine's reset leaves time and memory alone and disables interrupts. */
  public synchronized void reset() {
    ram[REG_B] &= ~(PERIODIC | ALARM | UPDATE);
    ram[REG_C] = 0;
    index = 0;
    irq8.set(false);
    schedule();
  }

  /** Fills a byte of the battery-backed memory, where firmware finds the configuration. */
  public synchronized void setMemory(int at, int value) {
    if (at <= REG_D || at >= ram.length) {
      throw new IllegalArgumentException("CMOS byte %#x: 0xe to 0x7f expected".formatted(at));
    }
    ram[at] = (byte) value;
  }

  /**
   * The memory sizes as firmware reads them: base memory and memory from 1 MiB in KiB, from 16 MiB
   * and from 4 GiB in 64 KiB.
   *
   * @param low bytes of RAM below 4 GiB, counted from 0
   * @param high bytes of RAM from 4 GiB
   * @param vcpus how many, for the start-up of the others
   */
  public synchronized void describeMachine(long low, long high, int vcpus) {
    setWord(0x15, 640);
    int extended = (int) Math.clamp((low >> 10) - 1024, 0, 0xffff);
    setWord(0x17, extended);
    setWord(0x30, extended);
    setWord(0x34, (int) Math.clamp((low >> 16) - 256, 0, 0xffff));
    long blocks = high >> 16;
    setMemory(0x5b, (int) blocks & 0xff);
    setMemory(0x5c, (int) (blocks >> 8) & 0xff);
    setMemory(0x5d, (int) (blocks >> 16) & 0xff);
    setMemory(0x5f, vcpus - 1);
    setMemory(0x14, 0x02); // equipment: a mathematics coprocessor
  }

  private void setWord(int at, int value) {
    setMemory(at, value & 0xff);
    setMemory(at + 1, value >> 8 & 0xff);
  }

  @Override
  public synchronized int read(int offset) {
    if (offset == 0) {
      return 0xff; // The index register is write only.
    }
    return switch (index) {
      case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY -> field(index);
      case REG_A -> ram[REG_A] & 0x7f | (updating() ? A_UIP : 0);
      case REG_C -> {
        catchUp();
        int value = ram[REG_C] & 0xff;
        ram[REG_C] = 0;
        irq8.set(false);
        schedule();
        yield value;
      }
      default -> ram[index] & 0xff;
    };
  }

  @Override
  public synchronized void write(int offset, int value) {
    if (offset == 0) {
      index = value & 0x7f; // Bit 7 disables NMI on the board, of which this machine has none.
      return;
    }
    switch (index) {
      case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY -> setField(value);
      case REG_A -> {
        catchUp();
        ram[REG_A] = (byte) (value & 0x7f);
        periodicStart = timers.clock().nanos();
        seenPeriods = 0;
        schedule();
      }
      case REG_B -> writeControl(value);
      case REG_C, REG_D -> {} // Read only.
      default -> {
        ram[index] = (byte) value;
        if (index == ALARM_SECONDS || index == ALARM_MINUTES || index == ALARM_HOURS) {
          schedule();
        }
      }
    }
  }

  private void writeControl(int value) {
    catchUp();
    boolean wasSet = (ram[REG_B] & B_SET) != 0;
    boolean set = (value & B_SET) != 0;
    if (set) {
      value &= ~UPDATE; // SET clears UIE (data sheet).
    }
    if (set && !wasSet) {
      stopped = guestNanos();
    } else if (!set && wasSet) {
      difference = stopped - timers.clock().wallNanos();
      seenSecond = Math.floorDiv(stopped, SECOND);
    }
    ram[REG_B] = (byte) value;
    updateLine();
    schedule();
  }

  // ---- Time of day ------------------------------------------------------------------------

  private long guestNanos() {
    return (ram[REG_B] & B_SET) != 0 ? stopped : timers.clock().wallNanos() + difference;
  }

  private boolean updating() {
    return (ram[REG_B] & B_SET) == 0
        && Math.floorMod(guestNanos(), SECOND) >= SECOND - UPDATE_NOTICE;
  }

  private static LocalDateTime dateTime(long nanos) {
    return LocalDateTime.ofEpochSecond(Math.floorDiv(nanos, SECOND), 0, ZoneOffset.UTC);
  }

  private int field(int register) {
    LocalDateTime t = dateTime(guestNanos());
    return switch (register) {
      case SECONDS -> encode(t.getSecond());
      case MINUTES -> encode(t.getMinute());
      case HOURS -> encodeHour(t.getHour());
      case DAY_OF_WEEK -> encode(t.getDayOfWeek().getValue() % 7 + 1);
      case DAY -> encode(t.getDayOfMonth());
      case MONTH -> encode(t.getMonthValue());
      case YEAR -> encode(t.getYear() % 100);
      default -> encode(t.getYear() / 100);
    };
  }

  private int encode(int value) {
    return (ram[REG_B] & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10;
  }

  private int encodeHour(int hour) {
    if ((ram[REG_B] & B_24_HOURS) != 0) {
      return encode(hour);
    }
    return encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  private int decode(int value) {
    return (ram[REG_B] & B_BINARY) != 0 ? value : (value >> 4) * 10 + (value & 15);
  }

  private int decodeHour(int value) {
    if ((ram[REG_B] & B_24_HOURS) != 0) {
      return decode(value);
    }
    return decode(value & 0x7f) % 12 + ((value & 0x80) != 0 ? 12 : 0);
  }

  private void setField(int value) {
    long nanos = guestNanos();
    long rest = Math.floorMod(nanos, SECOND);
    LocalDateTime t = dateTime(nanos);
    int v = decode(value);
    // A value out of range is taken modulo: the chip would count on from nonsense.
    LocalDateTime changed =
        switch (index) {
          case SECONDS -> t.withSecond(v % 60);
          case MINUTES -> t.withMinute(v % 60);
          case HOURS -> t.withHour(decodeHour(value) % 24);
          case DAY -> t.withDayOfMonth(1).plusDays(Math.max(v, 1) - 1);
          case MONTH -> t.withMonth(Math.clamp(v, 1, 12));
          case YEAR -> t.withYear(t.getYear() / 100 * 100 + v % 100);
          case CENTURY -> t.withYear(v % 100 * 100 + t.getYear() % 100);
          default -> t; // The day of the week follows from the date.
        };
    long set = changed.toEpochSecond(ZoneOffset.UTC) * SECOND + rest;
    if ((ram[REG_B] & B_SET) != 0) {
      stopped = set;
    } else {
      difference += set - nanos;
      seenSecond = Math.floorDiv(set, SECOND);
      schedule();
    }
  }

  // ---- Interrupts -------------------------------------------------------------------------

  /** Period of the periodic interrupt in 32768ths of a second, or 0. */
  private int periodTicks() {
    int rate = ram[REG_A] & 15;
    return rate == 0 ? 0 : 1 << (rate <= 2 ? rate + 6 : rate - 1);
  }

  /** Brings register C up to the present. */
  private void catchUp() {
    int flags = 0;
    if ((ram[REG_B] & B_SET) == 0) {
      long second = Math.floorDiv(guestNanos(), SECOND);
      if (second > seenSecond) {
        flags |= UPDATE;
        // After a day every alarm has come up; so the loop is bounded.
        long first = Math.max(seenSecond + 1, second - 86_399);
        for (long s = first; s <= second && (flags & ALARM) == 0; s++) {
          if (alarmMatches((int) Math.floorMod(s, 86_400))) {
            flags |= ALARM;
          }
        }
      }
      seenSecond = second;
    }
    int ticks = periodTicks();
    if (ticks != 0) {
      long periods = periodsUntil(timers.clock().nanos());
      if (periods > seenPeriods) {
        flags |= PERIODIC;
        seenPeriods = periods;
      }
    }
    ram[REG_C] |= (byte) flags;
    updateLine();
  }

  private long periodsUntil(long nanos) {
    return Ticks.fromNanos(nanos - periodicStart, 32_768) / periodTicks();
  }

  private boolean alarmMatches(int secondOfDay) {
    return alarmField(ALARM_SECONDS, encode(secondOfDay % 60))
        && alarmField(ALARM_MINUTES, encode(secondOfDay / 60 % 60))
        && alarmField(ALARM_HOURS, encodeHour(secondOfDay / 3600));
  }

  private boolean alarmField(int register, int value) {
    int wanted = ram[register] & 0xff;
    return wanted >= 0xc0 || wanted == value; // 0xc0 to 0xff: every value
  }

  private void updateLine() {
    int pending = ram[REG_C] & ram[REG_B] & (PERIODIC | ALARM | UPDATE);
    if (pending != 0) {
      ram[REG_C] |= (byte) INTERRUPT;
    } else {
      ram[REG_C] &= (byte) ~INTERRUPT;
    }
    irq8.set(pending != 0);
  }

  private void schedule() {
    long now = timers.clock().nanos();
    long due = Long.MAX_VALUE;
    // The line is up until register C is read: nothing to wake for before.
    if ((ram[REG_C] & INTERRUPT) == 0) {
      if ((ram[REG_B] & (UPDATE | ALARM)) != 0 && (ram[REG_B] & B_SET) == 0) {
        due = now + SECOND - Math.floorMod(guestNanos(), SECOND);
      }
      int ticks = periodTicks();
      if ((ram[REG_B] & PERIODIC) != 0 && ticks != 0) {
        long next = (periodsUntil(now) + 1) * ticks;
        due =
            Math.min(due, periodicStart + Ticks.toNanos(next, 32_768));
      }
    }
    if (due == Long.MAX_VALUE) {
      alarm.cancel();
    } else {
      alarm.set(due);
    }
  }

  private synchronized void alarmDue() {
    catchUp();
    schedule();
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("rtc", 1, State.class);

  /**
   * The saved state. The time of day goes on with the host's wall clock: after a restore the clock
   * of the battery shows what it would on a machine that was switched off meanwhile.
   *
   * @param ram the registers and the memory, 128 bytes
   * @param difference guest time less wall-clock time, in nanoseconds
   * @param stopped guest time at which the clock was stopped, if it is
   * @param periodicStart when the divider chain was started
   */
  public record State(
      byte[] ram, int index, long difference, long stopped, long periodicStart, long seenPeriods) {
    public State {
      StateCheck.length("memory", ram.length, 128);
      StateCheck.range("the index", index, 0, 127);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(ram.clone(), index, difference, stopped, periodicStart, seenPeriods);
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    if (state.periodicStart < 0 || state.periodicStart > timers.clock().nanos()) {
      throw new StateException("the divider chain was started in the future");
    }
    System.arraycopy(state.ram, 0, ram, 0, ram.length);
    index = state.index;
    difference = state.difference;
    stopped = state.stopped;
    periodicStart = state.periodicStart;
    seenPeriods = state.seenPeriods;
    // Seconds that passed on the wall while the machine was not there interrupt nobody.
    seenSecond = Math.floorDiv(guestNanos(), SECOND);
    updateLine();
    schedule();
  }
}

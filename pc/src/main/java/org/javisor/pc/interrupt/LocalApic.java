package org.javisor.pc.interrupt;

import java.util.Arrays;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;

/**
 * The local APIC of one vCPU: xAPIC and x2APIC (Intel SDM volume 3, chapter 11; AMD APM volume 2,
 * chapter 16).
 *
 * <p>Interrupts come from any thread, registers are accessed by the vCPU's own. One small lock
 * guards the state; it is the last in the lock order (device, line, IOAPIC or PIC, local APIC), and
 * nothing is called while it is held except the machine's timers. What the vCPU polls between
 * instructions, {@link #hasInterrupt}, is one volatile read of an answer kept up to date under the
 * lock.
 */
public final class LocalApic implements Snapshottable<LocalApic.State> {
  /** Ticks of the timer's input: 1 GHz, the rate hypervisors agree on. */
  public static final long BUS_HERTZ = 1_000_000_000L;

  public static final long DEFAULT_BASE = 0xfee00000L;

  /** A guest may ask for a tick every nanosecond; a periodic timer does not fire more often. */
  private static final long MIN_PERIOD_NANOS = 20_000;

  /** Version 0x14 (integrated, xAPIC), six LVT entries, no suppression of EOI broadcasts. */
  private static final int VERSION = 0x14 | 5 << 16;

  private static final long BASE_BSP = 1L << 8;
  private static final long BASE_X2APIC = 1L << 10;
  private static final long BASE_ENABLE = 1L << 11;
  private static final long BASE_ADDRESS = 0xf_ffff_f000L;

  private static final int SVR_ENABLE = 1 << 8;

  private static final int LVT_TIMER = 0;
  private static final int LVT_THERMAL = 1;
  private static final int LVT_PERFORMANCE = 2;
  private static final int LVT_LINT0 = 3;
  private static final int LVT_LINT1 = 4;
  private static final int LVT_ERROR = 5;
  private static final int LVT_MASKED = 1 << 16;

  /** Bits of each LVT entry that hold what is written. */
  private static final int[] LVT_WRITABLE = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

  private static final int TIMER_MODE = 3 << 17;
  private static final int TIMER_PERIODIC = 1 << 17;
  private static final int TIMER_TSC_DEADLINE = 2 << 17;

  static final int MODE_FIXED = 0;
  static final int MODE_LOWEST = 1;
  static final int MODE_SMI = 2;
  static final int MODE_NMI = 4;
  static final int MODE_INIT = 5;
  static final int MODE_STARTUP = 6;
  static final int MODE_EXTINT = 7;

  private static final int ERROR_SEND_VECTOR = 1 << 5;
  private static final int ERROR_RECEIVE_VECTOR = 1 << 6;
  private static final int ERROR_REGISTER = 1 << 7;

  /** MSR number of x2APIC register 0; register n of the MMIO page is at n / 16. */
  private static final int X2APIC_FIRST = 0x800;

  private static final int NONE = -1;

  private final int id;
  private final boolean bootstrap;
  private final ApicFabric fabric;
  private final VcpuControl control;
  private final LegacyInterrupts legacy;
  private final DeviceTimers timers;
  private final DeviceTimers.Alarm alarm;
  private final GuestTsc tsc;

  /** The answer to {@link #hasInterrupt}; written under the lock. */
  private volatile boolean ready;

  private volatile long base;
  private volatile int taskPriority;

  private final int[] irr = new int[8];
  private final int[] isr = new int[8];
  private final int[] tmr = new int[8];
  private final int[] lvt = new int[6];
  private int spurious;
  private int logicalId;
  private int destinationFormat;
  private int icrLow;
  private int icrHigh;
  private int errors;
  private int errorStatus;
  private final boolean[] lint = new boolean[2];
  private boolean extIntMessage;
  private boolean waitingForStartup;

  private int initialCount;
  private int divideRegister;

  /** When the timer fires next, or {@link Long#MAX_VALUE}. */
  private long timerDeadline;

  private long tscDeadline;

  /** The interrupt-acknowledge cycle of the 8259 pair. */
  @FunctionalInterface
  public interface LegacyInterrupts {
    /** Returns the vector; called without a lock held. */
    int acknowledge();
  }

  LocalApic(
      int id,
      ApicFabric fabric,
      VcpuControl control,
      LegacyInterrupts legacy,
      DeviceTimers timers,
      GuestTsc tsc) {
    this.id = id;
    this.bootstrap = id == 0;
    this.fabric = fabric;
    this.control = control;
    this.legacy = legacy;
    this.timers = timers;
    this.tsc = tsc;
    alarm = timers.create(this::timerFired);
    reset();
  }

  public int id() {
    return id;
  }

  /** Power-on: as INIT, and IA32_APIC_BASE too. */
  public synchronized void reset() {
    base = DEFAULT_BASE | BASE_ENABLE | (bootstrap ? BASE_BSP : 0);
    initState();
    waitingForStartup = !bootstrap;
  }

  /** The state after INIT (SDM 11.4.7.1). */
  private void initState() {
    Arrays.fill(irr, 0);
    Arrays.fill(isr, 0);
    Arrays.fill(tmr, 0);
    Arrays.fill(lvt, LVT_MASKED);
    if (bootstrap) {
      // Firmware would set up virtual wire mode; a kernel booted without firmware expects it.
      lvt[LVT_LINT0] = MODE_EXTINT << 8;
    }
    spurious = 0xff;
    taskPriority = 0;
    logicalId = 0;
    destinationFormat = -1;
    icrLow = 0;
    icrHigh = 0;
    errors = 0;
    errorStatus = 0;
    extIntMessage = false;
    initialCount = 0;
    divideRegister = 0;
    tscDeadline = 0;
    disarm();
    update();
  }

  // ---- What the vCPU asks -----------------------------------------------------------------

  /** Whether an interrupt could be taken now if IF allows it. */
  public boolean hasInterrupt() {
    return ready;
  }

  /** Moves the highest interrupt into service and returns its vector, or -1 if it is gone. */
  public int acknowledge() {
    synchronized (this) {
      if (!extIntPending()) {
        int vector = highest(irr);
        if (!deliverable(vector)) {
          return NONE;
        }
        clear(irr, vector);
        set(isr, vector);
        update();
        return vector;
      }
      extIntMessage = false;
      update();
    }
    return legacy.acknowledge();
  }

  public int taskPriorityClass() {
    return taskPriority >> 4;
  }

  public void setTaskPriorityClass(int value) {
    setTaskPriority((value & 15) << 4);
  }

  private void setTaskPriority(int value) {
    boolean now;
    synchronized (this) {
      taskPriority = value & 0xff;
      update();
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
  }

  public long base() {
    return base;
  }

  private boolean enabled() {
    return (base & BASE_ENABLE) != 0;
  }

  boolean x2apic() {
    return (base & BASE_X2APIC) != 0;
  }

  private boolean softwareEnabled() {
    return enabled() && (spurious & SVR_ENABLE) != 0;
  }

  /** Recomputes what {@link #hasInterrupt} answers. Lock held. */
  private void update() {
    boolean now = extIntPending() || deliverable(highest(irr));
    if (now != ready) {
      ready = now;
    }
  }

  private boolean deliverable(int vector) {
    return vector >= 16 && enabled() && (vector & 0xf0) > (processorPriority() & 0xf0);
  }

  private boolean extIntPending() {
    return extIntMessage || lint[0] && acceptsLegacy();
  }

  /** A disabled APIC passes INTR straight to the CPU (SDM 11.4.3). */
  private boolean acceptsLegacy() {
    return !enabled()
        ? bootstrap
        : (lvt[LVT_LINT0] & (LVT_MASKED | 0x700)) == MODE_EXTINT << 8;
  }

  private int processorPriority() {
    int service = highest(isr) & 0xf0;
    return highest(isr) >= 0 && service > (taskPriority & 0xf0) ? service : taskPriority;
  }

  /** The processor priority, by which lowest-priority delivery chooses. */
  synchronized int priority() {
    return processorPriority();
  }

  private static int highest(int[] bits) {
    for (int i = 7; i >= 0; i--) {
      if (bits[i] != 0) {
        return i * 32 + 31 - Integer.numberOfLeadingZeros(bits[i]);
      }
    }
    return NONE;
  }

  private static void set(int[] bits, int vector) {
    bits[vector >> 5] |= 1 << vector;
  }

  private static void clear(int[] bits, int vector) {
    bits[vector >> 5] &= ~(1 << vector);
  }

  private static boolean test(int[] bits, int vector) {
    return (bits[vector >> 5] & 1 << vector) != 0;
  }

  // ---- Interrupts arriving ----------------------------------------------------------------

  /**
   * Takes a message off the bus.
   *
   * @return whether this APIC accepted it
   */
  boolean accept(int mode, int vector, boolean level) {
    switch (mode) {
      case MODE_FIXED, MODE_LOWEST -> {
        return acceptFixed(vector, level);
      }
      case MODE_NMI -> {
        if (!enabled()) {
          return false;
        }
        control.nmi();
        return true;
      }
      case MODE_INIT -> {
        synchronized (this) {
          initState();
          waitingForStartup = !bootstrap;
        }
        control.init();
        return true;
      }
      case MODE_STARTUP -> {
        synchronized (this) {
          if (!waitingForStartup) {
            return true;
          }
          waitingForStartup = false;
        }
        control.startup(vector);
        return true;
      }
      case MODE_EXTINT -> {
        synchronized (this) {
          if (!enabled()) {
            return false;
          }
          extIntMessage = true;
          update();
        }
        control.interruptPending();
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  /**
   * Requests an interrupt by another way than the bus: unlike a message it is not lost while software
   * has the APIC disabled. From any thread.
   */
  public void request(int vector) {
    boolean now;
    synchronized (this) {
      post(vector, false);
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
  }

  private boolean acceptFixed(int vector, boolean level) {
    boolean now;
    synchronized (this) {
      if (!softwareEnabled()) {
        return false;
      }
      if (vector < 16) {
        raiseError(ERROR_RECEIVE_VECTOR);
        return false;
      }
      post(vector, level);
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
    return true;
  }

  /** Lock held. */
  private void post(int vector, boolean level) {
    set(irr, vector);
    if (level) {
      set(tmr, vector);
    } else {
      clear(tmr, vector);
    }
    update();
  }

  /** Notes an error and, through the error LVT entry, interrupts. Lock held. */
  private void raiseError(int bit) {
    errors |= bit;
    int entry = lvt[LVT_ERROR];
    if ((entry & LVT_MASKED) == 0 && (entry & 0xff) >= 16 && softwareEnabled()) {
      post(entry & 0xff, false);
    }
  }

  /** Drives LINT0 or LINT1. */
  void setLint(int pin, boolean asserted) {
    boolean nmi = false;
    boolean now;
    synchronized (this) {
      boolean rising = asserted && !lint[pin];
      lint[pin] = asserted;
      int entry = lvt[LVT_LINT0 + pin];
      if (rising && enabled() && (entry & LVT_MASKED) == 0) {
        int mode = entry >> 8 & 7;
        if (mode == MODE_NMI) {
          nmi = true;
        } else if (mode == MODE_FIXED && (entry & 0xff) >= 16 && softwareEnabled()) {
          post(entry & 0xff, false);
        }
      } else if (rising && pin == 1 && !enabled()) {
        nmi = true;
      }
      update();
      now = ready;
    }
    if (nmi) {
      control.nmi();
    }
    if (now && asserted) {
      control.interruptPending();
    }
  }

  /** Whether a message with this destination is for this APIC (SDM 11.6.2). */
  boolean matches(int destination, boolean logical, boolean wide) {
    if (!enabled()) {
      return false;
    }
    if (destination == (wide ? -1 : 0xff)) {
      return true;
    }
    if (!logical) {
      return destination == id;
    }
    if (x2apic()) {
      int own = x2apicLogicalId();
      return destination >>> 16 == own >>> 16 && (destination & own & 0xffff) != 0;
    }
    int own;
    int format;
    synchronized (this) {
      own = logicalId >>> 24;
      format = destinationFormat >>> 28;
    }
    if (format == 0xf) {
      return (destination & own) != 0;
    }
    return format == 0
        && (destination >> 4 == own >> 4 || destination >> 4 == 0xf)
        && (destination & own & 0xf) != 0;
  }

  private int x2apicLogicalId() {
    return id >> 4 << 16 | 1 << (id & 15);
  }

  private void endOfInterrupt() {
    int broadcast = NONE;
    boolean now;
    synchronized (this) {
      int vector = highest(isr);
      if (vector < 0) {
        return;
      }
      clear(isr, vector);
      if (test(tmr, vector)) {
        broadcast = vector;
      }
      update();
      now = ready;
    }
    if (broadcast >= 0) {
      fabric.endOfInterrupt(broadcast);
    }
    if (now) {
      control.interruptPending();
    }
  }

  // ---- Sending ----------------------------------------------------------------------------

  private void sendInterrupt(int command, int destination, boolean wide) {
    int vector = command & 0xff;
    int mode = command >> 8 & 7;
    boolean logical = (command & 1 << 11) != 0;
    boolean assertLevel = (command & 1 << 14) != 0;
    boolean level = (command & 1 << 15) != 0;
    if (mode == MODE_INIT && level && !assertLevel) {
      return; // INIT level de-assert: only the arbitration ids of the Pentium cared.
    }
    if (mode == 3 || mode == MODE_EXTINT || mode == MODE_SMI) {
      return; // Reserved, or there is no system management mode to interrupt into.
    }
    if (mode <= MODE_LOWEST && vector < 16) {
      synchronized (this) {
        raiseError(ERROR_SEND_VECTOR);
      }
      return;
    }
    switch (command >> 18 & 3) {
      case 0 -> fabric.deliver(destination, logical, wide, mode, vector, false);
      case 1 -> {
        if (mode <= MODE_LOWEST) {
          acceptFixed(vector, false);
        }
      }
      case 2 -> fabric.broadcast(null, mode, vector);
      default -> fabric.broadcast(this, mode, vector);
    }
  }

  // ---- The timer --------------------------------------------------------------------------

  private int divisor() {
    int code = divideRegister & 3 | divideRegister >> 1 & 4;
    return code == 7 ? 1 : 2 << code;
  }

  private long periodNanos() {
    return (initialCount & 0xffff_ffffL) * divisor();
  }

  private void disarm() {
    timerDeadline = Long.MAX_VALUE;
    alarm.cancel();
  }

  private void arm(long deadline) {
    timerDeadline = deadline;
    if (deadline == Long.MAX_VALUE) {
      alarm.cancel();
    } else {
      alarm.set(deadline);
    }
  }

  private void startCount() {
    if ((lvt[LVT_TIMER] & TIMER_MODE) == TIMER_TSC_DEADLINE) {
      return;
    }
    if (initialCount == 0) {
      disarm();
    } else {
      arm(timers.clock().nanos() + periodNanos());
    }
  }

  private int currentCount() {
    if (timerDeadline == Long.MAX_VALUE
        || (lvt[LVT_TIMER] & TIMER_MODE) == TIMER_TSC_DEADLINE) {
      return 0;
    }
    long left = timerDeadline - timers.clock().nanos();
    if (left <= 0) {
      if ((lvt[LVT_TIMER] & TIMER_MODE) != TIMER_PERIODIC) {
        return 0;
      }
      // The timer thread is late: count on as the hardware would.
      long period = periodNanos();
      left = period - -left % period;
    }
    return (int) ((left + divisor() - 1) / divisor());
  }

  private void timerFired() {
    boolean now = false;
    synchronized (this) {
      long time = timers.clock().nanos();
      if (time < timerDeadline) {
        return; // Set anew or disarmed after this alarm was due.
      }
      int entry = lvt[LVT_TIMER];
      switch (entry & TIMER_MODE) {
        case TIMER_PERIODIC -> {
          // A tick that could not be delivered in time is lost, as one masked too long would be.
          long period = Math.max(periodNanos(), MIN_PERIOD_NANOS);
          arm(time + period - (time - timerDeadline) % period);
        }
        case TIMER_TSC_DEADLINE -> {
          long due = tsc.nanosAt(tscDeadline, time);
          if (due > time) {
            arm(due); // The guest set its TSC back meanwhile.
            return;
          }
          tscDeadline = 0;
          timerDeadline = Long.MAX_VALUE;
        }
        default -> timerDeadline = Long.MAX_VALUE;
      }
      if ((entry & LVT_MASKED) == 0 && softwareEnabled()) {
        if ((entry & 0xff) >= 16) {
          post(entry & 0xff, false);
        } else {
          raiseError(ERROR_RECEIVE_VECTOR);
        }
        now = ready;
      }
    }
    if (now) {
      control.interruptPending();
    }
  }

  private void setTscDeadline(long value) {
    synchronized (this) {
      if ((lvt[LVT_TIMER] & TIMER_MODE) != TIMER_TSC_DEADLINE) {
        return;
      }
      tscDeadline = value;
      if (value == 0) {
        disarm();
        return;
      }
      long time = timers.clock().nanos();
      long due = tsc.nanosAt(value, time);
      timerDeadline = due;
      if (due > time) {
        arm(due);
        return;
      }
    }
    timerFired(); // Already past: no need for the timer thread.
  }

  /** The guest changed its TSC: a TSC deadline moves on the machine's clock. */
  public void tscChanged() {
    long value;
    synchronized (this) {
      value = tscDeadline;
    }
    if (value != 0) {
      setTscDeadline(value);
    }
  }

  private void writeTimerLvt(int value) {
    int changed = lvt[LVT_TIMER] ^ value;
    if ((changed & TIMER_TSC_DEADLINE) != 0) {
      // SDM 11.5.4.1: a transition to or from TSC-deadline mode disarms the timer.
      tscDeadline = 0;
      initialCount = 0;
      disarm();
    }
    lvt[LVT_TIMER] = value;
  }

  // ---- Registers --------------------------------------------------------------------------

  /**
   * Reads of the 4 KiB register page. Registers are 32 bits wide and 16 bytes apart; narrower reads
   * inside one are answered as most implementations do, bytes between registers read as zero.
   */
  public long readMmio(long offset, int size) {
    if (!enabled() || x2apic()) {
      return -1;
    }
    int within = (int) offset & 15;
    if (within >= 4) {
      return 0;
    }
    return (readRegister((int) offset >> 4 & 0xff) & 0xffff_ffffL) >>> 8 * within;
  }

  /** Writes to the register page; anything but an aligned 32-bit write is ignored. */
  public void writeMmio(long offset, int size, long value) {
    if (!enabled() || x2apic() || (offset & 15) != 0 || size < 4) {
      return;
    }
    int register = (int) offset >> 4 & 0xff;
    if (register == 0x30) {
      int destination;
      synchronized (this) {
        icrLow = (int) value & ~(1 << 12);
        destination = icrHigh >>> 24;
      }
      sendInterrupt((int) value, destination, false);
    } else if (register == 0x0b) {
      endOfInterrupt();
    } else if (register == 0x08) {
      setTaskPriority((int) value);
    } else {
      writeRegister(register, (int) value);
    }
  }

  private synchronized int readRegister(int register) {
    return switch (register) {
      case 0x02 -> x2apic() ? id : id << 24;
      case 0x03 -> VERSION;
      case 0x08 -> taskPriority;
      case 0x09, 0x0a -> processorPriority();
      case 0x0b -> 0;
      case 0x0d -> x2apic() ? x2apicLogicalId() : logicalId;
      case 0x0e -> destinationFormat;
      case 0x0f -> spurious;
      case 0x28 -> errorStatus;
      case 0x30 -> icrLow;
      case 0x31 -> icrHigh;
      case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37 -> lvt[register - 0x32];
      case 0x38 -> initialCount;
      case 0x39 -> currentCount();
      case 0x3e -> divideRegister;
      default -> {
        if (register >= 0x10 && register < 0x18) {
          yield isr[register - 0x10];
        }
        if (register >= 0x18 && register < 0x20) {
          yield tmr[register - 0x18];
        }
        if (register >= 0x20 && register < 0x28) {
          yield irr[register - 0x20];
        }
        raiseError(ERROR_REGISTER);
        yield 0;
      }
    };
  }

  private void writeRegister(int register, int value) {
    boolean now;
    synchronized (this) {
      switch (register) {
        case 0x02, 0x03, 0x09, 0x0a -> {} // Read only.
        case 0x0d -> logicalId = value & 0xff000000;
        case 0x0e -> destinationFormat = value | 0x0fffffff;
        case 0x0f -> {
          spurious = value & 0x1ff;
          if ((value & SVR_ENABLE) == 0) {
            for (int i = 0; i < lvt.length; i++) {
              lvt[i] |= LVT_MASKED;
            }
          }
        }
        case 0x28 -> {
          errorStatus = errors;
          errors = 0;
        }
        case 0x31 -> icrHigh = value & 0xff000000;
        case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37 -> {
          int index = register - 0x32;
          int entry = value & LVT_WRITABLE[index];
          if ((spurious & SVR_ENABLE) == 0) {
            entry |= LVT_MASKED;
          }
          if (index == LVT_TIMER) {
            writeTimerLvt(entry);
          } else {
            lvt[index] = entry;
          }
        }
        case 0x38 -> {
          if ((lvt[LVT_TIMER] & TIMER_MODE) != TIMER_TSC_DEADLINE) {
            initialCount = value;
            startCount();
          }
        }
        case 0x3e -> changeDivisor(value & 0xb);
        default -> raiseError(ERROR_REGISTER);
      }
      update();
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
  }

  /** A running count goes on at the new rate. */
  private void changeDivisor(int value) {
    int count = currentCount();
    divideRegister = value;
    if (timerDeadline != Long.MAX_VALUE
        && (lvt[LVT_TIMER] & TIMER_MODE) != TIMER_TSC_DEADLINE) {
      arm(timers.clock().nanos() + (count & 0xffff_ffffL) * divisor());
    }
  }

  // ---- Model-specific registers -----------------------------------------------------------

  /** Whether {@link #readMsr} and {@link #writeMsr} know this register. */
  public static boolean ownsMsr(int msr) {
    return msr == 0x1b || msr == 0x6e0 || (msr & ~0xff) == X2APIC_FIRST;
  }

  public long readMsr(int msr) throws UnknownMsr {
    if (msr == 0x1b) {
      return base;
    }
    if (msr == 0x6e0) {
      synchronized (this) {
        return tscDeadline;
      }
    }
    if (!x2apic()) {
      throw UnknownMsr.INSTANCE;
    }
    int register = msr - X2APIC_FIRST;
    switch (register) {
      case 0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x28 -> {}
      case 0x30 -> {
        synchronized (this) {
          return icrLow & 0xffff_ffffL | (long) icrHigh << 32;
        }
      }
      case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e -> {}
      default -> {
        if (register < 0x10 || register > 0x27) {
          throw UnknownMsr.INSTANCE;
        }
      }
    }
    return readRegister(register) & 0xffff_ffffL;
  }

  public void writeMsr(int msr, long value) throws UnknownMsr {
    if (msr == 0x1b) {
      writeBase(value);
      return;
    }
    if (msr == 0x6e0) {
      setTscDeadline(value);
      return;
    }
    if (!x2apic()) {
      throw UnknownMsr.INSTANCE;
    }
    int register = msr - X2APIC_FIRST;
    if (register == 0x30) {
      if ((value & 0xfff3_2000L) != 0) {
        throw UnknownMsr.INSTANCE;
      }
      synchronized (this) {
        icrLow = (int) value;
        icrHigh = (int) (value >>> 32);
      }
      sendInterrupt((int) value, (int) (value >>> 32), true);
      return;
    }
    if (value >>> 32 != 0) {
      throw UnknownMsr.INSTANCE;
    }
    int low = (int) value;
    switch (register) {
      case 0x08 -> {
        require((low & ~0xff) == 0);
        setTaskPriority(low);
      }
      case 0x0b -> {
        require(low == 0);
        endOfInterrupt();
      }
      case 0x0f -> {
        require((low & ~0x11ff) == 0);
        writeRegister(register, low);
      }
      case 0x28 -> {
        require(low == 0);
        writeRegister(register, low);
      }
      case 0x32, 0x33, 0x34, 0x35, 0x36, 0x37 -> {
        // Delivery status and remote IRR are read only, not reserved.
        require((low & ~(LVT_WRITABLE[register - 0x32] | 0x5000)) == 0);
        writeRegister(register, low);
      }
      case 0x38 -> writeRegister(register, low);
      case 0x3e -> {
        require((low & ~0xb) == 0);
        writeRegister(register, low);
      }
      case 0x3f -> {
        require((low & ~0xff) == 0);
        sendInterrupt(low | 1 << 18, 0, true);
      }
      default -> throw UnknownMsr.INSTANCE;
    }
  }

  private static void require(boolean valid) throws UnknownMsr {
    if (!valid) {
      throw UnknownMsr.INSTANCE;
    }
  }

  /** IA32_APIC_BASE: only the transitions of SDM figure 11-27 are allowed. */
  private void writeBase(long value) throws UnknownMsr {
    require((value & ~(BASE_ADDRESS | BASE_ENABLE | BASE_X2APIC | BASE_BSP)) == 0);
    boolean now;
    synchronized (this) {
      boolean wasX2apic = x2apic();
      boolean x2apic = (value & BASE_X2APIC) != 0;
      boolean enable = (value & BASE_ENABLE) != 0;
      require(enable || !x2apic);
      require(!wasX2apic || x2apic || !enable);
      require(enabled() || !x2apic);
      boolean wasEnabled = enabled();
      base = value & ~BASE_BSP | (bootstrap ? BASE_BSP : 0);
      if (wasEnabled && !enable) {
        initState();
      } else if (!wasX2apic && x2apic) {
        icrHigh = 0;
      }
      update();
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("lapic", 1, State.class);

  /**
   * The saved state.
   *
   * @param base IA32_APIC_BASE
   * @param lint the levels of LINT0 and LINT1
   * @param timerDeadline when the timer fires next, or {@link Long#MAX_VALUE}
   * @param tscDeadline IA32_TSC_DEADLINE
   */
  public record State(
      long base, int taskPriority, int[] irr, int[] isr, int[] tmr, int[] lvt, int spurious,
      int logicalId, int destinationFormat, int icrLow, int icrHigh, int errors, int errorStatus,
      boolean[] lint, boolean extIntMessage, boolean waitingForStartup, int initialCount,
      int divideRegister, long timerDeadline, long tscDeadline) {
    public State {
      StateCheck.bits(
          "the APIC base", base, BASE_ADDRESS | BASE_ENABLE | BASE_X2APIC | BASE_BSP);
      StateCheck.range("the task priority", taskPriority, 0, 0xff);
      StateCheck.length("requests", irr.length, 8);
      StateCheck.length("what is in service", isr.length, 8);
      StateCheck.length("trigger modes", tmr.length, 8);
      StateCheck.length("local vectors", lvt.length, LVT_WRITABLE.length);
      for (int i = 0; i < lvt.length; i++) {
        StateCheck.bits("a local vector", lvt[i] & 0xffff_ffffL, LVT_WRITABLE[i]);
      }
      StateCheck.bits("the spurious vector", spurious, 0x1ff);
      StateCheck.length("LINT levels", lint.length, 2);
      StateCheck.bits("the divider", divideRegister, 0xb);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(
        base, taskPriority, irr.clone(), isr.clone(), tmr.clone(), lvt.clone(), spurious,
        logicalId, destinationFormat, icrLow, icrHigh, errors, errorStatus, lint.clone(),
        extIntMessage, waitingForStartup, initialCount, divideRegister, timerDeadline,
        tscDeadline);
  }

  @Override
  public void restoreState(State s) {
    boolean now;
    synchronized (this) {
      base = s.base & ~BASE_BSP | (bootstrap ? BASE_BSP : 0);
      taskPriority = s.taskPriority;
      System.arraycopy(s.irr, 0, irr, 0, irr.length);
      System.arraycopy(s.isr, 0, isr, 0, isr.length);
      System.arraycopy(s.tmr, 0, tmr, 0, tmr.length);
      System.arraycopy(s.lvt, 0, lvt, 0, lvt.length);
      spurious = s.spurious;
      logicalId = s.logicalId;
      destinationFormat = s.destinationFormat;
      icrLow = s.icrLow;
      icrHigh = s.icrHigh;
      errors = s.errors;
      errorStatus = s.errorStatus;
      System.arraycopy(s.lint, 0, lint, 0, lint.length);
      extIntMessage = s.extIntMessage;
      waitingForStartup = s.waitingForStartup;
      initialCount = s.initialCount;
      divideRegister = s.divideRegister;
      tscDeadline = s.tscDeadline;
      arm(s.timerDeadline);
      update();
      now = ready;
    }
    if (now) {
      control.interruptPending();
    }
  }

  @Override
  public synchronized String toString() {
    return "apic %d base=%#x svr=%#x tpr=%#x irr=%d isr=%d ready=%b lvt=%s"
        .formatted(
            id,
            base,
            spurious,
            taskPriority,
            highest(irr),
            highest(isr),
            ready,
            Arrays.stream(lvt).mapToObj(Integer::toHexString).toList());
  }
}

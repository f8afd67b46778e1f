package org.javisor.pc.time;

import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;

/**
 * Timers as devices use them. The indirection lets a test drive time by hand, on its own thread.
 */
public interface DeviceTimers {
  Clock clock();

  /** Creates a timer that is not set; the action runs on the timer thread, without a lock held. */
  Alarm create(Runnable action);

  /** A one-shot timer that can be set again, also from its own action. */
  interface Alarm {
    /** Fires once when {@link Clock#nanos} reaches the deadline; replaces an earlier setting. */
    void set(long deadlineNanos);

    /** Forgets the setting; an action already running is not waited for. */
    void cancel();
  }

  /** The timers of a machine. */
  static DeviceTimers of(Timers timers) {
    return ahead(timers, 0);
  }

  /** The same by a clock that is ahead of theirs by so many nanoseconds. */
  static DeviceTimers ahead(Timers timers, long nanos) {
    Clock clock = Clock.ahead(timers.clock(), nanos);
    return new DeviceTimers() {
      @Override
      public Clock clock() {
        return clock;
      }

      @Override
      public Alarm create(Runnable action) {
        Timers.Timer timer = timers.create(action);
        return new Alarm() {
          @Override
          public void set(long deadlineNanos) {
            timer.set(deadlineNanos - nanos);
          }

          @Override
          public void cancel() {
            timer.cancel();
          }
        };
      }
    };
  }
}

package org.javisor.pc;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.time.Clock;
import org.javisor.pc.time.DeviceTimers;

/** Time that a test moves by hand; due timers fire on the test's thread, in order. */
public final class FakeTime implements DeviceTimers, Clock {
  private final List<FakeAlarm> alarms = new ArrayList<>();
  private long now;
  private long wallAtZero = 1_700_000_000_000_000_000L; // 2023-11-14 22:13:20, a Tuesday

  private final class FakeAlarm implements Alarm {
    final Runnable action;
    long deadline = Long.MAX_VALUE;

    FakeAlarm(Runnable action) {
      this.action = action;
    }

    @Override
    public void set(long deadlineNanos) {
      deadline = deadlineNanos;
    }

    @Override
    public void cancel() {
      deadline = Long.MAX_VALUE;
    }
  }

  @Override
  public Clock clock() {
    return this;
  }

  @Override
  public Alarm create(Runnable action) {
    FakeAlarm alarm = new FakeAlarm(action);
    alarms.add(alarm);
    return alarm;
  }

  @Override
  public long nanos() {
    return now;
  }

  @Override
  public long wallNanos() {
    return wallAtZero + now;
  }

  public void setWall(long nanosAtZero) {
    wallAtZero = nanosAtZero;
  }

  /** Moves time on, stopping at every timer that is due on the way. */
  public void advance(long nanos) {
    long end = now + nanos;
    while (true) {
      FakeAlarm first = null;
      for (FakeAlarm alarm : alarms) {
        if (alarm.deadline <= end && (first == null || alarm.deadline < first.deadline)) {
          first = alarm;
        }
      }
      if (first == null) {
        now = end;
        return;
      }
      now = Math.max(now, first.deadline);
      first.deadline = Long.MAX_VALUE;
      first.action.run();
    }
  }

  /** Moves time on without timers firing: the host was busy. Then those due fire once. */
  public void jump(long nanos) {
    now += nanos;
    advance(0);
  }
}

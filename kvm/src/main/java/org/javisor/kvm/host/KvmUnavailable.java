package org.javisor.kvm.host;

/**
 * This host offers no usable {@code /dev/kvm}. The message is one line: what is wrong; {@link
 * #advice} says what to do about it.
 */
public final class KvmUnavailable extends Exception {
  private static final long serialVersionUID = 1L;

  /** What is wrong, for programs. */
  public enum Reason {
    /** There is no device. */
    ABSENT,
    /** The device is there, and this user may not open it. */
    FORBIDDEN,
    /** The device does not answer as KVM does, or lacks what is needed. */
    BROKEN
  }

  private final Reason reason;
  private final String advice;

  public KvmUnavailable(Reason reason, String message, String advice) {
    super(message);
    this.reason = reason;
    this.advice = advice;
  }

  public Reason reason() {
    return reason;
  }

  public String advice() {
    return advice;
  }
}

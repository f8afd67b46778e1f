package org.javisor.machine.control;

/** What was asked of a machine cannot be done. The message is one line for a person. */
public final class ControlException extends Exception {
  private static final long serialVersionUID = 1L;

  /** The class of a QMP error: clients tell these apart, everything else is generic. */
  public enum ErrorClass {
    GENERIC("GenericError"),
    COMMAND_NOT_FOUND("CommandNotFound"),
    DEVICE_NOT_FOUND("DeviceNotFound"),
    DEVICE_NOT_ACTIVE("DeviceNotActive");

    private final String label;

    ErrorClass(String label) {
      this.label = label;
    }

    /** The name in the protocol. */
    public String label() {
      return label;
    }

    static ErrorClass of(String label) {
      for (ErrorClass each : values()) {
        if (each.label.equals(label)) {
          return each;
        }
      }
      return GENERIC;
    }
  }

  private final ErrorClass errorClass;

  public ControlException(String message) {
    this(ErrorClass.GENERIC, message);
  }

  public ControlException(String message, Throwable cause) {
    super(message, cause);
    errorClass = ErrorClass.GENERIC;
  }

  public ControlException(ErrorClass errorClass, String message) {
    super(message);
    this.errorClass = errorClass;
  }

  public ErrorClass errorClass() {
    return errorClass;
  }
}

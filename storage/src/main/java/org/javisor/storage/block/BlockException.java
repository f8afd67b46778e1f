package org.javisor.storage.block;

import java.io.IOException;

/**
 * A disk or an image could not do what was asked. The message is one line for a person: what is
 * wrong, what was expected, what to do.
 */
public final class BlockException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, for programs. */
  public enum Reason {
    /** The request reaches beyond the end of the disk: the guest's mistake. */
    OUT_OF_RANGE,
    /** A write to a disk that is read-only: the guest's mistake. */
    READ_ONLY,
    /** No space on the host, or the user's quota is used up. Room can be made. */
    HOST_DISK_FULL,
    /** The host failed to read or write. */
    HOST_IO,
    /** The image contradicts itself. */
    DAMAGED,
    /** The file is not of the format it was opened as. */
    WRONG_FORMAT,
    /** The image uses a feature that is not built, named in the message. */
    NOT_SUPPORTED,
    /** Another process, or another disk of this one, uses the image in a way that excludes ours. */
    IN_USE,
    /** The file is missing, or the user may not read or write it. */
    UNREADABLE,
    /** A value given for an operation on images is none. */
    INVALID,
    /** There is not enough memory for what was asked. */
    TOO_LARGE,
    /** The device was closed before. */
    CLOSED;

    /** Whether the host is at fault, so that the same request can succeed later. */
    public boolean isHostError() {
      return this == HOST_DISK_FULL || this == HOST_IO;
    }
  }

  private final Reason reason;

  public BlockException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public BlockException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}

package org.javisor.storage.packages;

import java.io.IOException;

/** An archive is malformed, truncated, or holds something that must not be unpacked. */
public final class ArchiveFormatException extends IOException {
  private static final long serialVersionUID = 1L;

  public ArchiveFormatException(String message) {
    super(message);
  }

  public ArchiveFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}

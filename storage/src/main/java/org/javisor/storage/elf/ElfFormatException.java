package org.javisor.storage.elf;

import java.io.IOException;

/** A file is no ELF file, or is a malformed or truncated one. */
public final class ElfFormatException extends IOException {
  private static final long serialVersionUID = 1L;

  public ElfFormatException(String message) {
    super(message);
  }
}

package org.javisor.xen.toolstack;

/** A guest configuration that cannot be used. The message names file, line and key. */
public final class ConfigException extends Exception {
  private static final long serialVersionUID = 1L;

  ConfigException(String message) {
    super(message);
  }
}

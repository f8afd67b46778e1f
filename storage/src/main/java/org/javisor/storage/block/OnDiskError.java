package org.javisor.storage.block;

/** What becomes of a guest's request that the host could not serve: {@code --on-disk-error}. */
public enum OnDiskError {
  /** The request is kept, the machine stops, and when it goes on the request is tried again. */
  STOP,
  /** The guest is told of an I/O error. */
  REPORT
}

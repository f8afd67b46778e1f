package org.javisor.xen.store;

/** A request that the store refuses; the name is what the wire protocol carries. */
public final class StoreException extends Exception {
  private static final long serialVersionUID = 1L;

  /** Reasons, by the names of xs_wire.h. */
  public enum Error {
    EINVAL,
    EACCES,
    EEXIST,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EIO,
    ENOTEMPTY,
    ENOSYS,
    EROFS,
    EBUSY,
    EAGAIN,
    EISCONN,
    E2BIG,
    EPERM
  }

  private final Error error;

  StoreException(Error error) {
    super(error.name(), null, false, false);
    this.error = error;
  }

  public Error error() {
    return error;
  }
}

package org.javisor.kvm.host;

/**
 * The host's KVM refused what it should have done. Not a fault of the guest; the message names the
 * request and the error number.
 */
public final class KvmException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int errno;

  public KvmException(String request, int errno) {
    super("/dev/kvm: " + request + " failed: " + Errno.text(errno));
    this.errno = errno;
  }

  public KvmException(String message) {
    super("/dev/kvm: " + message);
    errno = 0;
  }

  /** The host's error number, or 0 if there is none. */
  public int errno() {
    return errno;
  }
}

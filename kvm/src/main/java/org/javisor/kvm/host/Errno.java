package org.javisor.kvm.host;

/** Error numbers of Linux that mean something to us (errno(3)). */
public final class Errno {
  public static final int EPERM = 1;
  public static final int ENOENT = 2;
  public static final int EINTR = 4;
  public static final int ENXIO = 6;
  public static final int E2BIG = 7;
  public static final int EBADF = 9;
  public static final int EAGAIN = 11;
  public static final int ENOMEM = 12;
  public static final int EACCES = 13;
  public static final int EFAULT = 14;
  public static final int EBUSY = 16;
  public static final int EEXIST = 17;
  public static final int ENODEV = 19;
  public static final int EINVAL = 22;
  public static final int ENOTTY = 25;
  public static final int ENOSPC = 28;

  private Errno() {}

  /** The name of an error number, with the number. */
  public static String text(int errno) {
    String name =
        switch (errno) {
          case EPERM -> "EPERM";
          case ENOENT -> "ENOENT";
          case EINTR -> "EINTR";
          case ENXIO -> "ENXIO";
          case E2BIG -> "E2BIG";
          case EBADF -> "EBADF";
          case EAGAIN -> "EAGAIN";
          case ENOMEM -> "ENOMEM";
          case EACCES -> "EACCES";
          case EFAULT -> "EFAULT";
          case EBUSY -> "EBUSY";
          case EEXIST -> "EEXIST";
          case ENODEV -> "ENODEV";
          case EINVAL -> "EINVAL";
          case ENOTTY -> "ENOTTY";
          case ENOSPC -> "ENOSPC";
          default -> "errno";
        };
    return name + " (" + errno + ")";
  }
}

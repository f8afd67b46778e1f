package org.javisor.xen.hypervisor;

/** Results of hypercalls that failed (public/errno.h), negative as guests find them. */
public final class Errno {
  public static final long EPERM = -1;
  public static final long ENOENT = -2;
  public static final long ESRCH = -3;
  public static final long E2BIG = -7;
  public static final long ENOMEM = -12;
  public static final long EACCES = -13;
  public static final long EFAULT = -14;
  public static final long EBUSY = -16;
  public static final long EEXIST = -17;
  public static final long ENODEV = -19;
  public static final long EINVAL = -22;
  public static final long ENOSPC = -28;
  public static final long ERANGE = -34;
  public static final long ENOSYS = -38;
  public static final long ENODATA = -61;
  public static final long ETIME = -62;
  public static final long ENOBUFS = -105;
  public static final long EOPNOTSUPP = -95;

  private Errno() {}
}

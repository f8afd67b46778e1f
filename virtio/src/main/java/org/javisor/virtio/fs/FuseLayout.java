package org.javisor.virtio.fs;

/**
 * Numbers of the FUSE protocol, version 7.31, with the names of the Linux header {@code
 * linux/fuse.h}. Offsets and sizes in bytes; all fields are little endian here.
 */
final class FuseLayout {
  static final int MAJOR = 7;
  static final int MINOR = 31;

  /** {@code struct fuse_in_header}: len, opcode, unique, nodeid, uid, gid, pid. */
  static final int IN_HEADER = 40;

  static final int IN_OPCODE = 4;
  static final int IN_UNIQUE = 8;
  static final int IN_NODE = 16;

  /** {@code struct fuse_out_header}: len, error, unique. */
  static final int OUT_HEADER = 16;

  static final int OUT_ERROR = 4;
  static final int OUT_UNIQUE = 8;

  static final int LOOKUP = 1;
  static final int FORGET = 2;
  static final int GETATTR = 3;
  static final int SETATTR = 4;
  static final int READLINK = 5;
  static final int SYMLINK = 6;
  static final int MKNOD = 8;
  static final int MKDIR = 9;
  static final int UNLINK = 10;
  static final int RMDIR = 11;
  static final int RENAME = 12;
  static final int LINK = 13;
  static final int OPEN = 14;
  static final int READ = 15;
  static final int WRITE = 16;
  static final int STATFS = 17;
  static final int RELEASE = 18;
  static final int FSYNC = 20;
  static final int FLUSH = 25;
  static final int INIT = 26;
  static final int OPENDIR = 27;
  static final int READDIR = 28;
  static final int RELEASEDIR = 29;
  static final int FSYNCDIR = 30;
  static final int CREATE = 35;
  static final int INTERRUPT = 36;
  static final int DESTROY = 38;
  static final int BATCH_FORGET = 42;
  static final int FALLOCATE = 43;
  static final int RENAME2 = 45;
  static final int LSEEK = 46;
  static final int SYNCFS = 50;

  static final int INIT_ASYNC_READ = 1;
  static final int INIT_ATOMIC_O_TRUNC = 1 << 3;
  static final int INIT_BIG_WRITES = 1 << 5;
  static final int INIT_AUTO_INVAL_DATA = 1 << 12;
  static final int INIT_PARALLEL_DIROPS = 1 << 18;
  static final int INIT_MAX_PAGES = 1 << 22;
  static final int INIT_OUT = 64;

  static final int ATTR = 88;
  static final int ENTRY_OUT = 128;
  static final int ENTRY_ATTR = 40;
  static final int ATTR_OUT = 104;
  static final int ATTR_OUT_ATTR = 16;
  static final int OPEN_OUT = 16;
  static final int STATFS_OUT = 80;

  /** {@code struct fuse_dirent}: ino, off, namelen, type, name. */
  static final int DIRENT = 24;

  static final int SETATTR_IN = 88;
  static final int FATTR_MODE = 1;
  static final int FATTR_UID = 1 << 1;
  static final int FATTR_GID = 1 << 2;
  static final int FATTR_SIZE = 1 << 3;
  static final int FATTR_ATIME = 1 << 4;
  static final int FATTR_MTIME = 1 << 5;
  static final int FATTR_FH = 1 << 6;
  static final int FATTR_ATIME_NOW = 1 << 7;
  static final int FATTR_MTIME_NOW = 1 << 8;

  static final int READ_IN = 40;
  static final int WRITE_IN = 40;

  static final int GETATTR_FH = 1;

  private FuseLayout() {}
}

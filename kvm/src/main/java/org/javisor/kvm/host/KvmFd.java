package org.javisor.kvm.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.javisor.memory.HostMemory;

/** A file descriptor of KVM: the system's, a virtual machine's or a vCPU's. */
public final class KvmFd implements AutoCloseable {
  private final int fd;
  private final MemorySegment capture;

  /** Takes over an open descriptor. */
  public KvmFd(int fd) {
    this.fd = fd;
    // Small, and collected with this object: a late caller finds it whatever was closed.
    capture = HostCalls.capture(Arena.ofAuto());
  }

  public int number() {
    return fd;
  }

  /** Makes a request; any thread. Returns its result, or the negative error number. */
  public int ioctl(long request, long argument) {
    return HostCalls.ioctl(fd, request, argument);
  }

  public int ioctl(long request, MemorySegment argument) {
    return HostCalls.ioctl(fd, request, argument.address());
  }

  /** As {@link #ioctl(long, long)} without allocation, for one thread at a time. */
  public int ioctlExclusive(long request, long argument) {
    return HostCalls.ioctl(capture, fd, request, argument);
  }

  /**
   * Makes a request that has to succeed.
   *
   * @throws KvmException if it does not
   */
  public int must(String name, long request, long argument) {
    return check(name, ioctl(request, argument));
  }

  public int must(String name, long request, MemorySegment argument) {
    return check(name, ioctl(request, argument.address()));
  }

  private static int check(String name, int result) {
    if (result < 0) {
      throw new KvmException(name, -result);
    }
    return result;
  }

  /** What this descriptor answers about an extension: 0 for no; what else is its own matter. */
  public int extension(int capability) {
    return Math.max(0, ioctl(KvmAbi.CHECK_EXTENSION, capability));
  }

  /** Maps the structure a vCPU shares with the kernel; {@link HostMemory#unmap} ends it. */
  public long map(long size) {
    return HostMemory.mapMemfd(fd, 0, size, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  @Override
  public void close() {
    HostCalls.close(fd);
  }
}

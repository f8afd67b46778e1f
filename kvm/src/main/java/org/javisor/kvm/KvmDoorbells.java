package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.OptionalLong;
import org.javisor.kvm.host.EventFd;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmFd;

/**
 * Guest writes that become signals of an event file descriptor in the kernel: the vCPU goes on at
 * once, and the device does its work on a thread of its own (ioeventfd). The write does not reach
 * the {@link org.javisor.accelerator.GuestBus}. Any thread.
 */
public final class KvmDoorbells {
  private static final int MATCH_VALUE = 1;
  private static final int PORT = 2;
  private static final int DEASSIGN = 4;

  private final KvmFd vm;

  /** Where a doorbell is. */
  public sealed interface Place {
    /** Writes of {@code size} bytes (1, 2 or 4) to a port. */
    record Port(int port, int size) implements Place {}

    /** Writes of {@code size} bytes (1, 2, 4 or 8; 0 for any, if they {@link #takeAnySize}) to device memory. */
    record Memory(long gpa, int size) implements Place {}
  }

  KvmDoorbells(KvmFd vm) {
    this.vm = vm;
  }

  /** Whether one doorbell in device memory takes writes of every size. */
  public boolean takeAnySize() {
    return vm.extension(KvmAbi.CAP_IOEVENTFD_ANY_LENGTH) != 0;
  }

  /**
   * Attaches a doorbell.
   *
   * @param value the only value that rings it; empty for every one
   */
  public void attach(EventFd event, Place place, OptionalLong value) {
    request(event, place, value, 0);
  }

  /** Takes off what was attached with the same arguments. */
  public void detach(EventFd event, Place place, OptionalLong value) {
    request(event, place, value, DEASSIGN);
  }

  /** struct kvm_ioeventfd: datamatch, address, length, descriptor, flags. */
  private void request(EventFd event, Place place, OptionalLong value, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(64, 8);
      request.set(JAVA_LONG, 0, value.orElse(0));
      request.set(JAVA_INT, 20, event.number());
      int all = flags | (value.isPresent() ? MATCH_VALUE : 0);
      switch (place) {
        case Place.Port(int port, int size) -> {
          request.set(JAVA_LONG, 8, port);
          request.set(JAVA_INT, 16, size);
          all |= PORT;
        }
        case Place.Memory(long gpa, int size) -> {
          request.set(JAVA_LONG, 8, gpa);
          request.set(JAVA_INT, 16, size);
        }
      }
      request.set(JAVA_INT, 24, all);
      vm.must("KVM_IOEVENTFD", KvmAbi.IOEVENTFD, request);
    }
  }
}

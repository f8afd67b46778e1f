package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import org.javisor.kvm.host.KvmFd;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * {@code struct kvm_run}: what a vCPU and the kernel tell each other at every entry and exit (KVM
 * API, section 5). Accesses are checked against its size, since offsets in it come from the kernel.
 */
final class RunPage {
  // In.
  private static final int REQUEST_INTERRUPT_WINDOW = 0;
  private static final int IMMEDIATE_EXIT = 1;
  // Out.
  private static final int EXIT_REASON = 8;
  private static final int READY_FOR_INTERRUPT = 12;
  private static final int IF_FLAG = 13;
  // Both.
  private static final int CR8 = 16;
  private static final int APIC_BASE = 24;
  // The union of exits.
  private static final int EXIT = 32;

  private final long address;
  private final int size;
  private final MemorySegment page;

  RunPage(KvmFd vcpu, int size) {
    this.size = size;
    address = vcpu.map(size);
    page = RawMemory.segment(address, size);
  }

  /** Gives the mapping back; nothing of this object may be called any more. */
  void close() {
    HostMemory.unmap(address, size);
  }

  void setImmediateExit(boolean on) {
    page.set(JAVA_BYTE, IMMEDIATE_EXIT, (byte) (on ? 1 : 0));
  }

  void requestInterruptWindow(boolean on) {
    page.set(JAVA_BYTE, REQUEST_INTERRUPT_WINDOW, (byte) (on ? 1 : 0));
  }

  int exitReason() {
    return page.get(JAVA_INT, EXIT_REASON);
  }

  boolean readyForInterrupt() {
    return page.get(JAVA_BYTE, READY_FOR_INTERRUPT) != 0;
  }

  /** The kernel's answer no longer holds; it gives a new one at the next exit. */
  void forgetReadiness() {
    page.set(JAVA_BYTE, READY_FOR_INTERRUPT, (byte) 0);
  }

  boolean interruptFlag() {
    return page.get(JAVA_BYTE, IF_FLAG) != 0;
  }

  /**
   * The vCPU was given another state. What the kernel said at its last exit, if there was one, is of
   * the state before.
   */
  void stateGiven(boolean interruptFlag) {
    page.set(JAVA_BYTE, IF_FLAG, (byte) (interruptFlag ? 1 : 0));
    forgetReadiness();
  }

  int cr8() {
    return (int) page.get(JAVA_LONG, CR8);
  }

  void setCr8(int value) {
    page.set(JAVA_LONG, CR8, value);
  }

  long apicBase() {
    return page.get(JAVA_LONG, APIC_BASE);
  }

  // ---- Port I/O -----------------------------------------------------------------------------

  boolean ioIsOut() {
    return page.get(JAVA_BYTE, EXIT) != 0;
  }

  int ioSize() {
    return page.get(JAVA_BYTE, EXIT + 1);
  }

  int ioPort() {
    return page.get(JAVA_SHORT, EXIT + 2) & 0xffff;
  }

  int ioCount() {
    return page.get(JAVA_INT, EXIT + 4);
  }

  long ioData() {
    return page.get(JAVA_LONG, EXIT + 8);
  }

  // ---- Memory-mapped I/O --------------------------------------------------------------------

  static final int MMIO_DATA = EXIT + 8;

  long mmioAddress() {
    return page.get(JAVA_LONG, EXIT);
  }

  int mmioLength() {
    return page.get(JAVA_INT, EXIT + 16);
  }

  boolean mmioIsWrite() {
    return page.get(JAVA_BYTE, EXIT + 20) != 0;
  }

  // ---- Model-specific registers -------------------------------------------------------------

  void setMsrError(boolean error) {
    page.set(JAVA_BYTE, EXIT, (byte) (error ? 1 : 0));
  }

  int msr() {
    return page.get(JAVA_INT, EXIT + 12);
  }

  long msrData() {
    return page.get(JAVA_LONG, EXIT + 16);
  }

  void setMsrData(long value) {
    page.set(JAVA_LONG, EXIT + 16, value);
  }

  // ---- Debugging, errors, events --------------------------------------------------------------

  /** The linear address at which the debugger stopped. */
  long debugAddress() {
    return page.get(JAVA_LONG, EXIT + 8);
  }

  int suberror() {
    return page.get(JAVA_INT, EXIT);
  }

  /** Number of 64-bit words that describe an internal error. */
  int errorWords() {
    return Math.clamp(page.get(JAVA_INT, EXIT + 4), 0, 16);
  }

  long errorWord(int index) {
    return page.get(JAVA_LONG, EXIT + 8 + 8L * index);
  }

  long entryFailure() {
    return page.get(JAVA_LONG, EXIT);
  }

  int systemEvent() {
    return page.get(JAVA_INT, EXIT);
  }

  // ---- Data of port and memory-mapped I/O -----------------------------------------------------

  /** Reads 1, 2, 4 or 8 bytes, zero extended. */
  long get(long offset, int bytes) {
    return switch (bytes) {
      case 1 -> page.get(JAVA_BYTE, offset) & 0xffL;
      case 2 -> page.get(JAVA_SHORT_UNALIGNED, offset) & 0xffffL;
      case 4 -> page.get(JAVA_INT_UNALIGNED, offset) & 0xffff_ffffL;
      default -> page.get(JAVA_LONG_UNALIGNED, offset);
    };
  }

  void put(long offset, int bytes, long value) {
    switch (bytes) {
      case 1 -> page.set(JAVA_BYTE, offset, (byte) value);
      case 2 -> page.set(JAVA_SHORT_UNALIGNED, offset, (short) value);
      case 4 -> page.set(JAVA_INT_UNALIGNED, offset, (int) value);
      default -> page.set(JAVA_LONG_UNALIGNED, offset, value);
    }
  }
}

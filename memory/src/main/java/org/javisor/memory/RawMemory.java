package org.javisor.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Loads and stores at raw host addresses, little endian, of any alignment.
 *
 * <p>This is the one class that touches raw addresses. Nothing here checks an address: a caller
 * passes only what a {@link FrameArena}, a {@link GuestMemory} or {@link HostMemory} gave it.
 *
 * <p>Each access goes through one segment that spans the address space. It is a constant, so C2
 * reduces an access to the machine instruction and a sign test of the address.
 */
public final class RawMemory {
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final VarHandle I32 = handle(ValueLayout.JAVA_INT);
  private static final VarHandle I64 = handle(ValueLayout.JAVA_LONG);

  private RawMemory() {}

  private static VarHandle handle(ValueLayout layout) {
    // Coordinates (segment, offset); the segment is bound so that call sites stay exact and short.
    VarHandle plain = layout.varHandle();
    return MethodHandles.insertCoordinates(plain, 0, ALL);
  }

  /** Returns the byte at {@code address}, zero extended. */
  public static int get8(long address) {
    return ALL.get(ValueLayout.JAVA_BYTE, address) & 0xff;
  }

  /** Returns the 16-bit word at {@code address}, zero extended. */
  public static int get16(long address) {
    return ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, address) & 0xffff;
  }

  /** Returns the 32-bit word at {@code address}. */
  public static int get32(long address) {
    return ALL.get(ValueLayout.JAVA_INT_UNALIGNED, address);
  }

  /** Returns the 64-bit word at {@code address}. */
  public static long get64(long address) {
    return ALL.get(ValueLayout.JAVA_LONG_UNALIGNED, address);
  }

  public static void put8(long address, int value) {
    ALL.set(ValueLayout.JAVA_BYTE, address, (byte) value);
  }

  public static void put16(long address, int value) {
    ALL.set(ValueLayout.JAVA_SHORT_UNALIGNED, address, (short) value);
  }

  public static void put32(long address, int value) {
    ALL.set(ValueLayout.JAVA_INT_UNALIGNED, address, value);
  }

  public static void put64(long address, long value) {
    ALL.set(ValueLayout.JAVA_LONG_UNALIGNED, address, value);
  }

  /** Copies {@code length} bytes between host addresses; the ranges may overlap. */
  public static void copy(long source, long target, long length) {
    MemorySegment.copy(ALL, source, ALL, target, length);
  }

  /** Copies {@code length} bytes from {@code source} into {@code target} at {@code offset}. */
  public static void copyOut(long source, byte[] target, int offset, int length) {
    MemorySegment.copy(ALL, ValueLayout.JAVA_BYTE, source, target, offset, length);
  }

  /** Copies {@code length} bytes of {@code source} at {@code offset} to the host address. */
  public static void copyIn(byte[] source, int offset, long target, int length) {
    MemorySegment.copy(source, offset, ALL, ValueLayout.JAVA_BYTE, target, length);
  }

  public static void fill(long address, long length, int value) {
    ALL.asSlice(address, length).fill((byte) value);
  }

  /** Returns a segment view of raw memory, for callers that hand memory to the host's functions. */
  public static MemorySegment segment(long address, long length) {
    return ALL.asSlice(address, length);
  }

  /** Compare-and-set of an aligned 32-bit word, with the effect of a LOCK prefix. */
  public static boolean compareAndSet32(long address, int expected, int value) {
    return I32.compareAndSet(address, expected, value);
  }

  /** Compare-and-set of an aligned 64-bit word, with the effect of a LOCK prefix. */
  public static boolean compareAndSet64(long address, long expected, long value) {
    return I64.compareAndSet(address, expected, value);
  }

  /** Atomically ORs into an aligned 32-bit word and returns what it held. */
  public static int getAndOr32(long address, int bits) {
    return (int) I32.getAndBitwiseOr(address, bits);
  }

  /** Atomically ANDs into an aligned 32-bit word and returns what it held. */
  public static int getAndAnd32(long address, int bits) {
    return (int) I32.getAndBitwiseAnd(address, bits);
  }

  /** Volatile load of an aligned 32-bit word. */
  public static int getVolatile32(long address) {
    return (int) I32.getVolatile(address);
  }

  /** Opaque load of an aligned 32-bit word: free on x86, never hoisted out of a loop. */
  public static int getOpaque32(long address) {
    return (int) I32.getOpaque(address);
  }

  /** Volatile store of an aligned 32-bit word. */
  public static void putVolatile32(long address, int value) {
    I32.setVolatile(address, value);
  }
}

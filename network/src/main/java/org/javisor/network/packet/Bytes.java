package org.javisor.network.packet;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Numbers in network byte order at absolute indices of a buffer, whatever the buffer's own byte order
 * is. Unaligned, bounds-checked.
 */
public final class Bytes {
  private static final VarHandle SHORT =
      MethodHandles.byteBufferViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

  private Bytes() {}

  public static int u8(ByteBuffer buffer, int index) {
    return buffer.get(index) & 0xFF;
  }

  public static int u16(ByteBuffer buffer, int index) {
    return (short) SHORT.get(buffer, index) & 0xFFFF;
  }

  public static int i32(ByteBuffer buffer, int index) {
    return (int) INT.get(buffer, index);
  }

  public static long u32(ByteBuffer buffer, int index) {
    return (int) INT.get(buffer, index) & 0xFFFF_FFFFL;
  }

  /** An Ethernet address. */
  public static long u48(ByteBuffer buffer, int index) {
    return (long) u16(buffer, index) << 32 | u32(buffer, index + 2);
  }

  public static long i64(ByteBuffer buffer, int index) {
    return (long) LONG.get(buffer, index);
  }

  public static void put8(ByteBuffer buffer, int index, int value) {
    buffer.put(index, (byte) value);
  }

  public static void put16(ByteBuffer buffer, int index, int value) {
    SHORT.set(buffer, index, (short) value);
  }

  public static void put32(ByteBuffer buffer, int index, int value) {
    INT.set(buffer, index, value);
  }

  public static void put48(ByteBuffer buffer, int index, long value) {
    put16(buffer, index, (int) (value >>> 32));
    put32(buffer, index + 2, (int) value);
  }

  public static void put64(ByteBuffer buffer, int index, long value) {
    LONG.set(buffer, index, value);
  }
}

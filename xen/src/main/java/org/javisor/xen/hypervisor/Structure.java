package org.javisor.xen.hypervisor;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** A copy of a C structure: fields by offset, little endian. */
public final class Structure {
  private static final VarHandle U16 =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle U32 =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle U64 =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private final byte[] bytes;

  /** Wraps bytes; they are not copied. */
  public Structure(byte[] bytes) {
    this.bytes = bytes;
  }

  public Structure(int size) {
    this(new byte[size]);
  }

  public byte[] bytes() {
    return bytes;
  }

  public int u8(int offset) {
    return bytes[offset] & 0xff;
  }

  public int u16(int offset) {
    return (short) U16.get(bytes, offset) & 0xffff;
  }

  public int i32(int offset) {
    return (int) U32.get(bytes, offset);
  }

  public long u32(int offset) {
    return i32(offset) & 0xffff_ffffL;
  }

  public long u64(int offset) {
    return (long) U64.get(bytes, offset);
  }

  public void put8(int offset, int value) {
    bytes[offset] = (byte) value;
  }

  public void put16(int offset, int value) {
    U16.set(bytes, offset, (short) value);
  }

  public void put32(int offset, int value) {
    U32.set(bytes, offset, value);
  }

  public void put64(int offset, long value) {
    U64.set(bytes, offset, value);
  }
}

package org.javisor.accelerator.state;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Little-endian primitives, appended to a growing array or taken from one that is not trusted. */
final class Bytes {
  private Bytes() {}

  static final class Out {
    private ByteBuffer buffer = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);

    private ByteBuffer room(int bytes) {
      if (buffer.remaining() < bytes) {
        int capacity = Math.max(2 * buffer.capacity(), Math.addExact(buffer.position(), bytes));
        byte[] larger = Arrays.copyOf(buffer.array(), capacity);
        buffer =
            ByteBuffer.wrap(larger).order(ByteOrder.LITTLE_ENDIAN).position(buffer.position());
      }
      return buffer;
    }

    void putByte(int value) {
      room(1).put((byte) value);
    }

    void putShort(int value) {
      room(2).putShort((short) value);
    }

    void putInt(int value) {
      room(4).putInt(value);
    }

    void putLong(long value) {
      room(8).putLong(value);
    }

    void putBytes(byte[] value) {
      room(value.length).put(value);
    }

    void putString(String value) {
      byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
      putInt(utf8.length);
      putBytes(utf8);
    }

    byte[] toByteArray() {
      return Arrays.copyOf(buffer.array(), buffer.position());
    }
  }

  static final class In {
    private final ByteBuffer buffer;

    In(byte[] bytes) {
      buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    int remaining() {
      return buffer.remaining();
    }

    int position() {
      return buffer.position();
    }

    private ByteBuffer need(int bytes) throws StateException {
      if (buffer.remaining() < bytes) {
        throw new StateException(
            "it ends after " + buffer.limit() + " bytes, in the middle of a value");
      }
      return buffer;
    }

    byte getByte() throws StateException {
      return need(1).get();
    }

    boolean getBoolean() throws StateException {
      byte value = getByte();
      if (value != 0 && value != 1) {
        throw new StateException((value & 0xff) + " where 0 or 1 was expected");
      }
      return value == 1;
    }

    short getShort() throws StateException {
      return need(2).getShort();
    }

    int getInt() throws StateException {
      return need(4).getInt();
    }

    long getLong() throws StateException {
      return need(8).getLong();
    }

    byte[] getBytes(int length) throws StateException {
      byte[] bytes = new byte[length];
      need(length).get(bytes);
      return bytes;
    }

    /** A length of elements that take at least {@code size} bytes each, all of them still to come. */
    int getLength(int size) throws StateException {
      int length = getInt();
      if (length < 0 || length > buffer.remaining() / size) {
        throw new StateException(
            "a length of " + Integer.toUnsignedString(length) + " with " + buffer.remaining()
                + " bytes to come");
      }
      return length;
    }

    String getString() throws StateException {
      byte[] utf8 = getBytes(getLength(1));
      try {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
      } catch (CharacterCodingException e) {
        throw new StateException("a text that is not UTF-8", e);
      }
    }
  }
}

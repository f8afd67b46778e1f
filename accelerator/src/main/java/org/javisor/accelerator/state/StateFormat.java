package org.javisor.accelerator.state;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32C;

/**
 * The format of one kind of saved state: the components of its record in order.
 *
 * <p>Components are {@code boolean}, {@code byte}, {@code short}, {@code int}, {@code long}, arrays
 * of these, {@link String}, enums, other records, and {@link List} and {@link Optional} of such.
 * Numbers are little endian. Arrays and lists begin with their length, strings with their length in
 * bytes of UTF-8, each an {@code int}; an {@code Optional} with a byte 0 or 1; enums are their names.
 *
 * <p>The version is for the reader of an error. What decides is the shape: a checksum of the names
 * and types of all components, so a changed record with a forgotten version is refused as well.
 *
 * @param <R> the record
 */
public final class StateFormat<R extends Record> {
  /** Writes and reads values of one type. */
  private interface Codec {
    void write(Bytes.Out out, Object value);

    Object read(Bytes.In in) throws StateException;

    /** The type as it enters the shape. */
    String shape();
  }

  private final String kind;
  private final int version;
  private final Class<R> type;
  private final Codec codec;
  private final int shape;

  private StateFormat(String kind, int version, Class<R> type, Codec codec) {
    this.kind = kind;
    this.version = version;
    this.type = type;
    this.codec = codec;
    CRC32C crc = new CRC32C();
    crc.update(codec.shape().getBytes(StandardCharsets.UTF_8));
    shape = (int) crc.getValue();
  }

  /**
   * The format of a record.
   *
   * @param kind what the state is of, as {@code pit}: for errors, and to tell sections apart
   * @param version counts the changes of the record, from 1
   */
  public static <R extends Record> StateFormat<R> of(String kind, int version, Class<R> type) {
    return new StateFormat<>(kind, version, type, new RecordCodec(type));
  }

  public String kind() {
    return kind;
  }

  public int version() {
    return version;
  }

  int shape() {
    return shape;
  }

  /** The bytes of a state. */
  public byte[] toBytes(R state) {
    Bytes.Out out = new Bytes.Out();
    codec.write(out, state);
    return out.toByteArray();
  }

  /**
   * The state that {@link #toBytes} wrote.
   *
   * @throws StateException if these bytes are not exactly one valid record
   */
  public R fromBytes(byte[] bytes) throws StateException {
    Bytes.In in = new Bytes.In(bytes);
    R state = type.cast(codec.read(in));
    if (in.remaining() != 0) {
      throw new StateException(in.remaining() + " bytes too many");
    }
    return state;
  }

  // ---- Codecs -----------------------------------------------------------------------------

  private static Codec codec(Type type) {
    if (type instanceof ParameterizedType parameterized) {
      Codec element = codec(parameterized.getActualTypeArguments()[0]);
      if (parameterized.getRawType() == List.class) {
        return new ListCodec(element);
      }
      if (parameterized.getRawType() == Optional.class) {
        return new OptionalCodec(element);
      }
    } else if (type instanceof Class<?> plain) {
      for (Simple simple : Simple.values()) {
        if (simple.type == plain) {
          return simple;
        }
      }
      if (plain.isEnum()) {
        return new EnumCodec(plain);
      }
      if (plain.isRecord()) {
        return new RecordCodec(plain);
      }
    }
    throw new IllegalArgumentException(type.getTypeName() + " cannot be saved");
  }

  private enum Simple implements Codec {
    BOOLEAN(boolean.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putByte((boolean) value ? 1 : 0);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getBoolean();
      }
    },
    BYTE(byte.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putByte((byte) value);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getByte();
      }
    },
    SHORT(short.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putShort((short) value);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getShort();
      }
    },
    INT(int.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putInt((int) value);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getInt();
      }
    },
    LONG(long.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putLong((long) value);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getLong();
      }
    },
    BOOLEANS(boolean[].class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        boolean[] array = (boolean[]) value;
        out.putInt(array.length);
        for (boolean element : array) {
          out.putByte(element ? 1 : 0);
        }
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        boolean[] array = new boolean[in.getLength(1)];
        for (int i = 0; i < array.length; i++) {
          array[i] = in.getBoolean();
        }
        return array;
      }
    },
    BYTES(byte[].class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        byte[] array = (byte[]) value;
        out.putInt(array.length);
        out.putBytes(array);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getBytes(in.getLength(1));
      }
    },
    INTS(int[].class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        int[] array = (int[]) value;
        out.putInt(array.length);
        for (int element : array) {
          out.putInt(element);
        }
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        int[] array = new int[in.getLength(Integer.BYTES)];
        for (int i = 0; i < array.length; i++) {
          array[i] = in.getInt();
        }
        return array;
      }
    },
    LONGS(long[].class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        long[] array = (long[]) value;
        out.putInt(array.length);
        for (long element : array) {
          out.putLong(element);
        }
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        long[] array = new long[in.getLength(Long.BYTES)];
        for (int i = 0; i < array.length; i++) {
          array[i] = in.getLong();
        }
        return array;
      }
    },
    STRING(String.class) {
      @Override
      public void write(Bytes.Out out, Object value) {
        out.putString((String) value);
      }

      @Override
      public Object read(Bytes.In in) throws StateException {
        return in.getString();
      }
    };

    private final Class<?> type;

    Simple(Class<?> type) {
      this.type = type;
    }

    @Override
    public String shape() {
      return name();
    }
  }

  private record EnumCodec(Class<?> type) implements Codec {
    @Override
    public void write(Bytes.Out out, Object value) {
      out.putString(((Enum<?>) value).name());
    }

    @Override
    public Object read(Bytes.In in) throws StateException {
      String name = in.getString();
      for (Object constant : type.getEnumConstants()) {
        if (((Enum<?>) constant).name().equals(name)) {
          return constant;
        }
      }
      throw new StateException("'" + name + "' is no " + type.getSimpleName());
    }

    @Override
    public String shape() {
      return Arrays.toString(type.getEnumConstants());
    }
  }

  private record OptionalCodec(Codec element) implements Codec {
    @Override
    public void write(Bytes.Out out, Object value) {
      Optional<?> optional = (Optional<?>) value;
      out.putByte(optional.isPresent() ? 1 : 0);
      optional.ifPresent(present -> element.write(out, present));
    }

    @Override
    public Object read(Bytes.In in) throws StateException {
      return in.getBoolean() ? Optional.of(element.read(in)) : Optional.empty();
    }

    @Override
    public String shape() {
      return "?" + element.shape();
    }
  }

  private record ListCodec(Codec element) implements Codec {
    @Override
    public void write(Bytes.Out out, Object value) {
      List<?> list = (List<?>) value;
      out.putInt(list.size());
      list.forEach(present -> element.write(out, present));
    }

    @Override
    public Object read(Bytes.In in) throws StateException {
      int length = in.getLength(1); // Every element takes a byte at least.
      List<Object> list = new ArrayList<>();
      for (int i = 0; i < length; i++) {
        list.add(element.read(in));
      }
      return List.copyOf(list);
    }

    @Override
    public String shape() {
      return "*" + element.shape();
    }
  }

  private static final class RecordCodec implements Codec {
    private final String name;
    private final Constructor<?> constructor;
    private final Method[] accessors;
    private final Codec[] codecs;
    private final String shape;

    RecordCodec(Class<?> type) {
      name = type.getSimpleName();
      RecordComponent[] components = type.getRecordComponents();
      if (components.length == 0) {
        throw new IllegalArgumentException(type + " has nothing to save");
      }
      accessors = new Method[components.length];
      codecs = new Codec[components.length];
      Class<?>[] types = new Class<?>[components.length];
      StringBuilder text = new StringBuilder("{");
      for (int i = 0; i < components.length; i++) {
        types[i] = components[i].getType();
        accessors[i] = components[i].getAccessor();
        accessors[i].setAccessible(true);
        codecs[i] = codec(components[i].getGenericType());
        text.append(components[i].getName()).append(':').append(codecs[i].shape()).append(';');
      }
      shape = text.append('}').toString();
      try {
        constructor = type.getDeclaredConstructor(types);
        constructor.setAccessible(true);
      } catch (NoSuchMethodException e) {
        throw new AssertionError("a record without its constructor", e);
      }
    }

    @Override
    public void write(Bytes.Out out, Object value) {
      for (int i = 0; i < codecs.length; i++) {
        try {
          codecs[i].write(out, accessors[i].invoke(value));
        } catch (ReflectiveOperationException e) {
          throw new AssertionError(e);
        }
      }
    }

    @Override
    public Object read(Bytes.In in) throws StateException {
      Object[] values = new Object[codecs.length];
      for (int i = 0; i < codecs.length; i++) {
        values[i] = codecs[i].read(in);
      }
      try {
        return constructor.newInstance(values);
      } catch (InvocationTargetException e) {
        if (e.getCause() instanceof IllegalArgumentException refused) {
          throw new StateException(refused.getMessage(), refused);
        }
        throw new AssertionError("the constructor of " + name, e.getCause());
      } catch (ReflectiveOperationException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public String shape() {
      return shape;
    }
  }
}

package org.javisor.interp;

import java.io.IOException;
import java.io.InputStream;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodHandles.Lookup;
import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.Map;

/**
 * Makes step classes for operand shapes out of one source each.
 *
 * <p>A template reads its {@link Shape} into static finals. For each shape the template's own bytes
 * are defined again as a hidden class with that shape as class data: the JIT compilers see constants
 * where the source has choices, drop what cannot happen, and profile each shape's call site apart.
 * Semantics stay written once.
 */
final class Specializer {
  private static final Lookup LOOKUP = MethodHandles.lookup();
  private static final Map<Class<?>, byte[]> BYTES = new HashMap<>();
  private static final Map<Key, OperandStep> PROTOTYPES = new HashMap<>();

  private record Key(Class<?> template, Shape shape) {}

  private Specializer() {}

  /** A new step of the template, specialised for a shape. */
  static synchronized OperandStep make(Class<? extends OperandStep> template, Shape shape) {
    Key key = new Key(template, shape);
    OperandStep prototype = PROTOTYPES.get(key);
    if (prototype == null) {
      prototype = define(template, shape);
      PROTOTYPES.put(key, prototype);
    }
    return prototype.create();
  }

  private static OperandStep define(Class<? extends OperandStep> template, Shape shape) {
    try {
      byte[] bytes = BYTES.get(template);
      if (bytes == null) {
        try (InputStream in =
            template.getResourceAsStream(template.getSimpleName() + ".class")) {
          bytes = in.readAllBytes();
        }
        BYTES.put(template, bytes);
      }
      return (OperandStep) LOOKUP
          .defineHiddenClassWithClassData(bytes, shape, true)
          .lookupClass()
          .getDeclaredConstructor()
          .newInstance();
    } catch (IOException
        | NoSuchMethodException
        | IllegalAccessException
        | InstantiationException
        | InvocationTargetException e) {
      throw new AssertionError(template + " " + shape, e);
    }
  }

  /** The shape a template's hidden copy was made for; called from its static initialiser. */
  static Shape shape(Lookup own) {
    try {
      Shape shape = MethodHandles.classData(own, "_", Shape.class);
      return shape == null ? Shape.NONE : shape;
    } catch (IllegalAccessException e) {
      throw new AssertionError(e);
    }
  }
}

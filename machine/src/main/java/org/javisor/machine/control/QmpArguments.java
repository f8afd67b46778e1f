package org.javisor.machine.control;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** The arguments of a command, each to be taken once. */
final class QmpArguments {
  private final Map<String, Object> left;

  QmpArguments(Map<String, Object> arguments) {
    left = new HashMap<>(arguments);
  }

  private <T> Optional<T> take(String name, Class<T> type, String typeName)
      throws ControlException {
    if (!left.containsKey(name)) {
      return Optional.empty();
    }
    Object value = left.remove(name);
    if (!type.isInstance(value)) {
      throw new ControlException(
          "Invalid parameter type for '" + name + "', expected: " + typeName);
    }
    return Optional.of(type.cast(value));
  }

  String string(String name) throws ControlException {
    return take(name, String.class, "string")
        .orElseThrow(() -> new ControlException("Parameter '" + name + "' is missing"));
  }

  boolean flag(String name, boolean otherwise) throws ControlException {
    return take(name, Boolean.class, "boolean").orElse(otherwise);
  }

  /** What nobody has taken. */
  Map<String, Object> rest() {
    Map<String, Object> rest = new HashMap<>(left);
    left.clear();
    return rest;
  }

  /** To be called when all are taken. */
  void end() throws ControlException {
    if (!left.isEmpty()) {
      throw new ControlException(
          "Parameter '" + left.keySet().iterator().next() + "' is unexpected");
    }
  }
}

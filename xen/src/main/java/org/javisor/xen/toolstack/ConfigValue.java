package org.javisor.xen.toolstack;

import java.util.List;

/** A value of a configuration, with the line it begins in. */
sealed interface ConfigValue {
  int line();

  /** A quoted string. */
  record Text(String text, int line) implements ConfigValue {}

  /** A number, decimal, octal or hexadecimal. */
  record Number(long number, int line) implements ConfigValue {}

  /** Values in brackets. */
  record Sequence(List<ConfigValue> values, int line) implements ConfigValue {}
}

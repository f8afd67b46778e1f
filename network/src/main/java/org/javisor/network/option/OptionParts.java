package org.javisor.network.option;

import java.util.ArrayList;
import java.util.List;

/** The text of an option of several parts, {@code FIRST,name=value,flag}. */
public final class OptionParts {
  private OptionParts() {}

  /** At commas; two of them are one that is meant. */
  public static List<String> split(String text) {
    List<String> parts = new ArrayList<>();
    StringBuilder part = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c != ',') {
        part.append(c);
      } else if (i + 1 < text.length() && text.charAt(i + 1) == ',') {
        part.append(c);
        i++;
      } else {
        parts.add(part.toString());
        part.setLength(0);
      }
    }
    parts.add(part.toString());
    return parts;
  }

  /** What {@link #split} takes apart. */
  public static String join(List<String> parts) {
    return String.join(",", parts.stream().map(part -> part.replace(",", ",,")).toList());
  }
}

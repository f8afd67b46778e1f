package org.javisor.accelerator;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What of a guest is to be traced.
 *
 * @param categories kinds of events
 * @param blocks linear addresses whose translated code is shown, {@link #MAX_BLOCKS} at most
 */
public record TraceSelection(Set<TraceCategory> categories, Set<Long> blocks) {
  /** Addresses of blocks at most. */
  public static final int MAX_BLOCKS = 8;

  public static final TraceSelection NONE = new TraceSelection(Set.of(), Set.of());

  private static final String BLOCK = TraceCategory.BLOCK.label() + "=";

  /** Copies both; an address asks for its category. */
  public TraceSelection {
    blocks = Set.copyOf(blocks);
    Set<TraceCategory> all = EnumSet.noneOf(TraceCategory.class);
    all.addAll(categories);
    if (!blocks.isEmpty()) {
      all.add(TraceCategory.BLOCK);
    }
    categories = Set.copyOf(all);
  }

  /**
   * Reads what users write: names of categories, and {@code block=ADDRESS} in hexadecimal.
   *
   * @throws IllegalArgumentException if something else is there; the message says what
   */
  public static TraceSelection parse(List<String> items) {
    Set<TraceCategory> categories = EnumSet.noneOf(TraceCategory.class);
    Set<Long> blocks = new LinkedHashSet<>();
    for (String item : items) {
      if (item.startsWith(BLOCK)) {
        blocks.add(address(item.substring(BLOCK.length())));
      } else {
        categories.add(category(item));
      }
    }
    if (blocks.size() > MAX_BLOCKS) {
      throw new IllegalArgumentException(
          "%d blocks: %d at most expected".formatted(blocks.size(), MAX_BLOCKS));
    }
    return new TraceSelection(categories, blocks);
  }

  private static long address(String text) {
    try {
      return Long.parseUnsignedLong(text.startsWith("0x") ? text.substring(2) : text, 16);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          BLOCK + text + ": an address expected, as ffffffff81000000", e);
    }
  }

  private static TraceCategory category(String text) {
    for (TraceCategory category : TraceCategory.values()) {
      if (category != TraceCategory.BLOCK && category.label().equals(text)) {
        return category;
      }
    }
    throw new IllegalArgumentException(
        "'" + text + "' cannot be traced: " + syntax() + " expected");
  }

  /** What {@link #parse} takes. */
  public static String syntax() {
    return Arrays.stream(TraceCategory.values())
        .map(c -> c == TraceCategory.BLOCK ? BLOCK + "ADDRESS" : c.label())
        .collect(Collectors.joining(", "));
  }
}

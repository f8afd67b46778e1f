package org.javisor.accelerator;

import java.util.Locale;
import java.util.Set;
import java.util.function.BiConsumer;

/**
 * What a person who asks why a guest died is told of its life. Lines come from any thread; one that
 * nobody asked for costs a test of a bit.
 */
public final class Trace {
  /** Tells nothing. */
  public static final Trace NONE = new Trace(Set.of(), (category, line) -> {});

  private final int wanted;
  private final Set<Long> blocks;
  private final BiConsumer<TraceCategory, String> listener;

  /** Tells {@code listener} what falls into {@code categories}. */
  public Trace(Set<TraceCategory> categories, BiConsumer<TraceCategory, String> listener) {
    this(new TraceSelection(categories, Set.of()), listener);
  }

  /** Tells {@code listener} what was selected. */
  public Trace(TraceSelection selection, BiConsumer<TraceCategory, String> listener) {
    this.blocks = selection.blocks();
    this.wanted =
        selection.categories().stream().mapToInt(c -> 1 << c.ordinal()).reduce(0, (a, b) -> a | b);
    this.listener = listener;
  }

  /** Whether anybody asked for this; where lines are frequent, ask before making one. */
  public boolean wants(TraceCategory category) {
    return (wanted & 1 << category.ordinal()) != 0;
  }

  /** The addresses whose translated code somebody wants to see. */
  public Set<Long> blocks() {
    return blocks;
  }

  /** Tells one line, if somebody asked for it. */
  public void line(TraceCategory category, String format, Object... values) {
    if (wants(category)) {
      listener.accept(category, String.format(Locale.ROOT, format, values));
    }
  }
}

package org.javisor.pc.loader;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import org.javisor.storage.image.SegmentInputStream;

/**
 * A kernel's build configuration: from a {@code config-*} file, or from the image itself where it
 * was built with CONFIG_IKCONFIG (Linux kernel/configs.c: a gzip stream between {@code IKCFG_ST}
 * and {@code IKCFG_ED}).
 */
final class KernelConfig {
  static final int MAX_SIZE = 4 << 20;
  private static final String START = "IKCFG_ST";

  private final String source;
  private final Map<String, String> options;

  private KernelConfig(String source, Map<String, String> options) {
    this.source = source;
    this.options = options;
  }

  static KernelConfig parse(String source, String text) {
    Map<String, String> options = new HashMap<>();
    text.lines()
        .filter(l -> l.startsWith("CONFIG_"))
        .forEach(
            line -> {
              int equals = line.indexOf('=');
              if (equals > 0) {
                options.put(line.substring(7, equals), line.substring(equals + 1));
              }
            });
    return new KernelConfig(source, options);
  }

  /** The configuration inside the image; empty without CONFIG_IKCONFIG. */
  static Optional<KernelConfig> inImage(MemorySegment image) {
    long at = -1;
    while ((at = ImageSearch.find(image, START, at + 1)) >= 0) {
      // The marker's text may stand elsewhere too; behind the right one is a gzip stream.
      MemorySegment rest = image.asSlice(at + START.length());
      try (InputStream in = new GZIPInputStream(new SegmentInputStream(rest))) {
        String text = new String(in.readNBytes(MAX_SIZE), StandardCharsets.UTF_8);
        if (text.contains("CONFIG_")) {
          return Optional.of(parse("the configuration inside the image (IKCONFIG)", text));
        }
      } catch (IOException e) {
        // Not this one.
      }
    }
    return Optional.empty();
  }

  /** Where it comes from, for evidence. */
  String source() {
    return source;
  }

  /** Whether it looks like a kernel's configuration at all. */
  boolean plausible() {
    return options.size() > 50;
  }

  /** The option's value, or {@code n}. */
  String value(String option) {
    return options.getOrDefault(option, "n");
  }

  /** Whether an option is built in or a module. */
  boolean on(String option) {
    String value = value(option);
    return value.equals("y") || value.equals("m");
  }
}

package org.javisor.cli;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * The size of a disk as people write it: bytes, or with a suffix of a power of 1024.
 *
 * @param bytes never negative
 * @param sign {@code '+'} or {@code '-'} for a change, {@code 0} for a size
 */
record DiskSize(long bytes, char sign) {
  private static final Pattern SYNTAX =
      Pattern.compile("([+-]?)(\\d{1,19}(?:\\.\\d{1,9})?)([bkmgtpe]?)(?:i?b)?");

  private static final BigDecimal MAX = BigDecimal.valueOf(Long.MAX_VALUE - 511);

  /** Reads {@code 20G}, {@code 1.5T}, {@code 1048576}. */
  static final class Converter implements ITypeConverter<DiskSize> {
    private final boolean signs;

    /** @param signs whether {@code +1G} and {@code -1G} are allowed */
    Converter(boolean signs) {
      this.signs = signs;
    }

    @Override
    public DiskSize convert(String text) {
      Matcher matcher = SYNTAX.matcher(text.toLowerCase(Locale.ROOT));
      if (!matcher.matches() || !signs && !matcher.group(1).isEmpty()) {
        throw new TypeConversionException(
            "'" + text + "' is no size of a disk: " + (signs ? "20G, +5G or -5G" : "20G or 512M")
                + " expected");
      }
      int power = Math.max(0, "bkmgtpe".indexOf(matcher.group(3)));
      BigDecimal bytes =
          new BigDecimal(matcher.group(2))
              .multiply(BigDecimal.valueOf(1024).pow(power))
              .setScale(0, RoundingMode.UP);
      if (bytes.compareTo(MAX) > 0) {
        throw new TypeConversionException("'" + text + "' is more than eight exbibytes");
      }
      char sign = matcher.group(1).isEmpty() ? 0 : matcher.group(1).charAt(0);
      return new DiskSize(bytes.longValueExact(), sign);
    }
  }
}

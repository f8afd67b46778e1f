package org.javisor.cli;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.machine.MachineConfig;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * An amount of memory as people write it.
 *
 * @param bytes within what a machine can have, whole pages
 */
record MemorySize(long bytes) {
  private static final Pattern SYNTAX = Pattern.compile("(\\d{1,12})([kKmMgGtT]?)(i?[bB])?");

  /** Reads {@code 512M}, {@code 2G}, {@code 1048576K}; a bare number is in mebibytes. */
  static final class Converter implements ITypeConverter<MemorySize> {
    @Override
    public MemorySize convert(String text) {
      Matcher matcher = SYNTAX.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'" + text + "' is no amount of memory: 512M or 2G expected");
      }
      int shift =
          switch (matcher.group(2)) {
            case "k", "K" -> 10;
            case "g", "G" -> 30;
            case "t", "T" -> 40;
            default -> 20;
          };
      long number = Long.parseLong(matcher.group(1));
      long bytes = number > Long.MAX_VALUE >> shift ? Long.MAX_VALUE : number << shift;
      if (bytes < MachineConfig.MIN_MEMORY || bytes > MachineConfig.MAX_MEMORY) {
        throw new TypeConversionException("'" + text + "' is not from 1M to 512G");
      }
      return new MemorySize(bytes & -4096L);
    }
  }
}

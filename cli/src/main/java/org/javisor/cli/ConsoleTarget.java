package org.javisor.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Where a guest's console goes: the value of {@code --console}. */
sealed interface ConsoleTarget {
  /** The value that means this target, wherever the program is started. */
  String text();

  /** The terminal this program was started in, or whatever its standard streams are. */
  record Stdio() implements ConsoleTarget {
    @Override
    public String text() {
      return "stdio";
    }
  }

  /** Output into a file, no input. */
  record ToFile(Path path) implements ConsoleTarget {
    @Override
    public String text() {
      return "file:" + path.toAbsolutePath();
    }
  }

  /** A UNIX socket that serves one client at a time. */
  record ToSocket(Path path) implements ConsoleTarget {
    @Override
    public String text() {
      return "socket:" + path.toAbsolutePath();
    }
  }

  /** Reads {@code stdio}, {@code file:PATH} or {@code socket:PATH}. */
  final class Converter implements ITypeConverter<ConsoleTarget> {
    @Override
    public ConsoleTarget convert(String text) {
      if (text.equals("stdio")) {
        return new Stdio();
      }
      try {
        if (text.startsWith("file:") && text.length() > 5) {
          return new ToFile(Path.of(text.substring(5)));
        }
        if (text.startsWith("socket:") && text.length() > 7) {
          return new ToSocket(Path.of(text.substring(7)));
        }
      } catch (InvalidPathException e) {
        throw new TypeConversionException("'" + text + "' holds no path: " + e.getReason());
      }
      throw new TypeConversionException(
          "'" + text + "' is no console: stdio, file:PATH or socket:PATH expected");
    }
  }
}

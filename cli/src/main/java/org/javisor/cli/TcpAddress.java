package org.javisor.cli;

import java.net.InetSocketAddress;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** An address to listen at: {@code tcp:HOST:PORT}, {@code tcp::PORT} or {@code tcp:PORT}. */
record TcpAddress(InetSocketAddress socketAddress) {
  private static final Pattern SYNTAX =
      Pattern.compile("tcp:(?:(\\[[0-9a-fA-F:.]+]|[^:]*):)?(\\d{1,5})");

  static final class Converter implements ITypeConverter<TcpAddress> {
    @Override
    public TcpAddress convert(String text) {
      Matcher matcher = SYNTAX.matcher(text);
      if (!matcher.matches() || Integer.parseInt(matcher.group(2)) > 65535) {
        throw new TypeConversionException(
            "'" + text + "' is no address: tcp:127.0.0.1:1234 expected");
      }
      // Without a host it is the loopback: a debugger port lets whoever reaches it do anything.
      String host = matcher.group(1);
      InetSocketAddress address =
          new InetSocketAddress(
              host == null || host.isEmpty() ? "127.0.0.1" : host,
              Integer.parseInt(matcher.group(2)));
      if (address.isUnresolved()) {
        throw new TypeConversionException("'" + text + "': the host " + host + " is not known");
      }
      return new TcpAddress(address);
    }
  }
}

package org.javisor.xen.toolstack;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.javisor.xen.toolstack.ConfigValue.Number;
import org.javisor.xen.toolstack.ConfigValue.Sequence;
import org.javisor.xen.toolstack.ConfigValue.Text;

/**
 * The syntax of xl.cfg(5): {@code key = value} and {@code key += value}, one a line or separated by
 * semicolons; strings in either quotes, numbers, lists in brackets over several lines; {@code #}
 * begins a comment.
 */
final class ConfigParser {
  private final String file;
  private final String text;
  private int at;
  private int line = 1;
  private String key = "";

  private ConfigParser(String file, String text) {
    this.file = file;
    this.text = text;
  }

  /** Reads a configuration; of a key that comes twice the last one counts. */
  static Map<String, ConfigValue> parse(String file, String text) throws ConfigException {
    return new ConfigParser(file, text).parse();
  }

  private Map<String, ConfigValue> parse() throws ConfigException {
    Map<String, ConfigValue> values = new LinkedHashMap<>();
    while (true) {
      skip(true);
      if (at == text.length()) {
        return values;
      }
      if (text.charAt(at) == ';') {
        at++;
        continue;
      }
      key = "";
      key = word();
      skip(false);
      boolean add = at < text.length() && text.charAt(at) == '+';
      at += add ? 1 : 0;
      expect('=', "= behind the key");
      skip(false);
      ConfigValue value = value();
      values.put(key, add && values.containsKey(key) ? joined(values.get(key), value) : value);
      skip(false);
      if (at < text.length() && text.charAt(at) != '\n' && text.charAt(at) != ';') {
        throw error("the end of the line, found '" + text.charAt(at) + "'");
      }
    }
  }

  private ConfigValue joined(ConfigValue old, ConfigValue more) throws ConfigException {
    if (old instanceof Text(String a, int l) && more instanceof Text(String b, int m)) {
      return new Text(a + b, l);
    }
    if (old instanceof Sequence(var a, int l) && more instanceof Sequence(var b, int m)) {
      List<ConfigValue> all = new ArrayList<>(a);
      all.addAll(b);
      return new Sequence(List.copyOf(all), l);
    }
    throw error("two strings or two lists to be joined by +=");
  }

  /** Skips blanks and comments, and line ends if they mean nothing here. */
  private void skip(boolean lines) {
    while (at < text.length()) {
      char c = text.charAt(at);
      if (c == '#') {
        while (at < text.length() && text.charAt(at) != '\n') {
          at++;
        }
      } else if (c == '\n' && lines) {
        line++;
        at++;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        at++;
      } else {
        return;
      }
    }
  }

  private String word() throws ConfigException {
    int start = at;
    while (at < text.length()
        && (Character.isLetterOrDigit(text.charAt(at)) || "_-".indexOf(text.charAt(at)) >= 0)) {
      at++;
    }
    if (at == start) {
      throw error("a key, found '" + text.charAt(at) + "'");
    }
    return text.substring(start, at);
  }

  private void expect(char wanted, String what) throws ConfigException {
    if (at >= text.length() || text.charAt(at) != wanted) {
      throw error(what);
    }
    at++;
  }

  private ConfigValue value() throws ConfigException {
    if (at == text.length() || text.charAt(at) == '\n') {
      throw error("a value");
    }
    char c = text.charAt(at);
    int begins = line;
    if (c == '"' || c == '\'') {
      return new Text(quoted(c), begins);
    }
    if (c == '[') {
      return sequence();
    }
    if (c >= '0' && c <= '9' || c == '-') {
      int start = at++;
      while (at < text.length() && Character.isLetterOrDigit(text.charAt(at))) {
        at++;
      }
      String digits = text.substring(start, at);
      try {
        return new Number(Long.decode(digits), begins);
      } catch (NumberFormatException e) {
        throw error("a number, found '" + digits + "': a string is quoted");
      }
    }
    throw error("a quoted string, a number or a list, found '" + c + "'");
  }

  private String quoted(char quote) throws ConfigException {
    StringBuilder s = new StringBuilder();
    at++;
    while (at < text.length() && text.charAt(at) != quote) {
      char c = text.charAt(at++);
      if (c == '\n') {
        throw error("a closing quote before the end of the line");
      }
      if (c == '\\' && at < text.length()) {
        char escaped = text.charAt(at++);
        c =
            switch (escaped) {
              case 'n' -> '\n';
              case 't' -> '\t';
              case 'r' -> '\r';
              default -> escaped;
            };
      }
      s.append(c);
    }
    expect(quote, "a closing quote");
    return s.toString();
  }

  private ConfigValue sequence() throws ConfigException {
    List<ConfigValue> values = new ArrayList<>();
    int begins = line;
    at++;
    while (true) {
      skip(true);
      if (at < text.length() && text.charAt(at) == ']') {
        at++;
        return new Sequence(List.copyOf(values), begins);
      }
      if (at == text.length()) {
        throw error("a closing bracket");
      }
      values.add(value());
      skip(true);
      if (at < text.length() && text.charAt(at) == ',') {
        at++;
      } else if (at == text.length() || text.charAt(at) != ']') {
        throw error("a comma or a closing bracket");
      }
    }
  }

  private ConfigException error(String expected) {
    return new ConfigException(
        file + ":" + line + ": " + (key.isEmpty() ? "" : key + ": ") + expected + " expected");
  }
}

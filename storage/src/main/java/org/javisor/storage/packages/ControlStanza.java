package org.javisor.storage.packages;

import java.util.LinkedHashMap;
import java.util.Map;

/** The first paragraph of Debian control data (deb-control(5)), continuation lines dropped. */
final class ControlStanza {
  private ControlStanza() {}

  static Map<String, String> parse(String text) {
    Map<String, String> fields = new LinkedHashMap<>();
    for (String line : text.split("\n", -1)) {
      if (line.isBlank()) {
        if (fields.isEmpty()) {
          continue;
        }
        break;
      }
      int colon = line.indexOf(':');
      if (colon > 0 && !Character.isWhitespace(line.charAt(0))) {
        fields.putIfAbsent(line.substring(0, colon), line.substring(colon + 1).strip());
      }
    }
    return fields;
  }
}

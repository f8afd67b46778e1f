package org.javisor.machine.control;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;

/** The reader of requests as a fuzzer's target: any bytes are values, errors, or not complete. */
final class QmpTarget {
  private QmpTarget() {}

  /** The name is Jazzer's. */
  static void fuzzerTestOneInput(byte[] bytes) {
    QmpFramer framer = new QmpFramer();
    for (byte each : bytes) {
      Optional<QmpFramer.Frame> frame = framer.accept(each & 0xff);
      if (frame.isPresent()
          && frame.get() instanceof QmpFramer.Frame.Value(Map<?, ?> request)) {
        // What was read can be written, and read again: ids are echoed.
        String text = Json.text(request);
        QmpFramer again = new QmpFramer();
        boolean back = false;
        for (byte one : text.getBytes(StandardCharsets.UTF_8)) {
          back |=
              again.accept(one & 0xff).orElse(null) instanceof QmpFramer.Frame.Value;
        }
        assertTrue(back || text.contains("NaN") || text.contains("Infinity"), text);
      }
    }
  }
}

package org.javisor.machine.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What a client may send. */
class QmpHostileTest {
  private static List<QmpFramer.Frame> frames(QmpFramer framer, String text) {
    List<QmpFramer.Frame> frames = new ArrayList<>();
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      framer.accept(b & 0xff).ifPresent(frames::add);
    }
    return frames;
  }

  private static Object value(String text) {
    List<QmpFramer.Frame> frames = frames(new QmpFramer(), text);
    assertEquals(1, frames.size(), text);
    return assertInstanceOf(QmpFramer.Frame.Value.class, frames.getFirst()).value();
  }

  @Test
  void valuesNeedNothingBetweenThem() {
    assertEquals(
        List.of(
            new QmpFramer.Frame.Value(Map.of("a", 1L)),
            new QmpFramer.Frame.Value(List.of()),
            new QmpFramer.Frame.Value(Map.of())),
        frames(new QmpFramer(), " {\"a\":1}[] \n\t{}"));
  }

  @Test
  void bracesInStringsAreText() {
    assertEquals(Map.of("a}", "]\\\"{"), value("{\"a}\": \"]\\\\\\\"{\"}"));
    assertEquals(Map.of("ü", 1.5), value("{\"ü\":1.5}"));
  }

  @Test
  void afterNonsenseTheNextLineCounts() {
    for (String nonsense : List.of("hello {}", "{]", "{\"a\":1,}", "[1 2]", "}",
        "{\"a\":1,\"a\":2}")) {
      List<QmpFramer.Frame> frames = frames(new QmpFramer(), nonsense + "\n{\"b\":2}");
      assertInstanceOf(QmpFramer.Frame.Error.class, frames.getFirst(), nonsense);
      assertEquals(new QmpFramer.Frame.Value(Map.of("b", 2L)), frames.getLast(), nonsense);
    }
  }

  @Test
  void lengthAndDepthAreBounded() {
    QmpFramer framer = new QmpFramer();
    List<QmpFramer.Frame> frames =
        frames(framer, "{\"a\":\"" + "x".repeat(QmpFramer.MAX_LENGTH));
    assertInstanceOf(QmpFramer.Frame.Error.class, frames.getFirst());
    assertInstanceOf(
        QmpFramer.Frame.Error.class,
        frames(new QmpFramer(), "[".repeat(5000) + "]".repeat(5000)).getFirst());
    assertThrows(Json.Invalid.class, () -> Json.parse("1" + "0".repeat(500)));
  }

  @Test
  void numbersOfAnySizeAreRead() throws Json.Invalid {
    assertEquals(Long.MIN_VALUE, Json.parse("-9223372036854775808"));
    assertEquals(1e30, Json.parse("1000000000000000000000000000000"));
  }

  /** The fixed seeds of the fuzz target: bytes near to requests, and none of them may throw. */
  @Test
  void anyBytesAreAnsweredOrIgnored() {
    byte[] sample =
        "{\"execute\":\"x-javisor-save\",\"arguments\":{\"file\":\"/a\",\"running\":true},\"id\":[1.5e3,null]}\n"
            .getBytes(StandardCharsets.UTF_8);
    for (int seed = 0; seed < 3000; seed++) {
      Random random = new Random(seed);
      byte[] bytes = new byte[sample.length * 3];
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] =
            random.nextInt(12) == 0
                ? (byte) "{}[]\",:\\ \n0".charAt(random.nextInt(11))
                : random.nextInt(40) == 0 ? (byte) random.nextInt() : sample[i % sample.length];
      }
      QmpFramer framer = new QmpFramer();
      for (byte b : bytes) {
        framer.accept(b & 0xff)
            .ifPresent(frame -> assertTrue(!frame.toString().isEmpty()));
      }
    }
  }
}

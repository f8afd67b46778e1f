package org.javisor.accelerator.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StateTest {
  enum Colour {
    RED,
    GREEN
  }

  record Inner(int position, boolean on) {
    Inner {
      if (position < 0 || position > 15) {
        throw new IllegalArgumentException("position " + position + ": 0 to 15 expected");
      }
    }
  }

  record All(
      boolean flag, byte b, short s, int i, long l, boolean[] flags, byte[] bytes, int[] ints,
      long[] longs, String text, Colour colour, Inner inner, List<Inner> list,
      Optional<String> some, Optional<Inner> none) {}

  record Other(int position) {}

  private static final StateFormat<All> ALL = StateFormat.of("all", 1, All.class);
  private static final StateFormat<Inner> INNER = StateFormat.of("inner", 1, Inner.class);

  private static All sample() {
    return new All(
        true, (byte) -3, (short) -300, -70_000, Long.MIN_VALUE, new boolean[] {true, false},
        new byte[] {1, 2, 3}, new int[] {7, -7}, new long[] {1L << 40}, "Zürich", Colour.GREEN,
        new Inner(15, true), List.of(new Inner(0, false), new Inner(1, true)),
        Optional.of("there"), Optional.empty());
  }

  /** A part with an {@link Inner} of its own. */
  private static final class Part implements Snapshottable<Inner> {
    private Inner state;

    Part(Inner state) {
      this.state = state;
    }

    @Override
    public StateFormat<Inner> stateFormat() {
      return INNER;
    }

    @Override
    public Inner saveState() {
      return state;
    }

    @Override
    public void restoreState(Inner restored) throws StateException {
      if (restored.position == 13) {
        throw new StateException("unlucky");
      }
      state = restored;
    }
  }

  private static byte[] saved(Inner state) {
    StateWriter writer = new StateWriter();
    writer.section("first", new Part(state));
    return writer.finish();
  }

  private static String refusal(org.junit.jupiter.api.function.Executable action) {
    return assertThrows(StateException.class, action).getMessage();
  }

  @Test
  void everyTypeOfComponentComesBack() throws StateException {
    byte[] bytes = ALL.toBytes(sample());
    All back = ALL.fromBytes(bytes);
    assertArrayEquals(bytes, ALL.toBytes(back));
    assertEquals(sample().text, back.text);
    assertEquals(sample().list, back.list);
    assertEquals(sample().some, back.some);
    assertEquals(sample().l, back.l);
  }

  @Test
  void numbersAreLittleEndian() {
    assertArrayEquals(new byte[] {5, 0, 0, 0, 1}, INNER.toBytes(new Inner(5, true)));
  }

  @Test
  void partsComeBackByName() throws StateException {
    StateReader reader = new StateReader(saved(new Inner(9, true)));
    Part fresh = new Part(new Inner(0, false));
    reader.restore("first", fresh);
    reader.requireAllTaken();
    assertEquals(new Inner(9, true), fresh.state);
  }

  @Test
  void missingAndUnknownPartsAreNamed() throws StateException {
    StateReader reader = new StateReader(saved(new Inner(9, true)));
    assertEquals(
        "the state of 'second' is missing",
        refusal(() -> reader.restore("second", new Part(null))));
    assertEquals(
        "the saved state has a 'first', which this machine has not",
        refusal(reader::requireAllTaken));
  }

  @Test
  void anotherVersionOrShapeOrKindIsRefused() throws StateException {
    byte[] bytes = saved(new Inner(9, true));
    String version =
        refusal(
            () -> new StateReader(bytes)
                .take("first", StateFormat.of("inner", 2, Inner.class)));
    assertTrue(version.startsWith("the state of 'first' has version 1 ("), version);
    refusal(
        () -> new StateReader(bytes).take("first", StateFormat.of("inner", 1, Other.class)));
    assertEquals(
        "the state of 'first' is of a inner, a all was expected",
        refusal(() -> new StateReader(bytes).take("first", ALL)));
  }

  @Test
  void valuesThatThePartCannotHaveAreRefused() throws StateException {
    StateFormat<Other> loose = StateFormat.of("loose", 1, Other.class);
    byte[] wrong = new byte[5];
    System.arraycopy(loose.toBytes(new Other(16)), 0, wrong, 0, 4);
    assertEquals("position 16: 0 to 15 expected", refusal(() -> INNER.fromBytes(wrong)));
    StateReader reader = new StateReader(saved(new Inner(13, true)));
    assertEquals(
        "the state of 'first' is not valid: unlucky",
        refusal(() -> reader.restore("first", new Part(null))));
  }

  @Test
  void everyDamagedBitIsNoticed() {
    byte[] bytes = saved(new Inner(9, true));
    for (int bit = 0; bit < 8 * bytes.length; bit++) {
      byte[] damaged = bytes.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      refusal(() -> new StateReader(damaged));
    }
    for (int length = 0; length < bytes.length; length++) {
      byte[] shorter = java.util.Arrays.copyOf(bytes, length);
      refusal(() -> new StateReader(shorter));
    }
  }

  @Test
  void hostileBytesAreReadOrRefusedAndNothingElse() {
    Random random = new Random(1);
    byte[] valid = ALL.toBytes(sample());
    for (int round = 0; round < 20_000; round++) {
      byte[] bytes = valid.clone();
      for (int change = random.nextInt(4); change >= 0; change--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      try {
        ALL.fromBytes(bytes);
      } catch (StateException e) {
        assertTrue(!e.getMessage().isEmpty());
      }
    }
  }
}

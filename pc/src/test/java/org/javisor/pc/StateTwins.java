package org.javisor.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.Random;
import java.util.function.Supplier;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;

/**
 * Shows of a device that its saved state is all it has: one that took over another's state does from
 * then on what the other does, and one that took over nonsense does no harm.
 */
public final class StateTwins {
  private StateTwins() {}

  /** A device, with a guest that does anything at all to it. */
  public interface Rig<R extends Record> {
    /** Does something, and tells what a guest saw of it. */
    String act(Random random);

    Snapshottable<R> device();

    /** Makes everything outside of the device what it is in another rig. */
    void copyOutside(Rig<R> other);

    /** Everything outside of the device: memory, media, what was sent. */
    byte[] outside();
  }

  /** Saves a device after anything at all, and compares what it and a restored one do from there. */
  public static <R extends Record> void compare(
      Supplier<? extends Rig<R>> make, int seeds, int before, int after) throws StateException {
    for (int seed = 0; seed < seeds; seed++) {
      Random random = new Random(seed);
      Rig<R> saved = make.get();
      for (int i = 0; i < before; i++) {
        saved.act(random);
      }
      saved.device().pause();
      byte[] state = bytes(saved.device());
      Rig<R> restored = make.get();
      restored.copyOutside(saved);
      restored.device().pause();
      restored.device().restoreState(saved.device().stateFormat().fromBytes(state));
      assertArrayEquals(
          state, bytes(restored.device()), "what was restored is what was saved, seed " + seed);
      saved.device().resume();
      restored.device().resume();
      long next = random.nextLong();
      Random one = new Random(next);
      Random other = new Random(next);
      for (int i = 0; i < after; i++) {
        assertEquals(saved.act(one), restored.act(other), "seed " + seed + ", step " + i);
      }
      saved.device().pause();
      restored.device().pause();
      assertArrayEquals(bytes(saved.device()), bytes(restored.device()), "seed " + seed);
      assertArrayEquals(saved.outside(), restored.outside(), "seed " + seed);
    }
  }

  /** Takes over states with a few bytes changed; what is not refused is used on. */
  public static <R extends Record> void hostile(
      Supplier<? extends Rig<R>> make, Random random, int rounds, int before, int after) {
    for (int round = 0; round < rounds; round++) {
      Rig<R> source = make.get();
      for (int i = random.nextInt(before); i >= 0; i--) {
        source.act(random);
      }
      source.device().pause();
      StateFormat<R> format = source.device().stateFormat();
      byte[] bytes = bytes(source.device());
      for (int change = random.nextInt(4); change >= 0; change--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      Rig<R> target = make.get();
      target.device().pause();
      try {
        target.device().restoreState(format.fromBytes(bytes));
      } catch (StateException e) {
        assertFalse(e.getMessage().isEmpty());
        continue;
      }
      target.device().resume();
      for (int i = 0; i < after; i++) {
        target.act(random);
      }
    }
  }

  private static <R extends Record> byte[] bytes(Snapshottable<R> device) {
    return device.stateFormat().toBytes(device.saveState());
  }
}

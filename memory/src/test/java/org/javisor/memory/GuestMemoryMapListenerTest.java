package org.javisor.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Who keeps a copy of the map is told of every change. */
class GuestMemoryMapListenerTest {
  private final FrameArena arena = new FrameArena(1 << 20);
  private final GuestMemory memory = new GuestMemory(arena);
  private final List<String> told = new ArrayList<>();
  private final GuestMemory.MapListener listener =
      (gpa, size) -> told.add("%x+%x=%b".formatted(gpa, size, memory.frame(gpa) >= 0));

  /** Breaks if a change is announced before it is made, not at all, or as another range. */
  @Test
  void everyChangeIsTold() {
    memory.addMapListener(listener);
    memory.mapRam(0x4000, 0x3000);
    memory.mapRom(0x1_0000, new byte[5000]);
    memory.unmap(0x5000, 0x1000);
    assertEquals(List.of("4000+3000=true", "10000+2000=true", "5000+1000=false"), told);
  }

  /** Breaks if somebody who remembers is not told that he is wrong now. */
  @Test
  void whatCanBeRememberedIsToldApart() {
    memory.addMapListener(
        new GuestMemory.MapListener() {
          @Override
          public void mapChanged(long gpa, long size) {
            told.add("changed");
          }

          @Override
          public void mapAdded(long gpa, long size) {
            told.add("added");
          }

          @Override
          public void mapRemovedLater(long gpa, long size) {
            told.add("later");
          }
        });
    int frame = arena.allocate(4);
    memory.map(0x1000, 0x2000, frame, true);
    memory.map(0x2000, 0x2000, frame + 1, true);
    assertEquals(List.of("added", "changed"), told);
    long removals = memory.removals();
    memory.unmapLater(0x2000, 0x1000);
    assertEquals(removals + 1, memory.removals());
    assertEquals(-1, memory.frame(0x2000));
    memory.map(0x5000, 0x1000, frame, true);
    memory.map(0x2000, 0x1000, frame + 3, true);
    memory.unmap(0x2000, 0x1000);
    memory.map(0x2000, 0x1000, frame + 3, true);
    assertEquals(
        List.of("added", "changed", "later", "added", "changed", "changed", "added"), told);
    for (int i = 0; i < 20_000; i++) {
      memory.unmapLater(0x10_0000 + 4096L * i, 0x1000);
    }
    assertEquals(1, told.subList(7, told.size()).stream().filter("changed"::equals).count());
  }

  /** Breaks if a late listener misses what was mapped before it came. */
  @Test
  void aLateListenerIsToldWhatThereIs() {
    memory.mapRam(0, 0x8000);
    memory.addMapListener(listener);
    assertEquals(List.of("0+8000=true"), told);
    assertEquals(0x8000, memory.end());
  }

  /** Breaks if a machine that has gone is still told, which would keep it alive. */
  @Test
  void aRemovedListenerIsToldNothing() {
    memory.addMapListener(listener);
    memory.removeMapListener(listener);
    memory.mapRam(0, 0x1000);
    assertEquals(List.of(), told);
  }
}

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

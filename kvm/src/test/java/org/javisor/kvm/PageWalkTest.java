package org.javisor.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.javisor.accelerator.CpuState;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Page walks in every paging mode; no KVM needed. */
class PageWalkTest {
  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 16));
  private final CpuState s = new CpuState();

  @BeforeEach
  void ram() {
    memory.mapRam(0, 1 << 16);
    s.cr0 = 0x8000_0001L;
    s.cr3 = 0x1000;
  }

  /** Breaks if 4-level paging is walked wrong, for pages of each size. */
  @Test
  void longMode() {
    s.cr4 = 0x20;
    s.efer = 0x500;
    memory.write64(0x1000 + 8 * 256, 0x2003);
    memory.write64(0x2000, 0x3003);
    memory.write64(0x2008, 0x4000_0083L);
    memory.write64(0x3000, 0x4003);
    memory.write64(0x3008, 0x0060_0083L);
    memory.write64(0x4000 + 8 * 5, 0x8000_0000_0000_7003L);
    long base = 0xffff_8000_0000_0000L;
    assertEquals(0x7abc, PageWalk.translate(memory, s, base + 0x5abc));
    assertEquals(0x61_2345, PageWalk.translate(memory, s, base + 0x21_2345));
    assertEquals(0x4123_4567L, PageWalk.translate(memory, s, base + 0x4123_4567L));
    assertEquals(-1, PageWalk.translate(memory, s, base + 0x6000));
    assertEquals(-1, PageWalk.translate(memory, s, 0));
  }

  /** Breaks if the four pointers of PAE are walked as a fourth level. */
  @Test
  void pae() {
    s.cr4 = 0x20;
    s.cr3 = 0x1020;
    memory.write64(0x1020 + 8 * 3, 0x2001);
    memory.write64(0x2000, 0x3003);
    memory.write64(0x3000 + 8 * 2, 0x9003);
    assertEquals(0x9123, PageWalk.translate(memory, s, 0xc000_2123L));
    assertEquals(-1, PageWalk.translate(memory, s, 0x2123));
  }

  /** Breaks if 32-bit paging is walked wrong, its pages of 4 MiB included. */
  @Test
  void paging32() {
    memory.write32(0x1000 + 4 * 768, 0x2003);
    memory.write32(0x2000 + 4 * 16, 0xa003);
    memory.write32(0x1004, 0x0080_2083);
    assertEquals(0xa321, PageWalk.translate(memory, s, 0xc001_0321L));
    s.cr4 = 0x10;
    assertEquals(0x1_0080_0000L + 0x1234, PageWalk.translate(memory, s, 0x40_1234));
    assertEquals(-1, PageWalk.translate(memory, s, 0x80_0000));
  }

  /** Breaks if tables where no memory is make the walker fail. */
  @Test
  void tablesInNoMemory() {
    s.cr4 = 0x20;
    s.efer = 0x500;
    s.cr3 = 0x7fff_f000L;
    assertEquals(-1, PageWalk.translate(memory, s, 0x1234));
  }
}

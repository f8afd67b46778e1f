package org.javisor.xen.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Page tables of PV domains: what is a table, what may be written, and that neighbours stay apart. */
class PvMemoryTest {
  private static final long PAGE = 4096;
  private static final long PRESENT_WRITABLE = 0x67;
  private static final long READ_ONLY = 0x65;

  private final Hypervisor host = FakeDomain.host();
  private final Domain domain = create();
  private final Domain neighbour = create();
  private final PvMemory pv = domain.pv();
  private final int[] frames = domain.populateMachine(64);
  private int next;

  private Domain create() {
    return host.createDomain(
        new DomainConfig(DomainKind.PV, new UUID(1, 2), 2, 2048, 32));
  }

  @AfterEach
  void close() {
    host.close();
  }

  private int table() {
    return frames[next++];
  }

  private void put(int table, int index, long entry) {
    domain.memory().write64(table * PAGE + 8L * index, entry);
  }

  private long get(int table, int index) {
    return domain.memory().read64(table * PAGE + 8L * index);
  }

  private static long entry(long frame, long rights) {
    return frame * PAGE | rights;
  }

  /** Tables that map a page at linear address 0; the top one. */
  private int[] tables(int page) {
    int[] t = {table(), table(), table(), table()};
    put(t[0], 0, entry(t[1], PRESENT_WRITABLE));
    put(t[1], 0, entry(t[2], PRESENT_WRITABLE));
    put(t[2], 0, entry(t[3], PRESENT_WRITABLE));
    put(t[3], 0, entry(page, PRESENT_WRITABLE));
    return t;
  }

  @Test
  void pinningMakesTablesOfAllBelow() {
    int[] t = tables(frames[60]);
    assertFalse(pv.isTable(t[3] * PAGE));
    assertEquals(0, pv.pin(t[0], 4));
    for (int table : t) {
      assertTrue(pv.isTable(table * PAGE));
    }
    assertFalse(pv.isTable(frames[60] * PAGE));
    assertEquals(Errno.EINVAL, pv.pin(t[0], 4), "it is pinned already");
    assertEquals(0, pv.unpin(t[0]));
    assertEquals(Errno.EINVAL, pv.unpin(t[0]));
    for (int table : t) {
      assertFalse(pv.isTable(table * PAGE));
    }
  }

  @Test
  void theTopTableGetsTheHypervisorsPart() {
    int[] t = tables(frames[60]);
    put(t[0], 256, entry(frames[60], PRESENT_WRITABLE));
    assertEquals(0, pv.pin(t[0], 4));
    long m2p = get(t[0], 256);
    assertEquals(READ_ONLY, m2p & 0xfff);
    assertFalse(pv.isOwn(m2p >>> 12));
    assertFalse(domain.memory().writable(m2p & -PAGE), "what all domains share is for reading");
    assertTrue(domain.memory().frame(m2p & -PAGE) >= 0);
    assertEquals(Errno.EINVAL, pv.update(t[0] * PAGE + 8 * 256, 0, false));
  }

  /** Breaks if a domain's tables can be made to reach memory that is not its own. */
  @Test
  void anothersFramesAreNeitherTablesNorMapped() {
    int foreign = neighbour.populateMachine(1)[0];
    int[] t = tables(frames[60]);
    assertEquals(0, pv.pin(t[0], 4));
    assertEquals(
        Errno.EINVAL, pv.update(t[3] * PAGE + 8, entry(foreign, PRESENT_WRITABLE), false));
    assertEquals(Errno.EINVAL, pv.update(t[2] * PAGE + 8, entry(foreign, PRESENT_WRITABLE), false));
    assertEquals(Errno.EINVAL, pv.update(foreign * PAGE, entry(foreign, PRESENT_WRITABLE), false));
    assertEquals(Errno.EINVAL, pv.pin(foreign, 1));
    assertEquals(Errno.EINVAL, pv.pin(-1, 1));
    assertEquals(Errno.EINVAL, pv.pin(1L << 40, 1));
    assertEquals(Errno.EINVAL, pv.setDescriptor(foreign * PAGE, 0));
    assertFalse(pv.setGdt(0, new long[] {foreign}, 1));
    // What a domain writes itself, unseen, leads nowhere: its map does not have the frame.
    put(t[3], 1, entry(foreign, PRESENT_WRITABLE));
    assertEquals(-1, domain.memory().frame(foreign * PAGE));
  }

  @Test
  void aTableIsNotMappedWritable() {
    int[] t = tables(frames[60]);
    assertEquals(0, pv.pin(t[0], 4));
    long at = t[3] * PAGE + 16;
    assertEquals(Errno.EINVAL, pv.update(at, entry(t[3], PRESENT_WRITABLE), false));
    assertEquals(0, pv.update(at, entry(t[3], READ_ONLY), false));
    assertEquals(entry(t[3], READ_ONLY), get(t[3], 2));
  }

  @Test
  void tablesInACircleAndLargePagesAreRefused() {
    int top = table();
    put(top, 0, entry(top, PRESENT_WRITABLE));
    assertEquals(Errno.EINVAL, pv.pin(top, 4));
    assertFalse(pv.isTable(top * PAGE));
    int[] t = tables(frames[60]);
    put(t[2], 1, entry(frames[60], PRESENT_WRITABLE | 0x80));
    assertEquals(Errno.EINVAL, pv.pin(t[0], 4));
    for (int table : t) {
      assertFalse(pv.isTable(table * PAGE), "nothing stays of a pin that failed");
    }
    put(t[2], 1, 0);
    assertEquals(0, pv.pin(t[0], 4));
    assertEquals(
        Errno.EINVAL,
        pv.update(t[2] * PAGE + 8, entry(frames[60], PRESENT_WRITABLE | 0x80), false));
    assertEquals(Errno.EINVAL, pv.pin(t[3], 2), "it is a table of another level");
    assertEquals(0, pv.pin(t[3], 1));
  }

  @Test
  void tablesComeAndGoWithTheEntriesThatNameThem() {
    int[] t = tables(frames[60]);
    assertEquals(0, pv.pin(t[0], 4));
    int other = table();
    assertEquals(0, pv.update(t[2] * PAGE + 8, entry(other, PRESENT_WRITABLE), false));
    assertTrue(pv.isTable(other * PAGE));
    assertEquals(0, pv.update(t[2] * PAGE + 16, entry(other, PRESENT_WRITABLE), false));
    assertEquals(0, pv.update(t[2] * PAGE + 8, 0, false));
    assertTrue(pv.isTable(other * PAGE), "one entry still names it");
    assertEquals(0, pv.update(t[2] * PAGE + 16, 0, false));
    assertFalse(pv.isTable(other * PAGE));
  }

  @Test
  void accessedAndDirtyBitsAreKeptOnDemand() {
    int[] t = tables(frames[60]);
    assertEquals(0, pv.pin(t[0], 4));
    long at = t[3] * PAGE;
    assertEquals(0, pv.update(at, entry(frames[60], 5), true));
    assertEquals(entry(frames[60], READ_ONLY), get(t[3], 0));
    assertEquals(0, pv.update(at, entry(frames[60], 5), false));
    assertEquals(entry(frames[60], 5), get(t[3], 0));
  }

  @Test
  void aFrameThatIsGivenUpIsNothingAnyMore() {
    int[] t = tables(frames[60]);
    assertEquals(0, pv.pin(t[0], 4));
    assertTrue(domain.removePage(t[3] * PAGE));
    assertFalse(pv.isTable(t[3] * PAGE));
    assertEquals(0, pv.unpin(t[0]));
    assertEquals(-1, domain.memory().frame(t[3] * PAGE));
  }

  /** Breaks if a frame can be made a table after it was given up: whoever has it next would suffer. */
  @Test
  void aFrameThatIsGivenUpAndStillUsedIsNoTable() throws Exception {
    int[] t = tables(frames[60]);
    domain.grants().permit(8, 0, t[3]);
    try (GrantMapping page = domain.grants().map(8, true)) {
      assertTrue(domain.removePage(t[3] * PAGE));
      assertEquals(Errno.EINVAL, pv.pin(t[3], 1));
      assertEquals(Errno.EINVAL, pv.update(t[3] * PAGE, 0, false));
      page.put32(0, 1);
    }
  }

  @Test
  void descriptorsAreOfRingThree() {
    assertTrue(pv.setGdt(1, new long[] {frames[0]}, 1));
    assertEquals(0, pv.setDescriptor(frames[0] * PAGE + 8, 0x00af_9a00_0000_ffffL));
    assertEquals(0x00af_fb00_0000_ffffL, get(frames[0], 1));
    // A call gate to ring 0, and a task.
    assertEquals(
        Errno.EINVAL, pv.setDescriptor(frames[0] * PAGE + 16, 0x0000_ec00_0008_0000L));
    assertEquals(
        Errno.EINVAL, pv.setDescriptor(frames[0] * PAGE + 16, 0x0000_8900_0000_0067L));
    put(frames[1], 3, 0x0000_ec00_0008_0000L);
    put(frames[1], 4, 0x00cf_9200_0000_ffffL);
    assertTrue(pv.setGdt(1, new long[] {frames[0], frames[1]}, 2));
    assertEquals(0, get(frames[1], 3));
    assertEquals(0x00cf_f300_0000_ffffL, get(frames[1], 4));
  }

  /** Breaks if counts of tables go wrong where a guest writes behind the hypervisor's back. */
  @Test
  void whateverAGuestDoesAllIsGivenBack() {
    long before = host.freePages();
    Random random = new Random(7);
    Domain wild = create();
    int[] own = wild.populateMachine(32);
    assertNotNull(own);
    for (int i = 0; i < 20_000; i++) {
      int frame = own[random.nextInt(own.length)];
      long value =
          entry(own[random.nextInt(own.length)], random.nextInt(8) | random.nextInt(2) << 7);
      long at = frame * PAGE + 8L * random.nextInt(512);
      switch (random.nextInt(6)) {
        case 0 -> wild.pv().pin(frame, 1 + random.nextInt(4));
        case 1 -> wild.pv().unpin(frame);
        case 2 -> wild.memory().write64(at, value);
        case 3 -> wild.pv().exchangeTop(random.nextBoolean() ? frame : 0, frame);
        default -> wild.pv().update(at, value, random.nextBoolean());
      }
    }
    host.destroyDomain(wild);
    assertEquals(before, host.freePages());
    assertNull(create().populateMachine(1 << 20), "so much is not there");
  }
}

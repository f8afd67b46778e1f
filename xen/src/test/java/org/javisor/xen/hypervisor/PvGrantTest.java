package org.javisor.xen.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Granted pages in the page tables of PV domains. */
class PvGrantTest {
  private static final int GRANT_TABLE_OP = 20;
  private static final int MMUEXT_OP = 26;
  private static final int NEW_TOP = 5;

  private static final int MAP = 0;
  private static final int UNMAP = 1;
  private static final int UNMAP_AND_REPLACE = 7;

  private static final int HOST_MAP = 2;
  private static final int READ_ONLY = 4;
  private static final int CONTAINS_ENTRY = 16;

  private static final long PAGE = FakePv.PAGE;
  private static final long WRITABLE = 0x67;
  private static final long RIGHTS_READ_ONLY = 0x65;

  // Pages of the user: its arguments, and page tables from the top down.
  private static final int ARGUMENTS = 0;
  private static final int TOP = 1;
  private static final int LAST = 4;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain owner = new FakeDomain(host, 1);
  private final FakePv user = new FakePv(host);

  @BeforeEach
  void load() {
    for (int level = TOP; level < LAST; level++) {
      put(user.page(level), user.page(level + 1) | WRITABLE);
    }
    put(user.page(ARGUMENTS), NEW_TOP, user.frames[TOP], 0);
    assertEquals(0, user.call(0, MMUEXT_OP, user.page(ARGUMENTS), 1, 0, Domain.SELF));
  }

  @AfterEach
  void close() {
    host.close();
  }

  private void put(long address, long... words) {
    for (int i = 0; i < words.length; i++) {
      user.domain.memory().write64(address + 8L * i, words[i]);
    }
  }

  private int id() {
    return user.domain.id();
  }

  /** The address of the entry that maps a page of the lowest addresses. */
  private long entry(int page) {
    return user.page(LAST) + 8L * page;
  }

  private long get(long address) {
    return user.domain.memory().read64(address);
  }

  /** Maps a grant; returns the handle, or the negative status. */
  private int map(long address, int flags, int reference, int domid) {
    long at = user.page(ARGUMENTS);
    put(at, address, flags & 0xffff_ffffL | (long) reference << 32, domid, 0);
    assertEquals(0, user.call(0, GRANT_TABLE_OP, MAP, at, 1));
    short status = (short) (get(at + 16) >> 16);
    return status == 0 ? (int) (get(at + 16) >> 32) : status;
  }

  private int map(long address, int flags, int reference) {
    return map(address, flags, reference, owner.domain().id());
  }

  private int unmap(int operation, long address, long other, int handle) {
    long at = user.page(ARGUMENTS);
    put(at, address, other, handle & 0xffff_ffffL);
    assertEquals(0, user.call(0, GRANT_TABLE_OP, operation, at, 1));
    return (short) (get(at + 16) >> 32);
  }

  private int unmap(long address, int handle) {
    return unmap(UNMAP, address, 0, handle);
  }

  private int frame() {
    return owner.memory().frame(0x20_0000);
  }

  @Test
  void aGrantIsMappedAtALinearAddress() {
    owner.grant(8, id(), 0x200, false);
    int handle = map(0x5000, HOST_MAP, 8);
    assertTrue(handle >= 0);
    assertEquals(frame() * PAGE, get(user.page(ARGUMENTS) + 24), "its machine address");
    assertEquals(frame() * PAGE | WRITABLE, get(entry(5)));
    user.domain.memory().write64(frame() * PAGE, 42);
    assertEquals(42, owner.memory().read64(0x20_0000));
    assertEquals(GrantTable.GENERAL_ERROR, unmap(0x6000, handle), "it is not there");
    assertEquals(GrantTable.BAD_HANDLE, unmap(0x5000, handle + 1));
    assertEquals(GrantTable.BAD_HANDLE, unmap(0x5000, -1));
    assertEquals(0, unmap(0x5000, handle));
    assertEquals(0, get(entry(5)));
    assertEquals(-1, user.domain.memory().frame(frame() * PAGE));
    assertEquals(GrantTable.BAD_HANDLE, unmap(0x5000, handle));
    assertEquals(1, owner.memory().read16(FakeDomain.GRANT_TABLE + 64), "no use is left");
  }

  @Test
  void anEntryIsNamedByItsAddress() {
    owner.grant(8, id(), 0x200, false);
    int handle = map(entry(9), HOST_MAP | CONTAINS_ENTRY | 5 << 16, 8);
    assertTrue(handle >= 0);
    assertEquals(frame() * PAGE | WRITABLE | 5 << 9, get(entry(9)));
    assertEquals(GrantTable.GENERAL_ERROR, unmap(entry(10), handle));
    assertEquals(0, unmap(entry(9), handle));
    assertEquals(0, get(entry(9)));
  }

  /** Breaks if a mapping can be made to change anything but an entry that maps a page. */
  @Test
  void onlyEntriesOfLastTablesAreWritten() {
    owner.grant(8, id(), 0x200, false);
    for (long address : new long[] {
      user.page(20), // no table
      user.page(TOP) + 8, // of another level
      entry(3) + 4, // between two
      frame() * PAGE, // not its own
      -8, 1L << 50
    }) {
      assertEquals(
          GrantTable.GENERAL_ERROR, map(address, HOST_MAP | CONTAINS_ENTRY, 8),
          Long.toHexString(address));
    }
    assertEquals(GrantTable.GENERAL_ERROR, map(1L << 40, HOST_MAP, 8), "no table there");
    assertEquals(GrantTable.GENERAL_ERROR, map(0x5000, 1, 8), "for devices alone");
    assertEquals(GrantTable.BAD_DOMAIN, map(0x5000, HOST_MAP, 8, 77));
    assertEquals(-1, user.domain.memory().frame(frame() * PAGE), "nothing stays of a refusal");
    assertEquals(1, owner.memory().read16(FakeDomain.GRANT_TABLE + 64));
  }

  /** Breaks if a grant for reading can be written, by this mapping or by another entry. */
  @Test
  void rightsAreThoseOfTheMappings() {
    owner.grant(8, id(), 0x200, true);
    owner.grant(9, id(), 0x200, false);
    assertEquals(GrantTable.PERMISSION_DENIED, map(0x5000, HOST_MAP, 8));
    int reading = map(0x5000, HOST_MAP | READ_ONLY, 8);
    assertEquals(frame() * PAGE | RIGHTS_READ_ONLY, get(entry(5)));
    PvMemory pv = user.domain.pv();
    assertEquals(Errno.EINVAL, pv.update(entry(6), frame() * PAGE | WRITABLE, false));
    assertFalse(user.domain.memory().writable(frame() * PAGE));
    int writing = map(0x6000, HOST_MAP, 9);
    assertTrue(user.domain.memory().writable(frame() * PAGE));
    assertEquals(0, unmap(0x6000, writing));
    assertFalse(user.domain.memory().writable(frame() * PAGE), "one for reading is left");
    assertEquals(0, unmap(0x5000, reading));
    assertEquals(-1, user.domain.memory().frame(frame() * PAGE));
  }

  @Test
  void aMappingIsReplacedByWhatIsElsewhere() {
    owner.grant(8, id(), 0x200, false);
    put(entry(7), user.page(30) | WRITABLE);
    int handle = map(0x5000, HOST_MAP, 8);
    assertEquals(
        GrantTable.BAD_VIRTUAL_ADDRESS, unmap(UNMAP_AND_REPLACE, 0x5000, 1L << 40, handle));
    assertEquals(0, unmap(UNMAP_AND_REPLACE, 0x5000, 0x7000, handle));
    assertEquals(user.page(30) | WRITABLE, get(entry(5)));
    assertEquals(0, get(entry(7)));
    int again = map(entry(8), HOST_MAP | CONTAINS_ENTRY, 8);
    assertEquals(
        GrantTable.GENERAL_ERROR, unmap(UNMAP_AND_REPLACE, entry(8), 0x5000, again));
    assertEquals(0, unmap(UNMAP_AND_REPLACE, entry(8), 0, again));
  }

  /** Breaks if a page is used anew while a PV domain still has it in its tables. */
  @Test
  void aPageInUseStaysAlthoughItsOwnerEnds() {
    owner.grant(8, id(), 0x200, false);
    int frame = frame();
    int handle = map(0x5000, HOST_MAP, 8);
    owner.memory().write32(FakeDomain.GRANT_TABLE + 64, 0);
    host.destroyDomain(owner.domain());
    long free = host.freePages();
    user.domain.memory().write64(frame * PAGE, 7);
    assertEquals(0, unmap(0x5000, handle));
    assertEquals(free + 1, host.freePages());
  }

  /** Breaks if a domain that ends keeps others' pages, or its own that it has granted to itself. */
  @Test
  void aDomainThatEndsLetsGo() {
    final long free = host.freePages();
    FakePv brief = new FakePv(host);
    brief.domain.grants().permit(3, brief.domain.id(), brief.frames[40]);
    owner.grant(8, brief.domain.id(), 0x200, false);
    long at = brief.page(ARGUMENTS);
    for (int level = TOP; level < LAST; level++) {
      brief.domain.memory().write64(brief.page(level), brief.page(level + 1) | WRITABLE);
    }
    brief.domain.memory().write64(at, NEW_TOP);
    brief.domain.memory().write64(at + 8, brief.frames[TOP]);
    assertEquals(0, brief.call(0, MMUEXT_OP, at, 1, 0, Domain.SELF));
    int own = brief.domain.id();
    for (long[] words : new long[][] {
      {0x5000, HOST_MAP | 3L << 32, own}, {0x6000, HOST_MAP | 8L << 32, owner.domain().id()}
    }) {
      for (int i = 0; i < 3; i++) {
        brief.domain.memory().write64(at + 8L * i, words[i]);
      }
      assertEquals(0, brief.call(0, GRANT_TABLE_OP, MAP, at, 1));
      assertEquals(0, (short) (brief.domain.memory().read64(at + 16) >> 16));
    }
    host.destroyDomain(brief.domain);
    assertEquals(free, host.freePages());
    assertEquals(1, owner.memory().read16(FakeDomain.GRANT_TABLE + 64));
  }

  /** Breaks if a domain that grants and maps at random leaks a frame or reaches one without a grant. */
  @Test
  void randomMappingsReachOnlyWhatIsGranted() {
    final long free = host.freePages();
    Random random = new Random(23);
    for (int i = 0; i < 16; i++) {
      owner.grant(8 + i, id(), 0x200 + i, i % 3 == 0);
    }
    for (int i = 0; i < 20_000; i++) {
      boolean names = random.nextBoolean();
      int page = random.nextInt(32);
      long address = names ? entry(page) : page * PAGE;
      switch (random.nextInt(4)) {
        case 0, 1 -> map(
            address,
            HOST_MAP | (random.nextBoolean() ? READ_ONLY : 0) | (names ? CONTAINS_ENTRY : 0),
            8 + random.nextInt(17));
        case 2 -> unmap(address, random.nextInt(40));
        default -> unmap(
            UNMAP_AND_REPLACE, address, random.nextInt(32) * PAGE, random.nextInt(40));
      }
    }
    for (int i = 16; i < 1024; i++) {
      int frame = owner.memory().frame((0x200L + i) % 1024 * PAGE);
      assertEquals(-1, frame < 0 ? -1 : user.domain.memory().frame(frame * PAGE));
    }
    host.destroyDomain(user.domain);
    host.destroyDomain(owner.domain());
    assertTrue(host.freePages() >= free + 2048, "all frames are there again");
  }
}

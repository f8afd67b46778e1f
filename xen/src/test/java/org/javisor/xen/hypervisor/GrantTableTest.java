package org.javisor.xen.hypervisor;

import static org.javisor.xen.hypervisor.FakeDomain.GRANT_TABLE;
import static org.javisor.xen.hypervisor.FakeDomain.GRANT_TABLE_OP;
import static org.javisor.xen.hypervisor.FakeDomain.MEMORY_OP;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class GrantTableTest {
  private static final int HOST_MAP = 2;
  private static final int READ_ONLY = 4;
  private static final long HOLE = 0x2_0000_0000L;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain owner = new FakeDomain(host, 1);
  private final FakeDomain user = new FakeDomain(host, 1);

  @AfterEach
  void close() {
    host.close();
  }

  private int userId() {
    return user.domain().id();
  }

  /** Maps a grant; returns the handle, or the negative status. */
  private int map(long at, int flags, int reference) {
    assertEquals(
        0,
        user.call(
            GRANT_TABLE_OP, 0,
            user.words(
                (int) at, (int) (at >> 32), flags, reference, owner.domain().id(), 0, 0, 0),
            1));
    short status = (short) (user.word(4) >> 16);
    return status == 0 ? user.word(5) : status;
  }

  private int unmap(long at, int handle) {
    assertEquals(
        0,
        user.call(
            GRANT_TABLE_OP, 1, user.words((int) at, (int) (at >> 32), 0, 0, handle, 0), 1));
    return (short) user.word(5);
  }

  @Test
  void aGrantedPageIsSharedUntilItIsUnmapped() {
    owner.memory().write64(0x20_0000, 0x1234_5678_9abcL);
    owner.grant(8, userId(), 0x200, false);
    int handle = map(HOLE, HOST_MAP, 8);
    assertTrue(handle >= 0);
    assertEquals(0x1234_5678_9abcL, user.memory().read64(HOLE));
    user.memory().write64(HOLE, 42);
    assertEquals(42, owner.memory().read64(0x20_0000));
    assertEquals(1 | 8 | 16, owner.memory().read16(GRANT_TABLE + 64), "reading and writing");
    assertEquals(0, unmap(HOLE, handle));
    assertEquals(-1, user.memory().frame(HOLE));
    assertEquals(1, owner.memory().read16(GRANT_TABLE + 64));
  }

  /** Breaks if permission is not what the entry says. */
  @Test
  void permissionIsChecked() {
    owner.grant(8, userId(), 0x200, true);
    assertEquals(GrantTable.PERMISSION_DENIED, map(HOLE, HOST_MAP, 8));
    assertTrue(map(HOLE, HOST_MAP | READ_ONLY, 8) >= 0);
    assertTrue(!user.memory().writable(HOLE));
    owner.grant(9, 55, 0x201, false);
    assertEquals(GrantTable.BAD_REFERENCE, map(HOLE + 4096, HOST_MAP, 9));
    assertEquals(GrantTable.BAD_REFERENCE, map(HOLE + 4096, HOST_MAP, 10));
    assertEquals(GrantTable.BAD_REFERENCE, map(HOLE + 4096, HOST_MAP, -1));
    assertEquals(GrantTable.BAD_VIRTUAL_ADDRESS, map(HOLE + 1, HOST_MAP, 8));
    assertEquals(GrantTable.BAD_VIRTUAL_ADDRESS, map(0, HOST_MAP | READ_ONLY, 8), "own memory");
    owner.grant(11, userId(), 0xf_ffff, false);
    assertEquals(GrantTable.BAD_PAGE, map(HOLE + 4096, HOST_MAP, 11));
  }

  /** Breaks if the owner can take a page away, or have it used anew, while it is mapped. */
  @Test
  void aPageInUseStaysAlthoughItsOwnerGivesItUp() {
    owner.grant(8, userId(), 0x200, false);
    int handle = map(HOLE, HOST_MAP, 8);
    int frame = user.memory().frame(HOLE);
    long free = host.freePages();
    // The owner revokes the permission and gives the page back.
    owner.memory().write32(GRANT_TABLE + 64, 0);
    owner.memory().write64(0x11_0000, 0x200);
    assertEquals(
        1, owner.call(MEMORY_OP, 1, owner.words(0x11_0000, 0, 1, 0, 0, 0, Domain.SELF)));
    assertEquals(free, host.freePages(), "in use");
    FakeDomain third = new FakeDomain(host, 1);
    for (long gpa = 0; gpa < 4 << 20; gpa += 4096) {
      assertTrue(third.memory().frame(gpa) != frame);
    }
    user.memory().write64(HOLE, 7);
    assertEquals(0, unmap(HOLE, handle));
    host.destroyDomain(third.domain());
    assertEquals(free + 1, host.freePages());
  }

  /** Breaks if a page that a domain has granted to itself is given up with the mapping. */
  @Test
  void aPageOfItsOwnStaysWhenItsMappingEnds() {
    user.grant(8, userId(), 0x200, false);
    final long free = host.freePages();
    final long pages = user.domain().pages();
    for (boolean byReservation : new boolean[] {false, true}) {
      assertEquals(
          0,
          user.call(
              GRANT_TABLE_OP, 0,
              user.words((int) HOLE, (int) (HOLE >> 32), HOST_MAP, 8, userId(), 0, 0, 0), 1));
      assertEquals(0, (short) (user.word(4) >> 16));
      final int handle = user.word(5);
      assertEquals(
          Errno.EINVAL,
          user.call(
              MEMORY_OP, 7,
              user.words(Domain.SELF, 2, (int) (HOLE >> 12), 0, 0x3_0000, 0)),
          "it does not move");
      if (byReservation) {
        user.memory().write64(0x11_0000, HOLE >> 12);
        assertEquals(
            1, user.call(MEMORY_OP, 1, user.words(0x11_0000, 0, 1, 0, 0, 0, Domain.SELF)));
      }
      assertEquals(0, unmap(HOLE, handle));
      assertEquals(-1, user.memory().frame(HOLE));
      assertTrue(user.domain().owns(0x20_0000));
    }
    assertEquals(free, host.freePages());
    assertEquals(pages, user.domain().pages());
  }

  @Test
  void handlesAreChecked() {
    owner.grant(8, userId(), 0x200, false);
    int handle = map(HOLE, HOST_MAP, 8);
    assertEquals(GrantTable.BAD_HANDLE, unmap(HOLE, handle + 1));
    assertEquals(GrantTable.BAD_HANDLE, unmap(HOLE, -1));
    assertEquals(GrantTable.BAD_VIRTUAL_ADDRESS, unmap(HOLE + 4096, handle));
    assertEquals(0, unmap(HOLE, handle));
    assertEquals(GrantTable.BAD_HANDLE, unmap(HOLE, handle));
  }

  @Test
  void copyingNeedsTheGrantsRights() {
    owner.memory().write64(0x20_0010, 99);
    owner.grant(8, userId(), 0x200, true);
    int from = owner.domain().id();
    // 8 bytes of the grant to own frame 0x300.
    assertEquals(0, copy(8, from | 0x10 << 16, 0x300, Domain.SELF | 0x20 << 16, 8 | 1 << 16));
    assertEquals(99, user.memory().read64(0x30_0020));
    // The other way it is read-only.
    assertEquals(
        GrantTable.PERMISSION_DENIED, copy(0x300, Domain.SELF, 8, from, 8 | 2 << 16));
    assertEquals(
        GrantTable.BAD_COPY_ARGUMENT,
        copy(8, from | 4090 << 16, 0x300, Domain.SELF, 8 | 1 << 16));
    // Another domain's frame without a grant.
    assertEquals(
        GrantTable.PERMISSION_DENIED, copy(0x200, from, 0x300, Domain.SELF, 8));
    assertEquals(1 | 4, owner.memory().read16(GRANT_TABLE + 64), "no use is left");
  }

  private int copy(int source, int sourceDomain, int target, int targetDomain, int lengthFlags) {
    user.call(
        GRANT_TABLE_OP, 5,
        user.words(
            source, 0, sourceDomain, 0, target, 0, targetDomain, 0, lengthFlags, 0),
        1);
    return (short) user.word(9);
  }

  @Test
  void aBackEndUsesAGrantOfDomainZero() throws Exception {
    owner.grant(8, userId(), 0x200, false);
    assertThrows(GrantTable.Refused.class, () -> owner.domain().grants().map(8, true));
    owner.grant(9, 0, 0x201, false);
    try (GrantMapping page = owner.domain().grants().map(9, true)) {
      page.put32(8, 77);
      assertEquals(77, owner.memory().read32(0x20_1008));
      assertThrows(IndexOutOfBoundsException.class, () -> page.get32(4093));
      assertThrows(IndexOutOfBoundsException.class, () -> page.get8(-1));
    }
  }

  /** Breaks if a domain that ends takes a page away from who still uses it. */
  @Test
  void aPageInUseOutlivesItsDomain() throws Exception {
    owner.grant(9, 0, 0x201, false);
    GrantMapping page = owner.domain().grants().map(9, true);
    page.put32(0, 5);
    long before = host.freePages();
    host.destroyDomain(owner.domain());
    long after = host.freePages();
    assertTrue(after > before);
    assertEquals(5, page.get32(0));
    page.close();
    assertEquals(after + 1, host.freePages());
  }

  @Test
  void theTableGrowsToItsLimit() {
    assertEquals(0, owner.call(GRANT_TABLE_OP, 6, owner.words(Domain.SELF, 0, 0, 0), 1));
    assertEquals(1, owner.word(1));
    assertEquals(32, owner.word(2));
    assertEquals(
        0, owner.call(MEMORY_OP, 7, owner.words(Domain.SELF, 1, 31, 0, 0x2_0000, 0)));
    assertEquals(
        Errno.EINVAL, owner.call(MEMORY_OP, 7, owner.words(Domain.SELF, 1, 32, 0, 0x2_0001, 0)));
    assertEquals(
        Errno.ENOSYS, owner.call(GRANT_TABLE_OP, 8, owner.words(2), 1), "version 2");
  }
}

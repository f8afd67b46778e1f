package org.javisor.xen.hypervisor;

import static org.javisor.xen.hypervisor.FakeDomain.ARGUMENTS;
import static org.javisor.xen.hypervisor.FakeDomain.EVENT_CHANNEL_OP;
import static org.javisor.xen.hypervisor.FakeDomain.MEMORY_OP;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What the privileged domain does for the host and to others, and that nobody else can. */
class Dom0CallsTest {
  private static final int PLATFORM_OP = 7;
  private static final int CONSOLE_IO = 18;
  private static final int HVM_OP = 34;
  private static final int SYSCTL = 35;
  private static final int DOMCTL = 36;
  private static final int MCA = 48;
  private static final int MMUEXT_OP = 26;

  private static final int VERSION = 0x15;

  private static final int MOST_LEAVES = 256;

  private static final long DATA = 0x12_0000;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain dom0 = FakeDomain.initial(host);

  @AfterEach
  void close() {
    host.close();
  }

  private long sysctl(int operation, int... words) {
    return dom0.call(SYSCTL, arguments(dom0, operation, VERSION, List.of(), words));
  }

  private long domctl(int operation, int domid, int... words) {
    return dom0.call(DOMCTL, arguments(dom0, operation, VERSION, List.of(domid, 0), words));
  }

  private static long arguments(
      FakeDomain caller, int operation, int version, List<Integer> head, int... words) {
    List<Integer> all = new ArrayList<>(List.of(operation, version));
    all.addAll(head);
    for (int word : words) {
      all.add(word);
    }
    while (all.size() < 36) {
      all.add(0);
    }
    return caller.words(all.stream().mapToInt(Integer::intValue).toArray());
  }

  /** Creates a PVH domain of two vCPUs; returns its number. */
  private int create() {
    assertEquals(0, domctl(1, 0xffff, 0, 1, 2, 3, 4, 3, 0, 2, 1023, -1, -1, 1, 0, 0, 1, 0));
    return dom0.memory().read16(ARGUMENTS + 8);
  }

  private Domain domain(int id) {
    return host.domain(id).orElseThrow();
  }

  // ---- Nobody else ------------------------------------------------------------------------

  @Test
  void unprivilegedDomainsAreRefusedEveryPrivilegedCall() {
    FakeDomain d = new FakeDomain(host, 1);
    int other = new FakeDomain(host, 1).domain().id();
    for (int operation = 0; operation < 100; operation++) {
      for (int version : new int[] {VERSION, 0, 0x0300_0001, 0x01ec_c003}) {
        long at = arguments(d, operation, version, List.of(other, 0));
        assertEquals(Errno.EPERM, d.call(DOMCTL, at));
        assertEquals(Errno.EPERM, d.call(SYSCTL, at));
        assertEquals(Errno.EPERM, d.call(PLATFORM_OP, at));
        assertEquals(Errno.EPERM, d.call(MCA, at));
      }
    }
    assertFalse(domain(other).isDying());
  }

  @Test
  void unprivilegedDomainsCannotNameOthers() {
    FakeDomain d = new FakeDomain(host, 1);
    FakeDomain victim = new FakeDomain(host, 1);
    int other = victim.domain().id();
    d.memory().write64(DATA, 0x100);
    for (int id : new int[] {other, 0, 4711}) {
      assertEquals(0, d.call(MEMORY_OP, 6, d.words((int) DATA, 0, 1, 0, 0, 0, id)));
      assertEquals(0, d.call(MEMORY_OP, 1, d.words((int) DATA, 0, 1, 0, 0, 0, id)));
      for (int operation : new int[] {3, 4, 14}) {
        assertEquals(Errno.EPERM, d.call(MEMORY_OP, operation, d.words(id)));
      }
      assertEquals(Errno.EPERM, d.call(MEMORY_OP, 7, d.words(id, 0, 0, 0, 0x300, 0)));
      assertEquals(Errno.EPERM, d.call(MEMORY_OP, 13, d.words(id, 0, 1, 0, (int) DATA, 0)));
      assertEquals(Errno.EPERM, d.call(MEMORY_OP, 15, d.words(id, 0, 0x100, 0)));
      assertEquals(
          Errno.EPERM,
          d.call(MEMORY_OP, 28, d.words(id | 1 << 16, 0, 1, 0, 0, 0, (int) DATA, 0)));
      assertEquals(
          Errno.EPERM,
          d.call(
              MEMORY_OP, 23,
              d.words(
                  Domain.SELF | 4 << 16, 1 | id << 16, (int) DATA, 0, (int) DATA + 8, 0,
                  (int) DATA + 16, 0)));
      assertEquals(Errno.EPERM, d.call(EVENT_CHANNEL_OP, 6, d.words(id, 0)));
      assertEquals(Errno.EPERM, d.call(EVENT_CHANNEL_OP, 5, d.words(id, 1, 0, 0, 0, 0)));
      assertEquals(Errno.EPERM, d.call(EVENT_CHANNEL_OP, 10, d.words(id)));
      assertEquals(Errno.EPERM, d.call(HVM_OP, 0, d.words(id, 1, 5, 0)));
      assertEquals(Errno.EPERM, d.call(HVM_OP, 1, d.words(id, 1, 0, 0)));
    }
    assertEquals(
        Errno.EPERM,
        d.call(MEMORY_OP, 28, d.words(Domain.SELF | 1 << 16, 0, 1, 0, 0, 0, (int) DATA, 0)),
        "nor its own grant table in this way");
    assertEquals(1024, victim.domain().pages());
    assertEquals(0, victim.domain().params().get(HvmParams.STORE_PFN));
  }

  // ---- The host -----------------------------------------------------------------------------

  @Test
  void toolsOfAnotherVersionAreRefused() {
    assertEquals(Errno.EACCES, dom0.call(SYSCTL, arguments(dom0, 3, 0x14, List.of())));
    assertEquals(Errno.EACCES, dom0.call(DOMCTL, arguments(dom0, 5, 0x16, List.of(0, 0))));
    assertEquals(Errno.EFAULT, dom0.call(DOMCTL, -4096));
  }

  @Test
  void theHostIsDescribed() {
    assertEquals(0, sysctl(3));
    assertEquals(1, dom0.word(2 + 2), "CPUs");
    assertEquals(host.totalPages(), dom0.memory().read64(ARGUMENTS + 8 + 40));
    assertEquals(host.freePages(), dom0.memory().read64(ARGUMENTS + 8 + 48));
    assertEquals(0, sysctl(4));
    assertEquals(6, dom0.word(2));
    assertEquals(0, sysctl(18, 3, 0, 0, 0, 0, 0, (int) DATA, 0, 8, 0));
    assertEquals(1, dom0.word(2 + 5), "domains in the pool");
    assertEquals(1, dom0.memory().read8(DATA), "its CPUs");
    assertEquals(Errno.ENOENT, sysctl(18, 3, 1));
    assertEquals(0, sysctl(16));
    assertEquals(1, dom0.word(2));
  }

  @Test
  void domainsAreListedFromANumberOn() {
    int made = create();
    assertEquals(0, sysctl(6, 0, 10, (int) DATA, 0));
    assertEquals(2, dom0.word(2 + 4));
    assertEquals(made, dom0.memory().read16(DATA + 112));
    assertEquals(0, sysctl(6, 1, 10, (int) DATA, 0));
    assertEquals(1, dom0.word(2 + 4));
    assertEquals(0, domctl(5, 1));
    assertEquals(made, dom0.memory().read16(ARGUMENTS + 8));
    assertEquals(1 << 3, dom0.word(5) & (1 << 3 | 1 << 2), "paused, not shut down");
    assertEquals(Errno.ESRCH, domctl(5, made + 1));
  }

  /** Breaks if the log is read twice, or not to its end. */
  @Test
  void theLogIsReadInParts() {
    host.console().log("hello");
    assertEquals(0, sysctl(1, 0, 0, (int) DATA, 0, 30));
    assertEquals(30, dom0.word(2 + 4));
    int index = dom0.word(2 + 1);
    assertEquals(0, sysctl(1, 1 << 8, index, (int) DATA, 0, 4096));
    byte[] rest = new byte[dom0.word(2 + 4)];
    dom0.memory().read(DATA, rest, 0, rest.length);
    assertTrue(new String(rest, java.nio.charset.StandardCharsets.US_ASCII).endsWith("hello\n"));
  }

  @Test
  void theTerminalIsDomain0s() {
    List<String> shown = new ArrayList<>();
    host.terminal().show(b -> shown.add(new String(b, java.nio.charset.StandardCharsets.US_ASCII)));
    dom0.memory().write(DATA, "a\u001b[2Jb".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
    assertEquals(0, dom0.call(CONSOLE_IO, 0, 6, DATA));
    assertEquals(List.of("a\u001b[2Jb"), shown, "as it is");
    assertEquals(0, dom0.call(EVENT_CHANNEL_OP, 1, dom0.words(2, 0, 0)));
    int port = dom0.word(2);
    host.terminal().type(new byte[] {'x', 'y', 'z'});
    assertTrue(dom0.domain().sharedInfo().isPending(port));
    assertEquals(2, dom0.call(CONSOLE_IO, 1, 2, DATA));
    assertEquals('x', dom0.memory().read8(DATA));
    assertEquals(1, dom0.call(CONSOLE_IO, 1, 2, DATA));
    FakeDomain d = new FakeDomain(host, 1);
    host.terminal().type(new byte[] {'q'});
    assertEquals(0, d.call(CONSOLE_IO, 1, 2, DATA));
    boolean[] room = {false};
    host.terminal().onRoom(() -> room[0] = true);
    assertEquals(4095, host.terminal().type(new byte[5000]));
    assertEquals(2, dom0.call(CONSOLE_IO, 1, 2, DATA));
    assertTrue(room[0], "the rest is to be typed now");
  }

  @Test
  void domain0SetsTheWallClockOfAll() {
    FakeDomain d = new FakeDomain(host, 1);
    assertEquals(
        0,
        dom0.call(
            PLATFORM_OP,
            arguments(dom0, 62, 0x0300_0001, List.of(), 1_000_000, 0, 500, 0, 0, 0)));
    assertEquals(0, d.call(MEMORY_OP, 7, d.words(Domain.SELF, 0, 0, 0, 0x300, 0)));
    assertEquals(1_000_000, d.memory().read32(0x30_0000 + 32 * 64 + 1024 + 4));
    assertEquals(
        Errno.EINVAL,
        dom0.call(
            PLATFORM_OP,
            arguments(dom0, 62, 0x0300_0001, List.of(), 1, 0, 1_000_000_000, 0, 0, 0)));
  }

  // ---- Domains ------------------------------------------------------------------------------

  @Test
  void aDomainIsMadeFilledStartedAndEnded() {
    long free = host.freePages();
    int id = create();
    assertEquals(0, domctl(15, id, 2));
    assertEquals(Errno.EINVAL, domctl(15, id, 3));
    assertEquals(0, domctl(11, id, 1024, 0));
    assertEquals(256, domain(id).maxPages());
    for (int i = 0; i < 300; i++) {
      dom0.memory().write64(DATA + 8L * i, i);
    }
    assertEquals(
        256, dom0.call(MEMORY_OP, 6, dom0.words((int) DATA, 0, 300, 0, 0, 0, id)), "no more");
    writeInto(id, 5, 0x12345678);
    assertEquals(0x12345678, domain(id).memory().read32(5 << 12));
    assertEquals(0, dom0.call(HVM_OP, 0, dom0.words(id, HvmParams.STORE_PFN, 77, 0)));
    assertEquals(77, domain(id).params().get(HvmParams.STORE_PFN));
    assertEquals(0, domctl(4, id));
    assertFalse(domain(id).isPaused());
    assertEquals(0, domctl(3, id));
    assertTrue(domain(id).isPaused());
    assertEquals(0, domctl(2, id));
    assertEquals(Errno.ESRCH, domctl(4, id));
    removeForeign();
    assertEquals(free, host.freePages(), "nothing is left");
  }

  /** Maps a page of a domain at 3 MiB of domain 0 and writes a word into it. */
  private void writeInto(int id, long gfn, int word) {
    dom0.memory().write64(DATA, gfn);
    dom0.memory().write64(DATA + 8, 0x4000);
    assertEquals(
        0,
        dom0.call(
            MEMORY_OP, 23,
            dom0.words(
                Domain.SELF | 4 << 16, 1 | id << 16, (int) DATA, 0, (int) DATA + 8, 0,
                (int) DATA + 16, 0)));
    assertEquals(0, dom0.memory().read32(DATA + 16));
    dom0.memory().write32(0x400_0000, word);
  }

  private void removeForeign() {
    assertEquals(0, dom0.call(MEMORY_OP, 15, dom0.words(Domain.SELF, 0, 0x4000, 0)));
  }

  /** Breaks if a page can be used again while domain 0 still has it in its map. */
  @Test
  void aMappedPageOutlivesItsDomain() {
    int id = create();
    assertEquals(0, domctl(11, id, 1024, 0));
    dom0.memory().write64(DATA, 5);
    assertEquals(1, dom0.call(MEMORY_OP, 6, dom0.words((int) DATA, 0, 1, 0, 0, 0, id)));
    writeInto(id, 5, 42);
    int frame = dom0.memory().frame(0x400_0000);
    assertEquals(0, domctl(2, id));
    assertNotEquals(FrameTable.FREE, host.frames().owner(frame));
    assertEquals(42, dom0.memory().read32(0x400_0000));
    long free = host.freePages();
    removeForeign();
    assertEquals(free + 1, host.freePages());
    assertEquals(FrameTable.FREE, host.frames().owner(frame));
  }

  @Test
  void aGrantTableIsMappedAndFilledForTheDomain() {
    int id = create();
    dom0.memory().write64(DATA, 0x5000);
    assertEquals(
        0,
        dom0.call(MEMORY_OP, 28, dom0.words(id | 1 << 16, 0, 1, 0, 0, 0, (int) DATA, 0)));
    dom0.memory().write32(0x500_0000 + 8, 1);
    assertEquals(
        Errno.EINVAL,
        dom0.call(MEMORY_OP, 28, dom0.words(id | 1 << 16, 0, 1, 0, 100, 0, (int) DATA, 0)));
    assertEquals(
        Errno.E2BIG,
        dom0.call(MEMORY_OP, 28, dom0.words(id | 1 << 16, 0, -1, 0, 0, 0, (int) DATA, 0)));
    assertEquals(0, domctl(2, id));
    assertEquals(0, dom0.call(MEMORY_OP, 15, dom0.words(Domain.SELF, 0, 0x5000, 0)));
  }

  @Test
  void theStateOfACpuIsSetAndRead() {
    int id = create();
    assertEquals(0, domctl(33, id, 0, 0, 0, 0));
    int size = dom0.word(4);
    assertEquals(0, domctl(33, id, size, 0, (int) DATA, 0));
    assertEquals(Errno.ENOSPC, domctl(33, id, size - 1, 0, (int) DATA, 0));
    assertEquals(0x54381286, dom0.memory().read32(DATA + 8));
    // Behind the header: one CPU, then the end.
    long at = DATA + 32;
    dom0.memory().write32(at, 2);
    dom0.memory().write32(at + 4, 1032);
    dom0.memory().write(at + 8, new byte[1032]);
    dom0.memory().write64(at + 8 + 520, 0x1111);
    dom0.memory().write64(at + 8 + 640, 0x10_0000);
    dom0.memory().write32(at + 8 + 888, 0xc9b);
    dom0.memory().write64(at + 8 + 1032, 0);
    assertEquals(0, domctl(34, id, 32 + 8 + 1032 + 8, 0, (int) DATA, 0));
    var state = domain(id).vcpu(0).port().cpu().state();
    assertEquals(0x1111, state.gpr[3]);
    assertEquals(0x10_0000, state.rip);
    assertEquals(0xc09b, state.cs.attributes);
    assertTrue(domain(id).vcpu(0).isOnline());
    assertFalse(domain(id).vcpu(1).isOnline());
    dom0.memory().write16(at + 2, 2);
    assertEquals(Errno.EINVAL, domctl(34, id, 32 + 8 + 1032 + 8, 0, (int) DATA, 0));
    assertEquals(Errno.ENODATA, domctl(34, id, 32 + 8 + 1000, 0, (int) DATA, 0));
  }

  /** Creates a PV domain of one vCPU with pages; returns its number. The frames are at DATA. */
  private int createPv(int pages) {
    assertEquals(0, domctl(1, 0xffff, 0, 1, 2, 3, 4, 0, 0, 1, 1023, -1, -1, 1, 0, 0, 0, 0));
    int id = dom0.memory().read16(ARGUMENTS + 8);
    assertEquals(0, domctl(11, id, 4096, 0));
    for (int i = 0; i < pages; i++) {
      dom0.memory().write64(DATA + 8L * i, i);
    }
    assertEquals(pages, dom0.call(MEMORY_OP, 6, dom0.words((int) DATA, 0, pages, 0, 0, 0, id)));
    return id;
  }

  private long frame(int page) {
    return dom0.memory().read64(DATA + 8L * page);
  }

  private long mmuExtended(int id, int command, long frame) {
    dom0.memory().write64(DATA + 0x800, command);
    dom0.memory().write64(DATA + 0x808, frame);
    return dom0.call(MMUEXT_OP, DATA + 0x800, 1, 0, id);
  }

  @Test
  void aPvDomainIsMadeOfMachineFramesAndItsTablesArePinned() {
    createPv(1); // What all PV domains share is made for the first one.
    long free = host.freePages();
    int id = createPv(16);
    assertEquals(0, domctl(35, id, 64));
    assertEquals(Errno.EINVAL, domctl(35, id, 32));
    assertEquals(0, domctl(5, id));
    assertEquals(domain(id).sharedInfoFrame(), dom0.memory().read64(ARGUMENTS + 16 + 48));
    long top = frame(3);
    assertEquals(7, domain(id).pv().pfn((int) frame(7)));
    assertEquals(0, mmuExtended(id, 3, top));
    assertEquals(Errno.EINVAL, mmuExtended(id, 3, top), "once");
    assertEquals(Errno.EPERM, mmuExtended(id, 5, top), "whose vCPU would it be");
    assertEquals(Errno.ESRCH, mmuExtended(999, 3, top));
    dom0.memory().write64(DATA + 0x900, top);
    dom0.memory().write64(DATA + 0x908, frame(4));
    dom0.memory().write64(DATA + 0x910, -1);
    assertEquals(0, domctl(61, id, 3, 0, (int) DATA + 0x900, 0));
    assertEquals(0x4L << 28 | 1L << 31, dom0.memory().read64(DATA + 0x900), "level 4, pinned");
    assertEquals(0, dom0.memory().read64(DATA + 0x908));
    assertEquals(0xfL << 28, dom0.memory().read64(DATA + 0x910));
    assertEquals(Errno.EINVAL, domctl(22, id, (int) top, 0), "no code into a page table");
    assertEquals(0, domctl(22, id, (int) frame(5), 0));
    assertEquals(0x0003_0201, domain(id).memory().read32(frame(5) << 12));
    writeInto(id, frame(6), 99);
    assertEquals(99, domain(id).memory().read32(frame(6) << 12));
    writeInto(id, domain(id).sharedInfoFrame(), 0);
    FakeDomain d = new FakeDomain(host, 1);
    assertEquals(Errno.EPERM, d.call(MMUEXT_OP, DATA, 1, 0, id));
    assertEquals(0, domctl(2, d.domain().id()));
    assertEquals(0, domctl(2, id));
    removeForeign();
    assertEquals(free, host.freePages(), "nothing is left");
  }

  private int mapMachine(long frame) {
    dom0.memory().write64(DATA, frame);
    dom0.memory().write64(DATA + 8, 0x4000);
    assertEquals(
        0,
        dom0.call(
            MEMORY_OP, 23,
            dom0.words(
                Domain.SELF | 4 << 16, 1 | 0x7ff2 << 16, (int) DATA, 0, (int) DATA + 8, 0,
                (int) DATA + 16, 0)));
    return dom0.memory().read32(DATA + 16);
  }

  /** Breaks if a tool that maps the table of all frames gets another one, or can write it. */
  @Test
  void theTableOfAllFramesIsMapped() {
    int id = createPv(4);
    long frame = frame(2);
    dom0.memory().write64(DATA + 0x100, -1);
    assertEquals(0, dom0.call(MEMORY_OP, 5, dom0.words(4, 0, (int) DATA + 0x100, 0, 0, 0)));
    assertEquals(1, dom0.word(4));
    long first = dom0.memory().read64(DATA + 0x100);
    assertEquals(0, mapMachine(first + frame / 512));
    assertEquals(2, dom0.memory().read64(0x400_0000 + frame % 512 * 8));
    assertFalse(dom0.memory().writable(0x400_0000));
    removeForeign();
    assertEquals(Errno.EPERM, mapMachine(0));
    FakeDomain d = new FakeDomain(host, 1);
    assertEquals(Errno.EPERM, d.call(MEMORY_OP, 5, d.words(4, 0, (int) DATA, 0, 0, 0)));
    assertEquals(0, domctl(2, id));
  }

  @Test
  void theStateOfAPvCpuIsSetAndReadInParts() {
    int id = createPv(4);
    VirtualCpu vcpu = domain(id).vcpu(0);
    assertFalse(vcpu.isOnline());
    dom0.memory().write(DATA, new byte[GuestContext.SIZE]);
    dom0.memory().write64(DATA + GuestContext.FLAGS, GuestContext.ONLINE);
    dom0.memory().write64(DATA + GuestContext.KERNEL_SP, 0x1234);
    assertEquals(0, domctl(12, id, 0, 0, (int) DATA, 0));
    assertTrue(vcpu.isOnline());
    dom0.memory().write(DATA, new byte[GuestContext.SIZE]);
    assertEquals(0, domctl(13, id, 0, 0, (int) DATA, 0));
    assertEquals(0x1234, dom0.memory().read64(DATA + GuestContext.KERNEL_SP));
    assertEquals(Errno.ESRCH, domctl(13, id, 1, 0, (int) DATA, 0));
    assertEquals(0, domctl(42, id, 0, 64, 0x1000, 0, 0x2000, 0, 0, 1));
    assertEquals(0, domctl(43, id, 0));
    assertEquals(64, dom0.word(5));
    assertEquals(0x1000, dom0.memory().read64(ARGUMENTS + 24));
    assertEquals(0x2000, dom0.memory().read64(ARGUMENTS + 32));
    assertEquals(1, dom0.memory().read8(ARGUMENTS + 44));
    assertEquals(0, domctl(72, id, 0, 0, 0, 0));
    assertEquals(1, dom0.word(5));
    assertEquals(0, domctl(72, id, 0, 1, (int) DATA, 0));
    assertEquals(0, dom0.word(5), "none that is not 0");
    assertEquals(0, domctl(63, id, 0));
    int size = dom0.word(8);
    assertEquals(0, domctl(63, id, 0, 0, -1, 0, size, 0, (int) DATA, 0));
    assertEquals(1, dom0.memory().read64(DATA), "XCR0");
    assertEquals(0, domctl(62, id, 0, 0, 0, 0, size, 0, (int) DATA, 0));
    dom0.memory().write64(DATA, 0);
    assertEquals(Errno.EINVAL, domctl(62, id, 0, 0, 0, 0, size, 0, (int) DATA, 0), "no x87");
    assertEquals(0, domctl(2, id));
  }

  // ---- Pages that were written ----------------------------------------------------------------

  private boolean written(int id, int operation, int page) {
    dom0.memory().write(DATA, new byte[64]);
    assertEquals(0, domctl(10, id, operation, 0, 0, 0, (int) DATA, 0, 256, 0));
    return (dom0.memory().read8(DATA + page / 8) >> page % 8 & 1) != 0;
  }

  @Test
  void whatIsWrittenIsLogged() {
    int id = create();
    assertEquals(0, domctl(11, id, 1024, 0));
    for (int i = 0; i < 64; i++) {
      dom0.memory().write64(DATA + 8L * i, i);
    }
    assertEquals(64, dom0.call(MEMORY_OP, 6, dom0.words((int) DATA, 0, 64, 0, 0, 0, id)));
    assertEquals(
        Errno.EINVAL, domctl(10, id, 11, 0, 0, 0, (int) DATA, 0, 256, 0), "nothing is logged yet");
    assertEquals(0, domctl(10, id, 2));
    assertEquals(Errno.EINVAL, domctl(10, id, 2), "it is on");
    assertFalse(written(id, 12, 5));
    domain(id).memory().write32(5 << 12, 1);
    assertTrue(written(id, 12, 5));
    assertEquals(1, dom0.word(13), "pages");
    assertTrue(written(id, 11, 5), "who peeks changes nothing");
    assertFalse(written(id, 11, 5));
    dom0.memory().write64(DATA, 70);
    assertEquals(1, dom0.call(MEMORY_OP, 6, dom0.words((int) DATA, 0, 1, 0, 0, 0, id)));
    assertTrue(written(id, 11, 70), "a page that is new");
    assertEquals(0, domctl(10, id, 0));
    assertEquals(0, domctl(10, id, 0), "off twice");
    assertEquals(0, host.arena().flags(domain(id).memory().frame(5 << 12)));
    assertEquals(Errno.EINVAL, domctl(10, 0, 2), "itself");
    assertEquals(0, domctl(2, id));
  }

  /** Breaks if what another domain may write without being noticed does not count. */
  @Test
  void grantedPagesCountAsWritten() throws Exception {
    FakeDomain d = new FakeDomain(host, 1);
    int id = d.domain().id();
    d.grant(9, 0, 7, false);
    assertEquals(0, domctl(10, id, 2));
    assertFalse(written(id, 11, 7));
    int frame = d.domain().grants().acquire(9, 0, true);
    assertTrue(written(id, 11, 7));
    assertTrue(written(id, 11, 7), "and again");
    d.domain().grants().release(9, frame, true);
    assertTrue(written(id, 11, 7), "it may have been written until now");
    assertFalse(written(id, 11, 7));
    assertEquals(0, domctl(2, id));
  }

  @Test
  void whatAPolicyTakesAwayIsNotSeen() {
    int id = create();
    assertEquals(0, domctl(82, id, 0, 0, 0, 0, 0, 0));
    assertEquals(MOST_LEAVES, dom0.word(4));
    assertEquals(0, domctl(82, id, MOST_LEAVES, 0, (int) DATA, 0, 0, 0));
    int leaves = dom0.word(4);
    assertEquals(7, dom0.memory().read32(DATA + 8));
    long one = DATA + 24;
    assertEquals(1, dom0.memory().read32(one));
    dom0.memory().write32(one + 16, 0x55);
    assertEquals(0, domctl(83, id, leaves, 0, (int) DATA, 0, 0, 0));
    assertArrayEquals(
        new int[] {-1, -1, 0x55, -1}, domain(id).restrictCpuid(1, 0, new int[] {-1, -1, -1, -1}));
    assertEquals(Errno.E2BIG, domctl(83, id, 1000, 0, (int) DATA, 0, 0, 0));
  }

  @Test
  void schedulingIsSetAndRead() {
    int id = create();
    dom0.memory().write64(DATA, 1);
    assertEquals(0, domctl(9, id, 0, 1, (int) DATA, 0, 64, 0, 0, 0, 0, 0));
    dom0.memory().write64(DATA, 0);
    assertEquals(
        Errno.EINVAL, domctl(9, id, 0, 1, (int) DATA, 0, 64, 0, 0, 0, 0, 0), "nowhere to run");
    assertEquals(0, domctl(25, id, 0, 3, (int) DATA, 0, 64, 0, (int) DATA + 8, 0, 64, 0));
    assertEquals(1, dom0.memory().read64(DATA));
    assertEquals(0, domctl(16, id, 6, 0, 512 | 50 << 16));
    assertEquals(0, domctl(16, id, 6, 1, 0));
    assertEquals(512 | 50 << 16, dom0.word(6));
    assertEquals(Errno.EINVAL, domctl(16, id, 5, 1, 0));
  }

  @Test
  void domain0CannotPauseOrEndItself() {
    assertEquals(Errno.EINVAL, domctl(3, 0));
    assertEquals(Errno.EINVAL, domctl(2, 0));
    assertEquals(Errno.EINVAL, domctl(3, Domain.SELF));
    assertEquals(Errno.EINVAL, domctl(34, 0, 0, 0, 0, 0));
  }

  @Test
  void domain0IsToldOfADomainThatEnds() {
    assertEquals(0, dom0.call(EVENT_CHANNEL_OP, 1, dom0.words(3, 0, 0)));
    int port = dom0.word(2);
    FakeDomain d = new FakeDomain(host, 1);
    assertEquals(0, d.call(29, 2, d.words(0)));
    assertTrue(dom0.domain().sharedInfo().isPending(port));
    assertEquals(0, domctl(5, d.domain().id()));
    assertEquals(1 << 2, dom0.word(5) & (1 << 2 | 0xff << 16), "shut down, reason 0");
  }

  @Test
  void whatCannotBeMadeIsRefused() {
    long free = host.freePages();
    assertEquals(
        Errno.EINVAL, domctl(1, -1, 0, 1, 2, 3, 4, 0, 0, 1, 1, -1, -1, 1, 0, 0, 1), "PV with APIC");
    assertEquals(
        Errno.EINVAL, domctl(1, -1, 0, 1, 2, 3, 4, 3, 0, 1, 1, -1, -1, 1, 0, 0, 0x7f), "HVM");
    assertEquals(
        Errno.EINVAL, domctl(1, -1, 0, 1, 2, 3, 4, 3, 0, 0, 1, -1, -1, 1, 0, 0, 1), "no vCPU");
    assertEquals(
        Errno.EINVAL, domctl(1, -1, 0, 1, 2, 3, 4, 3, 0, 4096, 1, -1, -1, 1, 0, 0, 1));
    int id = create();
    assertEquals(
        Errno.EEXIST, domctl(1, id, 0, 1, 2, 3, 4, 3, 0, 1, 1, -1, -1, 1, 0, 0, 1, 0));
    assertEquals(0, domctl(2, id));
    assertEquals(free, host.freePages());
  }

  /** Breaks if some argument of a tool makes the hypervisor throw or run for ever. */
  @Test
  void randomControlCallsHarmNobody() {
    Random random = new Random(17);
    int[] ids = {0, create(), createPv(16)};
    for (int i = 0; i < 4000; i++) {
      int[] words = new int[34];
      for (int w = 0; w < words.length; w++) {
        words[w] =
            switch (random.nextInt(6)) {
              case 0 -> (int) DATA;
              case 1 -> 0;
              case 2 -> -1;
              case 3 -> random.nextInt(64);
              case 4 -> 1 << random.nextInt(32);
              default -> random.nextInt();
            };
      }
      int operation = random.nextInt(90);
      if (random.nextBoolean()) {
        dom0.call(SYSCTL, arguments(dom0, operation, VERSION, List.of(), words));
      } else if (operation > 2 && operation != 4) {
        dom0.call(
            DOMCTL,
            arguments(dom0, operation, VERSION, List.of(ids[random.nextInt(3)], 0), words));
        dom0.call(MMUEXT_OP, DATA, 1, 0, ids[random.nextInt(3)]);
      }
    }
    assertEquals(0, domctl(2, ids[1]));
    assertEquals(0, domctl(2, ids[2]));
  }
}

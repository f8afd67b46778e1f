package org.javisor.xen.hypervisor;

import static org.javisor.xen.hypervisor.FakeDomain.ARGUMENTS;
import static org.javisor.xen.hypervisor.FakeDomain.EVENT_CHANNEL_OP;
import static org.javisor.xen.hypervisor.FakeDomain.MEMORY_OP;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A program in domain 0 that is the devices of an HVM domain, and what the guest sees of it. */
class DeviceModelTest {
  private static final int HVM_OP = 34;
  private static final int DOMCTL = 36;
  private static final int DM_OP = 41;

  private static final long OP = 0x12_0000;
  private static final long EXTRA = 0x12_1000;

  /** Where domain 0 has the model's two pages. */
  private static final long PAGES = 0x50_0000;

  private static final long REQUEST = PAGES + 4096;

  private static final int READY = 1;
  private static final int ANSWERED = 3;
  private static final int BY_POINTER = 1 << 4;
  private static final int READ = 1 << 5;

  private final Hypervisor host = FakeDomain.host();
  private final FakeDomain dom0 = FakeDomain.initial(host);
  private FakeDomain guest;
  private int server;

  @BeforeEach
  void makeThem() {
    int[] words = {
      1, 0x15, 0xffff, 0, 0, 1, 2, 3, 4, 3, 0, 2, 1023, -1, -1, 1, 0, 0, 0x3ff, 0
    };
    assertEquals(0, dom0.call(DOMCTL, dom0.words(java.util.Arrays.copyOf(words, 36))));
    guest = FakeDomain.of(host.domain(dom0.memory().read16(ARGUMENTS + 8)).orElseThrow());
    assertEquals(DomainKind.HVM, guest.domain().kind());
    assertEquals(0, deviceModel(1, 2));
    server = dom0.memory().read16(OP + 12);
    dom0.memory().write64(EXTRA, PAGES >> 12);
    dom0.memory().write64(EXTRA + 8, (PAGES >> 12) + 1);
    assertEquals(
        0,
        dom0.call(
            MEMORY_OP, 28, dom0.words(guest.domain().id(), server, 2, 0, 0, 0, (int) EXTRA, 0)));
    assertEquals(0, deviceModel(5, server | 1 << 16));
  }

  @AfterEach
  void close() {
    host.close();
  }

  private long deviceModel(int operation, int... words) {
    return deviceModel(dom0, guest.domain().id(), operation, words);
  }

  private static long deviceModel(FakeDomain caller, int domid, int operation, int... words) {
    caller.memory().write(OP, new byte[64]);
    caller.memory().write32(OP, operation);
    for (int i = 0; i < words.length; i++) {
      caller.memory().write32(OP + 8 + 4L * i, words[i]);
    }
    return caller.call(
        DM_OP, domid, 2, caller.words((int) OP, 0, 40, 0, (int) EXTRA, 0, 0x800, 0));
  }

  private void claim(int space, long first, long last) {
    assertEquals(
        0,
        deviceModel(
            3, server, space, (int) first, (int) (first >> 32), (int) last,
            (int) (last >> 32)));
  }

  private VirtualCpu vcpu(int id) {
    return guest.domain().vcpus().get(id);
  }

  /** Has the model answer requests of a vCPU, after it has looked at them. */
  private void answer(int vcpu, long value, Runnable look) {
    long request = REQUEST + 32L * vcpu;
    FakeDomain.FakePort port = (FakeDomain.FakePort) vcpu(vcpu).port();
    port.meanwhile =
        () -> {
          assertEquals(READY, dom0.memory().read8(request + 30) & 15);
          look.run();
          dom0.memory().write64(request + 8, value);
          dom0.memory().write8(request + 30, ANSWERED);
        };
  }

  private IoreqServers servers() {
    return guest.domain().ioreqServers();
  }

  @Test
  void itAnswersWhatItClaims() {
    claim(0, 0x1f0, 0x1f7);
    answer(
        1, 0x1234,
        () -> {
          assertEquals(0x1f2, dom0.memory().read64(REQUEST + 32));
          assertEquals(2, dom0.memory().read32(REQUEST + 32 + 20));
          assertEquals(READY | READ, dom0.memory().read8(REQUEST + 32 + 30));
          assertEquals(0, dom0.memory().read8(REQUEST + 32 + 31));
        });
    assertEquals(0x1234, servers().readPort(vcpu(1), 0x1f2, 2));
    assertEquals(0, dom0.memory().read8(REQUEST + 32 + 30) & 15, "it may be asked again");
    claim(1, 0xf000_0000L, 0xf000_0fffL);
    answer(
        0, 0,
        () -> {
          assertEquals(0xf000_0010L, dom0.memory().read64(REQUEST));
          assertEquals(0x1_2345_6789L, dom0.memory().read64(REQUEST + 8));
          assertEquals(READY, dom0.memory().read8(REQUEST + 30));
          assertEquals(1, dom0.memory().read8(REQUEST + 31));
        });
    servers().writeMemory(vcpu(0), 0xf000_0010L, 8, 0x1_2345_6789L);
  }

  @Test
  void itFillsMemoryByRepeatedReads() {
    claim(0, 0x1f0, 0x1f7);
    answer(
        0, 0,
        () -> {
          assertEquals(0x8000, dom0.memory().read64(REQUEST + 8));
          assertEquals(256, dom0.memory().read32(REQUEST + 16));
          assertEquals(READY | READ | BY_POINTER, dom0.memory().read8(REQUEST + 30));
        });
    assertEquals(256, servers().readPort(vcpu(0), 0x1f0, 2, 256, 0x8000));
    assertEquals(0, servers().readPort(vcpu(0), 0x3f8, 1, 256, 0x8000));
  }

  @Test
  void nobodyIsAskedForWhatNobodyClaims() {
    claim(0, 0x1f0, 0x1f7);
    assertEquals(-1, servers().readPort(vcpu(0), 0x1f6, 4));
    assertEquals(-1, servers().readPort(vcpu(0), 0x2f8, 1));
    assertEquals(-1, servers().readMemory(vcpu(0), 0x1f0, 1));
    assertEquals(0, deviceModel(5, server));
    assertEquals(-1, servers().readPort(vcpu(0), 0x1f0, 1), "it is not enabled");
  }

  @Test
  void configurationSpaceGoesByFunction() {
    claim(2, 1 << 3, 1 << 3);
    claim(0, 0xcf8, 0xcff);
    answer(0, 0, () -> assertEquals(0xcf8, dom0.memory().read64(REQUEST)));
    servers().writePort(vcpu(0), 0xcf8, 4, 0x8000_0000 | 1 << 11 | 0x40);
    answer(
        0, 0x77,
        () -> {
          assertEquals(8L << 32 | 0x42, dom0.memory().read64(REQUEST));
          assertEquals(2, dom0.memory().read8(REQUEST + 31));
        });
    assertEquals(0x77, servers().readPort(vcpu(0), 0xcfe, 2));
    answer(0, 0, () -> {});
    servers().writePort(vcpu(0), 0xcf8, 4, 0x8000_0000 | 2 << 11);
    ((FakeDomain.FakePort) vcpu(0).port()).meanwhile =
        () -> {
          throw new AssertionError("that function is not claimed");
        };
    assertEquals(-1, servers().readPort(vcpu(0), 0xcfc, 4));
  }

  /** Breaks if a model that goes away leaves a vCPU waiting for ever. */
  @Test
  void whoWaitsForAModelThatGoesReadsOnes() {
    claim(0, 0x1f0, 0x1f7);
    ((FakeDomain.FakePort) vcpu(0).port()).meanwhile = () -> servers().destroy(server);
    assertEquals(-1, servers().readPort(vcpu(0), 0x1f0, 1));
    assertEquals(Errno.ENOENT, deviceModel(6, server));
  }

  @Test
  void eventsOfTheModelAreNotTheGuests() {
    int port = dom0.memory().read32(REQUEST + 24);
    assertTrue(port > 0);
    assertEquals(
        0,
        dom0.call(EVENT_CHANNEL_OP, 0, dom0.words(guest.domain().id(), port, 0)),
        "it binds to the channel of the vCPU");
    int own = dom0.word(2);
    assertEquals(Errno.EINVAL, guest.call(EVENT_CHANNEL_OP, 3, guest.words(port)));
    assertEquals(Errno.EINVAL, guest.call(EVENT_CHANNEL_OP, 4, guest.words(port)));
    assertEquals(Errno.EINVAL, guest.call(EVENT_CHANNEL_OP, 8, guest.words(port, 1)));
    assertEquals(0, guest.call(EVENT_CHANNEL_OP, 10, guest.words(Domain.SELF)));
    assertEquals(0, dom0.call(EVENT_CHANNEL_OP, 4, dom0.words(own)));
    assertTrue(!guest.domain().sharedInfo().isPending(port));
    claim(0, 0x1f0, 0x1f7);
    answer(
        0, 5, () -> assertTrue(dom0.domain().sharedInfo().isPending(own), "it is told of it"));
    assertEquals(5, servers().readPort(vcpu(0), 0x1f0, 1));
  }

  @Test
  void itDrivesInterrupts() {
    FakeDomain.DRIVEN.clear();
    assertEquals(0, deviceModel(8, 3 << 24, 1 << 8 | 2));
    assertEquals(0, deviceModel(9, 1 << 8 | 14));
    assertEquals(0, deviceModel(10, 11 << 8 | 2));
    assertEquals(0, deviceModel(14, 0x41, 0, 0xfee0_1000, 0));
    assertEquals(
        List.of("pci 3 2 true", "isa 14 true", "route 2 11", "message fee01000 65"),
        FakeDomain.DRIVEN);
    assertEquals(Errno.EINVAL, deviceModel(8, 32 << 24, 0));
    assertEquals(Errno.EINVAL, deviceModel(9, 16));
    assertEquals(Errno.EINVAL, deviceModel(10, 4));
    assertEquals(Errno.EINVAL, deviceModel(14, 0x41, 0, 0x1000, 0));
  }

  @Test
  void itSaysWhatMayBeWritten() {
    assertEquals(0, deviceModel(12, 2, 1, 0x10, 0));
    assertTrue(!guest.memory().writable(0x1_0000));
    assertEquals(0, deviceModel(12, 1, 0, 0x10, 0));
    assertTrue(guest.memory().writable(0x1_0000));
    assertTrue(!guest.memory().writable(0x1_1000));
    assertEquals(Errno.EINVAL, deviceModel(12, 1, 2, 0x10, 0));
    assertEquals(Errno.EINVAL, deviceModel(12, 1, 1, 0x9_0000, 0));
    assertEquals(0, deviceModel(17, 1, 0, 0x10, 0, 0x8_0000, 0));
    assertTrue(guest.domain().ownsPage(0x8_0000));
    dom0.memory().write32(EXTRA, 5);
    dom0.memory().write64(EXTRA + 8, 0x20);
    assertEquals(0, deviceModel(11, 1, 0));
    assertEquals(Errno.EINVAL, deviceModel(11, 1 << 20, 0));
    assertEquals(0, deviceModel(7, 64, 0, 0, 0));
    assertEquals(-1, dom0.memory().read64(EXTRA));
    assertEquals(Errno.EINVAL, deviceModel(7, 1 << 20, 0, 0, 0));
  }

  @Test
  void itEndsTheDomain() {
    assertEquals(0, deviceModel(20));
    assertEquals(2, dom0.memory().read32(OP + 8));
    assertEquals(Errno.EINVAL, deviceModel(16, 77));
    assertEquals(0, deviceModel(16, ShutdownReason.REBOOT.ordinal()));
    assertEquals(ShutdownReason.REBOOT, guest.domain().shutdownReason());
  }

  @Test
  void onlyDomain0MayAndOnlyToHvmDomains() {
    FakeDomain pvh = new FakeDomain(host, 1);
    for (int operation = 0; operation < 32; operation++) {
      assertEquals(Errno.EPERM, deviceModel(pvh, guest.domain().id(), operation, 0, 0));
      assertEquals(Errno.EINVAL, deviceModel(dom0, pvh.domain().id(), operation, 0, 0));
      assertEquals(Errno.EINVAL, deviceModel(dom0, 0, operation, 0, 0));
      assertEquals(Errno.ESRCH, deviceModel(dom0, 4711, operation, 0, 0));
    }
  }

  /** Breaks if models cost pages or channels that do not come back. */
  @Test
  void nothingIsLeftOfThem() {
    assertEquals(0, deviceModel(6, server));
    for (int i = 0; i < 2; i++) {
      dom0.call(MEMORY_OP, 15, dom0.words(Domain.SELF, 0, (int) (PAGES >> 12) + i, 0));
    }
    int channels = guest.domain().events().open();
    long free = host.freePages();
    for (int i = 0; i < 8; i++) {
      assertEquals(0, deviceModel(1, 1));
    }
    assertEquals(Errno.ENOSPC, deviceModel(1, 1));
    for (int i = 0; i < 8; i++) {
      assertEquals(0, deviceModel(6, i));
    }
    assertEquals(channels, guest.domain().events().open());
    assertEquals(free, host.freePages());
  }

  // ---- Firmware's calls -----------------------------------------------------------------------

  @Test
  void firmwareCallsFrom32BitCode() {
    guest.domain().setMemoryMap(new byte[40]);
    assertEquals(0, guest.call32(MEMORY_OP, 9, guest.words(8, (int) EXTRA)));
    assertEquals(2, guest.word(0));
    assertEquals(
        0, guest.call32(MEMORY_OP, 7, guest.words(Domain.SELF, 0, 0, 0x900)), "the shared page");
    assertTrue(guest.memory().frame(0x90_0000) >= 0);
    guest.memory().write32(EXTRA, 0x700);
    guest.memory().write32(EXTRA + 4, 0x701);
    assertEquals(
        2, guest.call32(MEMORY_OP, 6, guest.words((int) EXTRA, 2, 0, 0, Domain.SELF)));
    assertTrue(guest.domain().ownsPage(0x701));
    answer(
        0, 0,
        () -> assertEquals(8, dom0.memory().read8(REQUEST + 31), "it forgets what it has mapped"));
    assertEquals(0, guest.call32(MEMORY_OP, 15, guest.words(Domain.SELF, 0x701)));
    assertTrue(!guest.domain().ownsPage(0x701));
    assertEquals(0, guest.call32(HVM_OP, 0, guest.words(Domain.SELF, 19, 1, 0)));
    assertEquals(1, guest.domain().params().get(19));
    assertEquals(Errno.EPERM, guest.call32(HVM_OP, 0, guest.words(Domain.SELF, 1, 1, 0)));
    assertEquals(Errno.ENOSYS, guest.call32(20, 1, ARGUMENTS, 1));
    assertEquals(Errno.EFAULT, guest.call32(MEMORY_OP, 9, 0xf000_0000L));
  }

  /** Breaks if addresses of what is lent to 32-bit calls mean anything to others. */
  @Test
  void wideAddressesStayTheGuests() {
    assertEquals(
        Errno.EFAULT,
        guest.call(MEMORY_OP, 9, GuestArguments.SCRATCH));
  }

  @Test
  void otherKindsSetNoParametersOfFirmware() {
    Domain pvh =
        host.createDomain(new DomainConfig(DomainKind.PVH, new UUID(1, 9), 1, 2048, 4));
    FakeDomain other = FakeDomain.of(pvh);
    assertEquals(Errno.EPERM, other.call(HVM_OP, 0, other.words(Domain.SELF, 19, 1, 0)));
  }
}

package org.javisor.xen.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.javisor.xen.store.StoreException.Error;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class StoreTest {
  private final Store store = new Store();
  private final List<String> events = new ArrayList<>();
  private final StoreClient tools = store.connect(0, (path, token) -> {});
  private final StoreClient guest = store.connect(3, (p, token) -> events.add(p + " " + token));
  private final StoreClient other = store.connect(4, (path, token) -> {});

  @BeforeEach
  void home() throws StoreException {
    store.makeDirectory(tools, 0, "/local/domain/3");
    store.setPermissions(tools, 0, "/local/domain/3", List.of("n3"));
    store.put(tools, "/local/domain/4/name", "four");
  }

  private static byte[] bytes(String text) {
    return text.getBytes(ISO_8859_1);
  }

  private static void refused(Error error, Executable what) {
    assertEquals(error, assertThrows(StoreException.class, what).error());
  }

  @Test
  void pathsOfADomainAreRelativeToItsHome() throws StoreException {
    store.write(guest, 0, "data/x", bytes("1"));
    assertEquals(Optional.of("1"), store.get(tools, "/local/domain/3/data/x"));
    assertEquals(List.of("data"), store.directory(guest, 0, "/local/domain/3"));
    store.remove(guest, 0, "data");
    refused(Error.ENOENT, () -> store.read(guest, 0, "data/x"));
  }

  @Test
  void nonsensePathsAreRefused() {
    for (String path : List.of("", "/a//b", "/a/", "a b", "/\u00e4", "@x", "/x".repeat(2000))) {
      refused(Error.EINVAL, () -> store.write(guest, 0, path, bytes("")));
    }
  }

  /** Breaks if a domain reads or writes what is not its own. */
  @Test
  void permissionsHold() throws StoreException {
    store.put(tools, "/secret", "s");
    refused(Error.EACCES, () -> store.read(guest, 0, "/secret"));
    refused(Error.EACCES, () -> store.write(guest, 0, "/secret", bytes("x")));
    refused(Error.EACCES, () -> store.write(guest, 0, "/new", bytes("x")));
    refused(Error.EACCES, () -> store.remove(guest, 0, "/secret"));
    store.write(guest, 0, "mine", bytes("x"));
    refused(Error.EACCES, () -> store.read(other, 0, "/local/domain/3/mine"));
    store.setPermissions(guest, 0, "mine", List.of("n3", "r4"));
    assertEquals("x", new String(store.read(other, 0, "/local/domain/3/mine"), ISO_8859_1));
    refused(Error.EACCES, () -> store.write(other, 0, "/local/domain/3/mine", bytes("y")));
    assertEquals(List.of("n3", "r4"), store.permissions(other, 0, "/local/domain/3/mine"));
    refused(Error.EPERM, () -> store.setPermissions(guest, 0, "mine", List.of("n4")));
    refused(Error.EPERM, () -> store.setPermissions(other, 0, "/local/domain/3/mine",
        List.of("b4")));
  }

  @Test
  void aTransactionIsSeenWhenItEnds() throws StoreException {
    int t = store.begin(guest);
    store.write(guest, t, "a", bytes("1"));
    assertEquals("1", new String(store.read(guest, t, "a"), ISO_8859_1));
    refused(Error.ENOENT, () -> store.read(guest, 0, "a"));
    store.end(guest, t, true);
    assertEquals("1", new String(store.read(guest, 0, "a"), ISO_8859_1));
    int dropped = store.begin(guest);
    store.write(guest, dropped, "b", bytes("1"));
    store.end(guest, dropped, false);
    refused(Error.ENOENT, () -> store.read(guest, 0, "b"));
    refused(Error.ENOENT, () -> store.end(guest, dropped, true));
  }

  /** Breaks if two transactions that depend on each other both succeed. */
  @Test
  void theSlowerOfTwoTransactionsBeginsAnew() throws StoreException {
    store.write(guest, 0, "n", bytes("1"));
    int slow = store.begin(guest);
    store.read(guest, slow, "n");
    store.write(guest, slow, "copy", bytes("1"));
    store.write(guest, 0, "n", bytes("2"));
    refused(Error.EAGAIN, () -> store.end(guest, slow, true));
    refused(Error.ENOENT, () -> store.read(guest, 0, "copy"));
  }

  @Test
  void transactionsThatDoNotMeetBothSucceed() throws StoreException {
    store.write(guest, 0, "d/1", bytes(""));
    store.write(guest, 0, "e/1", bytes(""));
    int one = store.begin(guest);
    int two = store.begin(guest);
    store.write(guest, one, "d/1", bytes("x"));
    store.write(guest, two, "e/1", bytes("y"));
    store.end(guest, one, true);
    store.end(guest, two, true);
    assertEquals("x", new String(store.read(guest, 0, "d/1"), ISO_8859_1));
    assertEquals("y", new String(store.read(guest, 0, "e/1"), ISO_8859_1));
  }

  @Test
  void watchesAreToldOfWhatIsBelowThem() throws StoreException {
    store.watch(guest, "device", "t");
    assertEquals(List.of("device t"), events);
    store.write(guest, 0, "device/vbd/1/state", bytes("4"));
    store.write(guest, 0, "other", bytes("4"));
    store.put(tools, "/local/domain/3/device/vbd/1/state", "5");
    assertEquals(
        List.of("device t", "device/vbd/1/state t", "device/vbd/1/state t"), events);
    events.clear();
    store.watch(guest, "/local/domain/3/device/vbd/1/state", "u");
    events.clear();
    store.remove(guest, 0, "device");
    assertEquals(
        List.of("device t", "/local/domain/3/device/vbd/1/state u"), events, "it went, too");
    store.unwatch(guest, "device", "t");
    refused(Error.ENOENT, () -> store.unwatch(guest, "device", "t"));
    events.clear();
    store.write(guest, 0, "device/x", bytes(""));
    assertEquals(List.of(), events);
  }

  /** Breaks if a watch tells a domain of what it must not know. */
  @Test
  void watchesTellNoSecrets() throws StoreException {
    store.watch(guest, "/", "all");
    events.clear();
    store.put(tools, "/secret", "s");
    store.put(tools, "/local/domain/4/name", "x");
    assertEquals(List.of(), events);
  }

  @Test
  void aTransactionsWatchesFireWhenItEnds() throws StoreException {
    store.watch(guest, "a", "t");
    events.clear();
    int t = store.begin(guest);
    store.write(guest, t, "a", bytes("1"));
    assertEquals(List.of(), events);
    store.end(guest, t, true);
    assertEquals(List.of("a t"), events);
  }

  /** Breaks if a domain can fill the host's memory. */
  @Test
  void quotasHold() throws StoreException {
    int nodes = 0;
    try {
      for (; nodes < 5000; nodes++) {
        store.write(guest, 0, "n" + nodes, bytes(""));
      }
    } catch (StoreException e) {
      assertEquals(Error.ENOSPC, e.error());
    }
    assertTrue(nodes > 900 && nodes <= 1000, nodes + " nodes");
    refused(Error.ENOSPC, () -> store.write(guest, 0, "a/b/c", bytes("")));
    store.remove(guest, 0, "n1");
    store.write(guest, 0, "again", bytes(""));
    refused(Error.E2BIG, () -> store.write(guest, 0, "again", new byte[2049]));
    for (int i = 0; i < 128; i++) {
      store.watch(guest, "w" + i, "t");
    }
    refused(Error.E2BIG, () -> store.watch(guest, "more", "t"));
    for (int i = 0; i < 10; i++) {
      store.begin(guest);
    }
    refused(Error.ENOSPC, () -> store.begin(guest));
    refused(
        Error.ENOSPC,
        () -> store.setPermissions(
            guest, 0, "again", List.of("n3", "r1", "r2", "r4", "r5", "r6")));
  }

  @Test
  void aTransactionCannotOutgrowTheQuota() throws StoreException {
    int t = store.begin(guest);
    for (int i = 0; i < 1500; i++) {
      try {
        store.write(guest, t, "n" + i, bytes(""));
      } catch (StoreException e) {
        break;
      }
    }
    refused(Error.ENOSPC, () -> store.end(guest, t, true));
    assertEquals(List.of(), store.directory(guest, 0, "/local/domain/3"));
    store.write(guest, 0, "still", bytes("works"));
  }
}

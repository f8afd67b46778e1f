package org.javisor.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.javisor.bench.KindUnderTest.Parts;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.toolstack.GuestConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class XenBenchTest {
  private static final Parts PARTS =
      new Parts(Path.of("/k"), Path.of("/i"), Path.of("/d.img"), "10.0.2.2:4711", "jit");

  private static KindSample sample(String sum, long micros, long exits) {
    return new KindSample(
        sum, 100, micros * 1000, micros * 500,
        exits < 0
            ? Exits.UNKNOWN
            : new Exits(Map.of("halts", exits - 100, "event_channel_op", 100L), true));
  }

  /** Breaks if a kind's configuration is none, or another kind's. */
  @Test
  void configurationsAreUnderstood() throws Exception {
    for (KindUnderTest kind : KindUnderTest.values()) {
      if (kind.isDomain()) {
        GuestConfig config =
            GuestConfig.parse(
                "cfg", kind.configuration(PARTS), Path.of("/"),
                warning -> {
                  throw new AssertionError(warning);
                });
        assertEquals(kind != KindUnderTest.HVM, config.hvm().platformDevice(), kind.label());
        assertEquals(
            kind == KindUnderTest.PV ? DomainKind.PV
                : kind == KindUnderTest.PVH ? DomainKind.PVH : DomainKind.HVM,
            config.kind());
        assertTrue(config.commandLine().contains("rows_peer=10.0.2.2:4711"));
      }
    }
  }

  /** Breaks if a multicall's entries are exits, or a second's figures are taken for the whole. */
  @Test
  void exitsAreCountedByWay() {
    Exits before = Exits.ofDomain("  event_channel_op   1000   99.9/s\n");
    Exits exits =
        Exits.ofDomain(
            """
            NAME                   ID STATE   CPU(s)   CPU%    MEM
            bench-pv                1 r-----      1.5   12.0    512     1        777       88.0      9
              event_channel_op                 1234       99.9/s
              stack_switch                      300        1.0/s
              multicall                         300        1.0/s
              of these in multicalls            290        1.0/s
              device accesses                    56        7.0/s
              halts                               7        7.0/s
              rings: vbd 51712 0/32
            """)
            .since(before);
    assertEquals(234 + 300 + 300 - 290 + 56 + 7, exits.all());
    assertEquals(234 + 56, exits.ofDrivers());
    Exits machine = Exits.ofMachine("{\"device-accesses\":42}");
    assertEquals(42, machine.ofDrivers());
    assertTrue(Double.isNaN(machine.all()));
  }

  @Test
  void tableAndJsonHaveEachKind() {
    XenFigures figures = new XenFigures();
    figures.row("disk-read-4k", KindUnderTest.PV, sample("a", 20_000, 500));
    figures.row("disk-read-4k", KindUnderTest.QEMU, sample("a", 40_000, -1));
    figures.boot(KindUnderTest.PV, new Dialogue.Moment(2_000_000_000L, 1_000_000_000L));
    figures.times(new XenFigures.HypervisorTimes(250, 12.5));
    List<KindUnderTest> kinds = List.of(KindUnderTest.PV, KindUnderTest.QEMU);
    String table = figures.table(kinds);
    assertTrue(
        table.lines().anyMatch(l -> l.matches("disk-read-4k +a second +5000 +2500")), table);
    assertTrue(table.lines().anyMatch(l -> l.matches(" +exits each +5\\.00 +-")), table);
    assertTrue(table.lines().anyMatch(l -> l.matches(" +of drivers +1\\.00 +-")), table);
    String json = figures.json(kinds, Map.of("runs", 1));
    for (String expected : List.of(
        "{\"name\":\"disk-read-4k\",\"pv\":{\"per_second\":5000.0,\"cpu_us\":100.0,\"exits\":5.0,\"driver_exits\":1.0}",
        "\"exits\":null", "\"userland\":{\"pv\":{\"wall_s\":2.0", "\"hypercall_ns\":250.0",
        "\"event_us\":12.5", "\"failures\":[]")) {
      assertTrue(json.contains(expected), expected + " in " + json);
    }
    figures.row("disk-read-4k", KindUnderTest.PVH, sample("b", 1, 1));
    assertEquals(
        List.of("row disk-read-4k has not one result: {a=[pv, qemu], b=[pvh]}"),
        figures.failures());
  }

  /** Breaks if the far end does not do what it is ordered to. */
  @Test
  void thePeerTakesSendsAndSendsBack() throws Exception {
    try (Peer peer = Peer.open()) {
      byte[] stream;
      try (Socket socket = order(peer, 'r', 100_000)) {
        stream = socket.getInputStream().readAllBytes();
        assertEquals(100_000, stream.length);
      }
      try (Socket socket = order(peer, 's', 100_000)) {
        socket.getOutputStream().write(stream);
        assertEquals('k', socket.getInputStream().read());
      }
      stream[70_000]++;
      try (Socket socket = order(peer, 's', 100_000)) {
        socket.getOutputStream().write(stream);
        assertEquals('x', socket.getInputStream().read());
      }
      try (Socket socket = order(peer, 'e', 2)) {
        InputStream in = socket.getInputStream();
        for (int ball : new int[] {42, 43}) {
          socket.getOutputStream().write(ball);
          assertEquals(ball, in.read());
        }
        assertEquals(-1, in.read());
      }
    }
  }

  private static Socket order(Peer peer, char what, long count) throws IOException {
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), peer.port());
    socket.getOutputStream()
        .write(
            ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).put((byte) what)
                .putLong(8, count).array());
    return socket;
  }
}

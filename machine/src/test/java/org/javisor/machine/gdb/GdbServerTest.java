package org.javisor.machine.gdb;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Speaks the protocol over a socket, as a debugger does. */
@Timeout(20)
class GdbServerTest {
  private static final String AT = Long.toHexString(FakeTarget.BASE);

  private final FakeTarget target = new FakeTarget();
  private GdbServer server;
  private Socket socket;

  @BeforeEach
  void connect() throws IOException {
    server =
        GdbServer.listen(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), target, line -> {});
    socket = new Socket(server.address().getAddress(), server.address().getPort());
  }

  @AfterEach
  void close() throws IOException {
    socket.close();
    server.close();
  }

  private void raw(String text) throws IOException {
    socket.getOutputStream().write(text.getBytes(StandardCharsets.ISO_8859_1));
    socket.getOutputStream().flush();
  }

  private void send(String data) throws IOException {
    int sum = 0;
    for (int i = 0; i < data.length(); i++) {
      sum += data.charAt(i);
    }
    raw("$%s#%02x".formatted(data, sum & 0xff));
  }

  private String receive() throws IOException {
    var in = socket.getInputStream();
    int c = in.read();
    while (c == '+') {
      c = in.read();
    }
    if (c != '$') {
      return c < 0 ? "(closed)" : "(" + (char) c + ")";
    }
    StringBuilder data = new StringBuilder();
    int sum = 0;
    for (c = in.read(); c != '#'; c = in.read()) {
      sum += c;
      if (c == '}') {
        c = in.read();
        sum += c;
        c ^= 0x20;
      }
      data.append((char) c);
    }
    String check = "" + (char) in.read() + (char) in.read();
    assertEquals("%02x".formatted(sum & 0xff), check);
    raw("+");
    return data.toString();
  }

  private String ask(String data) throws IOException {
    send(data);
    return receive();
  }

  /** Breaks if a debugger cannot find out what we can, or is told what we cannot. */
  @Test
  void introductions() throws IOException {
    String features = ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386");
    assertTrue(features.contains("qXfer:features:read+"), features);
    assertTrue(features.contains("swbreak+") && features.contains("vContSupported+"), features);
    assertEquals("", ask("vMustReplyEmpty"));
    assertEquals("", ask("qTStatus"));
    assertEquals("", ask("!"));
    assertEquals("1", ask("qAttached"));
    assertEquals("T02thread:1;", ask("?"));
    assertEquals("vCont;c;C;s;S", ask("vCont?"));
    assertEquals("OK", ask("QStartNoAckMode"));
    raw("$?#00");
    assertEquals("T02thread:1;", receive(), "without acknowledgements checksums are not looked at");
  }

  /** Breaks if a damaged packet is obeyed. */
  @Test
  void aDamagedPacketIsAskedForAgain() throws IOException {
    raw("$?#00");
    assertEquals("(-)", receive());
    assertEquals("T02thread:1;", ask("?"));
  }

  /** Breaks if the description cannot be read in pieces, or ends early. */
  @Test
  void theDescriptionComesInPieces() throws IOException {
    StringBuilder all = new StringBuilder();
    String piece;
    do {
      piece = ask("qXfer:features:read:target.xml:%x,%x".formatted(all.length(), 999));
      all.append(piece.substring(1));
    } while (piece.startsWith("m"));
    assertTrue(piece.startsWith("l"));
    assertEquals(new GdbRegisters().description(), all.toString());
    assertTrue(all.toString().strip().endsWith("</target>"));
    assertTrue(ask("qXfer:features:read:other.xml:0,100").startsWith("E"));
  }

  /** Breaks if a register is at another place than the description says, or loses bits. */
  @Test
  void registersAreReadAndWritten() throws IOException {
    GdbRegisters registers = new GdbRegisters();
    target.states[0].gpr[3] = 0x1122_3344_5566_7788L;
    target.states[0].gs.base = 0x99;
    String all = ask("g");
    assertEquals("8877665544332211", all.substring(16, 32), "RBX is second");
    assertEquals("7f030000", ask("p%x".formatted(registers.number("fctrl"))));
    assertEquals("ffff0000", ask("p%x".formatted(registers.number("ftag"))), "x87 is empty");
    assertEquals("9900000000000000", ask("p%x".formatted(registers.number("gs_base"))));

    assertEquals("OK", ask("P%x=0102030405060708".formatted(registers.number("rsp"))));
    assertEquals(0x0807_0605_0403_0201L, target.states[0].gpr[4]);
    assertEquals("OK", ask("P%x=%032x".formatted(registers.number("xmm15"), 0xabcd)));
    assertEquals((byte) 0xcd, target.states[0].fxsave[160 + 15 * 16 + 15]);
    assertEquals("E16", ask("P%x=01".formatted(registers.number("rsp"))), "too few bytes");
    assertEquals("E16", ask("pffff"));

    String changed = "ff".repeat(8) + all.substring(16);
    assertEquals("OK", ask("G" + changed));
    assertEquals(-1L, target.states[0].gpr[0]);
    assertEquals(0x1122_3344_5566_7788L, target.states[0].gpr[3]);
  }

  /** Breaks if every register does not survive being read and written back. */
  @Test
  void everyRegisterSurvivesARoundTrip() throws IOException {
    byte[] fxsave = target.states[0].fxsave;
    for (int i = 32; i < fxsave.length; i++) {
      fxsave[i] = (byte) (i * 7);
    }
    fxsave[4] = 0x55;
    fxsave[3] = 5 << 3;
    byte[] before = fxsave.clone();
    String all = ask("g");
    assertEquals("OK", ask("G" + all));
    assertEquals(all, ask("g"));
    assertArrayEquals(before, target.states[0].fxsave);
  }

  /** Breaks if memory is read past its end, written without its address, or binary is mangled. */
  @Test
  void memoryIsReadAndWritten() throws IOException {
    assertEquals("90909090", ask("m" + AT + ",4"));
    assertEquals("OK", ask("M" + AT + ",3:010203"));
    assertEquals("01020390", ask("m" + AT + ",4"));
    assertEquals("OK", ask("X" + AT + ",4:}\3}\4#\377".replace("#", "}\n")));
    assertEquals("23242aff", ask("m" + AT + ",4"), "'#', '$' and '*' come escaped");
    assertEquals("OK", ask("X" + AT + ",0:"));
    long nearEnd = FakeTarget.BASE + target.memory.length - 2;
    assertEquals("9090", ask("m%x,10".formatted(nearEnd)), "what is there");
    assertEquals("E0e", ask("m1000,10"));
    assertEquals("E0e", ask("M1000,1:00"));
    assertEquals("E16", ask("M" + AT + ",2:00"));
    assertEquals("E16", ask("mnonsense"));
  }

  /** Breaks if a breakpoint is missed, is not told apart from a step, or is left behind. */
  @Test
  void breakpointsAndSteps() throws Exception {
    ask("qSupported:swbreak+;hwbreak+");
    long there = FakeTarget.BASE + 0x10;
    assertEquals("OK", ask("Z0,%x,1".formatted(there)));
    assertEquals("OK", ask("Z0,%x,1".formatted(there)), "twice is once");
    assertEquals("T05thread:1;swbreak:;", ask("vCont;c"));
    assertEquals(there, target.states[0].rip);
    assertEquals("OK", ask("z0,%x,1".formatted(there)));
    assertEquals("T05thread:1;", ask("vCont;s:1;c"));
    assertEquals(there + 1, target.states[0].rip);
    assertEquals("T05thread:1;", ask("s"));
    assertEquals("T05thread:2;", ask("vCont;s:2"));
    assertEquals(FakeTarget.BASE + 0x1001, target.states[1].rip);
    assertEquals("OK", ask("Hg1"));
    assertEquals("OK", ask("Z1,%x,1".formatted(there + 8)));
    assertEquals("T05thread:1;hwbreak:;", ask("c"));
    assertEquals("", ask("Z2,%x,8".formatted(there)), "watchpoints are not supported");
    int before = target.breakpoints.size();
    assertEquals(1, before);
    assertEquals("OK", ask("D"));
    assertEquals("(closed)", receive());
    target.awaitResumed(3);
    assertTrue(target.breakpoints.isEmpty(), "none is left behind");
  }

  /** Breaks if Ctrl-C does not stop a machine that runs. */
  @Test
  void aRunningMachineCanBeInterrupted() throws IOException {
    for (int i = 0; i < 20; i++) {
      send("c");
      raw("\3");
      assertEquals("T02thread:1;", receive());
      assertEquals("T02thread:1;", ask("?"));
    }
  }

  /** Breaks if vCPUs are not threads, or the wrong one is looked at. */
  @Test
  void vcpusAreThreads() throws IOException {
    assertEquals("m1,2", ask("qfThreadInfo"));
    assertEquals("l", ask("qsThreadInfo"));
    assertEquals("OK", ask("T2"));
    assertEquals("E16", ask("T3"));
    assertEquals("OK", ask("Hg2"));
    assertEquals("QC2", ask("qC"));
    assertEquals("E16", ask("Hg9"));
    String rip = ask("p10");
    assertEquals("0010008" + "1ffffffff", rip);
    byte[] text = HexFormat.of().parseHex(ask("qThreadExtraInfo,2"));
    assertEquals("vCPU 1, 64-bit, ring 0", new String(text, StandardCharsets.US_ASCII));
  }

  /** Breaks if the debugger waits for ever for a machine that has ended. */
  @Test
  void theEndIsReported() throws Exception {
    send("c");
    target.awaitResumed(1);
    target.end(3);
    assertEquals("W03", receive());
    assertEquals("(closed)", receive());
  }

  /** Breaks if a guest that crashed cannot be looked at. */
  @Test
  void aCrashIsASegmentationFault() throws Exception {
    send("c");
    target.awaitResumed(1);
    target.crash();
    assertEquals("T0bthread:1;", receive());
    assertEquals("90", ask("m" + AT + ",1"));
  }

  /** Breaks if "kill" leaves the machine there. */
  @Test
  void killEndsTheMachine() throws Exception {
    send("k");
    target.awaitQuit();
    assertEquals("(closed)", receive());
  }

  /** Breaks if a debugger that was lost locks out the next one, or keeps the guest stopped. */
  @Test
  void aLostDebuggerMakesRoomForTheNext() throws Exception {
    ask("Z0," + AT + ",1");
    socket.close();
    target.awaitResumed(1);
    assertTrue(target.breakpoints.isEmpty());
    socket = new Socket(server.address().getAddress(), server.address().getPort());
    assertEquals("T02thread:1;", ask("?"));
  }

  /** Breaks if rubbish on the port hurts more than the connection it came on. */
  @Test
  void rubbishEndsOnlyItsConnection() throws Exception {
    raw("GET / HTTP/1.1\r\n\r\n$" + "x".repeat(100_000));
    socket.close();
    socket = new Socket(server.address().getAddress(), server.address().getPort());
    assertEquals("T02thread:1;", ask("?"));
  }
}

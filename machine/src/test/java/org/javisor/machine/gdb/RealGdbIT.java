package org.javisor.machine.gdb;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The real debugger understands us. Skipped where no gdb is installed. */
class RealGdbIT {
  private static String gdb(FakeTarget target, String... commands) throws Exception {
    try {
      new ProcessBuilder("gdb", "--version")
          .redirectOutput(ProcessBuilder.Redirect.DISCARD)
          .start()
          .waitFor();
    } catch (IOException e) {
      assumeTrue(false, "gdb is not installed");
    }
    try (GdbServer server =
        GdbServer.listen(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), target, line -> {})) {
      List<String> line = new ArrayList<>(List.of("gdb", "-nx", "-batch"));
      List<String> all = new ArrayList<>();
      all.add("set confirm off");
      all.add("target remote 127.0.0.1:" + server.address().getPort());
      all.addAll(List.of(commands));
      for (String command : all) {
        line.add("-ex");
        line.add(command);
      }
      Process process = new ProcessBuilder(line).redirectErrorStream(true).start();
      process.getOutputStream().close();
      String said =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      process.waitFor();
      return said;
    }
  }

  private static void assertSays(String said, String... parts) {
    int at = 0;
    for (String part : parts) {
      int found = said.indexOf(part, at);
      assertTrue(found >= 0, "after position " + at + " '" + part + "' expected in:\n" + said);
      at = found + part.length();
    }
  }

  /** Breaks if gdb rejects our description, or shows other values than the vCPU has. */
  @Test
  @Timeout(60)
  void registersAndMemory() throws Exception {
    FakeTarget target = new FakeTarget();
    target.states[0].gpr[3] = 0x1234_5678_9abcL;
    target.states[0].cr3 = 0x77000;
    target.states[0].fxsave[160] = 42;
    target.states[0].ymmHigh[16] = 43;
    target.states[0].rflags = 0x246 & ~4;
    String said =
        gdb(
            target,
            "p/x $rbx",
            "p/x $cr3",
            "p $xmm0.uint128",
            "p $ymm1.v32_int8[16]",
            "p $eflags",
            "p $st0",
            "x/2i $rip",
            "set $rcx = 5",
            "set *(char*)$rip = 0xf4",
            "x/1i $rip",
            "info threads",
            "detach");
    assertSays(
        said,
        "= 0x123456789abc",
        "= 0x77000",
        "= 42",
        "= 43",
        "[ ZF IF ]",
        "= 0",
        "nop",
        "nop",
        "hlt",
        "vCPU 0, 64-bit, ring 0",
        "vCPU 1");
    assertEquals(5, target.states[0].gpr[1]);
    assertEquals((byte) 0xf4, target.memory[0]);
    assertTrue(!said.contains("description") && !said.contains("truncated"), said);
  }

  /** Breaks if gdb cannot stop where it wants, step, or leave the machine running. */
  @Test
  @Timeout(60)
  void breakpointsAndSteps() throws Exception {
    FakeTarget target = new FakeTarget();
    String said =
        gdb(
            target,
            "break *" + "0x%x".formatted(FakeTarget.BASE + 0x40),
            "hbreak *" + "0x%x".formatted(FakeTarget.BASE + 0x41),
            "continue",
            "p/x $rip",
            "continue",
            "p/x $rip",
            "stepi",
            "p/x $rip",
            "p $rax",
            "thread 2",
            "stepi",
            "p/x $rip",
            "delete",
            "detach");
    assertSays(
        said,
        "Breakpoint 1",
        "= 0xffffffff81000040",
        "Breakpoint 2",
        "= 0xffffffff81000041",
        "= 0xffffffff81000042",
        "= 66",
        "= 0xffffffff81001001",
        "detached");
    assertTrue(target.breakpoints.isEmpty());
  }
}

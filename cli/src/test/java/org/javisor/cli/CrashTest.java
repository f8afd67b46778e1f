package org.javisor.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** A guest that breaks its CPU: told from a mistake of the user and from a bug of ours. */
class CrashTest {
  private static final int LOAD = 0x10_0000;
  private static final int HEADER = 32;

  /** A multiboot kernel (Multiboot specification 0.6.96, address fields) that runs {@code code}. */
  private static byte[] kernel(String code) {
    byte[] instructions = HexFormat.ofDelimiter(" ").parseHex(code);
    int flags = 1 << 16;
    int magic = 0x1BAD_B002;
    int end = LOAD + HEADER + instructions.length;
    return ByteBuffer.allocate(HEADER + instructions.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(magic)
        .putInt(flags)
        .putInt(-(magic + flags))
        .putInt(LOAD)
        .putInt(LOAD)
        .putInt(end)
        .putInt(end)
        .putInt(LOAD + HEADER)
        .put(instructions)
        .array();
  }

  /** Breaks if a triple fault has another exit code, or a report that does not say what and where. */
  @Test
  void aTripleFaultIsReportedWithStateCodeAndWalk(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("crash");
    // mov ebx, 0x12345678; lidt [esp with a zero limit behind it]; ud2
    Files.write(
        file,
        kernel("31 c0 bc 00 00 20 00 50 50 0f 01 1c 24 bb 78 56 34 12 0f 0b"));
    StringWriter err = new StringWriter();
    CommandLine line = Javisor.commandLine();
    line.setErr(new PrintWriter(err));
    line.getSubcommands().values().forEach(verb -> verb.setErr(new PrintWriter(err)));
    int exit =
        line.execute(
            "run", "--kernel", file.toString(), "--memory", "64M",
            "--console", "file:" + folder.resolve("console"),
            "--trace", "exceptions,unknown");
    String said = err.toString();
    assertAll(
        () -> assertEquals(ExitCode.GUEST_CRASHED.code(), exit, said),
        () -> assertTrue(said.contains("triple fault on vCPU 0: exception 6 could not"), said),
        () -> assertTrue(said.contains("RBX 0000000012345678"), said),
        () -> assertTrue(said.contains("RIP 0000000000100032"), said),
        () -> assertTrue(said.contains("0000000000100032: ud2"), said),
        () -> assertTrue(said.contains("page walk of RIP 0x100032"), said),
        () -> assertTrue(said.contains("exceptions: vcpu 0 cpl 0 vector 6 at 0x100032"), said),
        () -> assertTrue(said.contains("unknown: vcpu 0 opcode at 0x100032: 0f 0b"), said));
  }
}

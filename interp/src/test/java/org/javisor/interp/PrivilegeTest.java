package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Who may execute what in 64-bit mode: privileged instructions, those that IOPL and the I/O
 * permission map decide about, call gates, conforming code, loads of segments. Source: Intel SDM
 * volume 3, sections 6.5 to 6.10; volume 1, 19.5.
 */
class PrivilegeTest {
  private static final int UD = 6;
  private static final int GP = 13;
  private static final int PF = 14;
  private static final int RAX = 0;
  private static final int RDX = 2;
  private static final int RSP = 4;

  private static final long TSS = 0x9000;
  private static final long HANDLER_OF_INT3 = 0x8030;
  private static final long IOPL_3 = 3 << 12;
  private static final long CONFORMING = 0x00af_9f00_0000_ffffL;

  /** A call gate of two entries in the GDT, and the supervisor's code that it leads to. */
  private static final int GATE = 0x30;

  private static final long TARGET = 0x1_8000;

  private final Bench b = new Bench(CpuModels.of("x86-64-v3", 1));

  /** Breaks if a user may do what only the kernel may. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "f4          | hlt",
        "0f 01 10    | lgdt",
        "0f 01 18    | lidt",
        "0f 00 d0    | lldt",
        "0f 00 d8    | ltr",
        "0f 20 d0    | mov from CR2",
        "0f 22 d0    | mov to CR2",
        "44 0f 20 c0 | mov from CR8",
        "0f 21 c0    | mov from DR0",
        "0f 23 c0    | mov to DR0",
        "0f 01 f0    | lmsw",
        "0f 06       | clts",
        "0f 08       | invd",
        "0f 09       | wbinvd",
        "0f 01 38    | invlpg",
        "0f 32       | rdmsr",
        "0f 30       | wrmsr",
        "0f 01 f8    | swapgs",
        "66 0f 38 82 00 | invpcid",
        "48 0f 07    | sysret",
      })
  void privileged(String code, String what) {
    b.state.efer |= 1;
    b.state.gpr[RAX] = Bench.USER_DATA;
    b.run(3, code);
    assertEquals(GP, b.vector, what);
    assertEquals(0, b.errorCode, what);
  }

  /** Breaks if IOPL or CPL is taken for the other. */
  @Test
  void interruptFlagAndPorts() {
    b.memory.write16(TSS + 102, 0x68);
    for (String code : new String[] {"fa", "fb", "e4 60", "e6 60", "ec", "6c", "6e"}) {
      b.state.gpr[7] = Bench.USER_DATA;
      b.state.gpr[6] = Bench.USER_DATA;
      b.state.rflags = 2;
      b.run(3, code);
      assertEquals(GP, b.vector, code);
      b.state.rflags = 2 | IOPL_3;
      b.run(3, code);
      assertEquals(Bench.NONE, b.vector, code);
    }
    // POPF changes neither IOPL at CPL 3 nor IF without IOPL, and says nothing.
    b.state.rflags = 2;
    b.run(3, "68 00 32 00 00 9d 9c 58"); // push 3200h; popf; pushf; pop rax
    assertEquals(2, b.after.gpr[RAX]);
    b.run(0, "68 00 32 00 00 9d 9c 58");
    assertEquals(0x3202, b.after.gpr[RAX]);
  }

  /** Breaks if a port is let through by the bit of another, or a wide access by one bit. */
  @Test
  void ioPermissionMap() {
    b.state.tr.set(0x28, TSS, 0xff, 0x8b);
    b.memory.write16(TSS + 102, 0x70);
    for (int i = 0x70; i < 0x90; i++) {
      b.memory.write8(TSS + i, 0xff);
    }
    b.memory.write8(TSS + 0x70 + (0x60 >> 3), 0xf8); // ports 60h to 62h
    b.run(3, "e4 60 e4 62 66 e5 61"); // in al, 60h; in al, 62h; in ax, 61h
    assertEquals(Bench.NONE, b.vector);
    b.run(3, "e4 63");
    assertEquals(GP, b.vector);
    b.run(3, "66 e5 62");
    assertEquals(GP, b.vector, "one of two ports");
    b.state.gpr[RDX] = 0x8000;
    b.run(3, "ec");
    assertEquals(GP, b.vector, "behind the map");
    b.run(0, "ec");
    assertEquals(Bench.NONE, b.vector);
  }

  private void gate(int dpl, int selector) {
    b.state.gdtLimit = 0x5f;
    b.memory.write64(
        Bench.GDT + GATE, TARGET & 0xffff | (long) selector << 16 | (0x8cL | dpl << 5) << 40
            | TARGET >> 16 << 48);
    b.memory.write64(Bench.GDT + GATE + 8, 0);
  }

  private void callGate() {
    b.memory.write64(Bench.USER_DATA, 0x33L << 32); // an offset that does not matter, the selector
    b.state.gpr[RAX] = Bench.USER_DATA;
    b.memory.write8(TARGET, 0xcc);
    b.run(3, "ff 18"); // call far [rax]
  }

  @Test
  void callGates() {
    gate(3, 0x08);
    callGate();
    assertEquals(3, b.vector, "at the INT3 behind the gate");
    assertEquals(TARGET + 1 - Bench.USER_CODE, b.rip);
    assertEquals(0x08, b.memory.read64(b.after.gpr[RSP] + 8), "CS of the supervisor");
    long stack = b.memory.read64(b.after.gpr[RSP] + 24);
    assertEquals(Bench.USER_CODE + 2, b.memory.read64(stack), "where it returns");
    assertEquals(0x23, b.memory.read64(stack + 8));
    assertEquals(Bench.USER_DATA + 0x800, b.memory.read64(stack + 16));
    assertEquals(0x1b, b.memory.read64(stack + 24));
    gate(0, 0x08);
    callGate();
    assertEquals(GP, b.vector, "a gate of the supervisor");
    assertEquals(GATE, b.errorCode);
    gate(3, 0x10);
    callGate();
    assertEquals(GP, b.vector, "a gate to data");
    assertEquals(0x10, b.errorCode);
    gate(3, 0x08);
    b.memory.write8(Bench.GDT + GATE + 5, 0x6c);
    callGate();
    assertEquals(11, b.vector, "a gate that is absent");
    assertEquals(GATE, b.errorCode);
  }

  @Test
  void conformingCodeKeepsTheLevel() {
    b.state.gdtLimit = 0x5f;
    b.memory.write64(Bench.GDT + 0x40, CONFORMING);
    b.memory.write64(Bench.USER_DATA, Bench.USER_CODE + 8 | 0x43L << 32);
    b.state.gpr[RAX] = Bench.USER_DATA;
    b.run(3, "ff 28 90 90 90 90 90 90 cc"); // jmp far [rax]
    assertEquals(3, b.vector);
    assertEquals(0x43, b.memory.read64(b.after.gpr[RSP] + 8), "its selector, at CPL 3");
    b.memory.write64(Bench.GDT + 0x40, 0x00af_9b00_0000_ffffL); // the same, not conforming
    b.run(3, "ff 28");
    assertEquals(GP, b.vector);
    assertEquals(0x40, b.errorCode);
  }

  @Test
  void whatOnlyTheUserMayNot() {
    b.run(3, "0f 01 cb"); // stac
    assertEquals(UD, b.vector);
    b.run(3, "0f 01 d1"); // xsetbv, without CR4.OSXSAVE
    assertEquals(UD, b.vector);
    b.state.cr4 |= 1 << 18;
    b.run(3, "0f 01 d1");
    assertEquals(GP, b.vector);
    b.run(3, "0f 33"); // rdpmc, without CR4.PCE
    assertEquals(GP, b.vector);
  }

  /** Code that the kernel has executed just before is not the user's to execute, nor the reverse. */
  @Test
  void codeIsFetchedAnewByEachPrivilege() {
    // call f; push 0x1b; push USER_DATA + 0x800; push 2; push 0x23; push f; iretq; f: ret
    b.run(
        0,
        "e8 1b 00 00 00 6a 1b 68 00 08 21 00 6a 02 6a 23 68 20 00 01 00 48 cf"
            + " 90 90 90 90 90 90 90 90 90 c3");
    assertEquals(PF, b.vector);
    assertEquals(0x20, b.rip);
    assertEquals(0x15, b.errorCode);
    assertEquals(Bench.KERNEL_CODE + 0x20, b.after.cr2);
  }

  @Test
  void usersCodeIsNotTheKernelsUnderSmep() {
    b.state.cr4 |= 1 << 20;
    // The user calls its own function, and the handler of INT 3 that function, too.
    b.memory.write8(Bench.USER_CODE + 0x100, 0xc3);
    b.memory.write(
        HANDLER_OF_INT3,
        new byte[] {(byte) 0xb8, 0x00, 0x01, 0x20, 0x00, (byte) 0xff, (byte) 0xd0, (byte) 0xf4});
    b.run(3, "b8 00 01 20 00 ff d0 cc");
    assertEquals(PF, b.vector);
    assertEquals(0x11, b.errorCode);
    assertEquals(Bench.USER_CODE + 0x100, b.after.cr2);
  }
}

package org.javisor.jit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Code that is written after it was translated, by everybody who can write. */
class ChangedCodeTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private JitGuest g;

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  @BeforeEach
  void guest() {
    g = new JitGuest();
    g.code(JitGuest.FUNCTION, JitGuest.returning(1));
    g.start.gpr[7] = JitGuest.FUNCTION;
  }

  @AfterEach
  void close() {
    g.close();
  }

  @Test
  void byADevice() {
    g.code(JitGuest.CODE, JitGuest.call(JitGuest.CODE, JitGuest.FUNCTION) + "f4 eb f8");
    assertEquals(1, g.first().gpr[0]);
    assertEquals(1, g.next().gpr[0]);
    for (int i = 2; i < 40; i++) {
      g.memory.write8(JitGuest.FUNCTION + 1, i);
      assertEquals(i, g.next().gpr[0]);
    }
  }

  @Test
  void byTheSameVcpu() {
    // inc dword [rdi + 1]; call; hlt; jmp
    g.code(
        JitGuest.CODE,
        "ff 47 01" + JitGuest.call(JitGuest.CODE + 3, JitGuest.FUNCTION) + "f4 eb f5");
    assertEquals(2, g.first().gpr[0]);
    for (int i = 3; i < 100; i++) {
      assertEquals(i, g.next().gpr[0]);
    }
  }

  /** The instruction behind the store is the new one, and so in each turn of the loop. */
  @Test
  void itsOwnBlock() {
    // inc dword [rip + 2]; mov eax, imm32, whose immediate that is; hlt; jmp
    g.code(JitGuest.CODE, "ff 05 01 00 00 00 b8 00 00 00 00 f4 eb f2");
    assertEquals(1, g.first().gpr[0]);
    for (int i = 2; i < 100; i++) {
      assertEquals(i, g.next().gpr[0]);
    }
  }

  /** A repeated store runs into code, and on. */
  @Test
  void byAStringInstruction() {
    // call FUNCTION; mov ebx, eax; mov rdi, FUNCTION - 8; mov ecx, 18; mov al, dl; rep stosb;
    // call FUNCTION; hlt; and again
    g.code(
        JitGuest.CODE,
        JitGuest.call(JitGuest.CODE, JitGuest.FUNCTION)
            + "89 c3 48 c7 c7 f8 ff 03 00 b9 12 00 00 00 88 d0 f3 aa"
            + JitGuest.call(JitGuest.CODE + 23, JitGuest.FUNCTION)
            + "f4 eb e1");
    g.start.gpr[2] = 0x90;
    g.code(JitGuest.FRAME_A + 10, JitGuest.returning(7));
    CpuState s = g.first();
    assertEquals(1, s.gpr[3]);
    // The stores have made NOPs of it, up to 9 bytes behind the beginning.
    assertEquals(7, s.gpr[0]);
    g.code(JitGuest.FRAME_A + 10, JitGuest.returning(9));
    assertEquals(9, g.next().gpr[0]);
  }

  @Test
  void byAnotherVcpu() throws InterruptedException {
    // One calls the function until it returns 2, the other makes it do so.
    g.code(
        JitGuest.CODE,
        JitGuest.call(JitGuest.CODE, JitGuest.FUNCTION) + "83 f8 02 75 f6 f4 eb f3");
    g.code(JitGuest.CODE + 0x1000, "c7 47 01 02 00 00 00 f4");
    Vcpu other = g.createVcpu(1);
    CpuState writer = new CpuState();
    g.vcpu().setState(g.start);
    Thread reader = Thread.ofPlatform().daemon().start(() -> JitGuest.toHalt(g.vcpu()));
    reader.join(Duration.ofMillis(200));
    writer = g.start;
    writer.rip = JitGuest.CODE + 0x1000;
    writer.gpr[4] = JitGuest.STACK - 0x800;
    other.setState(writer);
    JitGuest.toHalt(other);
    reader.join(PATIENCE);
    assertFalse(reader.isAlive(), "the reader still runs what was there before");
    assertEquals(2, g.vcpu().state().gpr[0]);
  }
}

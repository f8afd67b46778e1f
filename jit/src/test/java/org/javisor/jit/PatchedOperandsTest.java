package org.javisor.jit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.interp.InterpAccelerator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A function one constant of which is written before each call. */
class PatchedOperandsTest {
  private static final int ROUNDS = 60;
  private static final int ADDRESSES = 8;
  private static final int NUMBERS = 0x3579_bdf1;

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  private static String hex(int value) {
    return "%08x".formatted(Integer.reverseBytes(value));
  }

  /** Calls the function round by round, with a larger number written into it each time. */
  private static void begin(JitGuest g, String function, int offset, int size, int first,
      int step) {
    g.code(JitGuest.FUNCTION, function);
    // lea rdx, [rdx + step]; mov [rdi + offset], rdx or edx; call; hlt; jmp
    String store = (size == 8 ? "48" : "90") + "8957%02x".formatted(offset);
    g.code(
        JitGuest.CODE,
        "488d92" + hex(step) + store + JitGuest.call(JitGuest.CODE + 11, JitGuest.FUNCTION)
            + "f4 ebed");
    for (int i = 0; i < 0x800; i += 4) {
      g.memory.write32(JitGuest.DATA + i, i * 0x0101_0101);
    }
    for (int r : new int[] {0, 1, 6, 9, 12, 13, 14, 15}) {
      g.start.gpr[r] = 0x0123_4567_89ab_cdefL * (r + 1);
    }
    g.start.gpr[2] = first;
    g.start.gpr[3] = JitGuest.DATA;
    g.start.gpr[7] = JitGuest.FUNCTION;
    g.start.gpr[8] = JitGuest.DATA;
    g.start.gpr[11] = 2;
    g.start.gpr[12] = JitGuest.DATA;
  }

  /**
   * The interpreter and the translator must agree in every round. Breaks if a constant is used that
   * was there when the function was translated, or if flags are lost on the way to the present one.
   */
  @ParameterizedTest
  @CsvSource({
    // LEA, with base, index, neither
    "488d87 00000000 c3, 3, 4, number",
    "8d848f 00000000 c3, 3, 4, number",
    "4a8d04a5 00000000 c3, 4, 4, number",
    "488d05 00000000 c3, 3, 4, number",
    "668d87 00000000 c3, 3, 4, number",
    "4d8da424 00000000 4c89e0 c3, 4, 4, number",
    // loads, stores and both by displacement
    "8b83 00000000 c3, 2, 4, address",
    "430384d8 00000000 c3, 4, 4, address",
    "4229b4db 00000000 c3, 4, 4, address",
    "668b83 00000000 c3, 3, 4, address",
    "0f1083 00000000 660f7ec0 c3, 3, 4, address",
    "dd83 00000000 dd1b c3, 2, 4, address",
    "48c783 00000000 44332211 c3, 3, 4, address",
    "488b83 00000000 488b4b08 c3, 3, 4, address",
    // MOV of immediate operands
    "48b8 0000000000000000 c3, 2, 8, number",
    "49bc 0000000000000000 4c89e0 c3, 2, 8, number",
    "b8 00000000 c3, 1, 4, number",
    "41bd 00000000 4c89e8 c3, 2, 4, number",
    "48c7c0 00000000 c3, 3, 4, number",
    "49c7c4 00000000 4c89e0 c3, 3, 4, number",
    "c703 00000000 c3, 2, 4, number",
    "48c78310000000 00000000 c3, 7, 4, number",
    // arithmetic
    "81c0 00000000 c3, 2, 4, number",
    "4881d0 00000000 c3, 3, 4, number",
    "4981fd 00000000 c3, 3, 4, number",
    "4181ee 00000000 4c89f0 c3, 3, 4, number",
    "488103 00000000 488b03 c3, 3, 4, number",
    "f0488103 00000000 488b03 c3, 4, 4, number",
    "81c6 00000000 81d1 11111111 c3, 2, 4, number",
    "05 00000000 c3, 1, 4, number",
    // a loop around it, several turns of which become one block
    "b905000000 81c0 00000000 ffc9 75f6 c3, 7, 4, number",
    "b909000000 8b83 00000000 01c6 ffc9 75f4 c3, 7, 4, address",
  })
  void theConstantIsThePresentOne(String function, int offset, int size, String kind) {
    boolean address = kind.equals("address");
    int first = address ? 0 : -100;
    int step = address ? ADDRESSES : NUMBERS;
    try (JitGuest translated = new JitGuest();
        JitGuest interpreted = new JitGuest(new InterpAccelerator())) {
      begin(translated, function, offset, size, first, step);
      begin(interpreted, function, offset, size, first, step);
      for (int i = 0; i < ROUNDS; i++) {
        CpuState t = i == 0 ? translated.first() : translated.next();
        CpuState e = i == 0 ? interpreted.first() : interpreted.next();
        assertArrayEquals(e.gpr, t.gpr, "registers in round " + i);
        assertEquals(e.rflags, t.rflags, "flags in round " + i);
        for (int at = 0; at < 0x800; at += 8) {
          assertEquals(
              interpreted.memory.read64(JitGuest.DATA + at),
              translated.memory.read64(JitGuest.DATA + at),
              "memory in round " + i);
        }
      }
    }
  }

  /**
   * The bytes of a constant are themselves called, from some round on. Breaks if they are still taken
   * for a constant only when a block of them has been made, so that it is not given up.
   */
  @Test
  void aConstantIsAlsoCode() {
    try (JitGuest translated = new JitGuest();
        JitGuest interpreted = new JitGuest(new InterpAccelerator())) {
      for (JitGuest g : List.of(translated, interpreted)) {
        // mov eax, constant; ret. The constant is mov al, number; ret; nop.
        g.code(JitGuest.FUNCTION, "b8 b000c390 c3");
        // lea rdx, [rdx + 256]; mov [rdi + 1], edx; call; mov esi, eax; dec r9d; jg; call its constant;
        // hlt; jmp
        g.code(
            JitGuest.CODE,
            "488d9200010000 90 895701"
                + JitGuest.call(JitGuest.CODE + 11, JitGuest.FUNCTION)
                + "89c6 41ffc9 7f05"
                + JitGuest.call(JitGuest.CODE + 23, JitGuest.FUNCTION + 1)
                + "f4 ebe1");
        g.start.gpr[2] = 0x90c3_00b0L;
        g.start.gpr[7] = JitGuest.FUNCTION;
        g.start.gpr[9] = ROUNDS / 2;
      }
      for (int i = 0; i < ROUNDS; i++) {
        CpuState t = i == 0 ? translated.first() : translated.next();
        CpuState e = i == 0 ? interpreted.first() : interpreted.next();
        assertArrayEquals(e.gpr, t.gpr, "registers in round " + i);
      }
    }
  }
}

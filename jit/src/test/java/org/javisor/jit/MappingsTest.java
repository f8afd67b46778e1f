package org.javisor.jit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Where translated code goes after a mapping has changed and the guest has said so: a link, an entry
 * of the jump cache or a block across two pages that outlived that breaks one of these. Intel SDM
 * volume 3, section 4.10.
 */
class MappingsTest {
  private static final int WARM = 3;

  private static final String DIRECT = JitGuest.call(JitGuest.CODE + 16, JitGuest.FUNCTION);
  private static final String INDIRECT = "ff d3 90 90 90"; // call rbx
  private static final String MEMORY = "ff 16 90 90 90"; // call [rsi]

  private JitGuest g;

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  @BeforeEach
  void guest() {
    g = new JitGuest();
    g.code(JitGuest.FRAME_A, JitGuest.returning(1));
    g.code(JitGuest.FRAME_B, JitGuest.returning(2));
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    g.map(JitGuest.OTHER_PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x63);
    g.start.gpr[3] = JitGuest.FUNCTION;
    g.start.gpr[6] = JitGuest.DATA;
    g.start.gpr[7] = JitGuest.FUNCTION;
    g.memory.write64(JitGuest.DATA, JitGuest.FUNCTION);
  }

  @AfterEach
  void close() {
    g.close();
  }

  /** Each round does what {@code before} says, 16 bytes at most, and calls the function. */
  private void rounds(String before, String call) {
    StringBuilder code = new StringBuilder(before.replace(" ", ""));
    while (code.length() < 32) {
      code.append("90");
    }
    code.append(call).append("f4 eb e8"); // hlt; jmp to the beginning
    g.code(JitGuest.CODE, code.toString());
  }

  private void expect(int value) {
    assertEquals(value, g.next().gpr[0]);
  }

  private void warm() {
    assertEquals(1, g.first().gpr[0]);
    for (int i = 0; i < WARM; i++) {
      expect(1);
    }
  }

  private static String call(String kind) {
    return switch (kind) {
      case "direct" -> DIRECT;
      case "indirect" -> INDIRECT;
      default -> MEMORY;
    };
  }

  @ParameterizedTest
  @ValueSource(strings = {"direct", "indirect", "memory"})
  void invlpg(String kind) {
    rounds("0f 01 3f", call(kind)); // invlpg [rdi]
    warm();
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x63);
    expect(2);
    expect(2);
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    expect(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"direct", "indirect", "memory"})
  void loadOfCr3(String kind) {
    rounds("0f 20 d8 0f 22 d8", call(kind)); // mov rax, cr3; mov cr3, rax
    warm();
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x63);
    expect(2);
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    expect(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"direct", "indirect", "memory"})
  void globalPagesStayAndGoWithPge(String kind) {
    // mov rax, cr4; xor al, 80h; mov cr4, rax; xor al, 80h; mov cr4, rax
    rounds("0f 20 e0 34 80 0f 22 e0 34 80 0f 22 e0", call(kind));
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x163);
    warm();
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x163);
    expect(2);
  }

  @ParameterizedTest
  @ValueSource(strings = {"direct", "indirect", "memory"})
  void addressSpacesInTurn(String kind) {
    rounds("48 87 ca 0f 22 d9", call(kind)); // xchg rcx, rdx; mov cr3, rcx
    g.start.gpr[1] = JitGuest.OTHER_PML4;
    g.start.gpr[2] = JitGuest.PML4;
    assertEquals(1, g.first().gpr[0]);
    for (int i = 0; i < 6; i++) {
      expect(i % 2 == 0 ? 2 : 1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"direct", "indirect", "memory"})
  void identifiedAddressSpacesInTurn(String kind) {
    rounds("48 87 ca 0f 22 d9", call(kind));
    g.start.cr4 |= JitGuest.CR4_PCIDE;
    g.start.cr3 = JitGuest.PML4 | 1;
    long keep = Long.MIN_VALUE;
    g.start.gpr[1] = JitGuest.OTHER_PML4 | 2 | keep;
    g.start.gpr[2] = JitGuest.PML4 | 1 | keep;
    assertEquals(1, g.first().gpr[0]);
    for (int i = 0; i < 8; i++) {
      expect(i % 2 == 0 ? 2 : 1);
    }
    // INVLPG is for the current PCID and global pages; a load without bit 63 is for its own.
    assertEquals(2, g.next().gpr[0]);
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x63);
    g.code(JitGuest.CODE, "48 87 ca 48 0f ba f1 3f 0f 22 d9"); // and btr rcx, 63
    expect(2);
    g.map(JitGuest.OTHER_PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    expect(1);
    expect(2);
  }

  @Test
  void secondPageOfAnInstruction() {
    // mov eax, imm32 with one byte of it on the second page; ret there
    for (long frame : new long[] {JitGuest.FRAME_A, JitGuest.FRAME_B}) {
      int value = frame == JitGuest.FRAME_A ? 1 : 2;
      g.code(frame, "%02x c3".formatted(value));
    }
    g.code(JitGuest.DATA + 0x1ffc, "b8 00 00 00");
    long first = JitGuest.FUNCTION - 0x1000;
    g.map(JitGuest.PML4, first, JitGuest.DATA + 0x1000 | 0x63);
    g.start.gpr[3] = first + 0xffc;
    rounds("0f 01 3f", INDIRECT);
    assertEquals(1 << 24, g.first().gpr[0]);
    expect(1 << 24);
    expect(1 << 24);
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_B | 0x63);
    expect(2 << 24);
    g.memory.write8(JitGuest.FRAME_B, 3);
    expect(3 << 24);
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    expect(1 << 24);
  }

  /** A page may change under a running block: links within a page are within a frame. */
  @Test
  void linksWithinAPageStayInItsFrame() {
    // The page maps itself to the other frame without saying so, and goes on in it.
    String tail = "eb 10"; // jmp forward
    g.code(JitGuest.FRAME_A, "48 89 0a 90 90 90" + tail);
    g.code(JitGuest.FRAME_A + 0x18, JitGuest.returning(1));
    g.code(JitGuest.FRAME_B, "90 90 90 90 90 90" + tail);
    g.code(JitGuest.FRAME_B + 0x18, JitGuest.returning(2));
    g.start.gpr[2] = JitGuest.PML4 + 0x3000 + (JitGuest.FUNCTION >>> 12) * 8;
    g.start.gpr[1] = JitGuest.FRAME_B | 0x63;
    rounds("0f 01 3f", DIRECT);
    g.first();
    // Back to the first frame, which now leaves its mapping alone.
    g.map(JitGuest.PML4, JitGuest.FUNCTION, JitGuest.FRAME_A | 0x63);
    g.code(JitGuest.CODE, "48 8d 0d f9 ff ff ff b9 63 00 05 00"); // mov ecx, FRAME_A | 63h
    g.code(JitGuest.CODE + 12, "0f 01 3f");
    expect(1);
    expect(1);
  }
}

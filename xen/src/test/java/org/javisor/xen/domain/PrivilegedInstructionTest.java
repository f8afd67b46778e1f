package org.javisor.xen.domain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.HexFormat;
import java.util.Random;
import org.javisor.xen.domain.PrivilegedInstruction.Kind;
import org.junit.jupiter.api.Test;

class PrivilegedInstructionTest {
  private static PrivilegedInstruction decode(String hex) {
    byte[] code = HexFormat.ofDelimiter(" ").parseHex(hex);
    return PrivilegedInstruction.decode(code, code.length);
  }

  @Test
  void whatAKernelMayHaveIsDecoded() {
    assertEquals(new PrivilegedInstruction(Kind.READ_CR, 3, 4, 0), decode("0f 20 e0"));
    assertEquals(new PrivilegedInstruction(Kind.WRITE_CR, 4, 4, 9), decode("41 0f 22 e1"));
    assertEquals(new PrivilegedInstruction(Kind.READ_CR, 4, 8, 0), decode("44 0f 20 c0"));
    assertEquals(new PrivilegedInstruction(Kind.WRITE_DR, 3, 7, 2), decode("0f 23 fa"));
    assertEquals(new PrivilegedInstruction(Kind.RDMSR, 2, 0, 0), decode("0f 32"));
    assertEquals(new PrivilegedInstruction(Kind.WRMSR, 2, 0, 0), decode("0f 30"));
    assertEquals(new PrivilegedInstruction(Kind.XSETBV, 3, 0, 0), decode("0f 01 d1"));
    assertEquals(new PrivilegedInstruction(Kind.IN, 2, 2, -1), decode("66 ed"));
    assertEquals(new PrivilegedInstruction(Kind.OUT, 2, 1, 0x80), decode("e6 80"));
    assertEquals(new PrivilegedInstruction(Kind.INTERRUPT_FLAG, 1, 0, 0), decode("fa"));
  }

  @Test
  void othersAreNot() {
    assertNull(decode("f4")); // HLT
    assertNull(decode("0f 01 18")); // LIDT
    assertNull(decode("0f 01 38")); // INVLPG
    assertNull(decode("cf")); // IRET
    assertNull(decode("90"));
    assertNull(decode("0f"));
    assertNull(PrivilegedInstruction.decode(new byte[15], 0));
  }

  /** Breaks if the end of what can be fetched is passed. */
  @Test
  void anyBytesAreDecodedOrNot() {
    Random random = new Random(3);
    byte[] code = new byte[15];
    for (int i = 0; i < 100_000; i++) {
      random.nextBytes(code);
      PrivilegedInstruction in = PrivilegedInstruction.decode(code, random.nextInt(16));
      assertEquals(true, in == null || in.length() > 0 && in.length() <= 17);
    }
  }
}

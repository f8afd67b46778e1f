package org.javisor.interp.silicon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.HexFormat;
import java.util.Random;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/** A vCPU block with just enough around it to execute single instructions in tests. */
final class Guest {
  final long block =
      HostMemory.mapAnonymous(VcpuBlock.SIZE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  final SiliconUnit unit = SiliconUnit.get();
  int codeSize = 64;

  private final Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
  private final CodeMemory.Code hostState =
      code("0FAE1E D97E04 D97608 D96608 C3"); // stmxcsr; fnstcw; fnstenv; fldenv; ret
  private final long buffer =
      HostMemory.mapAnonymous(4096, HostMemory.PROT_READ | HostMemory.PROT_WRITE);

  Guest() {
    RawMemory.put32(block + VcpuBlock.MXCSR, 0x1f80);
    X87Control.initialize(block);
  }

  private static CodeMemory.Code code(String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    return HostCode.add(bytes, bytes.length);
  }

  Prepared prepare(String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    Instruction in = new Instruction();
    int length = decoder.decode(bytes, 0, bytes.length, codeSize, in);
    assertEquals(bytes.length, length, hex);
    Prepared p = unit.prepare(in);
    assertNotNull(p, hex);
    return p;
  }

  int run(String hex) {
    Prepared p = prepare(hex);
    int result = unit.execute(p, block);
    assertHostStateClean(hex);
    return result;
  }

  /** MXCSR, x87 control word and tags of the host must be those of the calling convention. */
  void assertHostStateClean(String what) {
    HostCode.enter(hostState.address(), buffer);
    assertEquals(0x1f80, RawMemory.get32(buffer) & ~0x3f, what + ": host MXCSR");
    assertEquals(0x37f, RawMemory.get16(buffer + 4), what + ": host FCW");
    assertEquals(0xffff, RawMemory.get16(buffer + 16), what + ": host x87 tags");
  }

  void randomize(Random random) {
    for (int i = 0; i < 16; i++) {
      gpr(i, random.nextLong());
      for (int j = 0; j < 4; j++) {
        ymm(i, j, random.nextLong());
      }
    }
    for (int i = 0; i < 8; i++) {
      mem(i, random.nextLong());
    }
  }

  long gpr(int n) {
    return RawMemory.get64(block + VcpuBlock.GPR + 8 * n);
  }

  void gpr(int n, long value) {
    RawMemory.put64(block + VcpuBlock.GPR + 8 * n, value);
  }

  private long at(int n, int quadword) {
    return quadword < 2
        ? block + VcpuBlock.XMM + 16 * n + 8 * quadword
        : block + VcpuBlock.YMM_HIGH + 16 * n + 8 * (quadword - 2);
  }

  long ymm(int n, int quadword) {
    return RawMemory.get64(at(n, quadword));
  }

  void ymm(int n, int quadword, long value) {
    RawMemory.put64(at(n, quadword), value);
  }

  void pd(int n, double low, double high) {
    ymm(n, 0, Double.doubleToRawLongBits(low));
    ymm(n, 1, Double.doubleToRawLongBits(high));
  }

  double d(int n, int element) {
    return Double.longBitsToDouble(ymm(n, element));
  }

  float f(int n, int element) {
    return Float.intBitsToFloat(i32(n, element));
  }

  int i32(int n, int element) {
    return RawMemory.get32(at(n, element / 2) + 4 * (element & 1));
  }

  int i16(int n, int element) {
    return (short) RawMemory.get16(at(n, element / 4) + 2 * (element & 3));
  }

  int i8(int n, int element) {
    return (byte) RawMemory.get8(at(n, element / 8) + (element & 7));
  }

  void mem(int quadword, long value) {
    RawMemory.put64(block + VcpuBlock.SCRATCH + 8 * quadword, value);
  }

  long mem(int quadword) {
    return RawMemory.get64(block + VcpuBlock.SCRATCH + 8 * quadword);
  }

  int mxcsr() {
    return RawMemory.get32(block + VcpuBlock.MXCSR);
  }

  void mxcsr(int value) {
    RawMemory.put32(block + VcpuBlock.MXCSR, value);
  }

  int fsw() {
    return RawMemory.get16(block + VcpuBlock.FSW);
  }

  int fcw() {
    return RawMemory.get16(block + VcpuBlock.FCW);
  }

  void fcw(int value) {
    RawMemory.put16(block + VcpuBlock.FCW, value);
  }

  long rflags() {
    return RawMemory.get64(block + VcpuBlock.RFLAGS);
  }

  void rflags(long value) {
    RawMemory.put64(block + VcpuBlock.RFLAGS, value);
  }

  /** A copy of the registers, to compare after an instruction. */
  byte[] snapshot() {
    byte[] bytes = new byte[1600];
    RawMemory.copyOut(block, bytes, 0, bytes.length);
    return bytes;
  }

  void restore(byte[] bytes) {
    RawMemory.copyIn(bytes, 0, block, bytes.length);
  }

  static void requireHost() {
    org.junit.jupiter.api.Assumptions.assumeTrue(
        SiliconUnit.unavailable().isEmpty(),
        () -> "no silicon unit here: " + SiliconUnit.unavailable().get());
    assertTrue(SiliconUnit.hostFeatures().contains(CpuFeature.SSE2));
  }
}

package org.javisor.conformance.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;

/**
 * A view of one record: a state of the CPU, instruction bytes, and a piece of memory. The same
 * layout is a case's input and its result.
 *
 * <p>The vector state is an XSAVE image in the standard format (Intel SDM volume 1, section 13.4):
 * x87 and SSE in FXSAVE64 layout, header, high halves of YMM; as in a vCPU block, so that a whole
 * image can be copied or compared.
 */
public final class CpuCase {
  public static final int SIZE = 2176;

  public static final int CODE_MAX = 32;
  public static final int MEMORY_MAX = 1024;

  /** Where the first instruction byte stands, on a page filled up with INT3. */
  public static final long CODE_ADDRESS = 0x2000_0800L;

  /** The memory window; the pages before and after it are absent. */
  public static final long WINDOW_ADDRESS = 0x1000_0000L;

  public static final int WINDOW_SIZE = 0x2000;

  /** {@link #vector} of a case that ran through to the end of its bytes. */
  public static final int NO_EXCEPTION = -1;

  /** {@link #vector} of a case that did not end by itself. */
  public static final int HANG = -2;

  /** {@link #vector} of a case that killed the helper process, as a system call does. */
  public static final int KILLED = -3;

  /** The flags that are part of a case: CF PF AF ZF SF DF OF NT AC ID. */
  public static final long FLAGS = 0x24_4cd5;

  private static final int RFLAGS = 128;
  private static final int RIP = 136;
  private static final int VECTOR = 144;
  private static final int ERROR = 148;
  private static final int CR2 = 152;
  private static final int CODE_SIZE = 160;
  private static final int CODE_LENGTH = 164;
  private static final int MEMORY_OFFSET = 168;
  private static final int MEMORY_LENGTH = 172;
  private static final int WROTE_OUTSIDE = 176;
  private static final int CODE = 192;
  private static final int XSAVE = 256;
  private static final int XSAVE_SIZE = 832;
  private static final int MEMORY = 1088;
  private static final int FS_BASE = 2112;
  private static final int GS_BASE = 2120;

  private final MemorySegment segment;

  CpuCase(MemorySegment segment) {
    this.segment = segment;
  }

  /** A record of its own, outside of any batch. */
  public static CpuCase create() {
    return new CpuCase(Arena.ofAuto().allocate(SIZE, 64)).clear();
  }

  private int get32(int offset) {
    return segment.get(ValueLayout.JAVA_INT, offset);
  }

  private void put32(int offset, int value) {
    segment.set(ValueLayout.JAVA_INT, offset, value);
  }

  private long get64(int offset) {
    return segment.get(ValueLayout.JAVA_LONG, offset);
  }

  private void put64(int offset, long value) {
    segment.set(ValueLayout.JAVA_LONG, offset, value);
  }

  /** Makes it an empty 64-bit case with the state after FNINIT and MXCSR 1F80h. */
  public CpuCase clear() {
    segment.fill((byte) 0);
    put32(CODE_SIZE, 64);
    segment.set(ValueLayout.JAVA_SHORT, XSAVE, (short) 0x37f);
    put32(XSAVE + 24, 0x1f80);
    put64(XSAVE + 512, 7); // XSTATE_BV: x87, SSE, AVX
    return this;
  }

  /** Sets the instruction bytes and the mode, 32 or 64. */
  public CpuCase code(int codeSize, byte... bytes) {
    return code(codeSize, bytes, bytes.length);
  }

  CpuCase code(int codeSize, byte[] bytes, int length) {
    if (length > CODE_MAX || codeSize != 32 && codeSize != 64) {
      throw new IllegalArgumentException(length + " bytes, mode " + codeSize);
    }
    put32(CODE_SIZE, codeSize);
    put32(CODE_LENGTH, length);
    MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, CODE, length);
    return this;
  }

  public byte[] code() {
    return segment.asSlice(CODE, get32(CODE_LENGTH)).toArray(ValueLayout.JAVA_BYTE);
  }

  int codeLength() {
    return get32(CODE_LENGTH);
  }

  /** Copies the instruction bytes to the start of an array. */
  void code(byte[] target) {
    MemorySegment.copy(segment, ValueLayout.JAVA_BYTE, CODE, target, 0, get32(CODE_LENGTH));
  }

  public int codeSize() {
    return get32(CODE_SIZE);
  }

  public long gpr(int n) {
    return get64(8 * n);
  }

  public CpuCase gpr(int n, long value) {
    put64(8 * n, value);
    return this;
  }

  public long rflags() {
    return get64(RFLAGS);
  }

  /** Only {@link #FLAGS} count. */
  public CpuCase rflags(long value) {
    put64(RFLAGS, value);
    return this;
  }

  /**
   * Sets the part of the memory window with this case's data; the rest of the window is zero.
   *
   * @param offset in the window
   */
  public CpuCase memory(int offset, byte[] data) {
    if (data.length > MEMORY_MAX || offset < 0 || offset + data.length > WINDOW_SIZE) {
      throw new IllegalArgumentException(offset + " " + data.length);
    }
    put32(MEMORY_OFFSET, offset);
    put32(MEMORY_LENGTH, data.length);
    MemorySegment.copy(data, 0, segment, ValueLayout.JAVA_BYTE, MEMORY, data.length);
    return this;
  }

  public int memoryOffset() {
    return get32(MEMORY_OFFSET);
  }

  public MemorySegment memory() {
    return segment.asSlice(MEMORY, get32(MEMORY_LENGTH));
  }

  /** The XSAVE image: 832 bytes. */
  public MemorySegment xsave() {
    return segment.asSlice(XSAVE, XSAVE_SIZE);
  }

  public int mxcsr() {
    return get32(XSAVE + 24);
  }

  public CpuCase mxcsr(int value) {
    put32(XSAVE + 24, value);
    return this;
  }

  /** Quadword 0–3 of a vector register. */
  public long ymm(int n, int quadword) {
    return get64(ymmOffset(n, quadword));
  }

  public CpuCase ymm(int n, int quadword, long value) {
    put64(ymmOffset(n, quadword), value);
    return this;
  }

  private static int ymmOffset(int n, int quadword) {
    return quadword < 2
        ? XSAVE + 160 + 16 * n + 8 * quadword
        : XSAVE + 576 + 16 * n + 8 * (quadword - 2);
  }

  /** Sets the x87 control and status word and the abridged tags. */
  CpuCase x87(int control, int status, int tags) {
    segment.set(ValueLayout.JAVA_SHORT, XSAVE, (short) control);
    segment.set(ValueLayout.JAVA_SHORT, XSAVE + 2, (short) status);
    segment.set(ValueLayout.JAVA_BYTE, XSAVE + 4, (byte) tags);
    return this;
  }

  CpuCase st(int n, long significand, int signAndExponent) {
    put64(XSAVE + 32 + 16 * n, significand);
    segment.set(ValueLayout.JAVA_SHORT, XSAVE + 40 + 16 * n, (short) signAndExponent);
    return this;
  }

  /** The x87 state that XSAVE need not save. */
  CpuCase initialX87() {
    x87(0x37f, 0, 0);
    for (int i = 0; i < 8; i++) {
      st(i, 0, 0);
    }
    return this;
  }

  public long fsBase() {
    return get64(FS_BASE);
  }

  public CpuCase fsBase(long value) {
    put64(FS_BASE, value);
    return this;
  }

  public long gsBase() {
    return get64(GS_BASE);
  }

  public CpuCase gsBase(long value) {
    put64(GS_BASE, value);
    return this;
  }

  // ---- results ----------------------------------------------------------------------------

  /** The exception's vector, {@link #NO_EXCEPTION}, {@link #HANG} or {@link #KILLED}. */
  public int vector() {
    return get32(VECTOR);
  }

  void vector(int value) {
    put32(VECTOR, value);
  }

  void exception(int vector, int errorCode, long cr2) {
    put32(VECTOR, vector);
    put32(ERROR, errorCode);
    put64(CR2, cr2);
  }

  void rip(long value) {
    put64(RIP, value);
  }

  void wroteOutside(boolean value) {
    put32(WROTE_OUTSIDE, value ? 1 : 0);
  }

  /** The error code of #GP, #SS, #PF and the like. */
  public int errorCode() {
    return get32(ERROR);
  }

  /** The address of a page fault. */
  public long cr2() {
    return get64(CR2);
  }

  /**
   * Where execution stopped, relative to the first byte. A branch away from the bytes meets INT3:
   * then {@link #vector} is 3 and this one past its target.
   */
  public long rip() {
    return get64(RIP);
  }

  /** Whether the window changed outside the case's own memory. */
  public boolean wroteOutside() {
    return get32(WROTE_OUTSIDE) != 0;
  }

  void copyFrom(CpuCase other) {
    segment.copyFrom(other.segment);
  }

  /** Everything that a person needs to see of a case, in lines. */
  String describe() {
    StringBuilder text = new StringBuilder();
    text.append(
        "  vector %d error %x cr2 %x rip %x rflags %x fs %x gs %x memory at %x%n"
            .formatted(
                vector(), errorCode(), cr2(), rip(), rflags(), fsBase(), gsBase(),
                WINDOW_ADDRESS + memoryOffset()));
    for (int i = 0; i < 16; i++) {
      text.append(
          "  r%-2d %016x  ymm%-2d %016x %016x %016x %016x%n"
              .formatted(i, gpr(i), i, ymm(i, 3), ymm(i, 2), ymm(i, 1), ymm(i, 0)));
    }
    text.append(
        "  fcw %x fsw %x ftw %x mxcsr %x%n"
            .formatted(
                segment.get(ValueLayout.JAVA_SHORT, XSAVE) & 0xffff,
                segment.get(ValueLayout.JAVA_SHORT, XSAVE + 2) & 0xffff,
                segment.get(ValueLayout.JAVA_BYTE, XSAVE + 4) & 0xff,
                mxcsr()));
    for (int i = 0; i < 8; i++) {
      text.append(
          "  st%d %04x %016x%n"
              .formatted(
                  i,
                  segment.get(ValueLayout.JAVA_SHORT, XSAVE + 40 + 16 * i) & 0xffff,
                  get64(XSAVE + 32 + 16 * i)));
    }
    MemorySegment data = memory();
    for (long i = 0; i < data.byteSize(); i += 32) {
      byte[] row =
          data.asSlice(i, Math.min(32, data.byteSize() - i)).toArray(ValueLayout.JAVA_BYTE);
      text.append(
          "  %x: %s%n"
              .formatted(
                  WINDOW_ADDRESS + memoryOffset() + i,
                  HexFormat.ofDelimiter(" ").formatHex(row)));
    }
    return text.toString();
  }
}

package org.javisor.interp.silicon;

import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.memory.RawMemory;

/**
 * Executes x87, MMX, SSE and AVX instructions of a guest on the host's own units.
 *
 * <p>{@link #prepare} makes a stub of host code once for each distinct instruction; {@link
 * #execute} runs it on the state in a vCPU block. The caller makes the checks that come before
 * execution (CR0, CR4, XCR0, alignment, memory) as {@link Prepared} tells, copies the memory
 * operand to and from the block, and raises what the result names.
 */
public final class SiliconUnit {
  /** Executed; what the memory operand became is in the block. */
  public static final int OK = 0;

  /** An unmasked SIMD floating-point exception: #XM, or #UD without CR4.OSXMMEXCPT. */
  public static final int SIMD_EXCEPTION = 1;

  /** An x87 exception was pending: #MF, or FERR# without CR0.NE. Nothing was executed. */
  public static final int X87_EXCEPTION = 2;

  /** Executed, but an unmasked x87 exception keeps the memory operand from being stored. */
  public static final int MEMORY_UNCHANGED = 3;

  /** What distinguishes stubs of one form. */
  private record Key(Form form, long encoding) {}

  private final ConcurrentHashMap<Key, Prepared> prepared = new ConcurrentHashMap<>();

  /** MiB of stubs made before those that nobody uses are forgotten. */
  private static final int MOST = 32;

  private volatile int forgotten;

  private SiliconUnit() {}

  private static final class Holder {
    static final SiliconUnit UNIT = new SiliconUnit();
  }

  /** Why this host cannot execute emitted code, or empty if it can. */
  public static Optional<String> unavailable() {
    return Optional.ofNullable(HostCode.unavailable());
  }

  /**
   * The unit of this process.
   *
   * @throws UnsupportedOperationException if the host cannot; the message says why
   */
  public static SiliconUnit get() {
    if (HostCode.unavailable() != null) {
      throw new UnsupportedOperationException(HostCode.unavailable());
    }
    return Holder.UNIT;
  }

  /** The features of the host's CPU; a CPU model must not offer vector features beyond these. */
  public static Set<CpuFeature> hostFeatures() {
    return EnumSet.copyOf(HostCode.features());
  }

  /** Whether an unmasked x87 exception waits for the next waiting instruction (FWAIT too). */
  public static boolean x87Pending(long block) {
    // FCW and FSW are neighbours: one load.
    int words = RawMemory.get32(block + VcpuBlock.FCW);
    return (words >> 16 & ~words & 0x3f) != 0;
  }

  /**
   * Prepares an instruction with {@link Op#X87}, {@link Op#MMX}, {@link Op#SIMD}, {@link
   * Op#MASKMOV}, {@link Op#VMASKMOV} or {@link Op#VGATHER}.
   *
   * @return null if the host's CPU lacks the instruction
   */
  public Prepared prepare(Instruction in) {
    Form form = in.form;
    if (form.feature() != null && !HostCode.features().contains(form.feature())
        || form.vex() && !HostCode.features().contains(CpuFeature.AVX)) {
      return null;
    }
    switch (form.op()) {
      case MASKMOV, VMASKMOV, VGATHER -> {
        return new MaskedMoves(in);
      }
      case X87, MMX, SIMD -> {}
      default -> throw new IllegalArgumentException(form.toString());
    }
    if (HostCode.made() - forgotten >= MOST) {
      // Whoever has prepared an instruction keeps it, and its stub; the others' memory is freed.
      forgotten = HostCode.made();
      prepared.clear();
    }
    return prepared.computeIfAbsent(new Key(form, encoding(in)), k -> make(in));
  }

  /** What of an instruction makes a difference to its stub. */
  private static long encoding(Instruction in) {
    boolean immediate = false;
    for (Operand operand : in.form.operands()) {
      immediate |=
          operand.kind() == Operand.Kind.IMMEDIATE
              || operand.kind() == Operand.Kind.XMM_IMMEDIATE;
    }
    // Only the x87 opcode register shows how memory was addressed.
    int rm = !in.isMemory() ? in.rm : in.form.op() == Op.X87 ? 16 | in.mod << 5 | in.rm & 7 : 16;
    return (immediate ? in.immediate & 0xff : 0)
        | (in.form.hasModRm() ? (long) in.reg << 8 | (long) rm << 12 : 0)
        | (long) in.vvvv << 20
        | (in.rexW || in.vexW ? 1L << 24 : 0)
        | (in.vexL ? 1L << 25 : 0)
        | (long) in.codeSize << 32
        | (long) in.operandSize << 40;
  }

  private static Prepared make(Instruction in) {
    Prepared result = X87Control.of(in);
    if (result == null) {
      result = FastPath.of(in);
    }
    if (result == null) {
      CodeMemory.Code code = StubCompiler.compile(in);
      result = StubCompiler.isVector(in) ? new VectorStub(in, code) : new X87Stub(in, code);
    }
    return result;
  }

  /** Executes an instruction on the state in a vCPU block. */
  public int execute(Prepared p, long block) {
    return p.run(block);
  }

  /**
   * Executes a {@link MaskedMoves} instruction.
   *
   * @param offset the effective address of VMASKMOV's operand, or rDI for MASKMOV
   */
  public int execute(MaskedMoves p, long block, long offset, ElementMemory memory) {
    return p.run(block, offset, memory);
  }
}

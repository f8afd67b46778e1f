package org.javisor.interp;

import java.util.List;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Undefined;
import org.javisor.memory.FrameArena;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Runs instructions of a vCPU in the interpreter, remembers what has become of registers, flags and
 * memory, and takes it all back, so that somebody else can run them and be compared.
 *
 * <p>What cannot be taken back is refused before it happens: accesses to devices and stores to
 * translated code. While a rehearsal is under way no access finds anything in the software TLB, so
 * that each comes by {@link Mmu}, which asks here.
 */
public final class Rehearsal implements AutoCloseable {
  /** The result of {@link #perform} if an event interrupted an instruction: nothing is known. */
  public static final int INTERRUPTED = -1;

  /** Stores that are remembered at most; an instruction with more is refused. */
  private static final int STORES = 1 << 16;

  private static final int LINE = 64;

  /** Of the block, what is compared and taken back. */
  private static final int STATE = VcpuBlock.SCRATCH;

  /** An instruction reaches for what cannot be taken back. */
  private static final class Refused extends RuntimeException {
    private static final long serialVersionUID = 1L;
    static final Refused INSTANCE = new Refused();

    private Refused() {
      super("refused", null, false, false);
    }
  }

  private final Cpu c;
  private final InterpVcpu vcpu;
  private final InterpVm vm;
  private final FrameArena arena;

  // Before the first instruction.
  private final long before =
      HostMemory.mapAnonymous(2L * STATE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  private final Segments segments;
  private long rip;
  private long flagResult;
  private long flagAux;
  private long cr2;
  private int cpl;
  private boolean shadow;
  private boolean stackShadow;

  // After the last one.
  private final long after = before + STATE;
  private long expectedRip;
  private int expectedFlags;
  private long expectedCr2;
  private int undefinedFlags;

  /** The exception that ended it, or -1. */
  private int expectedVector;

  private int expectedErrorCode;

  /** Attention that others want meanwhile. */
  private int attention;

  // Stores in the order they were made, and what was there.
  private final long[] storeAt = new long[STORES];
  private final byte[] storeSize = new byte[STORES];
  private final long[] storeOld = new long[STORES];
  private int stores;

  // The lines that hold them, and what they hold in the end: also beside what was stored.
  private final long[] lineAt = new long[2 * STORES];
  private final long lineImages =
      HostMemory.mapAnonymous(
          2L * STORES * LINE, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  private int lines;

  Rehearsal(InterpVcpu vcpu, Cpu c, InterpVm vm) {
    this.vcpu = vcpu;
    this.c = c;
    this.vm = vm;
    this.arena = vm.memory().arena();
    this.segments = new Segments(c);
  }

  /**
   * Runs instructions and takes their effects back.
   *
   * @param steps the instructions as the interpreter executes them
   * @param instructions the same decoded
   * @return how many were run: fewer than all if one faulted, which then counts, or was refused, which
   *     does not; or {@link #INTERRUPTED}
   */
  public int perform(List<Core.Slow> steps, List<Instruction> instructions) {
    save();
    stores = 0;
    undefinedFlags = 0;
    expectedVector = -1;
    int done = 0;
    int mark = 0;
    c.mmu.rehearsal = this;
    c.updateTlb();
    try {
      while (done < steps.size()) {
        Instruction in = instructions.get(done);
        if ((in.form.flagsRead() & undefinedFlags) != 0) {
          break; // what it sees is not the same everywhere
        }
        if (in.form.op() == Op.STI && RawMemory.get32(c.block + VcpuBlock.WAITING) != 0) {
          break; // an interrupt comes behind its successor
        }
        mark = stores;
        long rcx = c.reg(Cpu.RCX);
        steps.get(done).execute(vcpu, c);
        undefinedFlags = Undefined.flagsAfter(undefinedFlags, in, rcx);
        done++;
      }
    } catch (Refused r) {
      takeBackStores(mark);
    } catch (GuestFault f) {
      done++;
      expectedVector = f.vector;
      expectedErrorCode = f.errorCode;
    } catch (Restart r) {
      done = INTERRUPTED;
    } finally {
      vcpu.endedAlone();
      c.mmu.rehearsal = null;
    }
    expectedRip = c.rip;
    expectedFlags = c.arithmeticFlags();
    expectedCr2 = c.cr2;
    RawMemory.copy(c.block, after, STATE);
    rememberLines();
    takeBack();
    return done;
  }

  /** Whether the last instruction faulted. */
  public boolean faulted() {
    return expectedVector >= 0;
  }

  /** Where the vCPU is to be after the last instruction, or at the one that faulted. */
  public long rip() {
    return expectedRip;
  }

  /** Goes back to before the first instruction, whatever has been executed since. */
  public void takeBack() {
    takeBackStores(0);
    RawMemory.copy(before, c.block, STATE);
    boolean privilege = c.cpl != cpl;
    c.segments.copyFrom(segments);
    c.rip = rip;
    c.flagResult = flagResult;
    c.flagAux = flagAux;
    c.cr2 = cr2;
    c.cpl = cpl;
    c.shadow = shadow;
    c.stackShadow = stackShadow;
    c.debug.forgetPending();
    if (privilege) {
      c.updateMode();
    } else {
      c.updateTlb();
    }
    attention |= vcpu.takeAttention();
  }

  /** Lets events come again. */
  public void end() {
    vcpu.giveAttention(attention);
    attention = 0;
  }

  private void save() {
    attention |= vcpu.takeAttention();
    RawMemory.copy(c.block, before, STATE);
    segments.copyFrom(c.segments);
    rip = c.rip;
    flagResult = c.flagResult;
    flagAux = c.flagAux;
    cr2 = c.cr2;
    cpl = c.cpl;
    shadow = c.shadow;
    stackShadow = c.stackShadow;
  }

  // ---- what the MMU asks ------------------------------------------------------------------

  /** An access to a device, to ROM, or one that the CPU makes for itself. */
  static RuntimeException refused() {
    return Refused.INSTANCE;
  }

  /** A store to ordinary memory within one page. */
  void store(int frame, int offset, int size, long value) {
    refuseCode(frame, offset, size);
    if (stores == STORES) {
      throw Refused.INSTANCE;
    }
    long host = arena.address(frame) + offset;
    storeAt[stores] = host;
    storeSize[stores] = (byte) size;
    storeOld[stores++] = Cpu.rawLoad(host, size);
    Cpu.rawStore(host, size, value);
  }

  /** Refuses a store if it hits what blocks were made from. */
  void refuseCode(int frame, int offset, int size) {
    if ((arena.flags(frame) & FrameArena.CODE) != 0
        && vm.coverage().holds(frame, offset, size)) {
      throw Refused.INSTANCE;
    }
  }

  private void takeBackStores(int to) {
    while (stores > to) {
      stores--;
      Cpu.rawStore(storeAt[stores], storeSize[stores], storeOld[stores]);
    }
  }

  private void rememberLines() {
    lines = 0;
    long last = 0;
    for (int i = 0; i < stores; i++) {
      long line = storeAt[i] & -LINE;
      if (line != last) {
        remember(line);
      }
      last = storeAt[i] + storeSize[i] - 1 & -LINE;
      if (line != last) {
        remember(last);
      }
    }
  }

  private void remember(long line) {
    lineAt[lines] = line;
    RawMemory.copy(line, lineImages + (long) LINE * lines++, LINE);
  }

  // ---- the comparison ---------------------------------------------------------------------

  /**
   * What is not as it was after the rehearsal, or null.
   *
   * @param fault the exception that the same instructions have ended with, or null
   */
  public String difference(RuntimeException fault) {
    Difference d = new Difference();
    GuestFault f = (GuestFault) fault;
    d.check("vector", expectedVector, f == null ? -1 : f.vector);
    if (f != null && faulted()) {
      d.check("error code", expectedErrorCode, f.errorCode);
    }
    d.check("rip", expectedRip, c.rip);
    d.check("cr2", expectedCr2, c.cr2);
    d.check(
        "flags", expectedFlags & ~undefinedFlags, c.arithmeticFlags() & ~undefinedFlags);
    for (int i = 0; i < 16; i++) {
      d.word("r" + i, VcpuBlock.GPR + 8 * i);
    }
    d.word("flags of the system", VcpuBlock.SYSTEM_FLAGS);
    for (int at = VcpuBlock.FS_BASE; at < VcpuBlock.WAITING; at += 8) {
      d.word("segments", at);
    }
    for (int at = VcpuBlock.FX; at < VcpuBlock.XSAVE_HEADER; at += 8) {
      d.word("fxsave", at);
    }
    for (int at = VcpuBlock.YMM_HIGH; at < VcpuBlock.YMM_HIGH + 256; at += 8) {
      d.word("ymm", at);
    }
    for (int i = 0; i < lines; i++) {
      for (int at = 0; at < LINE; at += 8) {
        d.check(
            "memory",
            RawMemory.get64(lineImages + (long) LINE * i + at),
            RawMemory.get64(lineAt[i] + at));
      }
    }
    return d.text == null ? null : d.text.toString();
  }

  private final class Difference {
    private StringBuilder text;

    void word(String name, int at) {
      long expected = RawMemory.get64(after + at);
      long found = RawMemory.get64(c.block + at);
      if (expected != found) {
        add("%s (block + %d)".formatted(name, at), expected, found);
      }
    }

    void check(String name, long expected, long found) {
      if (expected != found) {
        add(name, expected, found);
      }
    }

    private void add(String name, long expected, long found) {
      if (text == null) {
        text = new StringBuilder();
      }
      text.append("  %s: interpreter %#x, translator %#x%n".formatted(name, expected, found));
    }
  }

  /** The registers before the first instruction, for a person. */
  public String describeBefore() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 16; i++) {
      text.append(" r%d=%x".formatted(i, RawMemory.get64(before + 8L * i)));
    }
    return text.append(" cpl=%d rip=%x".formatted(cpl, rip)).toString();
  }

  @Override
  public void close() {
    HostMemory.unmap(before, 2L * STATE);
    HostMemory.unmap(lineImages, 2L * STORES * LINE);
  }
}

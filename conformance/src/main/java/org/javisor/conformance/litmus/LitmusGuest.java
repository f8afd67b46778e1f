package org.javisor.conformance.litmus;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;

/**
 * Runs a {@link LitmusTest} as often as wanted: {@value #RUNS} times a round, each time on variables
 * of its own. The vCPUs meet before every batch and wait a random moment, so that they pass through
 * the same runs at nearly the same time.
 */
final class LitmusGuest {
  /** What stands for an outcome with a value that nobody can have stored. */
  static final long IMPOSSIBLE = -1;

  private static final int RUNS = 8192;

  /** How many runs follow each other without a meeting; rounds take these in turn. */
  private static final int[] BATCHES = {64, 16, 256, 4, 64, 16, 256, 1};

  private static final int RESULTS = RUNS * Layout.CELL;
  private static final int RESULT = 8 * LitmusTest.MAX_READS;

  private final Crew crew;
  private final LitmusTest test;
  private final Layout layout;
  private final byte[] cells = new byte[RUNS * Layout.CELL];
  private final byte[] zeros = new byte[RUNS * Layout.CELL];
  private final byte[][] results;
  private final Map<Long, Long> outcomes = new HashMap<>();
  private long rounds;

  LitmusGuest(Crew crew, LitmusTest test, Layout layout) {
    this.crew = crew;
    this.test = test;
    this.layout = layout;
    results = new byte[test.threads().size()][RUNS * RESULT];
  }

  /** Runs the test at least so often; returns how often each outcome was seen. */
  Map<Long, Long> run(long runs) throws InterruptedException {
    for (long done = 0; done < runs; done += RUNS) {
      round();
    }
    return outcomes;
  }

  private void round() throws InterruptedException {
    int batch = BATCHES[(int) (rounds++ % BATCHES.length)];
    GuestMemory memory = crew.guest().memory();
    memory.write(Crew.SHARED, zeros);
    List<CpuState> states = new ArrayList<>();
    for (int t = 0; t < crew.size(); t++) {
      crew.code(t, code(t, batch));
      CpuState s = crew.start(t);
      s.gpr[Crew.RDI] = Crew.SHARED;
      s.gpr[Crew.RSI] = resultsOf(t);
      s.gpr[Crew.R12] = RUNS / batch;
      s.gpr[Crew.R14] = rounds * 0x9e37_79b9_7f4a_7c15L + t * 0x2545_f491_4f6c_dd1dL;
      states.add(s);
    }
    crew.run(states);
    memory.read(Crew.SHARED, cells, 0, cells.length);
    for (int t = 0; t < crew.size(); t++) {
      memory.read(resultsOf(t), results[t], 0, results[t].length);
    }
    collect();
  }

  private static long resultsOf(int thread) {
    return Crew.SHARED + RESULTS + (long) thread * RUNS * RESULT;
  }

  private void collect() {
    ByteBuffer memory = ByteBuffer.wrap(cells).order(ByteOrder.LITTLE_ENDIAN);
    int[] values = new int[test.values()];
    for (int run = 0; run < RUNS; run++) {
      int n = 0;
      boolean possible = true;
      for (int t = 0; t < results.length; t++) {
        ByteBuffer reads = ByteBuffer.wrap(results[t]).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < test.reads(t); i++) {
          long value = reads.getLong(run * RESULT + 8 * i);
          possible &= (value & ~15L) == 0;
          values[n++] = (int) value;
        }
      }
      for (int v = 0; v < test.variables(); v++) {
        int at = run * Layout.CELL + layout.at(v);
        long value =
            switch (layout.size()) {
              case 1 -> memory.get(at) & 0xff;
              case 2 -> memory.getShort(at) & 0xffff;
              case 4 -> memory.getInt(at) & 0xffff_ffffL;
              default -> memory.getLong(at);
            };
        possible &= (value & ~15L) == 0;
        values[n++] = (int) value;
      }
      outcomes.merge(possible ? LitmusTest.outcome(values) : IMPOSSIBLE, 1L, Long::sum);
    }
  }

  // ---- code ---------------------------------------------------------------------------------

  private Code code(int thread, int batch) {
    Code code = new Code();
    int outer = code.position();
    crew.meet(code);
    code.hex("4d69f6").int32(0x5851_f42d).hex("4983c607"); // imul r14, r14, ..; add r14, 7
    code.hex("4c89f1 48c1e93a ffc1"); // mov rcx, r14; shr rcx, 58; inc ecx
    int delay = code.position();
    code.hex("ffc9").jump(5, delay); // dec ecx; jnz
    code.byte8(0xbd).int32(batch); // mov ebp, batch
    int inner = code.position();
    int reads = 0;
    for (Op op : test.threads().get(thread)) {
      emit(code, op, 8 + reads, thread);
      reads += op.reads() ? 1 : 0;
    }
    for (int i = 0; i < reads; i++) {
      code.hex("4c89").byte8(0x46 | i << 3).byte8(8 * i); // mov [rsi + 8 i], r8 + i
    }
    code.hex("4881c7").int32(Layout.CELL); // add rdi, CELL
    code.hex("4883c6").byte8(RESULT); // add rsi, RESULT
    code.hex("ffcd").jump(5, inner); // dec ebp; jnz
    code.hex("41ffcc").jump(5, outer); // dec r12d; jnz
    Crew.end(code);
    return code;
  }

  /** One instruction; what it reads goes to a register, zero extended. */
  private void emit(Code code, Op op, int register, int thread) {
    int size = layout.size();
    switch (op) {
      case Op.Store(int v, int value) -> {
        if (thread % 2 == 0) {
          code.memory(false, size, 0, 0xc6, 0, layout.at(v)).immediate(size, value); // mov m, imm
        } else {
          code.byte8(0xb8).int32(value); // mov eax, value
          code.memory(false, size, 0, 0x88, 0, layout.at(v)); // mov m, eax
        }
      }
      case Op.Load(int v) -> {
        switch (size) {
          case 1 -> code.memory(false, 1, 0x0f, 0xb6, register, layout.at(v)); // movzx r, m8
          case 2 -> code.hex("44 0f b7").byte8(0x87 | (register & 7) << 3).int32(layout.at(v));
          default -> code.memory(false, size, 0, 0x8a, register, layout.at(v)); // mov r, m
        }
      }
      case Op.Fence() -> code.hex("0faef0");
      case Op.Exchange(int v, int value) -> {
        move(code, register, value);
        code.memory(false, size, 0, 0x86, register, layout.at(v)); // xchg m, r
      }
      case Op.Add(int v, int value) -> {
        move(code, register, value);
        code.memory(true, size, 0x0f, 0xc0, register, layout.at(v)); // lock xadd m, r
      }
      case Op.CompareExchange(int v, int expected, int value) -> {
        code.byte8(0xb8).int32(expected); // mov eax, expected
        move(code, register, value);
        code.memory(true, size, 0x0f, 0xb0, register, layout.at(v)); // lock cmpxchg m, r
        code.hex("4189").byte8(0xc0 | register & 7); // mov r, eax
      }
    }
  }

  private static void move(Code code, int register, int value) {
    code.byte8(0x41).byte8(0xb8 | register & 7).int32(value); // mov r32, value
  }
}

package org.javisor.conformance.litmus;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuState;

/**
 * One locked instruction, made by several vCPUs at once on one operand: none of the updates may get
 * lost, and what lies beside the operand stays as it is.
 *
 * @param name the mnemonics
 * @param size bytes of the operand
 * @param kind what is done and how it is checked
 */
record LockedTest(String name, int size, Kind kind) {
  private static final int R8 = 8;
  private static final int R13 = 13;
  private static final int LOOP_COUNT = 5; // RBP

  private static final byte BESIDE = (byte) 0xa5;
  private static final int MARGIN = 64;

  /** Offset of the place from the start of a page. */
  enum Place {
    ALIGNED, IN_WORD, ACROSS_WORDS, ACROSS_LINES, ACROSS_PAGES;

    int offset(int size) {
      return switch (this) {
        case ALIGNED -> 0x100;
        case IN_WORD -> 0x101;
        case ACROSS_WORDS -> 0x108 - size / 2;
        case ACROSS_LINES -> 0x140 - size / 2;
        case ACROSS_PAGES -> 0x1000 - size / 2;
      };
    }

    /** Whether all of the operand is in eight aligned bytes, where a locked access is cheap. */
    boolean withinWord(int size) {
      return (offset(size) & 7) + size <= 8;
    }
  }

  /** What the vCPUs do, and what the operand must be at the end. */
  private sealed interface Kind {
    /** Each update adds a constant; {@code body} is the code of one. */
    record Sum(Body body, long delta) implements Kind {}

    /** Each update adds one to the lower and two to the upper half of 16 bytes. */
    record TwoSums(Body body) implements Kind {}

    /** Each vCPU sets and clears a bit of its own, looks every time, and counts errors in R13. */
    record OwnBit(BitBody body) implements Kind {}

    /** Each update turns the operand over: all bits, or its sign. */
    record Turn(Body body, long even, long odd) implements Kind {}

    /** Each vCPU changes what it has in R8 for what is there. */
    record Tokens() implements Kind {}
  }

  @FunctionalInterface
  private interface Body {
    void emit(Code code, int size);
  }

  @FunctionalInterface
  private interface BitBody {
    void emit(Code code, int size, int bit);
  }

  static List<LockedTest> all() {
    List<LockedTest> all = new ArrayList<>();
    for (int size : new int[] {1, 2, 4, 8}) {
      add(all, "lock-inc", size, new Kind.Sum((c, s) -> c.memory(true, s, 0, 0xfe, 0, 0), 1));
      add(all, "lock-dec", size, new Kind.Sum((c, s) -> c.memory(true, s, 0, 0xfe, 1, 0), -1));
      add(all, "lock-add", size, arithmetic(0x00, 3));
      add(all, "lock-adc", size, arithmetic(0x10, 3));
      add(all, "lock-sbb", size, arithmetic(0x18, -3));
      add(all, "lock-sub", size, arithmetic(0x28, -3));
      add(
          all, "lock-add-immediate", size,
          new Kind.Sum((c, s) -> c.memory(true, s, 0, s == 1 ? 0x80 : 0x82, 0, 0).byte8(3), 3));
      add(
          all, "lock-xadd", size,
          new Kind.Sum(
              (c, s) -> c.hex("b803000000").memory(true, s, 0x0f, 0xc0, 0, 0), 3)); // mov eax, 3
      add(all, "lock-cmpxchg", size, new Kind.Sum(LockedTest::compareExchange, 1));
      add(
          all, "lock-not", size,
          new Kind.Turn((c, s) -> c.memory(true, s, 0, 0xf6, 2, 0), 0, -1));
      add(
          all, "lock-neg", size,
          new Kind.Turn((c, s) -> c.memory(true, s, 0, 0xf6, 3, 0), 5, -5));
      add(all, "lock-or-and", size, new Kind.OwnBit(LockedTest::orAnd));
      add(all, "lock-xor", size, new Kind.OwnBit(LockedTest::xor));
      add(all, "xchg", size, new Kind.Tokens());
      if (size > 1) {
        add(all, "lock-bts-btr", size, new Kind.OwnBit((c, s, b) -> bits(c, s, b, 5, 6)));
        add(all, "lock-btc", size, new Kind.OwnBit((c, s, b) -> bits(c, s, b, 7, 7)));
      }
    }
    all.add(new LockedTest("lock-cmpxchg8b", 8, new Kind.Sum(LockedTest::compareExchange8, 1)));
    all.add(new LockedTest("lock-cmpxchg16b", 16, new Kind.TwoSums(LockedTest::compareExchange16)));
    return all;
  }

  private static void add(List<LockedTest> all, String name, int size, Kind kind) {
    all.add(new LockedTest(name + "-" + 8 * size, size, kind));
  }

  // ---- code of one update, the operand at [rdi] ---------------------------------------------

  /** One of the eight old operations, with EAX; carry is clear. */
  private static Kind arithmetic(int opcode, long delta) {
    return new Kind.Sum(
        (c, s) -> c.hex("b803000000 f8").memory(true, s, 0, opcode, 0, 0), delta); // clc
  }

  private static void compareExchange(Code code, int size) {
    code.memory(false, size, 0, 0x8a, 0, 0); // mov eax, m
    int retry = code.position();
    code.hex("488d4801"); // lea rcx, [rax + 1]
    code.memory(true, size, 0x0f, 0xb0, 1, 0); // lock cmpxchg m, ecx
    code.jump(5, retry);
  }

  private static void compareExchange8(Code code, int size) {
    code.hex("8b07 8b5704"); // mov eax, [rdi]; mov edx, [rdi + 4]
    int retry = code.position();
    code.hex("89c3 89d1 83c301 83d100"); // mov ebx, eax; mov ecx, edx; add ebx, 1; adc ecx, 0
    code.hex("f00fc70f").jump(5, retry);
  }

  private static void compareExchange16(Code code, int size) {
    code.hex("488b07 488b5708");
    int retry = code.position();
    code.hex("488d5801 488d4a02"); // lea rbx, [rax + 1]; lea rcx, [rdx + 2]
    code.hex("f0480fc70f").jump(5, retry);
  }

  private static void orAnd(Code code, int size, int bit) {
    code.byte8(0xb8).int32(1 << bit); // mov eax, bit
    code.memory(true, size, 0, 0x08, 0, 0); // lock or m, eax
    expect(code, bit, true);
    code.hex("48c7c0").int32(~(1 << bit)); // mov rax, ~bit
    code.memory(true, size, 0, 0x20, 0, 0); // lock and m, eax
    expect(code, bit, false);
  }

  private static void xor(Code code, int size, int bit) {
    for (int i = 0; i < 2; i++) {
      code.byte8(0xb8).int32(1 << bit);
      code.memory(true, size, 0, 0x30, 0, 0); // lock xor m, eax
      expect(code, bit, i == 0);
    }
  }

  /** Two bit instructions, which set and clear the bit; CF is the bit as it was. */
  private static void bits(Code code, int size, int bit, int set, int clear) {
    for (int i = 0; i < 2; i++) {
      code.memory(true, size, 0x0f, 0xb9, i == 0 ? set : clear, 0).byte8(bit);
      countErrorUnless(code, i == 0 ? 3 : 2); // jae, jb
      expect(code, bit, i == 0);
    }
  }

  /** Counts an error if the vCPU's bit is not what it has made it. */
  private static void expect(Code code, int bit, boolean set) {
    code.hex("f607").byte8(1 << bit); // test byte [rdi], bit
    countErrorUnless(code, set ? 5 : 4); // jne, je
  }

  private static void countErrorUnless(Code code, int condition) {
    code.byte8(0x70 | condition).byte8(3).hex("49ffc5"); // jcc over inc r13
  }

  // ---- running ------------------------------------------------------------------------------

  /** Whether this operand can be in such a place, and is not somewhere else then. */
  boolean fits(Place place) {
    return switch (place) {
      case ALIGNED -> true;
      case IN_WORD -> size < 8;
      default -> size > 1 && size < 16;
    };
  }

  /** Has each of several vCPUs make {@code n} updates; returns what is wrong then, or null. */
  String run(Accelerator accelerator, Place place, int vcpus, int n) throws InterruptedException {
    long operand = Crew.SHARED + place.offset(size);
    byte[] around = new byte[size + 2 * MARGIN];
    try (Crew crew = new Crew(accelerator, vcpus)) {
      Arrays.fill(around, BESIDE);
      put(around, kind instanceof Kind.Turn(_, long even, _) ? even : 0);
      crew.guest().memory().write(operand - MARGIN, around);
      List<CpuState> states = new ArrayList<>();
      for (int i = 0; i < vcpus; i++) {
        crew.code(i, code(crew, i));
        CpuState s = crew.start(i);
        s.gpr[Crew.RDI] = operand;
        s.gpr[LOOP_COUNT] = n;
        s.gpr[R8] = i + 1;
        states.add(s);
      }
      crew.run(states);
      crew.guest().memory().read(operand - MARGIN, around, 0, around.length);
      return wrong(crew, around, n);
    }
  }

  private Code code(Crew crew, int vcpu) {
    Code code = new Code();
    crew.meet(code);
    int loop = code.position();
    switch (kind) {
      case Kind.Sum(Body body, _) -> body.emit(code, size);
      case Kind.TwoSums(Body body) -> body.emit(code, size);
      case Kind.Turn(Body body, _, _) -> body.emit(code, size);
      case Kind.OwnBit(BitBody body) -> body.emit(code, size, vcpu);
      case Kind.Tokens() -> code.memory(false, size, 0, 0x86, R8, 0); // xchg m, r8
    }
    code.hex("ffcd").jump(5, loop); // dec ebp; jnz
    Crew.end(code);
    return code;
  }

  private void put(byte[] around, long value) {
    for (int i = 0; i < size; i++) {
      around[MARGIN + i] = i < 8 ? (byte) (value >> 8 * i) : 0;
    }
  }

  /** The operand's low or high eight bytes, as far as there are any, sign extended. */
  private long value(byte[] around, int from) {
    int bytes = Math.min(size - from, 8);
    long value = around[MARGIN + from + bytes - 1];
    for (int i = bytes - 2; i >= 0; i--) {
      value = value << 8 | around[MARGIN + from + i] & 0xff;
    }
    return value;
  }

  private long truncated(long value) {
    int unused = 64 - 8 * Math.min(size, 8);
    return value << unused >> unused;
  }

  private String wrong(Crew crew, byte[] around, int n) {
    for (int i = 0; i < around.length; i++) {
      boolean beside = i < MARGIN || i >= MARGIN + size;
      if (beside && around[i] != BESIDE) {
        return "the byte " + (i - MARGIN) + " from the operand has changed";
      }
    }
    long updates = (long) n * crew.size();
    return switch (kind) {
      case Kind.Sum(_, long delta) -> unequal("the sum", updates * delta, value(around, 0));
      case Kind.TwoSums(_) -> {
        String low = unequal("the lower sum", updates, value(around, 0));
        yield low != null ? low : unequal("the upper sum", 2 * updates, value(around, 8));
      }
      case Kind.Turn(_, long even, long odd) ->
          unequal("the operand", updates % 2 == 0 ? even : odd, value(around, 0));
      case Kind.OwnBit(_) -> {
        long errors = 0;
        for (int i = 0; i < crew.size(); i++) {
          errors += crew.state(i).gpr[R13];
        }
        yield errors > 0
            ? errors + " times a bit had changed"
            : unequal("the operand", 0, value(around, 0));
      }
      case Kind.Tokens() -> {
        long[] tokens = new long[crew.size() + 1];
        tokens[crew.size()] = value(around, 0);
        for (int i = 0; i < crew.size(); i++) {
          tokens[i] = crew.state(i).gpr[R8];
        }
        Arrays.sort(tokens);
        boolean all = true;
        for (int i = 0; i < tokens.length; i++) {
          all &= tokens[i] == i;
        }
        yield all ? null : "the tokens are " + Arrays.toString(tokens);
      }
    };
  }

  private String unequal(String what, long expected, long actual) {
    return truncated(expected) == actual
        ? null
        : what + " is " + actual + " instead of " + truncated(expected);
  }
}

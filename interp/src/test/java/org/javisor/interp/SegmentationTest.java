package org.javisor.interp;

import static org.javisor.interp.LegacyBench.NONE;
import static org.javisor.interp.LegacyBench.SHUTDOWN;
import static org.javisor.interp.LegacyBench.descriptor;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.javisor.accelerator.CpuState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Segments, gates and levels of 32-bit protected mode, check by check: which exception, which error
 * code, which instruction, and what is left as it was. Source: Intel SDM volume 3, chapters 5 and 6,
 * and the operation sections of CALL, RET, INT and IRET in volume 2.
 */
class SegmentationTest {
  private static final int TS = 10;
  private static final int NP = 11;
  private static final int SS = 12;
  private static final int GP = 13;

  private static final int EAX = 0;
  private static final int EBX = 3;
  private static final int ESP = 4;
  private static final int EDI = 7;
  private static final int IF = 1 << 9;
  private static final int OF = 1 << 11;

  private static final int FREE = LegacyBench.FREE;
  private static final long TARGET = 0x1_8000;

  private final LegacyBench b = new LegacyBench();
  private final CpuState s = b.state;

  private void expect(int vector, int error, long eip) {
    assertEquals(vector, b.vector, "vector");
    assertEquals(error, b.errorCode, "error code");
    assertEquals(eip, b.eip, "saved EIP");
  }

  private static String hex(long value, int bytes) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < bytes; i++) {
      text.append("%02x".formatted(value >>> 8 * i & 0xff));
    }
    return text.toString();
  }

  /** Loads DS, at 4 the instruction that may fault, and then does something. */
  private static String withDs(int selector, String then) {
    return "66b8" + hex(selector, 2) + "8ed8" + then;
  }

  // ---- what a segment permits ------------------------------------------------------------------

  /** A segment of user data at 20000h; what is done in it by DS, and what comes of it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "f3 | 0fff | 4 | a1fc0f0000 | -1 | up to the limit",
        "f3 | 0fff | 4 | a1fd0f0000 | 13 | beyond it by one byte",
        "f3 | 0fff | 4 | a3fd0f0000 | 13 | a store beyond it",
        "f1 | 0fff | 4 | a100000000 | -1 | a load from what is read-only",
        "f1 | 0fff | 4 | a300000000 | 13 | a store to it",
        "f7 | 0fff | 4 | a100100000 | -1 | above the limit of what expands down",
        "f7 | 0fff | 4 | a1ff0f0000 | 13 | at it",
        "f7 | 0fff | 0 | a1fcff0000 | -1 | of 16 bits: up to 64 KiB",
        "f7 | 0fff | 0 | a1fdff0000 | 13 | and no further",
        "f7 | 0fff | 4 | a1fdffffff | 13 | of 32 bits: up to 4 GiB",
        "fb | 0fff | 4 | a100000000 | -1 | a load from readable code",
        "fb | 0fff | 4 | a300000000 | 13 | a store to code",
      })
  void accesses(String access, String limit, int flags, String code, int vector, String what) {
    b.put(
        FREE,
        descriptor(0x2_0000, Integer.parseInt(limit, 16), Integer.parseInt(access, 16), flags));
    b.run(3, withDs(FREE | 3, code));
    assertEquals(vector, b.vector, what);
    if (vector != NONE) {
      expect(vector, 0, 6);
    }
  }

  @Test
  void codeThatCannotBeReadAndNullSegments() {
    b.put(LegacyBench.USER_CODE, descriptor(0, 0xf_ffff, 0xf9, 0xc));
    s.gpr[EDI] = LegacyBench.AT;
    b.run(3, "ea" + hex(LegacyBench.AT + 7, 4) + "1b00" + "2e8b07"); // jmp; mov eax, cs:[edi]
    expect(GP, 0, 7);
    b.run(3, withDs(0, "8b07"));
    expect(GP, 0, 6);
    b.run(3, withDs(3, "90"));
    assertEquals(NONE, b.vector, "a null selector may be loaded");
  }

  @Test
  void stackSegments() {
    b.put(FREE, descriptor(0, 0xfff, 0xf3, 4));
    String load = "66b8" + hex(FREE | 3, 2) + "8ed0";
    b.run(3, load + "bc02000000" + "50"); // mov ss, ax; mov esp, 2; push eax
    expect(SS, 0, 11);
    assertEquals(2, b.frame(3), "ESP as it was");
    b.run(3, load + "bdfe0f0000" + "8b4500"); // mov ebp, 0ffeh; mov eax, [ebp]
    expect(SS, 0, 11);
    b.run(3, load + "bdfe0f0000" + "3e8b4500");
    assertEquals(NONE, b.vector, "by DS it is no matter of the stack");
  }

  // ---- loads of segment registers --------------------------------------------------------------

  /** DS or SS loaded at CPL 3 with a descriptor; RPL and selector as given. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "d8 | 93 | 3 | 13 | data of the supervisor",
        "d8 | b3 | 0 | 13 | data of level 1",
        "d8 | f9 | 3 | 13 | code that cannot be read",
        "d8 | 9f | 3 | -1 | conforming code of the supervisor",
        "d8 | e9 | 3 | 13 | a TSS",
        "d8 | 73 | 3 | 11 | absent data",
        "d8 | 7b | 3 | 11 | absent code",
        "d0 | f1 | 3 | 13 | a stack that is read-only",
        "d0 | fb | 3 | 13 | a stack of code",
        "d0 | 93 | 3 | 13 | a stack of another level",
        "d0 | f3 | 2 | 13 | a selector of another level",
        "d0 | 73 | 3 | 12 | an absent stack",
        "d0 | f7 | 3 | -1 | a stack that expands down",
      })
  void loads(String register, String access, int rpl, int vector, String what) {
    b.put(FREE, descriptor(0, 0xf_ffff, Integer.parseInt(access, 16), 0xc));
    b.run(3, "66b8" + hex(FREE | rpl, 2) + "8e" + register);
    assertEquals(vector, b.vector, what);
    if (vector != NONE) {
      expect(vector, FREE, 4);
      assertEquals(LegacyBench.USER_DATA | 3, b.after.ds.selector & 0xffff, what);
    }
  }

  @Test
  void aLoadMarksTheDescriptorAccessed() {
    b.put(FREE, descriptor(0, 0xf_ffff, 0xf2, 0xc));
    b.run(3, withDs(FREE | 3, "90"));
    assertEquals(0xf3, b.memory.read8(Bench.GDT + FREE + 5) & 0xff);
    b.put(FREE, descriptor(0, 0xf_ffff, 0x92, 0xc));
    b.run(3, withDs(FREE | 3, "90"));
    assertEquals(0x92, b.memory.read8(Bench.GDT + FREE + 5) & 0xff, "a fault does not");
  }

  // ---- far jumps and calls ---------------------------------------------------------------------

  /** JMP and CALL, at CPL 3, to a descriptor. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "fb | 3 | -1 | code of the same level",
        "fb | 0 | -1 | whatever a lower RPL says",
        "9b | 3 | 13 | code of the supervisor",
        "9b | 0 | 13 | however it is asked for",
        "9f | 3 | -1 | conforming code of the supervisor",
        "f3 | 3 | 13 | data",
        "e2 | 3 | 13 | a table of descriptors",
        "7b | 3 | 11 | absent code",
      })
  void directTransfers(String access, int rpl, int vector, String what) {
    b.put(FREE, descriptor(0, 0xf_ffff, Integer.parseInt(access, 16), 0xc));
    b.memory.write8(TARGET, 0xcc);
    for (String code : new String[] {"ea", "9a"}) {
      b.run(3, "90" + code + hex(TARGET, 4) + hex(FREE | rpl, 2));
      if (vector == NONE) {
        assertEquals(3, b.vector, what);
        assertEquals(TARGET + 1 - LegacyBench.AT, b.eip);
        assertEquals(FREE | 3, b.frame(1), what + ": CPL stays");
      } else {
        expect(vector, FREE, 1);
        assertEquals(LegacyBench.STACK, b.frame(3), "nothing was pushed");
      }
    }
  }

  @Test
  void addressesOutsideOfTheCode() {
    b.put(FREE, descriptor(0, 0x1_7fff, 0xfb, 4));
    for (String code : new String[] {"ea", "9a"}) {
      b.run(3, code + hex(TARGET, 4) + hex(FREE | 3, 2));
      expect(GP, 0, 0);
      b.run(3, code + hex(TARGET, 4) + "0300");
      expect(GP, 0, 0);
      b.run(3, code + hex(TARGET, 4) + "0b02"); // behind the table
      expect(GP, 0x208, 0);
    }
    // By a gate: the fault is of the instruction, not of its target.
    b.put(FREE, descriptor(0, 0x1_7fff, 0x9b, 4));
    b.callGate(FREE + 8, FREE, TARGET, 0xec, 0);
    b.run(3, "9a000000003b00");
    expect(GP, 0, 0);
    assertEquals(LegacyBench.USER_CODE | 3, b.frame(1), "still at the level of the user");
    b.put(FREE, descriptor(0, 0x1_7fff, 0xff, 4));
    b.run(3, "ea000000003b00");
    expect(GP, 0, 0);
  }

  private void calls(String what, int vector, int error) {
    b.run(3, "90 9a 00000000 3b00");
    assertEquals(vector, b.vector, what);
    if (vector != 3) {
      assertEquals(error, b.errorCode, what);
      assertEquals(1, b.eip, what);
      assertEquals(LegacyBench.USER_CODE | 3, b.frame(1), what);
    }
  }

  @Test
  void callGates() {
    b.memory.write8(TARGET, 0xcc);
    b.callGate(FREE + 8, LegacyBench.CODE, TARGET, 0xec, 2);
    b.memory.write32(LegacyBench.STACK, 0x11);
    b.memory.write32(LegacyBench.STACK + 4, 0x22);
    calls("to the supervisor", 3, 0);
    assertEquals(LegacyBench.CODE, b.frame(1));
    int[] frame = {
      (int) LegacyBench.AT + 8, LegacyBench.USER_CODE | 3, 0x11, 0x22, (int) LegacyBench.STACK,
      LegacyBench.USER_DATA | 3
    };
    for (int i = 0; i < frame.length; i++) {
      assertEquals(frame[i], b.frame(3 + i), "word " + i);
    }
    b.callGate(FREE + 8, LegacyBench.CODE, TARGET, 0x8c, 0);
    calls("a gate of the supervisor", GP, FREE + 8);
    b.callGate(FREE + 8, LegacyBench.CODE, TARGET, 0x6c, 0);
    calls("an absent gate", NP, FREE + 8);
    b.callGate(FREE + 8, 0, TARGET, 0xec, 0);
    calls("to nowhere", GP, 0);
    b.callGate(FREE + 8, LegacyBench.DATA, TARGET, 0xec, 0);
    calls("to data", GP, LegacyBench.DATA);
    b.put(FREE, descriptor(0, 0xf_ffff, 0x1b, 0xc));
    b.callGate(FREE + 8, FREE, TARGET, 0xec, 0);
    calls("to absent code", NP, FREE);
  }

  /** What is wrong with the stack of an inner level that is not the one of the handlers. */
  @Test
  void innerStacks() {
    int code = FREE + 16;
    long selector = LegacyBench.TSS + 16;
    b.put(code, descriptor(0, 0xf_ffff, 0xbb, 0xc));
    b.callGate(FREE + 8, code, TARGET, 0xec, 0);
    b.memory.write8(TARGET, 0xcc);
    b.memory.write32(LegacyBench.TSS + 12, 0x1_d000);
    b.put(FREE, descriptor(0, 0xf_ffff, 0xb3, 0xc));
    b.memory.write32(selector, FREE | 1);
    calls("as it should be", 3, 0);
    assertEquals(code | 1, b.frame(1));
    b.memory.write32(selector, 1);
    calls("null", TS, 0);
    b.memory.write32(selector, LegacyBench.DATA);
    calls("of another level", TS, LegacyBench.DATA);
    b.memory.write32(selector, FREE);
    calls("asked for by another level", TS, FREE);
    b.memory.write32(selector, FREE | 1);
    b.put(FREE, descriptor(0, 0xf_ffff, 0x33, 0xc));
    calls("absent", SS, FREE);
    b.put(FREE, descriptor(0, 0xf_ffff, 0xb1, 0xc));
    calls("read-only", TS, FREE);
    b.put(FREE, descriptor(0, 0xfff, 0xb3, 4));
    calls("too small", SS, FREE);
    b.memory.write32(selector, 0x201);
    calls("behind the table", TS, 0x200);
    s.tr.set(LegacyBench.TASK, LegacyBench.TSS, 16, 0x8b);
    calls("beyond the TSS", TS, LegacyBench.TASK);
  }

  // ---- returns ---------------------------------------------------------------------------------

  /** Pushes SS, ESP and CS, EIP, at CPL 0, and returns; the instruction is at 25. */
  private void returns(int ss, int cs, String what, int vector, int error) {
    b.memory.write8(TARGET, 0xcc);
    for (boolean iret : new boolean[] {false, true}) {
      String code =
          "68" + hex(ss, 4) + "6800e00100"
              + (iret ? "6802000000" : "9090909090")
              + "68" + hex(cs, 4) + "68" + hex(TARGET, 4)
              + (iret ? "cf" : "cb");
      b.run(0, code);
      assertEquals(vector, b.vector, what);
      if (vector != 3) {
        assertEquals(error, b.errorCode, what);
        assertEquals(25, b.eip, what);
        assertEquals(LegacyBench.CODE, b.frame(1), what);
      }
    }
  }

  @Test
  void returnsToTheUser() {
    int user = LegacyBench.USER_CODE | 3;
    int stack = LegacyBench.USER_DATA | 3;
    returns(stack, 0, "to nowhere", GP, 0);
    returns(stack, LegacyBench.DATA, "to data", GP, LegacyBench.DATA);
    returns(stack, LegacyBench.CODE | 3, "DPL and RPL differ", GP, LegacyBench.CODE);
    returns(0, user, "without a stack", GP, 0);
    returns(LegacyBench.DATA, user, "a stack of the supervisor", GP, LegacyBench.DATA);
    b.put(FREE, descriptor(0, 0xf_ffff, 0x7b, 0xc));
    returns(stack, FREE | 3, "to absent code", NP, FREE);
    b.put(FREE, descriptor(0, 0xf_ffff, 0x73, 0xc));
    returns(FREE | 3, user, "an absent stack", SS, FREE);
    b.put(FREE, descriptor(0, 0x1_7fff, 0xfb, 4));
    returns(stack, FREE | 3, "beyond the code", GP, 0);
  }

  /** Breaks if a selector of the supervisor survives in the hands of the user. */
  @Test
  void aReturnClearsWhatTheUserMayNotHave() {
    b.memory.write8(TARGET, 0xcc);
    // mov ax, 23h; mov es, ax, and back to the user
    b.run(0, "66b82300 8ec0 6823000000 6800e00100 681b000000 6800800100 cb");
    assertEquals(3, b.vector);
    assertEquals(0, b.after.ds.selector);
    assertEquals(LegacyBench.USER_DATA | 3, b.after.es.selector);
    assertEquals(LegacyBench.USER_CODE | 3, b.frame(1));
  }

  @Test
  void inwardReturns() {
    b.run(3, "6808000000 6800800100 cb");
    expect(GP, LegacyBench.CODE, 10);
    b.run(3, "6802000000 6808000000 6800800100 cf");
    expect(GP, LegacyBench.CODE, 15);
  }

  // ---- interrupts and exceptions ---------------------------------------------------------------

  @Test
  void exceptionsOfThisModeAlone() {
    s.rflags = 2 | OF;
    b.run(3, "90 ce"); // into
    expect(4, 0, 2);
    s.rflags = 2;
    b.run(3, "90 ce");
    assertEquals(NONE, b.vector);
    b.memory.write32(0x2_0000, 1);
    b.memory.write32(0x2_0004, 5);
    s.gpr[EDI] = 0x2_0000;
    s.gpr[EAX] = 5;
    b.run(3, "90 62 07"); // bound eax, [edi]
    assertEquals(NONE, b.vector);
    s.gpr[EAX] = 6;
    b.run(3, "90 62 07");
    expect(5, 0, 1);
    s.gpr[EAX] = 0;
    b.run(3, "90 62 07");
    expect(5, 0, 1);
  }

  /** What is pushed, on which stack, and which flags a handler begins with. */
  @Test
  void frames() {
    s.rflags = 2 | IF;
    b.gate(0x30, LegacyBench.CODE, 0x8300, 0xee);
    b.run(3, "cd 30");
    assertEquals(0x30, b.vector);
    assertEquals(LegacyBench.INNER_STACK - 20, b.after.gpr[ESP]);
    assertEquals(LegacyBench.USER_CODE | 3, b.frame(1));
    assertEquals(2 | IF, b.frame(2));
    assertEquals(LegacyBench.STACK, b.frame(3));
    assertEquals(LegacyBench.USER_DATA | 3, b.frame(4));
    assertEquals(0, b.after.rflags & IF);
    b.gate(0x30, LegacyBench.CODE, 0x8300, 0xef); // a trap gate
    b.run(3, "cd 30");
    assertEquals(IF, b.after.rflags & IF);
    b.run(0, "cd 30");
    assertEquals(LegacyBench.STACK - 12, b.after.gpr[ESP], "no other stack");
    b.gate(0x30, LegacyBench.CODE, 0x8300, 0xe6); // of 16 bits
    b.run(3, "cd 30");
    assertEquals(LegacyBench.INNER_STACK - 10, b.after.gpr[ESP]);
    assertEquals(LegacyBench.AT + 2 & 0xffff, b.memory.read16(b.after.gpr[ESP]) & 0xffff);
  }

  /** INT n, a fault whose delivery fails alike has bit 0 set in addition. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "08 | 6e | 11 | 182 | 32  | an absent gate",
        "08 | e2 | 13 | 182 | 32  | no gate",
        "00 | ee | 13 | 0   | 0   | to nowhere",
        "10 | ee | 13 | 10  | 10  | to data",
        "30 | ee | 11 | 30  | 30  | to absent code",
        "38 | ee | 13 | 0   | 0   | beyond the code",
        "40 | ee | 13 | 40  | 40  | to code of an outer level",
      })
  void gates(String selector, String access, int vector, String byInt, String byFault,
      String what) {
    b.put(FREE, descriptor(0, 0xf_ffff, 0x1b, 0xc));
    b.put(FREE + 8, descriptor(0, 0x7fff, 0x9b, 4));
    b.put(FREE + 16, descriptor(0, 0xf_ffff, 0xfb, 0xc));
    for (int number : new int[] {0x30, 6}) {
      int at = Integer.parseInt(selector, 16);
      b.gate(number, at, 0x8000 + 16L * number, Integer.parseInt(access, 16));
      int cpl = at == FREE + 16 ? 0 : 3;
      b.run(cpl, number == 6 ? "90 0f0b" : "90 cd30");
      assertEquals(vector, b.vector, what);
      int error = Integer.parseInt(number == 6 ? byFault : byInt, 16);
      assertEquals(number == 6 ? error | 1 : error, b.errorCode, what);
      assertEquals(1, b.eip, what);
      assertEquals(cpl == 0 ? LegacyBench.CODE : LegacyBench.USER_CODE | 3, b.frame(1), what);
    }
  }

  @Test
  void aGateOfTheSupervisor() {
    b.gate(0x30, LegacyBench.CODE, 0x8300, 0x8e);
    b.run(3, "90 cd30");
    expect(GP, 0x182, 1);
    for (int number : new int[] {3, 4, 6}) {
      b.gate(number, LegacyBench.CODE, 0x8000 + 16L * number, 0x8e);
    }
    s.rflags = 2 | OF;
    b.run(3, "90 90 cc");
    expect(GP, 0x1a, 2);
    b.run(3, "90 ce");
    expect(GP, 0x22, 1);
    b.run(3, "90 0f0b");
    expect(6, 0, 1); // a fault may go where INT may not
  }

  /** Two exceptions that make a double fault, two that do not, and three. */
  @Test
  void faultsOfDelivery() {
    b.gate(0, LegacyBench.CODE, 0x8000, 0x6e); // absent: of divisions
    b.run(3, "90 31c9 f7f1");
    expect(8, 0, 3);
    b.gate(6, LegacyBench.CODE, 0x8060, 0x6e);
    b.run(3, "90 0f0b");
    expect(NP, 6 * 8 + 3, 1);
    b.gate(8, LegacyBench.CODE, 0x8080, 0x6e);
    b.run(3, "90 31c9 f7f1");
    assertEquals(SHUTDOWN, b.vector);
    s.idtLimit = 7;
    b.run(3, "90 0f0b");
    assertEquals(SHUTDOWN, b.vector);
  }

  /** Breaks if a stack that has no room is a fault without the bit that tells of an event. */
  @Test
  void aStackWithoutRoomForTheFrame() {
    b.put(FREE, descriptor(0, 0xfff, 0x93, 4));
    b.memory.write32(LegacyBench.TSS + 8, FREE);
    b.gate(12, 0x50, 0, 0x85); // by a task, which has a stack
    b.put(0x50, descriptor(0x2_0000, 0x67, 0x89, 0));
    b.memory.write32(0x2_0020, 0x80c0);
    b.memory.write32(0x2_0024, 2);
    b.memory.write32(0x2_0038, 0x1_d000);
    for (int i = 0; i < 6; i++) {
      b.memory.write32(0x2_0048 + 4 * i, i == 1 ? LegacyBench.CODE : LegacyBench.DATA);
    }
    b.run(3, "90 0f0b");
    assertEquals(SS, b.vector);
    assertEquals(FREE | 1, b.memory.read32(b.after.gpr[ESP]));
    assertEquals(LegacyBench.AT + 1, b.memory.read32(LegacyBench.TSS + 0x20), "EIP in the TSS");
  }

  // ---- operands of several elements ------------------------------------------------------------

  /** Each element of a far pointer, or of bounds, has an offset that wraps; the silicon was asked. */
  @Test
  void elementsWrapInTheAddressSize() {
    b.memory.write16(0xfffe, 0x1122);
    b.memory.write16(0, LegacyBench.USER_DATA | 3);
    b.memory.write16(0x1_0000, LegacyBench.USER_CODE | 3);
    s.gpr[EBX] = 0xfffe;
    s.gpr[EAX] = 0;
    b.run(3, "66 67 c4 07"); // les ax, [bx]
    assertEquals(NONE, b.vector);
    assertEquals(LegacyBench.USER_DATA | 3, b.after.es.selector);
    assertEquals(0x1122, b.after.gpr[EAX]);
    b.memory.write16(0x1_0000, 0);
    s.gpr[EAX] = 0x1123;
    b.memory.write16(0, 0x1124);
    b.run(3, "66 67 62 07"); // bound ax, [bx]
    assertEquals(NONE, b.vector);
    s.gpr[EAX] = 0x1125;
    b.run(3, "66 67 62 07");
    expect(5, 0, 0);
  }

  /** Breaks if registers that were popped before the fault have their values. */
  @Test
  void popOfAllRegistersIsAllOrNothing() {
    b.put(FREE, descriptor(0, 0xfff, 0xf3, 4));
    s.gpr[EDI] = 0x5566;
    b.run(3, "66b8" + hex(FREE | 3, 2) + "8ed0" + "bcf00f0000" + "61"); // mov esp, 0ff0h; popa
    expect(SS, 0, 11);
    assertEquals(0x5566, b.after.gpr[EDI]);
    assertEquals(0xff0, b.frame(3));
  }
}

package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Each exception in 64-bit mode: its vector, error code, the address that is saved, and which of two
 * comes first. Source: Intel SDM volume 3, sections 6.5, 6.9 and 6.15.
 */
class ExceptionsTest {
  private static final int RAX = 0;
  private static final int RBX = 3;
  private static final int RSP = 4;
  private static final int RDI = 7;
  private static final long AC = 1 << 18;
  private static final long RF = 1 << 16;
  private static final long CR0_AM = 1 << 18;

  /** Bit 47 and no higher one: no canonical address. */
  private static final long NOWHERE = 1L << 47;

  private final Bench b = new Bench(CpuModels.of("x86-64-v2", 1));

  private void expect(int vector, int errorCode, long rip) {
    assertEquals(vector, b.vector, "vector");
    assertEquals(errorCode, b.errorCode, "error code");
    assertEquals(rip, b.rip, "saved RIP");
  }

  /** Breaks if a fault does not point at its instruction, or a trap not behind it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "90 31 c9 f7 f1          | 0  | 0     | 3 | div by zero",
        "90 90 cc                | 3  | 0     | 3 | int3",
        "90 f1                   | 1  | 0     | 2 | int1",
        "90 0f 0b                | 6  | 0     | 1 | ud2",
        "90 f0 90                | 6  | 0     | 1 | lock nop",
        "90 0f 05                | 6  | 0     | 1 | syscall without EFER.SCE",
        "90 8e c8                | 6  | 0     | 1 | mov to CS",
        "90 cd 20                | 32 | 0     | 3 | int 20h",
        "90 66 b8 40 00 8e d8    | 13 | 0x40  | 5 | a selector behind the GDT",
        "90 66 b8 44 00 8e d8    | 13 | 0x44  | 5 | a selector of an absent LDT",
        "90 31 c0 8e d0          | 13 | 0     | 3 | a null SS at CPL 3",
        "90 66 b8 08 00 8e d8    | 13 | 0x08  | 5 | DS of the supervisor's code",
        "90 66 b8 10 00 8e d0    | 13 | 0x10  | 5 | SS of another level",
        "90 f4                   | 13 | 0     | 1 | hlt at CPL 3",
        "90 fa                   | 13 | 0     | 1 | cli without IOPL",
        "90 0f 20 c0             | 13 | 0     | 1 | mov from CR0 at CPL 3",
        "90 e4 60                | 13 | 0     | 1 | in without permission",
        "90 0f 01 f8             | 13 | 0     | 1 | swapgs at CPL 3",
      })
  void vectorErrorCodeAndAddress(String code, int vector, String error, long rip, String what) {
    b.state.efer &= ~1;
    b.memory.write16(0x9000 + 102, 0x68); // the TSS has no I/O permission map
    b.run(3, code);
    assertEquals(vector, b.vector, what);
    assertEquals(Integer.decode(error), b.errorCode, what);
    assertEquals(rip, b.rip, what);
  }

  @Test
  void addressesThatAreNotCanonical() {
    b.state.gpr[RAX] = NOWHERE;
    b.run(3, "48 8b 18"); // mov rbx, [rax]
    expect(13, 0, 0);
    b.state.gpr[5] = NOWHERE;
    b.run(3, "48 8b 5d 00"); // mov rbx, [rbp]
    expect(12, 0, 0);
    b.run(3, "ff e0"); // jmp rax
    expect(13, 0, 0);
    b.run(3, "48 8d 60 10 50"); // lea rsp, [rax + 16]; push rax
    expect(12, 0, 4);
    b.run(3, "48 8b 1c 04"); // mov rbx, [rsp + rax]
    expect(12, 0, 0);
  }

  @Test
  void segmentsThatAreNotPresent() {
    b.memory.write64(Bench.GDT + 0x38, 0x00cf_7300_0000_ffffL); // data, DPL 3, absent
    b.run(3, "66 b8 3b 00 8e d8"); // mov ax, 3bh; mov ds, ax
    expect(11, 0x38, 4);
    b.run(3, "66 b8 3b 00 8e d0"); // the same for SS
    expect(12, 0x38, 4);
  }

  @Test
  void gatesOfTheIdt() {
    long gate = b.state.idtBase + 0x30 * 16;
    long good = b.memory.read64(gate);
    b.memory.write64(gate, good & ~(0xffL << 40) | 0x8eL << 40); // DPL 0
    b.run(3, "90 cd 30");
    expect(13, 0x30 * 8 + 2, 1);
    b.memory.write64(gate, good & ~(0xffL << 40) | 0x6eL << 40); // absent
    b.run(3, "90 cd 30");
    expect(11, 0x30 * 8 + 2, 1);
    b.memory.write64(gate, good & ~0xffff_0000L); // the null selector
    b.run(3, "90 cd 30");
    expect(13, 0, 1);
    b.memory.write64(gate, good & ~0xffff_0000L | 0x10 << 16); // data
    b.run(3, "90 cd 30");
    expect(13, 0x10, 1);
    b.state.idtLimit = 0x2ff;
    b.run(3, "90 cd 30");
    expect(13, 0x30 * 8 + 2, 1);
  }

  /** Breaks if EXT is missing where no INT was: a fault of a fault's delivery. */
  @Test
  void aFaultWhileAnotherIsDelivered() {
    long gate = b.state.idtBase + 6 * 16;
    b.memory.write64(gate, b.memory.read64(gate) & ~(0x80L << 40));
    b.run(3, "90 0f 0b");
    expect(11, 6 * 8 + 3, 1);
    // A contributory exception on another: a double fault, whose error code is zero.
    long divide = b.state.idtBase;
    b.memory.write64(divide, b.memory.read64(divide) & ~(0x80L << 40));
    b.run(3, "90 31 c9 f7 f1");
    expect(8, 0, 3);
  }

  @Test
  void aPageFaultWhileAPageFaultIsDeliveredIsADoubleFault() {
    b.map(Bench.KERNEL_DATA, 0, 0);
    b.memory.write64(b.state.idtBase + 8 * 16 + 4, 0); // IST of vector 8: none; its offset's middle
    b.memory.write64(0x9000 + 4, Bench.KERNEL_DATA + 0x800); // the stack of CPL 0 is gone
    b.memory.write64(0x9000 + 0x24, 0xe000); // IST 1
    long gate = b.state.idtBase + 8 * 16;
    b.memory.write64(gate, (0x8000L + 8 * 16) | 0x08L << 16 | 0x8e01L << 32);
    b.state.gpr[RAX] = 0x3f_f000;
    b.map(0x3f_f000, 0, 0);
    b.run(3, "90 8b 00");
    expect(8, 0, 1);
    assertEquals(Bench.KERNEL_DATA + 0x800 - 8, b.after.cr2, "of the second page fault");
  }

  @Test
  void alignment() {
    b.state.cr0 |= CR0_AM;
    b.state.rflags = AC | 2;
    b.state.gpr[RAX] = Bench.USER_DATA + 2;
    b.run(3, "8b 18"); // mov ebx, [rax]
    expect(17, 0, 0);
    b.run(3, "66 8b 18");
    assertEquals(Bench.NONE, b.vector, "two bytes are aligned there");
    b.state.gpr[RAX] = Bench.KERNEL_DATA + 2;
    b.run(0, "8b 18");
    assertEquals(Bench.NONE, b.vector, "the supervisor is not checked");
    b.state.cr0 &= ~CR0_AM;
    b.state.gpr[RAX] = Bench.USER_DATA + 2;
    b.run(3, "8b 18");
    assertEquals(Bench.NONE, b.vector, "CR0.AM is clear");
  }

  @Test
  void floatingPoint() {
    b.run(3, "90 db e3 68 7b 03 00 00 d9 2c 24 d9 e8 d9 ee de f9 90 9b"); // unmasked 1/0, wait
    assertEquals(16, b.vector, "the instruction that waits");
    b.run(3, "90 68 00 1f 00 00 0f ae 14 24 0f 57 c0 0f 5e c0"); // ldmxcsr, divps of 0/0
    assertEquals(19, b.vector);
    assertEquals(0, b.errorCode);
  }

  /** Breaks if RF is not saved with a fault, or is with a trap. */
  @Test
  void resumeFlag() {
    b.run(3, "90 0f 0b");
    assertEquals(RF, b.after.rflags & RF);
    b.run(3, "90 cd 30");
    assertEquals(0, b.after.rflags & RF);
  }

  /** Breaks if what is found while decoding comes after what is found while executing. */
  @Test
  void priority() {
    b.state.gpr[RDI] = NOWHERE;
    b.run(3, "f0 48 8b 07"); // lock mov rax, [rdi]
    expect(6, 0, 0);
    b.run(3, "0f 22 07"); // mov cr0 with a memory form: the register form, at CPL 3
    expect(13, 0, 0);
    b.run(3, "0f 22 0f"); // CR1 does not exist
    expect(6, 0, 0);
    b.state.cr0 |= 1 << 3; // TS
    b.run(3, "0f 10 07"); // movups xmm0, [rdi]
    expect(7, 0, 0);
    b.state.cr4 &= ~(1 << 9); // without OSFXSR
    b.run(3, "0f 10 07");
    expect(6, 0, 0);
    b.state.cr0 &= ~(1L << 3);
    // Of a store and a load of one instruction, the load comes first.
    b.state.gpr[RDI] = 0x3f_f000;
    b.map(0x3f_f000, 0, 0);
    b.state.gpr[6] = 0x3f_e000;
    b.map(0x3f_e000, 0, 0);
    b.run(3, "a4"); // movsb
    expect(14, 4, 0);
    assertEquals(0x3f_e000, b.after.cr2);
  }

  /** Breaks if a fault leaves anything of its instruction behind. */
  @Test
  void nothingOfAFaultingInstructionIsLeft() {
    b.map(0x3f_f000, 0, 0);
    b.state.gpr[RAX] = 0x1122;
    b.state.gpr[RBX] = 0x3344;
    b.state.gpr[RDI] = 0x3f_f000;
    b.run(3, "48 87 07"); // xchg [rdi], rax
    expect(14, 6, 0);
    assertEquals(0x1122, b.after.gpr[RAX]);
    b.run(3, "48 0f c1 07"); // xadd [rdi], rax
    assertEquals(0x1122, b.after.gpr[RAX]);
    b.run(3, "48 0f b1 1f"); // cmpxchg [rdi], rbx
    assertEquals(0x1122, b.after.gpr[RAX]);
    b.run(3, "ff 37"); // push [rdi]
    expect(14, 4, 0);
    b.run(3, "8f 07"); // pop [rdi]
    expect(14, 6, 0);
    b.state.gpr[6] = Bench.USER_DATA;
    b.state.gpr[1] = 4;
    b.state.gpr[RDI] = 0x3f_effe;
    b.run(3, "f3 a4"); // rep movsb into the page that is not there
    expect(14, 6, 0);
    assertEquals(2, b.after.gpr[1], "what has been done stays done");
    assertEquals(0x3f_f000, b.after.gpr[RDI]);
    assertEquals(Bench.USER_DATA + 2, b.after.gpr[6]);
  }

  /** Breaks if the frame of an exception is not aligned, or its stack not the one of the level. */
  @Test
  void theFrame() {
    b.run(3, "48 83 ec 03 0f 0b"); // sub rsp, 3; ud2
    expect(6, 0, 4);
    long sp = b.after.gpr[RSP];
    assertEquals(0xf000 - 40, sp);
    assertEquals(Bench.USER_DATA + 0x7fd, b.memory.read64(sp + 24), "RSP");
    assertEquals(0x1b, b.memory.read64(sp + 32), "SS");
    assertEquals(0x23, b.memory.read64(sp + 8), "CS");
    b.run(0, "48 83 ec 03 0f 0b");
    assertEquals(0, b.after.gpr[RSP] & 15 ^ 8, "aligned before the five words");
  }
}

package org.javisor.conformance.block;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.javisor.accelerator.CpuState;
import org.javisor.conformance.cpu.Dice;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * Makes the random block that belongs to a seed: 2 to 30 pieces, each a random row of the table or
 * a few instructions that belong together.
 *
 * <p>A few registers hold addresses of data, mostly near the ends of pages, and a few small numbers, to
 * be added to these; both are seldom written but by steps. R15 counts the turns of loops and is never
 * written otherwise.
 */
final class BlockGenerator {
  private static final int RAX = 0;
  private static final int RCX = 1;
  private static final int RBX = 3;
  private static final int RSP = 4;
  private static final int RBP = 5;
  private static final int RSI = 6;
  private static final int RDI = 7;
  private static final int COUNTER = 15;
  private static final int[] POINTERS = {RBX, RSP, RBP, RSI, RDI, 8, 12};
  private static final int[] INDEXES = {10, 14};
  private static final long NX = Long.MIN_VALUE;
  private static final int DATA_ENTRY = 0x67;
  private static final int ROOM = 1000;

  private final Dice dice = new Dice();
  private final Decoder decoder;
  private final RowWriter rows;
  private final List<Form> forms = new ArrayList<>();
  private final List<Form> vectors = new ArrayList<>();
  private final Instruction in = new Instruction();

  // The case under way.
  private byte[] memory;
  private boolean user;
  private long[] pointers;
  private byte[] code;
  private int at;
  private long codeAddress;
  private List<Integer> starts;

  /** Jumps forwards whose targets are not known: where their displacements stand. */
  private final List<Integer> open = new ArrayList<>();

  BlockGenerator(Set<CpuFeature> features) {
    decoder = new Decoder(features);
    rows = new RowWriter(dice);
    for (Form form : InstructionTable.all()) {
      if (!form.invalidIn64()
          && (form.feature() == null || features.contains(form.feature()))
          && comparable(form)) {
        (form.vex() ? vectors : forms).add(form);
      }
    }
  }

  /** Not the clock, random numbers, and what moves the world from under a case. */
  private static boolean comparable(Form form) {
    return switch (form.op()) {
      case RDTSC, RDTSCP, RDRAND, RDSEED, MOVTOCR, MOVTODR, LMSW, WRMSR, RDMSR, LGDT, LIDT, LLDT,
          LTR,
          XSETBV, MONITOR, MWAIT, HLT, VMCALL, VMMCALL, VGATHER ->
          false;
      case LOOP, LOOPE, LOOPNE -> false; // a loop has a counter that nothing else changes
      default -> true;
    };
  }

  BlockCase make(long seed) {
    dice.seed(seed);
    memory = World.memory();
    user = dice.chance(45);
    CpuState s = World.state(user);
    s.cr4 |= dice.chance(80) ? World.CR4_SMEP : 0;
    s.cr4 |= dice.chance(80) ? World.CR4_SMAP : 0;
    s.sfmask = dice.chance(85) ? 0x25_7fd5 : dice.bits() & 0xffff_ffffL;
    s.rflags = dice.bits() & 0x8d5 | 2;
    s.rflags |= dice.chance(70) ? 0x200 : 0;
    s.rflags |= dice.chance(10) ? 0x400 : 0;
    s.rflags |= dice.chance(10) ? 0x4_0000 : 0;
    s.rflags |= dice.chance(5) ? 0x3000 : 0;
    pages();
    registers(s);
    BlockCase c = new BlockCase(seed, memory, s);
    c.interrupt = dice.chance(25);
    if (c.interrupt && dice.chance(90)) {
      s.rflags &= ~0x200L;
    }
    c.instructions = block(user, 2 + dice.below(29));
    if (user) {
      boolean kept = user;
      user = false;
      c.instructions += block(false, 1 + dice.below(8));
      put(0x48, 0x0f, 0x07); // sysretq
      user = kept;
    }
    return c;
  }

  // ---- state ------------------------------------------------------------------------------

  private void pages() {
    for (int i = 0; i < World.DATA_PAGES; i++) {
      int frame = World.DATA + ((dice.chance(60) ? i : dice.below(World.DATA_FRAMES)) << 12);
      long bits =
          switch (dice.below(16)) {
            case 0 -> 0;
            case 1, 2 -> DATA_ENTRY & ~2;
            case 3 -> DATA_ENTRY & ~4;
            case 4 -> DATA_ENTRY & ~0x60;
            case 5 -> DATA_ENTRY & ~0x40;
            case 6 -> DATA_ENTRY | 1L << 41; // reserved
            case 7 -> DATA_ENTRY | 0x100;
            default -> DATA_ENTRY;
          };
      long nx = dice.coin() ? NX : 0;
      World.put64(memory, World.entry(World.USER_DATA + i * 4096L),
          bits == 0 ? 0 : frame | bits | nx);
    }
    int text = World.entry(World.USER_TEXT);
    World.put64(memory, text, World.USER_CODE | 0x67);
    World.put64(
        memory, text + 8,
        dice.chance(15) ? 0 : World.USER_CODE + (dice.coin() ? 0x1000 : 0x2000) | 0x67);
    for (int i = World.DATA; i < World.MEMORY; i += 8) {
      World.put64(memory, i, (i >> 3 & 7) == 0 ? dice.element() : i * 0x9e37_79b9_7f4a_7c15L);
    }
  }

  /** An address for data: near the end of a page or anywhere in one. */
  private long address() {
    long base =
        !user && dice.chance(55) ? World.KERNEL + World.DATA : World.USER_DATA;
    long page = base + (dice.below(World.DATA_PAGES) << 12);
    return switch (dice.below(8)) {
      case 0, 1 -> page + 4096 - dice.below(40);
      case 2 -> page + 8 * dice.below(6);
      case 3 -> page + dice.below(4096);
      default -> page + 16 * dice.below(256);
    };
  }

  private void registers(CpuState s) {
    for (int i = 0; i < 16; i++) {
      s.gpr[i] = dice.integer();
    }
    for (int r : POINTERS) {
      s.gpr[r] = dice.chance(98) ? address() : dice.bits();
    }
    if (dice.chance(80)) {
      s.gpr[RSP] = s.gpr[RSP] & -4096 | 0x800 + 8L * dice.below(64);
    }
    for (int r : INDEXES) {
      s.gpr[r] = dice.below(32);
    }
    s.gpr[COUNTER] = 1L + dice.below(4);
    s.fs.base = dice.coin() ? 0 : dice.below(64);
    s.gs.base = dice.coin() ? 0 : dice.below(64);
    s.kernelGsBase = dice.below(64);
    pointers = s.gpr.clone();
    World.put64(s.fxsave, 0, dice.chance(95) ? 0x37f : 0x340 | dice.bits() & 0xf3f);
    World.put64(
        s.fxsave, 24, (dice.chance(85) ? 0x1f80 : dice.bits() & 0xffff) | 0xffffL << 32);
    for (int i = 160; i < 416; i += 8) {
      World.put64(s.fxsave, i, dice.element());
    }
    for (int i = 0; i < 256; i += 8) {
      World.put64(s.ymmHigh, i, dice.element());
    }
  }

  // ---- code -------------------------------------------------------------------------------

  private void put(int... values) {
    for (int v : values) {
      code[at++] = (byte) v;
    }
  }

  private void number(long value, int bytes) {
    for (int i = 0; i < bytes; i++) {
      code[at++] = (byte) (value >>> 8 * i);
    }
  }

  /** Writes a block where the user's or the kernel's code is; the case begins with the first one. */
  private int block(boolean forUser, int pieces) {
    int physical = forUser ? World.USER_CODE : World.KERNEL_CODE;
    codeAddress = forUser ? World.USER_TEXT : World.KERNEL + World.KERNEL_CODE;
    code = memory;
    // Where the kernel is entered by SYSCALL, or anywhere: blocks end with pages, too.
    int begin = physical;
    boolean late = dice.chance(30);
    at = begin;
    if (late) {
      int to = 4096 - dice.below(120);
      put(0xe9);
      number(to - 5, 4);
      at = begin + to;
    }
    codeAddress -= physical;
    starts = new ArrayList<>();
    open.clear();
    int end = at + ROOM;
    for (int i = 0; i < pieces && at < end - 80; i++) {
      starts.add(at);
      piece();
      if (!open.isEmpty() && dice.chance(40)) {
        land();
      }
    }
    while (!open.isEmpty()) {
      land();
    }
    if (!forUser || !user) {
      return starts.size();
    }
    // The second page of the user's code may be another frame, which holds the same or other code.
    if (dice.chance(70)) {
      System.arraycopy(memory, World.USER_CODE + 0x1000, memory, World.USER_CODE + 0x2000, 0x1000);
    }
    return starts.size();
  }

  private void land() {
    int jump = open.removeFirst();
    World.put64(memory, jump,
        World.get64(memory, jump) & -1L << 32 | at - (jump + 4) & 0xffff_ffffL);
  }

  private void piece() {
    int what = dice.below(100);
    if (what < 4) {
      registers();
    } else if (what < 42) {
      row(dice.chance(4) ? vectors : forms);
    } else if (what < 55) {
      memoryAccess();
    } else if (what < 58) {
      loop();
    } else if (what < 60) {
      step(dice.coin() ? pointerRegister() : INDEXES[dice.below(2)]);
    } else if (what < 68) {
      stack();
    } else if (what < 74) {
      forward();
    } else if (what < 78) {
      backward();
    } else if (what < 82) {
      string();
    } else if (what < 85) {
      modifyCode();
    } else if (what < 88) {
      indirect();
    } else if (what < 91) {
      pointer();
    } else if (what < 94) {
      flags();
    } else {
      privileged();
    }
  }

  private static boolean isAddress(int register) {
    return contains(POINTERS, register) || contains(INDEXES, register);
  }

  private static boolean contains(int[] registers, int register) {
    for (int r : registers) {
      if (r == register) {
        return true;
      }
    }
    return false;
  }

  /** A random encoding of a random row. */
  private void row(List<Form> from) {
    for (int tries = 0; tries < 20; tries++) {
      Form form = from.get(dice.below(from.size()));
      if (form.op() == Op.INT3 || form.op() == Op.UD && dice.chance(80)) {
        continue;
      }
      rows.make(form, pointerRegister());
      int length = decoder.decode(rows.bytes, 0, rows.length, 64, in);
      if (length <= 0 || in.form != form || spoils()) {
        continue;
      }
      for (int i = 0; i < length; i++) {
        put(rows.bytes[i]);
      }
      define();
      return;
    }
  }

  /** Flags that the manuals leave undefined are made to be something. */
  private void define() {
    boolean shift =
        switch (in.form.op()) {
          case ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD -> true;
          default -> false;
        };
    if (shift || in.form.flagsUndefined() != 0) {
      put(0x3c, dice.below(256)); // cmp al, imm8
    }
  }

  /** Whether an instruction does what a block must not, or not often. */
  private boolean spoils() {
    Op op = in.form.op();
    if (in.operandSize == 2 && (op == Op.SHLD || op == Op.SHRD || op == Op.BSWAP)) {
      return true; // undefined results
    }
    for (int i = 0; i < in.form.operands().size(); i++) {
      Operand o = in.form.operand(i);
      int register =
          switch (o.kind()) {
            case REG -> in.reg;
            case OPCODE -> in.opcodeRegister();
            case RM, RM_REGISTER -> in.isMemory() ? -1 : in.rm;
            case VVVV -> in.vvvv;
            default -> -1;
          };
      if (register == COUNTER) {
        return true;
      }
      boolean written = i == 0 && in.form.writesDestination() || op == Op.XCHG || op == Op.XADD;
      if (register >= 0 && written && isAddress(register) && dice.chance(92)) {
        return true;
      }
    }
    return in.isMemory() && (in.base == COUNTER || in.index == COUNTER);
  }

  private int pointerRegister() {
    return POINTERS[dice.below(POINTERS.length)];
  }

  /** Integer operations, moves and SSE moves near one register, as compilers make them. */
  private void memoryAccess() {
    int base = pointerRegister();
    int index = dice.chance(25) ? INDEXES[dice.below(2)] : -1;
    int scale = dice.below(4);
    int count = 1 + dice.below(4);
    int near = dice.below(128) - 64;
    for (int i = 0; i < count; i++) {
      access(base, index, scale, near);
    }
  }

  private void access(int base, int index, int scale, int near) {
    int register = otherRegister();
    int displacement = near + 8 * dice.below(4) + (dice.chance(15) ? dice.below(8) : 0);
    int size = dice.below(4);
    int rex = 0x40 | (index >= 8 ? 2 : 0) | base >> 3;
    if (dice.chance(20)) {
      put(dice.coin() ? 0xf3 : 0x66, rex, 0x0f);
      put(dice.coin() ? 0x6f : dice.coin() ? 0x7f : 0x10);
      operand(register & 7, base, index, scale, displacement);
      return;
    }
    if (size == 1) {
      put(0x66);
    }
    put(rex | (size == 3 ? 8 : 0) | register >> 3 << 2);
    int byteOr = size == 0 ? 0 : 1;
    switch (dice.below(8)) {
      case 0, 1 -> put(0x88 | byteOr);
      case 2, 3, 4 -> put(0x8a | byteOr);
      case 5 -> put(dice.below(8) << 3 | byteOr);
      case 6 -> put(dice.below(8) << 3 | 2 | byteOr);
      default -> put(0x84 | byteOr);
    }
    operand(register, base, index, scale, displacement);
    put(0x3c, dice.below(256)); // cmp al, imm8: logic leaves AF undefined
  }

  private void operand(int register, int base, int displacement) {
    operand(register, base, -1, 0, displacement);
  }

  private void operand(int register, int base, int index, int scale, int displacement) {
    int wide = displacement == (byte) displacement && dice.chance(80) ? 1 : 2;
    boolean sib = index >= 0 || (base & 7) == 4;
    put(wide << 6 | (register & 7) << 3 | (sib ? 4 : base & 7));
    if (sib) {
      put(scale << 6 | (index < 0 ? 4 : index & 7) << 3 | base & 7);
    }
    number(displacement, wide == 1 ? 1 : 4);
  }

  /** Arithmetic on registers, mostly on those that a translator may not have in one of the host's. */
  private void registers() {
    for (int n = 3 + dice.below(10); n > 0; n--) {
      int to = dice.chance(60) ? 13 : otherRegister();
      int from = dice.chance(60) ? 12 + dice.below(4) : dice.below(16);
      int size = dice.chance(70) ? 2 + dice.below(2) : dice.below(4);
      int rex = 0x40 | (size == 3 ? 8 : 0);
      int byteOr = size == 0 ? 0 : 1;
      if (size == 1) {
        put(0x66);
      }
      switch (dice.below(8)) {
        case 0, 1 -> {
          put(rex | from >> 3 << 2 | to >> 3);
          put((dice.coin() ? 0x88 : dice.below(8) << 3) | byteOr); // mov, add to cmp
          put(0xc0 | (from & 7) << 3 | to & 7);
        }
        case 2, 3 -> {
          put(rex | to >> 3 << 2 | from >> 3);
          put((dice.coin() ? 0x8a : dice.below(8) << 3 | 2) | byteOr);
          put(0xc0 | (to & 7) << 3 | from & 7);
        }
        case 4 -> {
          int index = dice.chance(50) ? 12 + dice.below(4) : otherRegister();
          put(rex | to >> 3 << 2 | index >> 3 << 1 | from >> 3, 0x8d); // lea
          operand(to, from, (index & 15) == RSP ? -1 : index, dice.below(4), dice.below(256) - 128);
        }
        case 5 -> put(rex | to >> 3, 0xc0 | byteOr, 0xc0 | dice.below(2) << 3 | to & 7, 1); // rol
        case 6 -> {
          put(rex | to >> 3 << 2 | from >> 3, 0x0f);
          put(dice.coin() ? 0x40 | dice.below(16) : 0xb6 | dice.below(2) | dice.below(2) << 3);
          put(0xc0 | (to & 7) << 3 | from & 7); // cmovcc, movzx, movsx
        }
        default -> {
          if (dice.coin()) {
            put(rex | to >> 3, 0xfe | byteOr, (dice.coin() ? 0xc8 : 0xc0) | to & 7); // inc, dec
          } else {
            put(rex | to >> 3, 0x0f, 0x90 | dice.below(16), 0xc0 | to & 7); // setcc
          }
        }
      }
      put(0x3c, dice.below(256)); // cmp al, imm8: logic leaves AF undefined
    }
  }

  /** A loop over memory that a compiler could have made; its index tells how long it lasts. */
  private void loop() {
    int begin = at;
    int index = INDEXES[dice.below(2)];
    int scale = dice.below(4);
    for (int n = 1 + dice.below(2); n > 0; n--) {
      int base = pointerRegister();
      int near = dice.below(64) - 32;
      for (int i = 1 + dice.below(2); i > 0; i--) {
        access(base, dice.chance(70) ? index : -1, scale, near);
      }
      if (dice.chance(40)) {
        step(base);
      }
    }
    if (dice.coin()) {
      put(0x49, 0xff, 0xc0 | index & 7); // inc
    } else {
      put(0x49, 0x83, 0xc0 | index & 7, 1 + dice.below(4)); // add
    }
    put(0x49, 0x83, 0xf8 | index & 7, dice.below(100)); // cmp
    put(0x0f, dice.chance(80) ? 0x82 : 0x80 | dice.below(16)); // jb, or any other
    number(begin - (at + 4), 4);
  }

  /** Moves a register by a constant. */
  private void step(int register) {
    int rex = (dice.chance(95) ? 0x48 : 0x40) | register >> 3;
    int by = dice.chance(80) ? 8 * (dice.below(9) - 4) : dice.below(256) - 128;
    switch (dice.below(4)) {
      case 0 -> put(rex, 0x83, 0xc0 | register & 7, by); // add
      case 1 -> put(rex, 0x83, 0xe8 | register & 7, by); // sub
      case 2 -> put(rex, 0xff, (dice.coin() ? 0xc0 : 0xc8) | register & 7); // inc, dec
      default -> {
        put(rex | rex << 2 & 4, 0x8d); // lea
        operand(register, register, by);
      }
    }
  }

  /** A register that holds no address, nor a part of one. */
  private int otherRegister() {
    int register;
    do {
      register = dice.below(15);
    } while (isAddress(register));
    return register;
  }

  private void loadImmediate(int register, long value) {
    put(0x48 | register >> 3, 0xb8 | register & 7);
    number(value, 8);
  }

  private void stack() {
    int register = otherRegister();
    switch (dice.below(8)) {
      case 0, 1 -> {
        int n = 1 + dice.below(4);
        for (int i = 0; i < n; i++) {
          put(0x40 | register >> 3, 0x50 | register & 7);
        }
        if (dice.coin()) {
          for (int i = 0; i < n; i++) {
            put(0x40 | register >> 3, 0x58 | register & 7);
          }
        }
      }
      case 2 -> put(0x40 | register >> 3, 0x58 | register & 7);
      case 3 -> {
        put(0x6a, dice.below(256));
        put(0x48, 0x83, 0xc4, 8); // add rsp, 8
      }
      case 4 -> {
        put(0x48, 0x83, 0xec, 8 * dice.below(16));
        put(0x48, 0x89, 0x44, 0x24, 8 * dice.below(8)); // mov [rsp + x], rax
      }
      case 5 -> put(0x48, 0x8d, 0x64, 0x24, 8 * dice.below(32) - 128);
      case 6 -> {
        put(0xff); // push [base + x]
        int base = RSP + dice.below(4);
        operand(6, base, dice.below(32));
      }
      default -> {
        put(0xe8, 1, 0, 0, 0); // call over a NOP, and drop or use what it pushed
        put(0x90);
        put(0x40 | register >> 3, 0x58 | register & 7);
      }
    }
  }

  private void forward() {
    if (dice.chance(70)) {
      put(0x0f, 0x80 | dice.below(16));
    } else {
      put(dice.chance(70) ? 0xe9 : 0xe8);
    }
    open.add(at);
    number(dice.below(20), 4);
  }

  private void backward() {
    int target = starts.get(Math.max(0, starts.size() - 1 - dice.below(8)));
    if (dice.coin()) {
      put(0x49, 0xff, 0xcf); // dec r15
    } else {
      put(0x49, 0x83, 0xef, 1); // sub r15, 1
    }
    put(0x0f, 0x8f); // jg
    number(target - (at + 4), 4);
  }

  private void string() {
    if (dice.chance(70)) {
      put(0xb9);
      number(dice.chance(70) ? dice.below(40) : dice.below(1500), 4);
    } else {
      put(0x31, 0xc9); // xor ecx, ecx
    }
    if (dice.chance(10)) {
      put(dice.coin() ? 0xfd : 0xfc);
    }
    put(dice.chance(85) ? 0xf3 : 0xf2);
    if (dice.chance(40)) {
      put(dice.coin() ? 0x48 : 0x66);
    }
    int[] opcodes = {0xa4, 0xa5, 0xaa, 0xab, 0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xae, 0xac};
    put(opcodes[dice.below(opcodes.length)]);
  }

  /** A store to this block's code, or to data beside it. */
  private void modifyCode() {
    int size = dice.below(3);
    put(size == 0 ? 0xc6 : 0xc7, 0x05);
    int bytes = size == 0 ? 1 : 4;
    int next = at + 4 + bytes;
    int target =
        switch (dice.below(4)) {
          case 0 -> next + 400 + dice.below(1000);
          case 1 -> starts.get(dice.below(starts.size()));
          default -> next + dice.below(30);
        };
    number(target - next, 4);
    // Mostly instructions without an operand, so that something goes on.
    number(dice.chance(60) ? 0x9090_9090 : dice.bits(), bytes);
  }

  private void indirect() {
    int target = at + 40;
    int register = otherRegister();
    if (dice.chance(8)) {
      loadImmediate(register, dice.coin() ? dice.bits() : address());
    } else {
      put(0x48 | register >> 3 << 2, 0x8d, 5 | (register & 7) << 3);
      int distance = dice.below(3);
      number(distance + (dice.coin() ? 3 : 4), 4); // into what follows, behind the jump
    }
    switch (dice.below(4)) {
      case 0 -> put(0x40 | register >> 3, 0xff, 0xd0 | register & 7);
      case 1 -> {
        put(0x40 | register >> 3, 0x50 | register & 7);
        put(0xc3);
      }
      default -> put(0x40 | register >> 3, 0xff, 0xe0 | register & 7);
    }
    while (at < target && dice.chance(60)) {
      put(0x90);
    }
  }

  /** Another address for a register of addresses; some are none. */
  private void pointer() {
    int register = pointerRegister();
    long value =
        switch (dice.below(16)) {
          case 0 -> dice.bits();
          case 1 -> 0x7fff_ffff_fffcL;
          case 2 -> -dice.below(16);
          case 3 -> dice.below(64);
          case 4 -> codeAddress + at + dice.below(200);
          default -> address();
        };
    loadImmediate(register, value);
  }

  private void flags() {
    put(0x9c); // pushfq
    if (dice.chance(70)) {
      long change = dice.bits() & 0xcd5;
      change |= dice.chance(20) ? 0x200 : 0;
      change |= dice.chance(5) ? 0x100 : 0;
      change |= dice.chance(10) ? 0x4_0000 : 0;
      change |= dice.chance(5) ? 0x7000 : 0;
      put(0x48, 0x81, 0x34, 0x24); // xor qword [rsp], imm32
      number(change, 4);
    }
    put(0x9d);
  }

  private void privileged() {
    if (user) {
      switch (dice.below(6)) {
        case 0 -> put(0xfa);
        case 1 -> put(0xfb);
        case 2 -> put(0x0f, 0x01, 0xca + dice.below(2));
        default -> put(0x0f, 0x05); // syscall
      }
      return;
    }
    switch (dice.below(12)) {
      case 0 -> put(0xfa);
      case 1, 2 -> put(0xfb);
      case 3, 4 -> put(0x0f, 0x01, 0xcb); // stac
      case 5 -> put(0x0f, 0x01, 0xca); // clac
      case 6 -> put(0x0f, 0x01, 0xf8); // swapgs
      case 7, 8 -> remap();
      case 9 -> {
        put(0x0f, 0x20, 0xd8); // mov rax, cr3
        put(0x0f, 0x22, 0xd8);
      }
      case 10 -> returnTo();
      default -> {
        // To the user's code, if R11 and RCX are what they should be.
        loadImmediate(RCX, World.USER_TEXT + (dice.chance(90) ? 0 : dice.below(5000)));
        loadImmediate(11, 0x202 | dice.bits() & 0xcd5 | (dice.chance(10) ? 0x4_0000 : 0));
        put(0x48, 0x0f, 0x07);
      }
    }
  }

  /** Changes the entry of a page of data and says so. */
  private void remap() {
    long page = World.USER_DATA + ((long) dice.below(World.DATA_PAGES) << 12);
    long frame = World.DATA + ((long) dice.below(World.DATA_FRAMES) << 12);
    long bits = dice.chance(80) ? DATA_ENTRY : DATA_ENTRY & ~(dice.coin() ? 2 : 1);
    loadImmediate(RAX, frame | bits);
    put(0x48, 0xa3); // mov [offset], rax
    number(World.KERNEL + World.entry(page), 8);
    loadImmediate(RAX, page);
    if (dice.chance(80)) {
      put(0x0f, 0x01, 0x38); // invlpg [rax]
    } else {
      put(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8); // mov rax, cr3; mov cr3, rax
      if (dice.coin()) {
        put(0x0f, 0x20, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0); // mov rax, cr4; xor al, 80h; back
      }
    }
  }

  /** IRETQ behind itself, to the same or the other privilege. */
  private void returnTo() {
    boolean down = dice.coin();
    put(0x6a, down ? World.USER_SS : World.KERNEL_SS);
    put(0x54); // push rsp
    put(0x9c);
    put(0x6a, down ? World.USER_CS : World.KERNEL_CS);
    if (down) {
      put(0x68);
      number(World.USER_TEXT, 4);
    } else {
      put(0x48, 0x8d, 0x05); // lea rax, [rip + 3]
      number(3, 4);
      put(0x50);
    }
    put(0x48, 0xcf);
  }
}

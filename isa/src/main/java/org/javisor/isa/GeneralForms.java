package org.javisor.isa;

import static org.javisor.isa.Form.AF;
import static org.javisor.isa.Form.CF;
import static org.javisor.isa.Form.DF;
import static org.javisor.isa.Form.IF;
import static org.javisor.isa.Form.OF;
import static org.javisor.isa.Form.OSZAPC;
import static org.javisor.isa.Form.PF;
import static org.javisor.isa.Form.SF;
import static org.javisor.isa.Form.ZF;
import static org.javisor.isa.InstructionTable.form;
import static org.javisor.isa.Operand.*;

/**
 * The general-purpose and system rows of the instruction table. Source: Intel SDM volume 2,
 * appendix A, and AMD APM volume 3, appendix A.
 */
final class GeneralForms {
  private static final Op[] GROUP1 = {
    Op.ADD, Op.OR, Op.ADC, Op.SBB, Op.AND, Op.SUB, Op.XOR, Op.CMP
  };
  private static final Op[] GROUP2 = {
    Op.ROL, Op.ROR, Op.RCL, Op.RCR, Op.SHL, Op.SHR, Op.SAL, Op.SAR
  };
  private static final String[] CONDITIONS = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"
  };
  private static final int[] CONDITION_FLAGS = {
    OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF
  };

  private GeneralForms() {}

  private static String hex(int value) {
    return "%c%c"
        .formatted(
            Character.toUpperCase(Character.forDigit(value >> 4, 16)),
            Character.toUpperCase(Character.forDigit(value & 15, 16)));
  }

  static void define() {
    arithmetic();
    shifts();
    moves();
    stack();
    controlFlow();
    strings();
    bits();
    flags();
    system();
    hints();
  }

  private static Form alu(Form form, Op op) {
    boolean logic = op == Op.OR || op == Op.AND || op == Op.XOR;
    form.writes(OSZAPC).reads(op == Op.ADC || op == Op.SBB ? CF : 0).undefined(logic ? AF : 0);
    return op == Op.CMP ? form.readOnly() : form.readWrite().lock();
  }

  private static void arithmetic() {
    for (int i = 0; i < 8; i++) {
      Op op = GROUP1[i];
      alu(form(hex(i << 3), op, Eb, Gb), op);
      alu(form(hex(i << 3 | 1), op, Ev, Gv), op);
      alu(form(hex(i << 3 | 2), op, Gb, Eb), op).lockable = false;
      alu(form(hex(i << 3 | 3), op, Gv, Ev), op).lockable = false;
      alu(form(hex(i << 3 | 4), op, AL, Ib), op).lockable = false;
      alu(form(hex(i << 3 | 5), op, RAXv, Iz), op).lockable = false;
      alu(form("80 /" + i, op, Eb, Ib), op);
      alu(form("81 /" + i, op, Ev, Iz), op);
      alu(form("82 /" + i, op, Eb, Ib), op).i64();
      alu(form("83 /" + i, op, Ev, Is), op);
    }
    form("84", Op.TEST, Eb, Gb).writes(OSZAPC).undefined(AF).readOnly();
    form("85", Op.TEST, Ev, Gv).writes(OSZAPC).undefined(AF).readOnly();
    form("A8", Op.TEST, AL, Ib).writes(OSZAPC).undefined(AF).readOnly();
    form("A9", Op.TEST, RAXv, Iz).writes(OSZAPC).undefined(AF).readOnly();
    for (int digit = 0; digit < 2; digit++) {
      form("F6 /" + digit, Op.TEST, Eb, Ib).writes(OSZAPC).undefined(AF).readOnly();
      form("F7 /" + digit, Op.TEST, Ev, Iz).writes(OSZAPC).undefined(AF).readOnly();
    }
    form("F6 /2", Op.NOT, Eb).readWrite().lock();
    form("F7 /2", Op.NOT, Ev).readWrite().lock();
    form("F6 /3", Op.NEG, Eb).readWrite().lock().writes(OSZAPC);
    form("F7 /3", Op.NEG, Ev).readWrite().lock().writes(OSZAPC);
    int notMul = SF | ZF | AF | PF;
    form("F6 /4", Op.MUL, Eb).readOnly().writes(OSZAPC).undefined(notMul);
    form("F7 /4", Op.MUL, Ev).readOnly().writes(OSZAPC).undefined(notMul);
    form("F6 /5", Op.IMUL, Eb).readOnly().writes(OSZAPC).undefined(notMul);
    form("F7 /5", Op.IMUL, Ev).readOnly().writes(OSZAPC).undefined(notMul);
    form("F6 /6", Op.DIV, Eb).readOnly().writes(OSZAPC).undefined(OSZAPC);
    form("F7 /6", Op.DIV, Ev).readOnly().writes(OSZAPC).undefined(OSZAPC);
    form("F6 /7", Op.IDIV, Eb).readOnly().writes(OSZAPC).undefined(OSZAPC);
    form("F7 /7", Op.IDIV, Ev).readOnly().writes(OSZAPC).undefined(OSZAPC);
    form("0F AF", "imul", Op.IMUL2, Gv, Ev).readWrite().writes(OSZAPC).undefined(notMul);
    form("69", "imul", Op.IMUL3, Gv, Ev, Iz).writes(OSZAPC).undefined(notMul);
    form("6B", "imul", Op.IMUL3, Gv, Ev, Is).writes(OSZAPC).undefined(notMul);
    int noCarry = OSZAPC & ~CF;
    form("40", Op.INC, Zv).i64().readWrite().writes(noCarry);
    form("48", Op.DEC, Zv).i64().readWrite().writes(noCarry);
    form("FE /0", Op.INC, Eb).readWrite().lock().writes(noCarry);
    form("FF /0", Op.INC, Ev).readWrite().lock().writes(noCarry);
    form("FE /1", Op.DEC, Eb).readWrite().lock().writes(noCarry);
    form("FF /1", Op.DEC, Ev).readWrite().lock().writes(noCarry);
    form("27", Op.DAA).i64().reads(AF | CF).writes(OSZAPC).undefined(OF);
    form("2F", Op.DAS).i64().reads(AF | CF).writes(OSZAPC).undefined(OF);
    form("37", Op.AAA).i64().reads(AF).writes(OSZAPC).undefined(OF | SF | ZF | PF);
    form("3F", Op.AAS).i64().reads(AF).writes(OSZAPC).undefined(OF | SF | ZF | PF);
    form("D4", Op.AAM, Ib).i64().writes(OSZAPC).undefined(OF | AF | CF);
    form("D5", Op.AAD, Ib).i64().writes(OSZAPC).undefined(OF | AF | CF);
    form("D6", Op.SALC).i64().reads(CF);
    form("98", Op.CBW);
    form("99", Op.CWD);
    form("66 0F 38 F6", Op.ADCX, Gy, Ey).readWrite().reads(CF).writes(CF).needs(CpuFeature.ADX);
    form("F3 0F 38 F6", Op.ADOX, Gy, Ey).readWrite().reads(OF).writes(OF).needs(CpuFeature.ADX);
    form("F2 0F 38 F0", Op.CRC32, Gy, Eb).readWrite().needs(CpuFeature.SSE4_2);
    form("F2 0F 38 F1", Op.CRC32, Gy, Ev).readWrite().needs(CpuFeature.SSE4_2);
  }

  private static void shifts() {
    for (int i = 0; i < 8; i++) {
      Op op = GROUP2[i];
      boolean rotate = i < 4;
      int written = rotate ? OF | CF : OSZAPC;
      int undefined = rotate ? OF : OF | AF;
      int read = op == Op.RCL || op == Op.RCR ? CF : 0;
      form("D0 /" + i, op, Eb, ONE).readWrite().reads(read).writes(written)
          .undefined(rotate ? 0 : AF);
      form("D1 /" + i, op, Ev, ONE).readWrite().reads(read).writes(written)
          .undefined(rotate ? 0 : AF);
      form("C0 /" + i, op, Eb, Ib).readWrite().reads(read).writes(written).undefined(undefined);
      form("C1 /" + i, op, Ev, Ib).readWrite().reads(read).writes(written).undefined(undefined);
      form("D2 /" + i, op, Eb, CL).readWrite().reads(read).writes(written).undefined(undefined);
      form("D3 /" + i, op, Ev, CL).readWrite().reads(read).writes(written).undefined(undefined);
    }
    form("0F A4", Op.SHLD, Ev, Gv, Ib).readWrite().writes(OSZAPC).undefined(OF | AF);
    form("0F A5", Op.SHLD, Ev, Gv, CL).readWrite().writes(OSZAPC).undefined(OF | AF);
    form("0F AC", Op.SHRD, Ev, Gv, Ib).readWrite().writes(OSZAPC).undefined(OF | AF);
    form("0F AD", Op.SHRD, Ev, Gv, CL).readWrite().writes(OSZAPC).undefined(OF | AF);
  }

  private static void moves() {
    form("88", Op.MOV, Eb, Gb);
    form("89", Op.MOV, Ev, Gv);
    form("8A", Op.MOV, Gb, Eb);
    form("8B", Op.MOV, Gv, Ev);
    form("A0", Op.MOV, AL, Ob);
    form("A1", Op.MOV, RAXv, Ov);
    form("A2", Op.MOV, Ob, AL);
    form("A3", Op.MOV, Ov, RAXv);
    form("B0", Op.MOV, Zb, Ib);
    form("B8", Op.MOV, Zv, Iv);
    form("C6 /0", Op.MOV, Eb, Ib);
    form("C7 /0", Op.MOV, Ev, Iz);
    form("8C", "mov", Op.MOVSREG, RvMw, Sw);
    form("8E", "mov", Op.MOVSREG, Sw, Ew);
    form("63", Op.MOVSXD, Gv, Ed).o64();
    form("63", Op.ARPL, Ew, Gw).i64().pm().readWrite().writes(ZF);
    form("0F B6", Op.MOVZX, Gv, Eb);
    form("0F B7", Op.MOVZX, Gv, Ew);
    form("0F BE", Op.MOVSX, Gv, Eb);
    form("0F BF", Op.MOVSX, Gv, Ew);
    form("86", Op.XCHG, Eb, Gb).readWrite().lock();
    form("87", Op.XCHG, Ev, Gv).readWrite().lock();
    form("F3 90", Op.PAUSE);
    form("90", Op.XCHG, Zv, RAXv).readWrite();
    form("8D mem", Op.LEA, Gv, M);
    form("0F C8", Op.BSWAP, Zv).readWrite();
    form("NFx 0F 38 F0 mem", Op.MOVBE, Gv, Mv).needs(CpuFeature.MOVBE);
    form("NFx 0F 38 F1 mem", Op.MOVBE, Mv, Gv).needs(CpuFeature.MOVBE);
    form("NP 0F C3 mem", Op.MOVNTI, My, Gy).needs(CpuFeature.SSE2);
    for (int i = 0; i < 16; i++) {
      int read = CONDITION_FLAGS[i >> 1];
      form("0F " + hex(0x40 + i), "cmov" + CONDITIONS[i], Op.CMOVCC, Gv, Ev)
          .readWrite()
          .reads(read)
          .needs(CpuFeature.CMOV);
      form("0F " + hex(0x90 + i), "set" + CONDITIONS[i], Op.SETCC, Eb).reads(read);
    }
    form("D7", Op.XLAT);
    form("9F", Op.LAHF).reads(OSZAPC & ~OF);
    form("9E", Op.SAHF).writes(OSZAPC & ~OF);
    form("C4 mem", "les", Op.LOADFAR, Gv, Mp).i64();
    form("C5 mem", "lds", Op.LOADFAR, Gv, Mp).i64();
    form("0F B2 mem", "lss", Op.LOADFAR, Gv, Mp);
    form("0F B4 mem", "lfs", Op.LOADFAR, Gv, Mp);
    form("0F B5 mem", "lgs", Op.LOADFAR, Gv, Mp);
    form("0F B0", Op.CMPXCHG, Eb, Gb).readWrite().lock().writes(OSZAPC);
    form("0F B1", Op.CMPXCHG, Ev, Gv).readWrite().lock().writes(OSZAPC);
    form("0F C7 /1 mem W1", Op.CMPXCHG16B, Mdq).readWrite().lock().writes(ZF)
        .needs(CpuFeature.CX16);
    form("0F C7 /1 mem W0", Op.CMPXCHG8B, Mq).readWrite().lock().writes(ZF)
        .needs(CpuFeature.CX8);
    form("0F C0", Op.XADD, Eb, Gb).readWrite().lock().writes(OSZAPC);
    form("0F C1", Op.XADD, Ev, Gv).readWrite().lock().writes(OSZAPC);
  }

  private static void stack() {
    form("50", Op.PUSH, Zv).d64().readOnly();
    form("58", Op.POP, Zv).d64();
    form("68", Op.PUSH, Iz).d64().readOnly();
    form("6A", Op.PUSH, Is).d64().readOnly();
    form("FF /6", Op.PUSH, Ev).d64().readOnly();
    form("8F /0", Op.POP, Ev).d64();
    form("06", "push", Op.PUSHSREG, ES).i64();
    form("0E", "push", Op.PUSHSREG, CS).i64();
    form("16", "push", Op.PUSHSREG, SS).i64();
    form("1E", "push", Op.PUSHSREG, DS).i64();
    form("0F A0", "push", Op.PUSHSREG, FS).d64();
    form("0F A8", "push", Op.PUSHSREG, GS).d64();
    form("07", "pop", Op.POPSREG, ES).i64();
    form("17", "pop", Op.POPSREG, SS).i64();
    form("1F", "pop", Op.POPSREG, DS).i64();
    form("0F A1", "pop", Op.POPSREG, FS).d64();
    form("0F A9", "pop", Op.POPSREG, GS).d64();
    form("60", Op.PUSHA).i64();
    form("61", Op.POPA).i64();
    form("9C", Op.PUSHF).d64().reads(OSZAPC | DF | IF);
    form("9D", Op.POPF).d64().writes(OSZAPC | DF | IF);
    form("C8", Op.ENTER, Iw, Ib).d64();
    form("C9", Op.LEAVE).d64();
  }

  private static void controlFlow() {
    for (int i = 0; i < 16; i++) {
      int read = CONDITION_FLAGS[i >> 1];
      form(hex(0x70 + i), "j" + CONDITIONS[i], Op.JCC, Jb).d64().reads(read);
      form("0F " + hex(0x80 + i), "j" + CONDITIONS[i], Op.JCC, Jz).d64().reads(read);
    }
    form("E8", Op.CALL, Jz).d64();
    form("E9", Op.JMP, Jz).d64();
    form("EB", Op.JMP, Jb).d64();
    form("FF /2", "call", Op.CALLIND, Ev).d64().readOnly();
    form("FF /4", "jmp", Op.JMPIND, Ev).d64().readOnly();
    form("FF /3 mem", "call far", Op.CALLFARIND, Mp);
    form("FF /5 mem", "jmp far", Op.JMPFARIND, Mp);
    form("9A", "call far", Op.CALLFAR, Ap).i64();
    form("EA", "jmp far", Op.JMPFAR, Ap).i64();
    form("C2", Op.RET, Iw).d64();
    form("C3", Op.RET).d64();
    form("CA", "ret far", Op.RETFAR, Iw);
    form("CB", "ret far", Op.RETFAR);
    form("CF", Op.IRET).reads(OSZAPC).writes(OSZAPC | DF | IF | TF());
    form("E0", Op.LOOPNE, Jb).d64().reads(ZF);
    form("E1", Op.LOOPE, Jb).d64().reads(ZF);
    form("E2", Op.LOOP, Jb).d64();
    form("E3", Op.JCXZ, Jb).d64();
    form("CC", Op.INT3);
    form("CD", Op.INT, Ib);
    form("CE", Op.INTO).i64().reads(OF);
    form("F1", Op.INT1);
    form("62 mem", Op.BOUND, Gv, M).i64();
  }

  private static int TF() {
    return Form.TF;
  }

  private static void strings() {
    form("A4", Op.MOVS, Yb, Xb).reads(DF);
    form("A5", Op.MOVS, Yv, Xv).reads(DF);
    form("A6", Op.CMPS, Xb, Yb).reads(DF).writes(OSZAPC).readOnly();
    form("A7", Op.CMPS, Xv, Yv).reads(DF).writes(OSZAPC).readOnly();
    form("AA", Op.STOS, Yb, AL).reads(DF);
    form("AB", Op.STOS, Yv, RAXv).reads(DF);
    form("AC", Op.LODS, AL, Xb).reads(DF);
    form("AD", Op.LODS, RAXv, Xv).reads(DF);
    form("AE", Op.SCAS, AL, Yb).reads(DF).writes(OSZAPC).readOnly();
    form("AF", Op.SCAS, RAXv, Yv).reads(DF).writes(OSZAPC).readOnly();
    form("6C", Op.INS, Yb, DX).reads(DF);
    form("6D", Op.INS, Yz, DX).reads(DF);
    form("6E", Op.OUTS, DX, Xb).reads(DF);
    form("6F", Op.OUTS, DX, Xz).reads(DF);
  }

  private static void bits() {
    Op[] ops = {Op.BT, Op.BTS, Op.BTR, Op.BTC};
    for (int i = 0; i < 4; i++) {
      Form byRegister = form("0F " + hex(0xa3 + 8 * i), ops[i], Ev, Gv);
      Form byImmediate = form("0F BA /" + (4 + i), ops[i], Ev, Ib);
      for (Form f : new Form[] {byRegister, byImmediate}) {
        f.writes(CF).undefined(OF | SF | AF | PF);
        if (i == 0) {
          f.readOnly();
        } else {
          f.readWrite().lock();
        }
      }
    }
    form("F3 0F B8", Op.POPCNT, Gv, Ev).writes(OSZAPC).needs(CpuFeature.POPCNT);
    form("F3 0F BC", Op.TZCNT, Gv, Ev)
        .writes(OSZAPC)
        .undefined(OF | SF | PF | AF)
        .needs(CpuFeature.BMI1);
    form("F3 0F BD", Op.LZCNT, Gv, Ev)
        .writes(OSZAPC)
        .undefined(OF | SF | PF | AF)
        .needs(CpuFeature.ABM);
    int notZero = OSZAPC & ~ZF;
    form("0F BC", Op.BSF, Gv, Ev).readWrite().writes(OSZAPC).undefined(notZero);
    form("0F BD", Op.BSR, Gv, Ev).readWrite().writes(OSZAPC).undefined(notZero);
    form("VEX NP 0F 38 F2", Op.ANDN, Gy, By, Ey).needs(CpuFeature.BMI1).writes(OSZAPC)
        .undefined(AF | PF).l = 0;
    form("VEX NP 0F 38 F7", Op.BEXTR, Gy, Ey, By).needs(CpuFeature.BMI1).writes(OSZAPC)
        .undefined(AF | SF | PF).l = 0;
    int undefined = AF | PF;
    form("VEX NP 0F 38 F3 /1", Op.BLSR, By, Ey).needs(CpuFeature.BMI1).writes(OSZAPC)
        .undefined(undefined).l = 0;
    form("VEX NP 0F 38 F3 /2", Op.BLSMSK, By, Ey).needs(CpuFeature.BMI1).writes(OSZAPC)
        .undefined(undefined).l = 0;
    form("VEX NP 0F 38 F3 /3", Op.BLSI, By, Ey).needs(CpuFeature.BMI1).writes(OSZAPC)
        .undefined(undefined).l = 0;
    form("VEX NP 0F 38 F5", Op.BZHI, Gy, Ey, By).needs(CpuFeature.BMI2).writes(OSZAPC)
        .undefined(undefined).l = 0;
    form("VEX F3 0F 38 F5", Op.PEXT, Gy, By, Ey).needs(CpuFeature.BMI2).l = 0;
    form("VEX F2 0F 38 F5", Op.PDEP, Gy, By, Ey).needs(CpuFeature.BMI2).l = 0;
    form("VEX F2 0F 38 F6", Op.MULX, Gy, By, Ey).needs(CpuFeature.BMI2).l = 0;
    form("VEX F2 0F 3A F0", Op.RORX, Gy, Ey, Ib).needs(CpuFeature.BMI2).l = 0;
    form("VEX 66 0F 38 F7", Op.SHLX, Gy, Ey, By).needs(CpuFeature.BMI2).l = 0;
    form("VEX F3 0F 38 F7", Op.SARX, Gy, Ey, By).needs(CpuFeature.BMI2).l = 0;
    form("VEX F2 0F 38 F7", Op.SHRX, Gy, Ey, By).needs(CpuFeature.BMI2).l = 0;
  }

  private static void flags() {
    form("F8", Op.CLC).writes(CF);
    form("F9", Op.STC).writes(CF);
    form("F5", Op.CMC).reads(CF).writes(CF);
    form("FC", Op.CLD).writes(DF);
    form("FD", Op.STD).writes(DF);
    form("FA", Op.CLI).writes(IF);
    form("FB", Op.STI).writes(IF);
  }

  private static void system() {
    form("F4", Op.HLT).cpl0();
    form("E4", Op.IN, AL, Ib);
    form("E5", Op.IN, EAX, Ib);
    form("EC", Op.IN, AL, DX);
    form("ED", Op.IN, EAX, DX);
    form("E6", Op.OUT, Ib, AL);
    form("E7", Op.OUT, Ib, EAX);
    form("EE", Op.OUT, DX, AL);
    form("EF", Op.OUT, DX, EAX);
    form("0F A2", Op.CPUID);
    form("0F 31", Op.RDTSC);
    form("0F 33", Op.RDPMC);
    form("0F 32", Op.RDMSR).cpl0();
    form("0F 30", Op.WRMSR).cpl0();
    form("0F 05", Op.SYSCALL).reads(OSZAPC).needs(CpuFeature.SYSCALL); // into R11
    form("0F 07", Op.SYSRET).cpl0().needs(CpuFeature.SYSCALL);
    form("0F 34", Op.SYSENTER).pm().needs(CpuFeature.SEP);
    form("0F 35", Op.SYSEXIT).pm().cpl0().needs(CpuFeature.SEP);
    form("0F 00 /0", Op.SLDT, RvMw).pm();
    form("0F 00 /1", Op.STR, RvMw).pm();
    form("0F 00 /2", Op.LLDT, Ew).pm().cpl0();
    form("0F 00 /3", Op.LTR, Ew).pm().cpl0();
    form("0F 00 /4", Op.VERR, Ew).pm().writes(ZF);
    form("0F 00 /5", Op.VERW, Ew).pm().writes(ZF);
    form("0F 01 /0 mem", Op.SGDT, Ms);
    form("0F 01 /1 mem", Op.SIDT, Ms);
    form("0F 01 /2 mem", Op.LGDT, Ms).cpl0();
    form("0F 01 /3 mem", Op.LIDT, Ms).cpl0();
    form("0F 01 /4", Op.SMSW, RvMw);
    form("0F 01 /6", Op.LMSW, Ew).cpl0();
    form("0F 01 /7 mem", Op.INVLPG, Mb).cpl0();
    form("0F 01 /0 rm=1", Op.VMCALL);
    form("0F 01 /1 rm=0", Op.MONITOR).needs(CpuFeature.MONITOR);
    form("0F 01 /1 rm=1", Op.MWAIT).needs(CpuFeature.MONITOR);
    form("NP 0F 01 /1 rm=2", Op.CLAC).cpl0().needs(CpuFeature.SMAP);
    form("NP 0F 01 /1 rm=3", Op.STAC).cpl0().needs(CpuFeature.SMAP);
    form("NP 0F 01 /2 rm=0", Op.XGETBV).needs(CpuFeature.XSAVE);
    form("NP 0F 01 /2 rm=1", Op.XSETBV).cpl0().needs(CpuFeature.XSAVE);
    form("0F 01 /3 rm=1", Op.VMMCALL);
    form("NP 0F 01 /5 rm=0", Op.SERIALIZE).needs(CpuFeature.SERIALIZE);
    form("0F 01 /7 rm=0", Op.SWAPGS).o64().cpl0();
    form("0F 01 /7 rm=1", Op.RDTSCP).needs(CpuFeature.RDTSCP);
    form("0F 02", Op.LAR, Gv, Ew).pm().writes(ZF);
    form("0F 03", Op.LSL, Gv, Ew).pm().writes(ZF);
    form("0F 06", Op.CLTS).cpl0();
    form("0F 08", Op.INVD).cpl0();
    form("0F 09", Op.WBINVD).cpl0();
    form("0F 20", "mov", Op.MOVCR, Ry, Cy).cpl0();
    form("0F 22", "mov", Op.MOVTOCR, Cy, Ry).cpl0();
    form("0F 21", "mov", Op.MOVDR, Ry, Dy).cpl0();
    form("0F 23", "mov", Op.MOVTODR, Dy, Ry).cpl0();
    form("66 0F 38 82 mem", Op.INVPCID, Gy, Mdq).cpl0().needs(CpuFeature.INVPCID);
    form("F3 0F AE /0 reg", Op.RDFSBASE, Ry).o64().needs(CpuFeature.FSGSBASE);
    form("F3 0F AE /1 reg", Op.RDGSBASE, Ry).o64().needs(CpuFeature.FSGSBASE);
    form("F3 0F AE /2 reg", Op.WRFSBASE, Ry).o64().needs(CpuFeature.FSGSBASE).readOnly();
    form("F3 0F AE /3 reg", Op.WRGSBASE, Ry).o64().needs(CpuFeature.FSGSBASE).readOnly();
    form("F3 0F C7 /7 reg", Op.RDPID, Ry).needs(CpuFeature.RDPID);
    form("NFx 0F C7 /6 reg", Op.RDRAND, Rv).writes(OSZAPC).needs(CpuFeature.RDRAND);
    form("NFx 0F C7 /7 reg", Op.RDSEED, Rv).writes(OSZAPC).needs(CpuFeature.RDSEED);
    form("9B", Op.FWAIT);
    form("NP 0F AE /0 mem", Op.FXSAVE, M).needs(CpuFeature.FXSR);
    form("NP 0F AE /1 mem", Op.FXRSTOR, M).needs(CpuFeature.FXSR);
    form("NP 0F AE /2 mem", Op.LDMXCSR, Md).needs(CpuFeature.SSE).readOnly();
    form("NP 0F AE /3 mem", Op.STMXCSR, Md).needs(CpuFeature.SSE);
    form("NP 0F AE /4 mem", Op.XSAVE, M).needs(CpuFeature.XSAVE);
    form("NP 0F AE /5 mem", Op.XRSTOR, M).needs(CpuFeature.XSAVE);
    form("NP 0F AE /6 mem", Op.XSAVEOPT, M).needs(CpuFeature.XSAVEOPT);
    form("NP 0F C7 /4 mem", Op.XSAVEC, M).needs(CpuFeature.XSAVEC);
    form("NP 0F C7 /5 mem", Op.XSAVES, M).cpl0().needs(CpuFeature.XSAVES);
    form("NP 0F C7 /3 mem", Op.XRSTORS, M).cpl0().needs(CpuFeature.XSAVES);
  }

  private static void hints() {
    form("0F 0D mem", Op.PREFETCH, Mb).readOnly();
    form("0F 18 mem", Op.PREFETCH, Mb).readOnly();
    // The space of hint NOPs: ENDBR64, PREFETCH of later CPUs, multi-byte NOP.
    for (int opcode = 0x18; opcode <= 0x1f; opcode++) {
      form("0F " + hex(opcode), Op.NOP, Ev).readOnly();
    }
    form("NP 0F AE /5 reg", Op.LFENCE).needs(CpuFeature.SSE2);
    form("NP 0F AE /6 reg", Op.MFENCE).needs(CpuFeature.SSE2);
    form("NP 0F AE /7 reg", Op.SFENCE).needs(CpuFeature.SSE);
    form("66 0F AE /7 mem", "clflushopt", Op.CLFLUSH, Mb).readOnly().needs(CpuFeature.CLFLUSHOPT);
    form("66 0F AE /6 mem", "clwb", Op.CLFLUSH, Mb).readOnly().needs(CpuFeature.CLWB);
    form("NP 0F AE /7 mem", Op.CLFLUSH, Mb).readOnly().needs(CpuFeature.CLFLUSH);
    form("0F 0B", "ud2", Op.UD);
    form("0F B9", "ud1", Op.UD, Gv, Ev);
    form("0F FF", "ud0", Op.UD, Gv, Ev);
  }
}

package org.javisor.interp.silicon;

import static org.javisor.interp.silicon.StubWriter.EAX;
import static org.javisor.interp.silicon.StubWriter.ECX;
import static org.javisor.interp.silicon.StubWriter.EDX;
import static org.javisor.interp.silicon.StubWriter.R10;
import static org.javisor.interp.silicon.StubWriter.R11;
import static org.javisor.interp.silicon.StubWriter.R8;
import static org.javisor.interp.silicon.StubWriter.R9;

import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * Emits the stub of one instruction: {@code int stub(code, block)} with the block in RSI.
 *
 * <p>The instruction keeps its vector registers; its general register, of which there is at most
 * one, becomes RAX; its memory operand becomes [RSI + SCRATCH]. A stub returns 0, or the SIMD
 * exception flags raised if one of them is unmasked in the guest's MXCSR, and then has stored
 * nothing (a stub that goes through FXSAVE: its caller restores the image).
 */
final class StubCompiler {
  private final Instruction in;
  private final Form form;
  private final StubWriter out = new StubWriter();

  private StubCompiler(Instruction in) {
    this.in = in;
    this.form = in.form;
  }

  static CodeMemory.Code compile(Instruction in) {
    StubCompiler c = new StubCompiler(in);
    if (isVector(in)) {
      c.vector();
    } else {
      c.fxsave();
    }
    return HostCode.add(c.out.code(), c.out.length());
  }

  /**
   * CVTPI2PS and CVTPI2PD from memory have no MMX operand, and AMD's CPUs neither wait nor go over
   * to MMX for them; of Intel's that is true for CVTPI2PD only.
   */
  static boolean isVector(Instruction in) {
    return in.form.op() == Op.SIMD
        || in.isMemory() && in.form.mnemonic().startsWith("cvtpi2p");
  }

  // ---- SSE and AVX ------------------------------------------------------------------------

  private void vector() {
    boolean mxcsr = form.usesMxcsr();
    if (mxcsr) {
      out.stmxcsr(SiliconArea.HOST_MXCSR);
      out.load32(EAX, VcpuBlock.MXCSR);
      out.bytes(0x25).int32(0xffc0);
      // Flush to zero counts only while underflow is masked: clear FZ (bit 15) if UM (11) is.
      out.bytes(0x89, 0xc1); // mov ecx, eax
      out.bytes(0xc1, 0xe1, 4); // shl ecx, 4
      out.bytes(0x81, 0xc9).int32(0xffff_7fff); // or ecx, ~FZ
      out.bytes(0x21, 0xc8); // and eax, ecx
      out.bytes(0x0d).int32(0x1f80); // or eax, all masked
      out.store32(EAX, SiliconArea.RUN_MXCSR);
      out.ldmxcsr(SiliconArea.RUN_MXCSR);
    }
    loadVectors();
    loadGeneral();
    instruction();
    boolean flags = form.flagsWritten() != 0;
    if (flags) {
      out.bytes(0x9c, 0x41, 0x59); // pushfq; pop r9
    }
    if (mxcsr) {
      out.stmxcsr(SiliconArea.RUN_MXCSR);
      out.ldmxcsr(SiliconArea.HOST_MXCSR);
      out.load32(ECX, SiliconArea.RUN_MXCSR);
      out.bytes(0x83, 0xe1, 0x3f); // and ecx, 3f: the flags raised
      out.load32(EDX, VcpuBlock.MXCSR);
      out.bytes(0x41, 0x89, 0xd0); // mov r8d, edx
      unmaskedOrSkip();
      out.bytes(0x09, 0xca); // or edx, ecx
      out.store32(EDX, VcpuBlock.MXCSR);
    }
    storeResults();
    if (flags) {
      mergeFlags();
    }
    if (form.vex()) {
      out.vzeroupper();
    }
    out.returnZero();
  }

  /** With MXCSR in R8D and flags raised in ECX: returns the flags if one is unmasked. */
  private void unmaskedOrSkip() {
    out.bytes(0x41, 0xc1, 0xe8, 7); // shr r8d, 7: the masks
    out.bytes(0x41, 0xf7, 0xd0); // not r8d
    out.bytes(0x41, 0x21, 0xc8); // and r8d, ecx
    int none = out.jumpIfZero();
    if (form.vex()) {
      out.vzeroupper();
    }
    out.bytes(0x89, 0xc8, 0xc3); // mov eax, ecx; ret
    out.land(none);
  }

  private void loadVectors() {
    for (int i = 0; i < form.operands().size(); i++) {
      Operand operand = form.operand(i);
      // A destination is loaded too where the instruction may leave part of it.
      boolean unread = i == 0 && form.writesDestination() && !form.readsDestination();
      int register = vectorRegister(operand);
      if (register < 0 || unread && form.vex()) {
        continue;
      }
      if (form.vex()) {
        out.loadVector(register, Prepared.isWide(in));
      } else {
        out.loadXmm(register);
      }
    }
  }

  /** The vector register an operand names, or -1. */
  private int vectorRegister(Operand operand) {
    return switch (operand.kind()) {
      case XMM_REG -> in.reg;
      case XMM_RM, XMM_RM_REGISTER -> in.isMemory() ? -1 : in.rm;
      case XMM_VVVV -> in.vvvv;
      case XMM_IMMEDIATE -> (int) in.immediate >> 4 & (in.codeSize == 64 ? 15 : 7);
      case XMM_FIXED -> operand.register();
      default -> -1;
    };
  }

  /** The general register an operand names, or -1. */
  private int generalRegister(Operand operand) {
    return switch (operand.kind()) {
      case REG -> in.reg;
      case RM, RM_REGISTER -> in.isMemory() ? -1 : in.rm;
      default -> -1;
    };
  }

  private boolean explicitLengths() {
    return isString() && (form.opcode() & 2) == 0;
  }

  /** PCMPxSTRx: 66 0F 3A 60 to 63. */
  private boolean isString() {
    return form.map() == Form.MAP_0F3A && form.opcode() >= 0x60 && form.opcode() <= 0x63;
  }

  private void loadGeneral() {
    if (explicitLengths()) {
      out.load64(EAX, VcpuBlock.GPR);
      out.load64(EDX, VcpuBlock.GPR + 8 * 2);
      return;
    }
    for (int i = 0; i < form.operands().size(); i++) {
      int register = generalRegister(form.operand(i));
      if (register >= 0 && !(i == 0 && form.writesDestination() && !form.readsDestination())) {
        out.load64(EAX, VcpuBlock.GPR + 8 * register);
      }
    }
  }

  private void storeResults() {
    if (isString()) {
      if ((form.opcode() & 1) != 0) {
        out.store64(ECX, VcpuBlock.GPR + 8);
      } else if (form.vex()) {
        out.storeVector(0, false);
      } else {
        out.storeXmm(0);
      }
      return;
    }
    if (!form.writesDestination()) {
      return;
    }
    Operand destination = form.operand(0);
    int register = vectorRegister(destination);
    if (register >= 0) {
      if (form.vex()) {
        out.storeVector(register, Prepared.isWide(in));
      } else {
        out.storeXmm(register);
      }
    }
    storeGeneral();
  }

  private void storeGeneral() {
    if (!form.operands().isEmpty() && form.writesDestination()) {
      int register = generalRegister(form.operand(0));
      if (register >= 0) {
        out.store64(EAX, VcpuBlock.GPR + 8 * register);
      }
    }
  }

  /** Puts the arithmetic flags of R9 into the guest's RFLAGS. */
  private void mergeFlags() {
    out.bytes(0x41, 0x81, 0xe1).int32(Form.OSZAPC); // and r9d, OSZAPC
    out.load64(EDX, VcpuBlock.RFLAGS);
    out.bytes(0x48, 0x81, 0xe2).int32(~Form.OSZAPC); // and rdx, ~OSZAPC
    out.bytes(0x4c, 0x09, 0xca); // or rdx, r9
    out.store64(EDX, VcpuBlock.RFLAGS);
  }

  // ---- x87 and MMX ------------------------------------------------------------------------

  /**
   * Runs on the whole FXSAVE image. No exception of these units is taken inside the stub: x87
   * reports with the next waiting instruction, and FXSAVE and FNINIT are none; so the guest's
   * control word stays in force and silicon does what an unmasked exception asks.
   */
  private void fxsave() {
    boolean x87 = form.op() == Op.X87;
    out.stmxcsr(SiliconArea.HOST_MXCSR);
    out.load32(R8, VcpuBlock.MXCSR);
    out.bytes(0x44, 0x89, 0xc0); // mov eax, r8d
    out.bytes(0x25).int32(0xffc0);
    out.bytes(0x0d).int32(0x1f80);
    out.store32(EAX, VcpuBlock.MXCSR);
    // ES and B follow from flags and masks; the caller has made sure that none is pending.
    out.bytes(0x66, 0x81).block(4, VcpuBlock.FSW); // and word [FSW], 7f7f
    out.bytes(0x7f, 0x7f);
    boolean pointers = !x87 || !in.isMemory();
    if (!x87) {
      out.load64(R9, VcpuBlock.FX + 8);
      out.bytes(0x44, 0x0f, 0xb7).block(R11, VcpuBlock.FX + 6); // movzx r11d, word [FOP]
    }
    if (pointers) {
      out.load64(R10, VcpuBlock.FX + 16);
    }
    out.bytes(0x48, 0x0f, 0xae).block(1, VcpuBlock.FX); // fxrstor64
    boolean flags = form.flagsWritten() != 0;
    if (flags || form.flagsRead() != 0) {
      out.load64(EAX, VcpuBlock.RFLAGS);
      out.bytes(0x25).int32(Form.OSZAPC);
      out.bytes(0x0d).int32(2);
      out.bytes(0x50, 0x9d); // push rax; popfq
    }
    loadGeneral();
    instruction();
    if (flags) {
      out.bytes(0x9c, 0x41, 0x59); // pushfq; pop r9
    }
    storeGeneral();
    out.bytes(0x48, 0x0f, 0xae).block(0, VcpuBlock.FX); // fxsave64
    out.bytes(0xdb, 0xe3); // fninit
    out.ldmxcsr(SiliconArea.HOST_MXCSR);
    out.set32(VcpuBlock.FX + 28, 0xffff); // MXCSR_MASK: the guest's CPU, not the host's
    if (x87) {
      // FOP is the first opcode byte's low three bits and the second byte.
      int fop = (in.opcode & 7) << 8 | modRm();
      if (in.isMemory()) {
        fop = (in.opcode & 7) << 8 | in.mod << 6 | (in.reg & 7) << 3 | in.rm & 7;
      }
      out.bytes(0x66, 0xc7).block(0, VcpuBlock.FX + 6); // mov word [FOP], fop
      out.bytes(fop, fop >> 8);
      out.load64(EAX, SiliconArea.X87_IP);
      out.store64(EAX, VcpuBlock.FX + 8);
      if (in.isMemory()) {
        out.load64(R10, SiliconArea.X87_DP);
      }
    } else {
      // MMX instructions leave the pointers of the last x87 instruction.
      out.bytes(0x66, 0x44, 0x89).block(R11, VcpuBlock.FX + 6);
      out.store64(R9, VcpuBlock.FX + 8);
    }
    out.store64(R10, VcpuBlock.FX + 16);
    if (form.usesMxcsr()) {
      out.load32(ECX, VcpuBlock.MXCSR);
      out.bytes(0x83, 0xe1, 0x3f); // and ecx, 3f
      out.store32(R8, VcpuBlock.MXCSR);
      out.bytes(0x44, 0x89, 0xc2); // mov edx, r8d
      unmaskedOrSkip();
      out.bytes(0x09, 0xca); // or edx, ecx
      out.store32(EDX, VcpuBlock.MXCSR);
    } else {
      out.store32(R8, VcpuBlock.MXCSR);
    }
    if (flags) {
      mergeFlags();
    }
    out.returnZero();
  }

  // ---- the instruction itself -------------------------------------------------------------

  private boolean hasGeneral() {
    for (Operand operand : form.operands()) {
      if (operand.kind() == Operand.Kind.REG
          || operand.kind() == Operand.Kind.RM
          || operand.kind() == Operand.Kind.RM_REGISTER) {
        return true;
      }
    }
    return false;
  }

  /** What stands in ModRM.reg: a vector or MMX register, a digit, or RAX for a general one. */
  private int regField() {
    if (form.digit() >= 0) {
      return form.digit();
    }
    for (Operand operand : form.operands()) {
      switch (operand.kind()) {
        case XMM_REG -> {
          return in.reg;
        }
        case MMX_REG -> {
          return in.reg & 7;
        }
        default -> {}
      }
    }
    return 0;
  }

  private int rmField() {
    if (form.rm() >= 0) {
      return form.rm();
    }
    for (Operand operand : form.operands()) {
      switch (operand.kind()) {
        case XMM_RM, XMM_RM_REGISTER -> {
          return in.rm;
        }
        case MMX_RM, MMX_RM_REGISTER, ST_RM -> {
          return in.rm & 7;
        }
        default -> {}
      }
    }
    return 0;
  }

  private int modRm() {
    return 0xc0 | (regField() & 7) << 3 | rmField() & 7;
  }

  private void instruction() {
    boolean memory = in.isMemory() && form.hasModRm();
    int reg = regField();
    int rm = memory ? 0 : rmField();
    boolean wideGeneral =
        (hasGeneral() || explicitLengths())
            && (form.vex() ? in.vexW && in.codeSize == 64 : in.rexW);
    int opcode = in.opcode;
    int map = form.map();
    int prefix = Math.max(form.prefix(), 0);
    // A non-temporal move would push the scratch line out of the cache: use the plain move.
    if (form.mnemonic().contains("movnt")) {
      if (map == Form.MAP_0F38) {
        map = Form.MAP_0F;
        opcode = 0x6f;
      } else {
        opcode = opcode == 0x2b ? 0x29 : 0x7f;
      }
    }
    if (form.vex()) {
      int w = form.w() >= 0 ? form.w() : wideGeneral ? 1 : 0;
      int pp =
          switch (prefix) {
            case Form.PREFIX_66 -> 1;
            case Form.PREFIX_F3 -> 2;
            case Form.PREFIX_F2 -> 3;
            default -> 0;
          };
      out.bytes(
          0xc4,
          (reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | map,
          w << 7 | (~in.vvvv & 15) << 3 | (Prepared.isWide(in) ? 4 : 0) | pp,
          opcode);
    } else {
      switch (prefix) {
        case Form.PREFIX_66 -> out.bytes(0x66);
        case Form.PREFIX_F3 -> out.bytes(0xf3);
        case Form.PREFIX_F2 -> out.bytes(0xf2);
        default -> {}
      }
      int rex = (wideGeneral ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0);
      if (rex != 0) {
        out.bytes(0x40 | rex);
      }
      switch (map) {
        case Form.MAP_0F -> out.bytes(0x0f);
        case Form.MAP_0F38 -> out.bytes(0x0f, 0x38);
        case Form.MAP_0F3A -> out.bytes(0x0f, 0x3a);
        default -> {}
      }
      out.bytes(opcode);
    }
    if (form.hasModRm()) {
      if (memory) {
        out.block(reg, VcpuBlock.SCRATCH);
      } else {
        out.bytes(0xc0 | (reg & 7) << 3 | rm & 7);
      }
    }
    for (Operand operand : form.operands()) {
      switch (operand.kind()) {
        case IMMEDIATE -> out.bytes((int) in.immediate);
        // Outside 64-bit mode bit 7 is ignored; the stub runs in it.
        case XMM_IMMEDIATE -> out.bytes((int) in.immediate & (in.codeSize == 64 ? 0xff : 0x7f));
        default -> {}
      }
    }
  }
}

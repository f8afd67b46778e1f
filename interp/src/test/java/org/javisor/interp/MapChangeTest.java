package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HexFormat;
import org.javisor.accelerator.BarePlatform;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.EmptyBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.junit.jupiter.api.Test;

/** Breaks if the CPU goes on using memory, or code, that the board has replaced by other. */
class MapChangeTest {
  private static final int CODE = 0x1000;
  private static final int PAGE = 0x5000;
  private static final int RAX = 0;
  private static final int RBX = 3;
  private static final int RCX = 1;
  private static final int RDX = 2;

  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 20));
  private long romWrites;
  private int logged = -1;
  private final Vcpu vcpu;

  MapChangeTest() {
    memory.mapRam(0, 0x10000);
    byte[] rom = new byte[4096];
    rom[0] = 0x22;
    rom[16] = (byte) 0xb2; // mov dl, 2
    rom[17] = 2;
    rom[18] = (byte) 0xc3;
    memory.mapRom(0x10000, rom);
    memory.write8(PAGE, 0x11);
    memory.write(PAGE + 16, new byte[] {(byte) 0xb2, 1, (byte) 0xc3}); // mov dl, 1; ret
    int ram = memory.frame(PAGE);
    int other = memory.frame(0x10000);
    EmptyBus bus =
        new EmptyBus() {
          @Override
          public void writePort(int port, int size, int value) {
            switch (value) {
              case 0 -> memory.map(PAGE, 4096, ram, true);
              case 1 -> memory.map(PAGE, 4096, other, false);
              case 2 -> memory.unmapLater(PAGE, 4096);
              default -> {
                logged = memory.arena().flags(ram) & FrameArena.LOG;
                memory.arena().setFlags(ram, FrameArena.LOG);
                memory.forgetTranslations();
              }
            }
          }

          @Override
          public void writeMmio(long gpa, int size, long value) {
            romWrites = gpa << 8 | value;
          }
        };
    vcpu =
        new InterpAccelerator()
            .createVm(memory, bus, CpuModels.of("x86-64-v2", 1), Clock.host(), Trace.NONE)
            .createVcpu(0, new BarePlatform() {});
  }

  private CpuState run(String hex) {
    memory.write(CODE, HexFormat.of().parseHex(hex.replace(" ", "") + "f4"));
    CpuState state = vcpu.state();
    state.cs.set(0, 0, 0xffff, state.cs.attributes);
    state.rip = CODE;
    state.halted = false;
    state.gpr[4] = 0x800;
    vcpu.setState(state);
    VmExit exit;
    do {
      exit = vcpu.run();
    } while (exit instanceof VmExit.Kicked);
    assertEquals(VmExit.Halt.INSTANCE, exit);
    return vcpu.state();
  }

  @Test
  void theNextLoadSeesIt() {
    // mov al, [PAGE]; mov bl, al; mov al, 1; out 0x10, al; mov cl, [PAGE]; mov al, 0;
    // out 0x10, al; mov al, [PAGE]
    CpuState s = run("a0 00 50 88 c3 b0 01 e6 10 8a 0e 00 50 b0 00 e6 10 a0 00 50");
    assertEquals(0x11, s.gpr[RBX] & 0xff);
    assertEquals(0x22, s.gpr[RCX] & 0xff);
    assertEquals(0x11, s.gpr[RAX] & 0xff);
  }

  @Test
  void theNextStoreDoesToo() {
    // mov byte [PAGE], 0x33; mov al, 1; out 0x10, al; mov byte [PAGE], 0x44; mov cl, [PAGE]
    CpuState s = run("c6 06 00 50 33 b0 01 e6 10 c6 06 00 50 44 8a 0e 00 50");
    assertEquals(0x22, s.gpr[RCX] & 0xff);
    assertEquals(0x5000_44L, romWrites, "a write to ROM is the board's");
    s = run("b0 00 e6 10 a0 00 50");
    assertEquals(0x33, s.gpr[RAX] & 0xff);
  }

  @Test
  void codeIsTheNewOne() {
    // call PAGE+16; mov bl, dl; mov al, 1; out 0x10, al; call PAGE+16; mov cl, dl; and back
    CpuState s =
        run("e8 0d 40 88 d3 b0 01 e6 10 e8 04 40 88 d1 b0 00 e6 10 e8 fb 3f");
    assertEquals(1, s.gpr[RBX] & 0xff);
    assertEquals(2, s.gpr[RCX] & 0xff);
    assertEquals(1, s.gpr[RDX] & 0xff);
  }

  /** Breaks if what is remembered of a page that was removed outlives something else in its place. */
  @Test
  void aPageThatWasRemovedForLaterIsNotSeenInPlaceOfAnother() {
    // mov al, [PAGE]; mov bl, al; mov al, 2; out 0x10, al; mov al, 1; out 0x10, al; mov cl, [PAGE]
    CpuState s = run("a0 00 50 88 c3 b0 02 e6 10 b0 01 e6 10 8a 0e 00 50");
    assertEquals(0x11, s.gpr[RBX] & 0xff);
    assertEquals(0x22, s.gpr[RCX] & 0xff);
  }

  /** Breaks if a vCPU that has been out still reaches the page. */
  @Test
  void aPageThatWasRemovedForLaterIsGoneAfterTheRun() {
    // mov al, [PAGE]; mov bl, al; mov al, 2; out 0x10, al; hlt; mov cl, [PAGE]
    CpuState s = run("a0 00 50 88 c3 b0 02 e6 10 f4 8a 0e 00 50");
    assertEquals(0x11, s.gpr[RBX] & 0xff);
    vcpu.unhalt();
    while (vcpu.run() instanceof VmExit.Kicked) {}
    assertEquals(0xff, vcpu.state().gpr[RCX] & 0xff, "there is nothing");
  }

  /** Breaks if a store to a frame that is logged passes unnoticed, or a load does not. */
  @Test
  void aStoreIsLogged() {
    // mov [PAGE], al; mov al, 3; out 0x10, al; mov cl, [PAGE]; out 0x10, al
    run("a2 00 50 b0 03 e6 10 8a 0e 00 50 e6 10");
    assertEquals(FrameArena.LOG, logged);
    // mov [PAGE], al; mov al, 3; out 0x10, al
    run("a2 00 50 b0 03 e6 10");
    assertEquals(0, logged);
    // inc byte [PAGE]; out 0x10, al; cmp [PAGE], al; out 0x10, al; lock inc byte [PAGE]; out 0x10
    run("b0 03 e6 10 fe 06 00 50 e6 10");
    assertEquals(0, logged);
    run("b0 03 e6 10 f0 fe 06 00 50 e6 10");
    assertEquals(0, logged);
    run("b0 03 e6 10 38 06 00 50 e6 10");
    assertEquals(FrameArena.LOG, logged);
  }
}

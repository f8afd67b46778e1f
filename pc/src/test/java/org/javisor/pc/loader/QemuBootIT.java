package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What the loaders make boots: the guest memory is dumped and handed to QEMU, which runs a firmware
 * of a few bytes that loads the start state and jumps.
 */
class QemuBootIT {
  private static final long MEMORY = 256L << 20;
  private static final long ONE_MIB = 1 << 20;

  private static DefaultGuest.GuestFiles cloud;
  private static DefaultGuest.GuestFiles generic;

  @TempDir Path temporary;

  @BeforeAll
  static void guests() throws Exception {
    assumeTrue(AptFetcher.onPath("qemu-system-x86_64").isPresent(), "no QEMU on this host");
    Progress progress = Progress.lines(System.err);
    cloud = new DefaultGuest(progress).obtain();
    generic = DefaultGuest.withKernel("linux-image-amd64", progress).obtain();
  }

  @Test
  void genericKernelReachesItsPrompt() throws Exception {
    boots(generic, BootProtocol.LINUX_64);
  }

  @ParameterizedTest
  @EnumSource(
      value = BootProtocol.class,
      names = {"LINUX_64", "LINUX_64_SELF_UNPACKING", "LINUX_32", "PVH"})
  void defaultGuestReachesItsPrompt(BootProtocol protocol) throws Exception {
    boots(cloud, protocol);
  }

  private void boots(DefaultGuest.GuestFiles guest, BootProtocol protocol) throws Exception {
    GuestMemory memory = new GuestMemory(new FrameArena(MEMORY));
    memory.mapRam(0, MEMORY);
    BootConfig config =
        BootConfig.of(
            List.of(
                new E820Entry(0, 0x9fc00, E820Entry.RAM),
                new E820Entry(0xf0000, 0x10000, E820Entry.RESERVED),
                new E820Entry(ONE_MIB, MEMORY - ONE_MIB, E820Entry.RAM)))
            .withProtocol(protocol)
            // No firmware has made ACPI tables here.
            .withCommandLine("console=ttyS0 quiet acpi=off noapic panic=-1 reboot=t")
            .withInitrd(guest.initrd());
    CpuState state;
    try (KernelImage image = KernelImage.read(guest.kernel(), guest.vmlinux())) {
      LoadedKernel loaded = KernelLoader.load(image, memory, config);
      assertEquals(protocol, loaded.protocol());
      state = loaded.state();
    }
    Path low = dump(memory, 0, 0xa0000, "low");
    Path high = dump(memory, ONE_MIB, MEMORY - ONE_MIB, "high");
    Path firmware = Files.write(temporary.resolve("firmware"), firmware(state));

    Process qemu =
        new ProcessBuilder(
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-M",
            "pc",
            "-m",
            (MEMORY >> 20) + "M",
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
            "-nic",
            "none",
            "-bios",
            firmware.toString(),
            "-device",
            "loader,force-raw=on,addr=0x0,file=" + low,
            "-device",
            "loader,force-raw=on,addr=0x100000,file=" + high)
            .redirectErrorStream(true)
            .start();
    boolean ready = false;
    boolean answered = false;
    StringBuilder log = new StringBuilder();
    try (BufferedReader out = qemu.inputReader();
        OutputStream in = qemu.getOutputStream()) {
      Thread watchdog =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      if (!qemu.waitFor(60, TimeUnit.SECONDS)) {
                        qemu.destroyForcibly();
                      }
                    } catch (InterruptedException e) {
                      Thread.currentThread().interrupt();
                    }
                  });
      String line;
      while ((line = out.readLine()) != null) {
        log.append(line).append('\n');
        if (!ready && line.contains("Javisor guest ready: Linux " + guest.release())) {
          ready = true;
          in.write("echo answer $((6 * 7)); reboot -f\n"
              .getBytes(java.nio.charset.StandardCharsets.US_ASCII));
          in.flush();
        }
        answered |= line.strip().equals("answer 42");
      }
      watchdog.interrupt();
    }
    assertTrue(ready && answered, log.toString());
    assertEquals(0, qemu.waitFor());
  }

  private Path dump(GuestMemory memory, long from, long size, String name) throws Exception {
    Path file = temporary.resolve(name);
    byte[] page = new byte[4096];
    byte[] zeros = new byte[4096];
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (long at = 0; at < size; at += page.length) {
        memory.read(from + at, page, 0, page.length);
        if (!java.util.Arrays.equals(page, zeros) || at + page.length >= size) {
          out.write(ByteBuffer.wrap(page), at);
        }
      }
    }
    return file;
  }

  /** Firmware of 64 KiB that enters protected mode, then long mode if the state asks for it. */
  private static byte[] firmware(CpuState state) {
    ByteBuffer rom = ByteBuffer.allocate(0x10000).order(ByteOrder.LITTLE_ENDIAN);
    rom.put(bytes(0xfa)); // cli
    rom.put(bytes(0x2e, 0x66, 0x0f, 0x01, 0x16, 0x00, 0x02)); // lgdtl cs:[0x200]
    rom.put(bytes(0x66, 0xb8, 0x11, 0, 0, 0)); // mov eax, PE | ET
    rom.put(bytes(0x0f, 0x22, 0xc0)); // mov cr0, eax
    rom.put(bytes(0x66, 0xea)).putInt(0xf0100).putShort((short) 0x10); // ljmp 0x10:0xf0100

    rom.position(0x100); // 32 bit
    rom.put(bytes(0x66, 0xb8, 0x18, 0x00)); // mov ax, 0x18
    for (int modrm : new int[] {0xd8, 0xc0, 0xd0, 0xe0, 0xe8}) {
      rom.put(bytes(0x8e, modrm)); // mov ds, es, ss, fs, gs
    }
    // The virtual wire that any firmware sets up: the 8259's interrupts pass through the LAPIC.
    rom.put(bytes(0xc7, 0x05)).putInt(0xfee000f0).putInt(0x1ff); // spurious vector: enabled
    rom.put(bytes(0xc7, 0x05)).putInt(0xfee00350).putInt(0x700); // LINT0: ExtINT
    if ((state.efer & 0x100) != 0) {
      rom.put(bytes(0xb8)).putInt((int) state.cr4).put(bytes(0x0f, 0x22, 0xe0)); // mov cr4
      rom.put(bytes(0xb8)).putInt((int) state.cr3).put(bytes(0x0f, 0x22, 0xd8)); // mov cr3
      rom.put(bytes(0xb9)).putInt(0xc0000080); // mov ecx, EFER
      rom.put(bytes(0xb8)).putInt(0x100); // mov eax, LME
      rom.put(bytes(0x31, 0xd2, 0x0f, 0x30)); // xor edx, edx; wrmsr
      rom.put(bytes(0xb8)).putInt((int) state.cr0).put(bytes(0x0f, 0x22, 0xc0)); // mov cr0
    }
    rom.put(bytes(0x0f, 0x01, 0x15)).putInt(0xf0210); // lgdt [0xf0210]: the state's own
    for (int register = 0; register < 8; register++) {
      rom.put(bytes(0xb8 + register)).putInt((int) state.gpr[register]); // mov register, imm32
    }
    rom.put(bytes(0xea)).putInt((int) state.rip).putShort((short) state.cs.selector);

    rom.position(0x200);
    rom.putShort((short) 0x1f).putInt(0xf0220);
    rom.position(0x210);
    rom.putShort((short) state.gdtLimit).putInt((int) state.gdtBase);
    rom.position(0x230);
    rom.putLong(0x00cf9b000000ffffL).putLong(0x00cf93000000ffffL);

    rom.position(0xfff0);
    rom.put(bytes(0xea, 0x00, 0x00, 0x00, 0xf0)); // ljmp 0xf000:0
    return rom.array();
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }
}

package org.javisor.machine;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.javisor.accelerator.TraceSelection;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsolePort;
import org.javisor.pc.loader.BootProtocol;

/**
 * A guest that is there at once: it counts in its memory and writes each number, modulo 64, as a
 * character from '0' on to its console. So the console shows whether anything was lost, or done twice.
 * It powers off when the power button is pressed.
 */
public final class TinyKernel {
  private static final int LOAD = 0x10_0000;
  private static final int HEADER = 32;

  private static final String CODE =
      "ff0500002000" // inc dword [0x200000]
          + "a100002000" // mov eax, [0x200000]
          + "243f" // and al, 0x3f
          + "0430" // add al, '0'
          + "66baf803" // mov dx, 0x3f8
          + "ee" // out dx, al
          + "66ba0006" // mov dx, 0x600: PM1 status
          + "66ed" // in ax, dx
          + "f6c401" // test ah, 1: power button
          + "740a" // jz
          + "66ba0406" // mov dx, 0x604: PM1 control
          + "66b80020" // mov ax, SLP_EN
          + "66ef" // out dx, ax
          + "b9a0860100" // mov ecx, 100000
          + "49" // dec ecx
          + "75fd" // jnz
          + "ebcd"; // jmp to the beginning

  private TinyKernel() {}

  /** Writes the kernel (Multiboot specification 0.6.96, address fields) into a folder. */
  static Path write(Path folder) throws IOException {
    return Files.write(folder.resolve("tiny"), multiboot(HexFormat.of().parseHex(CODE)));
  }

  /** A kernel of this code, which is put at 1 MiB and 32 bytes. */
  static byte[] multiboot(byte[] code) {
    int flags = 1 << 16;
    int magic = 0x1BAD_B002;
    int end = LOAD + HEADER + code.length;
    return ByteBuffer.allocate(HEADER + code.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(magic)
        .putInt(flags)
        .putInt(-(magic + flags))
        .putInt(LOAD)
        .putInt(LOAD)
        .putInt(end)
        .putInt(end)
        .putInt(LOAD + HEADER)
        .put(code)
        .array();
  }

  /** A machine with it. */
  static MachineConfig config(Path kernel) {
    return new MachineConfig(
        Optional.of(kernel),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        BootProtocol.AUTO,
        "",
        32L << 20,
        1,
        MachineConfig.DEFAULT_CPU_MODEL,
        "interp",
        TraceSelection.NONE,
        Optional.empty(),
        OptionalInt.empty(),
        List.of(),
        List.of(),
        List.of());
  }

  /** What the guest wrote. */
  static final class Output implements Console {
    private final StringBuilder text = new StringBuilder();
    private volatile ConsolePort port;

    @Override
    public synchronized boolean write(int value) {
      text.append((char) value);
      notifyAll();
      return true;
    }

    @Override
    public void attach(ConsolePort to) {
      port = to;
    }

    /** Types a character; the guest may take it later. */
    void type(char c) {
      port.receive(new byte[] {(byte) c}, 0, 1);
    }

    @Override
    public void inputReady() {}

    @Override
    public void close() {}

    /** Waits until there is that much, and takes all there is. */
    synchronized String take(int atLeast) throws InterruptedException {
      while (text.length() < atLeast) {
        wait();
      }
      String taken = text.toString();
      text.setLength(0);
      return taken;
    }
  }

  /** Whether each character follows from the one before; an empty text does. */
  static boolean counts(String text) {
    for (int i = 1; i < text.length(); i++) {
      if ((text.charAt(i) - text.charAt(i - 1) & 63) != 1) {
        return false;
      }
    }
    return true;
  }
}

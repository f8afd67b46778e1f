package org.javisor.machine;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;

/**
 * Guests that live by interrupts. Like {@link TinyKernel} they count on the console, one character a
 * time, but only when they are interrupted; in between they are halted.
 *
 * <p>Written as what they do: each method adds the instructions of 32-bit code that do it.
 */
final class DeviceKernel {
  private static final int LOAD = 0x10_0000;
  private static final int HEADER = 32;

  // Where the guest has its tables; below is its stack.
  private static final int STACK = 0x20_0000;
  private static final int GDT = 0x20_0000;
  private static final int IDT = 0x20_1000;
  private static final int POINTERS = 0x20_2000;
  private static final int COUNT = 0x20_3000;
  private static final int STARTED = 0x7000;
  private static final int STARTUP_PAGE = 0x8000;

  private static final int LOCAL_APIC = 0xfee0_0000;
  private static final int CODE_SELECTOR = 8;

  // The entropy device is the first behind the board's own, and where it is put and has its queue.
  private static final int SLOT = 2;
  private static final int MSIX_TABLE = 0xe000_0000;
  private static final int REGISTERS = 0xe001_0000;
  private static final int NOTIFY = REGISTERS + 0x3000;
  private static final int DESCRIPTORS = 0x21_0000;
  private static final int AVAILABLE = 0x21_1000;
  private static final int USED = 0x21_2000;
  private static final int BUFFER = 0x21_3000;

  private static final int TIMER_VECTOR = 0x20;
  private static final int DEVICE_VECTOR = 0x41;

  /** sti; 1: hlt; jmp 1b. */
  private static final String WAIT = "fbf4ebfd";

  private final ByteArrayOutputStream code = new ByteArrayOutputStream();
  private int begin;

  /** Counts ticks of the 8254, 100 a second, through the 8259; a second vCPU is started before. */
  static Path ticks(Path folder, boolean second) throws IOException {
    DeviceKernel k = new DeviceKernel();
    int handler = k.handler("", "b020e620"); // mov al,0x20; out 0x20,al
    k.begin();
    k.gate(TIMER_VECTOR, handler);
    if (second) {
      k.startSecondCpu();
    }
    k.out8(0x20, 0x11).out8(0x21, TIMER_VECTOR).out8(0x21, 4).out8(0x21, 1).out8(0x21, 0xfe);
    k.out8(0x43, 0x34).out8(0x40, 11_932 & 0xff).out8(0x40, 11_932 >> 8);
    return k.wait(folder);
  }

  /** Counts bytes that come over the serial line, whose interrupt it has through the 8259. */
  static Path input(Path folder) throws IOException {
    DeviceKernel k = new DeviceKernel();
    // Reads the byte first, or there is no room for the next: mov dx,0x3f8; in al,dx
    int handler = k.handler("66baf803ec", "b020e620");
    k.begin();
    k.gate(TIMER_VECTOR + 4, handler);
    k.out8(0x20, 0x11).out8(0x21, TIMER_VECTOR).out8(0x21, 4).out8(0x21, 1).out8(0x21, 0xef);
    k.out8(0x3fc, 8).out8(0x3f9, 1); // OUT2 lets the interrupt through; received data raises it
    return k.wait(folder);
  }

  /** Counts requests to the entropy device: each interrupt of it makes the next request. */
  static Path requests(Path folder) throws IOException {
    DeviceKernel k = new DeviceKernel();
    // End of interrupt; one more available entry; the doorbell.
    int handler =
        k.handler(
            "",
            "c705b000e0fe00000000" + "66ff05" + hex(AVAILABLE + 2) + "66c705" + hex(NOTIFY)
                + "0000");
    k.begin();
    k.gate(DEVICE_VECTOR, handler);
    k.store32(LOCAL_APIC + 0xf0, 0x1ff);
    k.config(0x14, MSIX_TABLE).config(0x20, REGISTERS).config(0x24, 0).config(0x04, 6);
    k.config(0x40, 0x8000_0000); // MSI-X on
    k.store32(MSIX_TABLE, LOCAL_APIC).store32(MSIX_TABLE + 4, 0);
    k.store32(MSIX_TABLE + 8, DEVICE_VECTOR).store32(MSIX_TABLE + 12, 0);
    k.store32(DESCRIPTORS, BUFFER).store32(DESCRIPTORS + 4, 0);
    k.store32(DESCRIPTORS + 8, 8).store32(DESCRIPTORS + 12, 2); // 8 bytes, written by the device
    k.store32(AVAILABLE, 1 << 16);
    k.store8(REGISTERS + 20, 0).store8(REGISTERS + 20, 1).store8(REGISTERS + 20, 3);
    k.store32(REGISTERS + 8, 1).store32(REGISTERS + 12, 1); // VERSION_1
    k.store8(REGISTERS + 20, 0xb);
    k.store16(REGISTERS + 22, 0).store16(REGISTERS + 26, 0);
    k.store32(REGISTERS + 32, DESCRIPTORS).store32(REGISTERS + 36, 0);
    k.store32(REGISTERS + 40, AVAILABLE).store32(REGISTERS + 44, 0);
    k.store32(REGISTERS + 48, USED).store32(REGISTERS + 52, 0);
    k.store16(REGISTERS + 28, 1).store8(REGISTERS + 20, 0xf);
    k.store16(NOTIFY, 0);
    return k.wait(folder);
  }

  private DeviceKernel() {
    add("e900000000"); // jmp to the beginning, wherever that will be
  }

  private static String hex(int value) {
    return HexFormat.of().toHexDigits(Integer.reverseBytes(value));
  }

  private DeviceKernel add(String instructions) {
    code.writeBytes(HexFormat.of().parseHex(instructions));
    return this;
  }

  private int here() {
    return LOAD + HEADER + code.size();
  }

  /**
   * A handler that does something, writes the next character, does something more and waits for what
   * comes next. It does not return, and so needs no IRET, which not every KVM can do in this mode.
   */
  private int handler(String first, String more) {
    int at = here();
    add(first);
    add("ff05" + hex(COUNT)); // inc dword [COUNT]
    add("a1" + hex(COUNT) + "243f0430"); // mov eax,[COUNT]; and al,0x3f; add al,'0'
    add("66baf803ee"); // mov dx,0x3f8; out dx,al
    add(more + "bc" + hex(STACK) + WAIT); // mov esp,STACK
    return at;
  }

  /** The beginning: stack and tables, and no interrupt from the 8259 pair. */
  private void begin() {
    begin = here();
    out8(0x21, 0xff).out8(0xa1, 0xff);
    add("fabc" + hex(STACK)); // cli; mov esp,STACK
    store32(GDT + 8, 0x0000_ffff).store32(GDT + 12, 0x00cf_9b00);
    store32(GDT + 16, 0x0000_ffff).store32(GDT + 20, 0x00cf_9300);
    store16(POINTERS, 23).store32(POINTERS + 2, GDT);
    store16(POINTERS + 8, 0x7ff).store32(POINTERS + 10, IDT);
    add("0f0115" + hex(POINTERS) + "0f011d" + hex(POINTERS + 8)); // lgdt; lidt
    int next = here() + 7;
    add("ea" + hex(next) + "0800"); // jmp 8:next
    add("66b810008ed88ec08ed0"); // mov ax,16; mov ds,ax; mov es,ax; mov ss,ax
  }

  private void gate(int vector, int handler) {
    store32(IDT + 8 * vector, CODE_SELECTOR << 16 | handler & 0xffff);
    store32(IDT + 8 * vector + 4, handler & 0xffff_0000 | 0x8e00);
  }

  /** INIT and a start-up message to APIC 1, whose code counts to one and halts; waits for that. */
  private void startSecondCpu() {
    byte[] start = HexFormat.of().parseHex("fa31c08ed8f0ff060070f4ebfd");
    for (int i = 0; i < start.length; i++) {
      store8(STARTUP_PAGE + i, start[i]);
    }
    store32(STARTED, 0);
    store32(LOCAL_APIC + 0xf0, 0x1ff);
    store32(LOCAL_APIC + 0x310, 1 << 24).store32(LOCAL_APIC + 0x300, 0x4500);
    store32(LOCAL_APIC + 0x310, 1 << 24).store32(LOCAL_APIC + 0x300, 0x4600 | STARTUP_PAGE >> 12);
    add("f390833d" + hex(STARTED) + "0175f5"); // 1: pause; cmp dword [STARTED],1; jnz 1b
  }

  private DeviceKernel out8(int port, int value) {
    return add("b0%02x66ba%02x%02xee".formatted(value & 0xff, port & 0xff, port >> 8));
  }

  private DeviceKernel out32(int port, int value) {
    return add("b8" + hex(value) + "66ba%02x%02xef".formatted(port & 0xff, port >> 8));
  }

  /** Writes a register of the device's configuration space. */
  private DeviceKernel config(int register, int value) {
    return out32(0xcf8, 0x8000_0000 | SLOT << 11 | register).out32(0xcfc, value);
  }

  private DeviceKernel store8(int address, int value) {
    return add("c605" + hex(address) + "%02x".formatted(value & 0xff));
  }

  private DeviceKernel store16(int address, int value) {
    return add(
        "66c705" + hex(address) + "%02x%02x".formatted(value & 0xff, value >> 8 & 0xff));
  }

  private DeviceKernel store32(int address, int value) {
    return add("c705" + hex(address) + hex(value));
  }

  /** Waits for interrupts for ever, and writes the kernel as multiboot wants it. */
  private Path wait(Path folder) throws IOException {
    add(WAIT);
    byte[] bytes = code.toByteArray();
    ByteBuffer.wrap(bytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(1, begin - (LOAD + HEADER) - 5);
    return Files.write(folder.resolve("kernel"), TinyKernel.multiboot(bytes));
  }
}
